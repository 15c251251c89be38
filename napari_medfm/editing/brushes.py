"""Brushes measured in millimetres: a disc in the plane of the hand, or a ball through the slices beside it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.editing.morphology import Mask
from napari_medfm.volume import Geometry, Plane, Region

Position = tuple[float, float]

_PERCENTILES = (5, 95)


@dataclass(frozen=True, slots=True)
class Brush:
    """What the hand paints with.

    Attributes
    ----------
    radius : float
        In mm.
    ball : bool
        A ball through all slices that it reaches, or a disc on the one slice.
    low, high : float
        Only voxels with a value in this range are painted.
    """

    radius: float
    ball: bool = False
    low: float = -np.inf
    high: float = np.inf

    @property
    def is_ranged(self) -> bool:
        """Whether values matter."""
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def accepts(self, values: NDArray[Any]) -> Mask:
        """Return which values are in the range; nothing that is not a number is."""
        return np.asarray((values >= self.low) & (values <= self.high))


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """What a stroke covers.

    Attributes
    ----------
    region : tuple of slice
        A box of the volume.
    mask : ndarray of bool
        The voxels of that box.
    """

    region: Region
    mask: Mask


def stamp(brush: Brush, plane: Plane, path: tuple[Position, ...], geometry: Geometry) -> Stamp | None:
    """Return all voxels whose centre the brush passes over, whatever their values; None beside the image.

    Parameters
    ----------
    brush : Brush
        Disc or ball, in mm: across anisotropic voxels it is an ellipse of them.
    plane : Plane
        The slice the hand is on.
    path : tuple of (float, float)
        (row, column) voxel coordinates of the hand, joined by straight lines.
    geometry : Geometry
        Shape and size of the voxels.
    """
    steps, shape = np.array(geometry.plane_spacing(plane)), plane.shape(geometry.shape)
    box = _box(np.array(path), brush.radius / steps, shape)
    if box is None:
        return None
    squares = _squared_distances(np.array(path), box, steps, brush.radius)
    if geometry.ndim == 2 or not brush.ball:
        region = plane.embed_region(*box, ndim=geometry.ndim)
        return Stamp(region, (squares <= brush.radius**2).reshape([part.stop - part.start for part in region]))
    step = geometry.spacing[plane.axis]
    deep = int(brush.radius / step)
    first, last = max(0, plane.index - deep), min(geometry.shape[plane.axis] - 1, plane.index + deep)
    depths = (np.arange(first, last + 1) - plane.index) * step
    mask = squares[None] + (depths**2)[:, None, None] <= brush.radius**2
    parts = list(box)
    parts.insert(plane.axis, slice(first, last + 1))
    return Stamp(tuple(parts), np.moveaxis(mask, 0, plane.axis))


def range_around(values: NDArray[Any]) -> tuple[float, float] | None:
    """Return the range that most of some values lie in (5th to 95th percentile); None if there are none."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return None
    low, high = np.percentile(finite, _PERCENTILES)
    return float(low), float(high)


def _box(path: NDArray[np.float64], radius: NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """The voxels of a plane whose centres may lie within a radius, in voxels, of a path."""
    low = np.maximum(np.ceil(path.min(axis=0) - radius), 0).astype(int)
    high = np.minimum(np.floor(path.max(axis=0) + radius), np.subtract(shape, 1)).astype(int)
    if (high < low).any():
        return None
    return slice(int(low[0]), int(high[0]) + 1), slice(int(low[1]), int(high[1]) + 1)


def _squared_distances(
    path: NDArray[np.float64], box: tuple[slice, slice], steps: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """mm² from every voxel centre of a box to a path, where that is at most a radius; infinite elsewhere."""
    squares = np.full([part.stop - part.start for part in box], np.inf)
    start = np.array([part.start for part in box])
    for one, other in pairwise(path) if len(path) > 1 else [(path[0], path[0])]:
        near = _box(np.array([one, other]) - start, radius / steps, squares.shape)
        if near is not None:
            rows, columns = (np.arange(part.start, part.stop) + first for part, first in zip(near, start, strict=True))
            squares[near] = np.minimum(squares[near], _to_segment(rows, columns, one, other, steps))
    return squares


def _to_segment(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    steps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """mm² from voxel centres to the line between two positions."""
    down, right = ((rows - one[0]) * steps[0])[:, None], ((columns - one[1]) * steps[1])[None, :]
    way = (other - one) * steps
    length = float(way @ way)
    along = np.clip((down * way[0] + right * way[1]) / length, 0, 1) if length else np.zeros((1, 1))
    return np.asarray((down - along * way[0]) ** 2 + (right - along * way[1]) ** 2)
