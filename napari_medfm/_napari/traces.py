"""What is seen of a prompt from a plane that it was not drawn on: where its lines and areas pass through it."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_medfm._napari.picking import outline_of
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medfm.volume import Plane

_HALF = 0.5  # voxel: as thick as a slice is
_ASIDE = 1e-6  # voxel: a cut exactly through a corner would be counted twice


class Trace(NamedTuple):
    """What to draw on a plane, in voxel coordinates of the volume.

    Attributes
    ----------
    lines : ndarray, (n, 2, 3)
        Where each line starts, and how it goes on.
    dots : ndarray, (m, 3)
        Places.
    """

    lines: NDArray[np.float64]
    dots: NDArray[np.float64]


def trace(prompt: Prompt, plane: Plane) -> Trace:
    """Return where a prompt of another direction passes through a slice of a volume.

    A click is a dot on the slice that holds it, a box or a lasso the line along which the slice cuts it, and a
    scribble a dot wherever it crosses. A prompt of the same direction has no trace: it is drawn on its own slice.
    """
    nothing = Trace(np.zeros((0, 2, 3)), np.zeros((0, 3)))
    if prompt.plane.axis == plane.axis:
        return nothing
    across = [axis for axis in range(3) if axis != prompt.plane.axis].index(plane.axis)
    match prompt:
        case Point():
            near = _HALF >= prompt.position[across] - plane.index > -_HALF
            return nothing._replace(dots=_places(prompt, plane, [prompt.position[1 - across]])) if near else nothing
        case Scribble():
            found = _crossings(np.array(prompt.path), across, plane.index)
            return nothing._replace(dots=_places(prompt, plane, found))
        case Box() | Lasso():
            marks = _places(prompt, plane, _cuts(outline_of(prompt), across, plane.index))
            ends = marks[: len(marks) // 2 * 2].reshape(-1, 2, 3)
            return nothing._replace(lines=np.stack([ends[:, 0], ends[:, 1] - ends[:, 0]], axis=1))
        case MaskPrompt():
            return nothing


def _cuts(outline: NDArray[np.float64], across: int, index: int) -> list[float]:
    """Where a line cuts a closed outline, in order: from each first to each second it is inside."""
    level, cuts = index + _ASIDE, []
    for one, other in pairwise(outline):
        if (one[across] > level) != (other[across] > level):
            share = (level - one[across]) / (other[across] - one[across])
            cuts.append(float(one[1 - across] + share * (other[1 - across] - one[1 - across])))
    return sorted(cuts)


def _crossings(path: NDArray[np.float64], across: int, index: int) -> list[float]:
    """Middles of the parts of a path that lie within half a voxel of a slice."""
    found = []
    for one, other in pairwise(path) if len(path) > 1 else [(path[0], path[0])]:
        ends = np.clip([one[across], other[across]], index - _HALF, index + _HALF)
        run = other[across] - one[across]
        if max(one[across], other[across]) < index - _HALF or min(one[across], other[across]) >= index + _HALF:
            continue
        share = (ends.mean() - one[across]) / run if run else 0.5
        found.append(float(one[1 - across] + share * (other[1 - across] - one[1 - across])))
    return found


def _places(prompt: Prompt, plane: Plane, marks: list[float]) -> NDArray[np.float64]:
    """Voxel coordinates of marks along the line in which two planes meet."""
    places = np.zeros((len(marks), 3))
    places[:, prompt.plane.axis] = prompt.plane.index
    places[:, plane.axis] = plane.index
    (along,) = {0, 1, 2} - {prompt.plane.axis, plane.axis}
    places[:, along] = marks
    return places
