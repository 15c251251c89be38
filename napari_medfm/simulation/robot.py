"""The robot user: given what the model drew and what is true, where to point next.

Every function is deterministic, or takes the random generator it draws from. The
distances are in voxels, as in the protocols followed here: a person corrects what
looks wrong on the screen.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, generate_binary_structure, label
from skimage.graph import route_through_array

from napari_medfm.prompts import Box, Point, Position, Scribble
from napari_medfm.simulation.metrics import Mask
from napari_medfm.volume import Plane

IN_PLANE = Plane()
"""The plane of a 2-D image, where none is given."""


@dataclass(frozen=True, slots=True, eq=False)
class _Depth:
    """Distance of every voxel of a mask to the mask's border, kept for its bounding box only.

    Beyond the image counts as outside: voxels at its edge are one deep.
    """

    values: NDArray[np.float64]
    corner: tuple[int, ...]

    @classmethod
    def of(cls, mask: Mask) -> "_Depth":
        boxes = find_objects(mask.astype(np.uint8, copy=False))
        if not boxes:
            return cls(np.zeros((0,) * mask.ndim), (0,) * mask.ndim)
        inside = np.pad(mask[boxes[0]], 1)
        inner = (slice(1, -1),) * mask.ndim
        return cls(distance_transform_edt(inside)[inner], tuple(part.start for part in boxes[0]))

    @property
    def deepest(self) -> float:
        return float(self.values.max(initial=0.0))

    def clear(self, voxels: Collection[tuple[int, ...]]) -> None:
        for voxel in voxels:
            place = tuple(np.subtract(voxel, self.corner))
            if all(0 <= index < size for index, size in zip(place, self.values.shape, strict=True)):
                self.values[place] = 0.0

    def first_deepest(self) -> tuple[int, ...]:
        return self._voxel(np.unravel_index(int(np.argmax(self.values)), self.values.shape))

    def any_deeper(self, share: float, rng: np.random.Generator) -> tuple[int, ...]:
        places = np.argwhere(self.values >= share * self.deepest)
        return self._voxel(tuple(places[rng.integers(len(places))]))

    def _voxel(self, place: tuple[np.intp | int, ...]) -> tuple[int, ...]:
        return tuple(int(index) + first for index, first in zip(place, self.corner, strict=True))


def next_click(
    prediction: Mask,
    truth: Mask,
    clicked: Collection[Position] = (),
    plane: Plane = IN_PLANE,
    rng: np.random.Generator | None = None,
) -> Point | None:
    """Return the click that corrects the larger error, after RITM (Sofiiuk et al., 2021).

    The voxel deepest inside what is missing or what is too much, whichever is deeper
    (a tie is too much); the first one in row-major order. Voxels clicked before do not count.

    Parameters
    ----------
    prediction, truth : ndarray of bool, (rows, columns)
        What the model drew and what is meant.
    clicked : collection of (row, column)
        Earlier clicks.
    plane : Plane
        The slice to put the click on.
    rng : numpy.random.Generator, optional
        If given, any voxel at least half as deep as the deepest instead of the deepest
        itself, all alike (as SAM-Med3D's evaluation): people do not click so exactly.

    Returns
    -------
    Point or None
        None if nothing is wrong, or everything wrong has been clicked.
    """
    side = _larger_error(prediction, truth, clicked)
    if side is None:
        return None
    depth, positive = side
    row, column = depth.first_deepest() if rng is None else depth.any_deeper(0.5, rng)
    return Point(plane, (float(row), float(column)), positive)


def component_click(prediction: Mask, truth: Mask, rng: np.random.Generator, plane: Plane = IN_PLANE) -> Point | None:
    """Return the click of the CVPR 2025 challenge on interactive 3-D segmentation.

    The deepest voxel of the largest connected error, where voxels that are missing and
    voxels that are too much hang together (26 neighbours, 8 in 2-D); among equals any.
    It adds where the truth is object and removes where it is not. The challenge draws
    among equals anew from seed 42 at every click; here the caller's generator does.

    Parameters
    ----------
    prediction, truth : ndarray of bool, (rows, columns) or (z, rows, columns)
        What the model drew and what is meant.
    rng : numpy.random.Generator
        Chooses among equally deep voxels.
    plane : Plane
        The slice to put a 2-D click on; a 3-D click lies on the axial slice of its voxel.
    """
    error = prediction != truth
    if not error.any():
        return None
    components, _ = label(error, generate_binary_structure(error.ndim, error.ndim))
    largest = int(np.argmax(np.bincount(components.ravel())[1:])) + 1
    voxel = _Depth.of(components == largest).any_deeper(1.0, rng)
    return _point_at(voxel, bool(truth[voxel]), plane)


def middle_box(truth: Mask, rng: np.random.Generator, plane: Plane = IN_PLANE) -> Box | None:
    """Return the box of the CVPR 2025 challenge, a little larger than the object.

    Widened outwards on every side by 0 to 5 voxels of a 256 voxel wide image, the same
    draw for all sides, and cut off at the image. Of a 3-D object it encloses the middle one
    of the axial slices that hold it.

    Parameters
    ----------
    truth : ndarray of bool, (rows, columns) or (z, rows, columns)
        The object.
    rng : numpy.random.Generator
        Draws the widening.
    plane : Plane
        The slice to put a 2-D box on.

    Returns
    -------
    Box or None
        None for an empty object.
    """
    if not truth.any():
        return None
    if truth.ndim == 3:
        slices = np.flatnonzero(truth.any(axis=(1, 2)))
        plane = Plane(0, int(slices[len(slices) // 2]))
        truth = truth[plane.index]
    widening = rng.integers(0, 6) * np.array(truth.shape) // 256
    first, beyond = _bounds(truth)
    return _box(plane, np.maximum(first - widening, 0), np.minimum(beyond + widening, truth.shape))


def noisy_box(truth: Mask, rng: np.random.Generator, plane: Plane = IN_PLANE) -> Box | None:
    """Return a box as a hurried person draws it, after the training of SAM.

    Each side is off by normal noise of a tenth of the box's length across it, 20 voxels at most.

    Parameters
    ----------
    truth : ndarray of bool, (rows, columns)
        The object.
    rng : numpy.random.Generator
        Draws the noise.
    plane : Plane
        The slice to put the box on.

    Returns
    -------
    Box or None
        At least one voxel large and inside the image; None for an empty object.
    """
    if not truth.any():
        return None
    first, beyond = _bounds(truth)
    noise = np.clip(rng.normal(scale=0.1 * (beyond - first), size=(2, 2)), -20, 20)
    start = np.clip(np.round(first + noise[0]), 0, np.array(truth.shape) - 1)
    stop = np.clip(np.round(beyond + noise[1]), start + 1, truth.shape)
    return _box(plane, start, stop)


def error_scribble(prediction: Mask, truth: Mask, rng: np.random.Generator, plane: Plane = IN_PLANE) -> Scribble | None:
    """Return a stroke through the larger error.

    Two random voxels, at least half as deep in the error as its deepest one, joined by
    the path through one connected error that keeps to its middle.

    Parameters
    ----------
    prediction, truth : ndarray of bool, (rows, columns)
        What the model drew and what is meant.
    rng : numpy.random.Generator
        Draws the ends.
    plane : Plane
        The slice to put the stroke on.

    Returns
    -------
    Scribble or None
        Every vertex lies in the error; None if nothing is wrong.
    """
    side = _larger_error(prediction, truth, ())
    if side is None:
        return None
    depth, positive = side
    components, _ = label(depth.values > 0, generate_binary_structure(2, 2))
    deepest = np.unravel_index(int(np.argmax(depth.values)), depth.values.shape)
    within = np.where(components == components[deepest], depth.values, 0.0)
    ends = np.argwhere(within >= 0.5 * depth.deepest)
    start, stop = ends[rng.integers(len(ends), size=2)]
    cost = np.where(within > 0, 1 / np.maximum(within, 1e-9), -1.0)  # negative: not to be entered
    path, _ = route_through_array(cost, start, stop, fully_connected=True)
    corner = np.array(depth.corner)
    vertices = np.array(path[:-1:4] + path[-1:]) + corner
    return Scribble(plane, tuple((float(row), float(column)) for row, column in vertices), positive)


def _larger_error(prediction: Mask, truth: Mask, clicked: Collection[Position]) -> tuple[_Depth, bool] | None:
    missing, extra = _Depth.of(truth & ~prediction), _Depth.of(prediction & ~truth)
    voxels = [(round(row), round(column)) for row, column in clicked]
    missing.clear(voxels)
    extra.clear(voxels)
    positive = missing.deepest > extra.deepest
    side = missing if positive else extra
    return (side, positive) if side.deepest > 0 else None


def _point_at(voxel: tuple[int, ...], positive: bool, plane: Plane) -> Point:
    if len(voxel) == 3:
        plane = Plane(0, voxel[0])
    return Point(plane, (float(voxel[-2]), float(voxel[-1])), positive)


def _bounds(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    box = find_objects(mask.astype(np.uint8))[0]
    return np.array([part.start for part in box]), np.array([part.stop for part in box])


def _box(plane: Plane, start: NDArray[np.generic], stop: NDArray[np.generic]) -> Box:
    return Box(plane, (float(start[0]), float(start[1])), (float(stop[0]), float(stop[1])))
