"""Prompts in a file: which objects to segment, and from what."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medfm.errors import PromptError

if TYPE_CHECKING:
    from napari_medfm.prompts import PromptSet

FORMAT = """\b
The prompts file holds a list of objects:

\b
  [{"name": "liver", "class": "organ", "prompts": [
     {"kind": "point", "plane": {"axis": 0, "index": 12},
      "position": [80, 61.5], "positive": true},
     {"kind": "box", "plane": {"axis": 0, "index": 13},
      "start": [40, 22], "stop": [110, 98]}]}]

name, class and positive may be left out. Positions are [row, column] voxels of a plane across axis 0 (axial),
1 (coronal) or 2 (sagittal) of the canonical grid, whose axes z, y, x grow towards Superior, Posterior, Left. Kinds are
point; box, whose stop is excluded; scribble and lasso, which have a path of positions; and mask."""
"""Said in the help."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object of a prompts file."""

    name: str | None
    class_name: str | None
    prompts: "PromptSet"


def read_objects(path: Path) -> list[Wanted]:
    """Read a prompts file.

    Raises
    ------
    PromptError
        It is not as it should be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        step = "Give a JSON file as 'napari-medfm segment --help' shows it."
        raise PromptError(path.name, f"cannot be read ({type(error).__name__})", step) from error
    if not isinstance(content, list):
        raise PromptError(path.name, "is not a list of objects", "Put the objects into [ ].")
    return [_read_object(value, f"{path.name}, object {number}") for number, value in enumerate(content, start=1)]


def _read_object(value: Any, subject: str) -> Wanted:
    from napari_medfm.prompts import from_json

    if not isinstance(value, dict) or not value.keys() <= {"name", "class", "prompts"}:
        raise PromptError(subject, "is not an object with name, class and prompts", "Leave out what else it holds.")
    names = value.get("name"), value.get("class")
    if not all(name is None or isinstance(name, str) for name in names):
        raise PromptError(subject, "has a name or class that is no text", "Put it into quotes.")
    try:
        prompts = from_json(value.get("prompts", ()))
    except PromptError as error:
        raise PromptError(f"{subject}, {error.subject}", error.reason, error.next_step) from error
    return Wanted(names[0], names[1], prompts)
