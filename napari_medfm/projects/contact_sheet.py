"""Candidates of a search as one picture: each with its box, its score, and where it is."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from napari_medfm.projects.searching import Candidate

_TILE = 128
_GAP = 6
_LINE = 13
_COLUMNS = 8
_GROUND, _INK, _BOX = (24, 24, 24), (235, 235, 235), (255, 205, 0)


def draw_sheet(candidates: Sequence[Candidate]) -> Image.Image:
    """Draw candidates in rows, in the order given; RGB, 8 to a row."""
    columns = max(1, min(_COLUMNS, len(candidates)))
    rows = max(1, -(-len(candidates) // columns))
    width, height = _TILE + _GAP, _TILE + 2 * _LINE + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _GROUND)
    if not candidates:
        ImageDraw.Draw(sheet).text((_GAP, _GAP), "nothing found", fill=_INK)
    for number, each in enumerate(candidates):
        row, column = divmod(number, columns)
        sheet.paste(_tile(number + 1, each), (_GAP + column * width, _GAP + row * height))
    return sheet


def _tile(place: int, candidate: Candidate) -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE + 2 * _LINE), _GROUND)
    picture = Image.fromarray(candidate.picture).convert("RGB")
    scale = _TILE / max(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    top, left, bottom, right = (edge * scale for edge in candidate.frame)
    ImageDraw.Draw(picture).rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=_BOX)
    tile.paste(picture, ((_TILE - picture.width) // 2, (_TILE - picture.height) // 2))
    draw = ImageDraw.Draw(tile)
    draw.text((0, _TILE + 1), f"{place}.  {candidate.score:.2f}", fill=_INK)
    draw.text((0, _TILE + _LINE), _fitting(draw, f"{candidate.target.title}, {candidate.plane.index + 1}"), fill=_INK)
    return tile


def _fitting(draw: ImageDraw.ImageDraw, text: str) -> str:
    """Cut a text in its middle until it fits."""
    kept = len(text)
    shown = text
    while draw.textlength(shown) > _TILE and kept > 4:
        kept -= 1
        shown = f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
    return shown
