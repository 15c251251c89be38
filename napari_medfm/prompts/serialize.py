"""Prompts as plain JSON values, for journals and for the command line.

One object per prompt: ``kind``, ``plane`` as ``{"axis", "index"}``, and the fields of
that kind; positions are ``[row, column]`` voxel coordinates in the plane. ``positive``
may be left out and then means true.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from napari_medfm.errors import PromptError
from napari_medfm.prompts.prompts import Box, Kind, Lasso, MaskPrompt, Point, Position, Prompt, PromptSet, Scribble
from napari_medfm.volume import Plane

FARTHEST = 1e6
"""Coordinates beyond this many voxels are taken for a damaged file."""

_STEP = "Correct the prompt, or leave it out."


def to_json(prompts: PromptSet) -> list[dict[str, Any]]:
    """Return prompts as a list of objects that `json.dumps` takes; floats survive exactly."""
    return [_WRITERS[prompt.kind](prompt) | _common(prompt) for prompt in prompts]


def from_json(values: Sequence[Any]) -> PromptSet:
    """Read prompts from what `json.loads` returned.

    Parameters
    ----------
    values : list of dict
        As written by `to_json`.

    Raises
    ------
    PromptError
        A field is missing, unknown, of the wrong type or out of range; the message
        counts prompts from 1.
    """
    if not isinstance(values, list | tuple):
        raise PromptError("prompts", "are not a list", "Give a list of prompts.")
    return PromptSet(tuple(_read(value, f"prompt {number}") for number, value in enumerate(values, start=1)))


def _common(prompt: Prompt) -> dict[str, Any]:
    plane = {"axis": int(prompt.plane.axis), "index": int(prompt.plane.index)}
    signed = {"positive": bool(prompt.positive)} if prompt.kind in _SIGNED else {}
    return {"kind": prompt.kind, "plane": plane} | signed


def _write_point(prompt: Any) -> dict[str, Any]:
    return {"position": _pair(prompt.position)}


def _write_box(prompt: Any) -> dict[str, Any]:
    return {"start": _pair(prompt.start), "stop": _pair(prompt.stop)}


def _write_path(prompt: Any) -> dict[str, Any]:
    return {"path": [_pair(position) for position in prompt.path]}


def _write_mask(prompt: Any) -> dict[str, Any]:
    fields = {"start": prompt.start, "shape": prompt.shape, "runs": prompt.runs}
    return {name: [int(number) for number in numbers] for name, numbers in fields.items()}


def _pair(position: Position) -> list[float]:
    return [float(position[0]), float(position[1])]


def _read(value: Any, subject: str) -> Prompt:
    if not isinstance(value, Mapping):
        raise PromptError(subject, "is not an object", _STEP)
    kind = cast("Kind", value.get("kind"))
    if not isinstance(kind, str) or kind not in _READERS:
        raise PromptError(subject, f"has the unknown kind {kind!r}", f"Use one of: {', '.join(_READERS)}.")
    fields = _Fields(value, subject)
    prompt = _READERS[kind](fields)
    fields.expect_all_read()
    return prompt


class _Fields:
    """The fields of one prompt, each checked as it is taken."""

    def __init__(self, values: Mapping[str, Any], subject: str) -> None:
        self._values = values
        self._subject = subject
        self._read = {"kind"}

    def expect_all_read(self) -> None:
        unknown = sorted(str(name) for name in set(self._values) - self._read)
        self._expect(not unknown, f"has unknown fields: {', '.join(unknown)}")

    def plane(self) -> Plane:
        value = self._take("plane")
        self._expect(
            isinstance(value, Mapping) and set(value) == {"axis", "index"}, "needs a plane with axis and index"
        )
        axis, index = self._whole(value["axis"], "axis"), self._whole(value["index"], "index")
        self._expect(axis <= 2, f"has the plane axis {axis}, which is not 0, 1 or 2")
        return Plane(axis, index)

    def positive(self) -> bool:
        self._read.add("positive")
        value = self._values.get("positive", True)
        self._expect(isinstance(value, bool), "needs true or false as positive")
        return cast("bool", value)

    def position(self, name: str) -> Position:
        return self._position(self._take(name), name)

    def path(self, fewest: int) -> tuple[Position, ...]:
        value = self._take("path")
        enough = isinstance(value, list | tuple) and len(value) >= fewest
        self._expect(enough, f"needs a path of at least {fewest} positions")
        return tuple(self._position(position, "path") for position in value)

    def wholes(self, name: str, count: int | None = None) -> tuple[int, ...]:
        value = self._take(name)
        self._expect(isinstance(value, list | tuple), f"needs a list as {name}")
        self._expect(count is None or len(value) == count, f"needs {count} numbers as {name}")
        return tuple(self._whole(number, name) for number in value)

    def runs(self, shape: tuple[int, int]) -> tuple[int, ...]:
        runs = self.wholes("runs")
        self._expect(sum(runs) == shape[0] * shape[1], "has runs that do not fill its shape")
        return runs

    def _take(self, name: str) -> Any:
        self._expect(name in self._values, f"lacks the field {name}")
        self._read.add(name)
        return self._values[name]

    def _position(self, value: Any, name: str) -> Position:
        self._expect(isinstance(value, list | tuple) and len(value) == 2, f"needs [row, column] as {name}")
        for number in value:
            usable = isinstance(number, int | float) and not isinstance(number, bool)
            self._expect(usable and number == number, f"needs numbers as {name}")  # not NaN
            self._expect(abs(number) <= FARTHEST, f"has a {name} more than {FARTHEST:.0e} voxels away")
        return float(value[0]), float(value[1])

    def _whole(self, value: Any, name: str) -> int:
        usable = isinstance(value, int) and not isinstance(value, bool)
        self._expect(usable and 0 <= value <= FARTHEST, f"needs whole numbers from 0 as {name}")
        return cast("int", value)

    def _expect(self, condition: bool, reason: str) -> None:
        if not condition:
            raise PromptError(self._subject, reason, _STEP)


def _read_point(fields: _Fields) -> Prompt:
    return Point(fields.plane(), fields.position("position"), fields.positive())


def _read_box(fields: _Fields) -> Prompt:
    return Box(fields.plane(), fields.position("start"), fields.position("stop"))


def _read_scribble(fields: _Fields) -> Prompt:
    return Scribble(fields.plane(), fields.path(fewest=1), fields.positive())


def _read_lasso(fields: _Fields) -> Prompt:
    return Lasso(fields.plane(), fields.path(fewest=3), fields.positive())


def _read_mask(fields: _Fields) -> Prompt:
    plane = fields.plane()
    row, column = fields.wholes("start", count=2)
    rows, columns = fields.wholes("shape", count=2)
    return MaskPrompt(plane, (row, column), (rows, columns), fields.runs((rows, columns)))


_SIGNED: frozenset[Kind] = frozenset({"point", "scribble", "lasso"})
_WRITERS: dict[Kind, Callable[[Prompt], dict[str, Any]]] = {
    "point": _write_point,
    "box": _write_box,
    "scribble": _write_path,
    "lasso": _write_path,
    "mask": _write_mask,
}
_READERS: dict[Kind, Callable[[_Fields], Prompt]] = {
    "point": _read_point,
    "box": _read_box,
    "scribble": _read_scribble,
    "lasso": _read_lasso,
    "mask": _read_mask,
}
