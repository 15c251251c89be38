"""Pictures of label volumes: slices as the viewer shows them, with every object coloured and outlined."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Plane, Volume, Window, edge_letters, rows_grow_upwards

Colours = Mapping[int, tuple[int, int, int]]
"""Red, green, blue, 0..255, of each label."""

_SIDE = 400  # pixels of the longest side of the volume
_GAP = 4
_TITLE = 16
_OPACITY = 0.3
_WHITE = (255, 255, 255)


def draw_planes(
    volume: Volume, window: Window, rows: Mapping[str, NDArray[Any]], colours: Colours, at: tuple[int, ...]
) -> Image.Image:
    """Draw the planes through one voxel, a row of them for each label volume.

    Parameters
    ----------
    volume : Volume
        The image.
    window : Window
        How it is shown.
    rows : mapping of str to ndarray
        Label volumes on the image's grid, by the title of their row.
    colours : mapping
        Colour of each label; labels without one are not drawn.
    at : tuple of int
        Voxel that the planes go through.

    Returns
    -------
    PIL.Image.Image
        RGB; axial beside coronal above sagittal; square pixels, radiological convention,
        head up, letters at the edges.
    """
    planes = [Plane()] if volume.ndim == 2 else [Plane(axis, at[axis]) for axis in range(3)]
    strips = [
        _strip(title, [_panel(volume, window, labels, colours, p) for p in planes]) for title, labels in rows.items()
    ]
    picture = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)))
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    return picture


def draw_comparison(session: AnnotationSession, masks: Mapping[int, NDArray[np.bool_]], window: Window) -> Image.Image:
    """Draw what a session holds above what an expert marked, in the planes through the heart of the smallest object.

    Parameters
    ----------
    session : AnnotationSession
        Its labels and colours.
    masks : mapping of int to ndarray of bool
        The expert's mask of each object, by its id in the session; at least one.
    window : Window
        How the image is shown.
    """
    by_size = sorted(masks, key=lambda number: int(masks[number].sum()), reverse=True)
    expert = np.zeros_like(session.labels)
    for number in by_size:
        expert[masks[number]] = number
    depth = distance_transform_edt(masks[by_size[-1]], sampling=session.volume.spacing)
    heart = tuple(int(index) for index in np.unravel_index(np.argmax(depth), depth.shape))
    colours = {number: thing.colour for number, thing in session.state.objects.items()}
    rows = {"session": session.labels, "expert": expert}
    return draw_planes(session.volume, window, rows, colours, heart)


def _panel(volume: Volume, window: Window, labels: NDArray[Any], colours: Colours, plane: Plane) -> Image.Image:
    size = _size(volume, plane)
    grey = Image.fromarray(window.to_uint8(volume.plane(plane))).convert("RGB")
    drawn = np.asarray(grey.resize(size, Image.Resampling.BILINEAR)).copy()
    _colour(drawn, _stretch(plane.take(labels, volume.ndim), size), colours)
    if rows_grow_upwards(volume.geometry, plane.axis):
        drawn = drawn[::-1]
    panel = Image.fromarray(drawn)
    _write_letters(panel, volume, plane)
    return panel


def _size(volume: Volume, plane: Plane) -> tuple[int, int]:
    """Return (width, height) in pixels, with one scale for all planes of the volume."""
    scale = _SIDE / max(n * mm for n, mm in zip(volume.shape, volume.spacing, strict=True))
    height, width = (
        max(1, round(n * mm * scale))
        for n, mm in zip(plane.shape(volume.shape), volume.geometry.plane_spacing(plane), strict=True)
    )
    return width, height


def _stretch(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return labels at (width, height), each pixel that of the voxel below it."""
    columns, rows = (np.arange(n) * old // n for n, old in zip(size, labels.shape[::-1], strict=True))
    return labels[np.ix_(rows, columns)]


def _colour(drawn: NDArray[np.uint8], labels: NDArray[Any], colours: Colours) -> None:
    outline = find_boundaries(labels, mode="inner")
    for label, colour in colours.items():
        inside = labels == label
        drawn[inside] = (1 - _OPACITY) * drawn[inside] + _OPACITY * np.array(colour)
        drawn[inside & outline] = colour


def _write_letters(panel: Image.Image, volume: Volume, plane: Plane) -> None:
    if not volume.geometry.known:
        return
    draw = ImageDraw.Draw(panel)
    letters = edge_letters(volume.geometry, plane.axis)
    middle, centre = panel.height // 2, panel.width // 2
    draw.text((2, middle), letters.left, _WHITE, anchor="lm")
    draw.text((panel.width - 2, middle), letters.right, _WHITE, anchor="rm")
    draw.text((centre, 2), letters.top, _WHITE, anchor="mt")
    draw.text((centre, panel.height - 2), letters.bottom, _WHITE, anchor="mb")


def _strip(title: str, panels: list[Image.Image]) -> Image.Image:
    """Set the first panel beside the others, which stand one below the other."""
    first, others = panels[0], panels[1:]
    width = first.width + max((_GAP + panel.width for panel in others), default=0)
    height = max(first.height, sum(panel.height + _GAP for panel in others) - _GAP)
    strip = Image.new("RGB", (width, _TITLE + height + _GAP))
    ImageDraw.Draw(strip).text((2, 2), title, _WHITE)
    strip.paste(first, (0, _TITLE))
    top = _TITLE
    for panel in others:
        strip.paste(panel, (first.width + _GAP, top))
        top += panel.height + _GAP
    return strip
