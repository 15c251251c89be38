"""Which slices of a folder belong together: a stack has one direction, one size and one slice per place.

A series of a scanner is often several stacks: a scout view among the slices, two frames
of reference, several echoes or time points. They are told apart here; which one is meant is asked.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medfm.volume.dicom_headers import SliceHeader

Stack = tuple[SliceHeader, ...]

SAME_DIRECTION = 1e-3
"""Difference in a direction cosine, or in mm of pixel size, up to which two slices agree."""

_ANY = Path()
_SAME_PLACE = 0.01  # mm
_UPRIGHT = 0.9  # cosine from which a direction is called by the body's planes


def split(headers: Sequence[SliceHeader]) -> list[Stack]:
    """Return the stacks of some files, by series number, the largest of a series first.

    Slices that say nothing of their place are pictures of their own. Where slices lie at the same place, whatever
    tells them apart (time point, echo, acquisition, ...) splits them; what nothing tells apart stays together.
    """
    stacks: list[Stack] = []
    for like in _by(headers, _traits):
        for along in _by_grid(like):
            stacks += _by_phase(along) if any(header.position for header in along) else [(one,) for one in along]
    return sorted(stacks, key=lambda stack: (stack[0].number, stack[0].series, stack[0].localiser, -len(stack)))


def labels(stacks: Sequence[Stack]) -> list[str]:
    """Return what each stack is called in a question, without patient data."""
    several = {stack[0].series for stack in stacks if sum(stack[0].series == other[0].series for other in stacks) > 1}
    return [_label(stack, stack[0].series in several) for stack in stacks]


def heights(stack: Sequence[SliceHeader]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the place of each slice along the normal of the first, in mm."""
    orientation = np.asarray(stack[0].orientation, dtype=np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    places: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        np.array([header.position for header in stack], dtype=np.float64) @ normal
    )
    return places


def without_copies(stack: Sequence[SliceHeader]) -> Stack:
    """Return the slices, each once: the same instance may lie in a folder under several names."""
    return tuple(twins[0] for twins in copies(stack))


def copies(stack: Sequence[SliceHeader]) -> list[Stack]:
    """Return the slices, each with the files that say the same of themselves: instance, place and all else."""
    return _by(stack, lambda header: replace(header, file=_ANY) if header.instance else header)


def _traits(header: SliceHeader) -> Hashable:
    look = header.modality, header.shape, header.samples, header.localiser
    return header.series, header.frame_of_reference, look, header.stack, header.orientation is None


def _by(headers: Sequence[SliceHeader], key: Callable[[SliceHeader], Hashable]) -> list[Stack]:
    groups: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        groups[key(header)].append(header)
    return [tuple(group) for group in groups.values()]


def _by_grid(headers: Sequence[SliceHeader]) -> list[Stack]:
    """Group by direction and pixel size, of which files hold rounded copies."""
    groups: list[list[SliceHeader]] = []
    for header in headers:
        home = next((group for group in groups if _agree(group[0], header)), None)
        if home is None:
            groups.append([header])
        else:
            home.append(header)
    return [tuple(group) for group in groups]


def _agree(one: SliceHeader, other: SliceHeader) -> bool:
    pairs = ((one.orientation, other.orientation), (one.spacing, other.spacing))
    return all(
        (a is None) == (b is None) and (a is None or b is None or np.abs(np.subtract(a, b)).max() <= SAME_DIRECTION)
        for a, b in pairs
    )


def _by_phase(stack: Stack) -> list[Stack]:
    once = without_copies(stack)
    if not _doubled(once):
        return [stack]
    names = dict.fromkeys(name for header in once for name, _ in header.phases)
    for name in names:
        parts = _by(stack, lambda header, name=name: dict(header.phases).get(name, ""))  # type: ignore[misc]
        if not any(_doubled(without_copies(part)) for part in parts):
            return parts
    parts = _by(stack, lambda header: header.phases)
    return [stack] if any(_doubled(without_copies(part)) for part in parts) else parts


def _doubled(stack: Stack) -> bool:
    if any(header.position is None or header.orientation is None for header in stack):
        return False
    return bool((np.diff(np.sort(heights(stack))) < _SAME_PLACE).any())


def _label(stack: Stack, detailed: bool) -> str:
    header = stack[0]
    rows, columns = header.shape
    what = "scout view of" if header.localiser else "slice of" if len(stack) == 1 else "slices of"
    text = f"series {header.number}: {header.modality}, {len(stack)} {what} {columns} x {rows}"
    if header.position is None or header.orientation is None:
        return f"{text}, position unknown ({header.name})"
    if not detailed:
        return text
    return ", ".join([text, _direction(header), _extent(stack), *_phase(stack)])


def _direction(header: SliceHeader) -> str:
    orientation = np.asarray(header.orientation, dtype=np.float64)
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    name = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    return name if normal.max() > _UPRIGHT else f"oblique, nearly {name}"


def _extent(stack: Stack) -> str:
    if any(header.position is None for header in stack):
        return "not all with a position"
    places = heights(stack)
    return f"{places.min():.2f} to {places.max():.2f} mm" if len(stack) > 1 else f"at {places[0]:.2f} mm"


def _phase(stack: Stack) -> list[str]:
    """Say what all slices of a stack agree on, as far as it is a number: texts may hold anything."""
    common = set(stack[0].phases).intersection(*(header.phases for header in stack))
    return [f"{name} {value}" for name, value in stack[0].phases if _is_number(value) and (name, value) in common]


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
