"""Class lists in files."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError
from napari_medfm.session.state import Colour, ObjectClass
from napari_medfm.session.transitions import check_classes, default_colour

_STEP = "See the documentation of class lists for what it may hold."


def read_classes(path: Path) -> tuple[ObjectClass, ...]:
    """Read a class list.

    Parameters
    ----------
    path : Path
        ``.json``: a list of names or of objects with ``name`` and optional ``colour``
        (``"#rrggbb"`` or three numbers) and ``parent``; or nnU-Net's ``dataset.json``,
        whose ``labels`` are taken without the background. ``.csv``: columns ``name``,
        ``colour``, ``parent``, named in the first row. ``.txt``: one name per line.

    Raises
    ------
    UnreadableFileError
        There is no such file, or it is damaged.
    UnsupportedDataError
        It is no class list.
    SessionError
        A name occurs twice, or a parent is missing.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UnsupportedDataError(path.name, "is no class list", "Choose a .json, .csv or .txt file.")
    try:
        rows = list(reader(path.read_text(encoding="utf-8-sig")))
        classes = tuple(_class(row, number) for number, row in enumerate(rows, start=1))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(path.name, f"cannot be read ({type(error).__name__})", "Choose another.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnsupportedDataError(path.name, f"is no class list ({type(error).__name__})", _STEP) from error
    check_classes(classes)
    return classes


def _class(row: Any, number: int) -> ObjectClass:
    values = {"name": row} if isinstance(row, str) else row
    colour, parent = values.get("colour") or values.get("color"), values.get("parent")
    name = values["name"].strip()
    return ObjectClass(name, _colour(colour) if colour else default_colour(number), parent.strip() if parent else None)


def _colour(value: str | Iterable[int]) -> Colour:
    parts = bytes.fromhex(value.strip().removeprefix("#")) if isinstance(value, str) else bytes(value)
    red, green, blue = parts
    return red, green, blue


def _read_json(text: str) -> Iterable[Any]:
    content = json.loads(text)
    if isinstance(content, list):
        return content
    labels: dict[str, Any] = content["labels"]
    return [name for name in labels if name.lower() not in ("background", "ignore")]


def _read_csv(text: str) -> Iterator[Any]:
    for row in csv.DictReader(text.splitlines(), skipinitialspace=True):
        yield {str(name).strip().lower(): value for name, value in row.items()}


def _read_txt(text: str) -> Iterable[Any]:
    return [line.strip() for line in text.splitlines() if line.strip()]


_READERS: dict[str, Callable[[str], Iterable[Any]]] = {".json": _read_json, ".csv": _read_csv, ".txt": _read_txt}
