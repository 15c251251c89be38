"""Grids of millimetre steps laid over a volume, as models of volumes see it, and regions of them.

A lattice has axes ``(x, y, z)`` towards Right, Anterior and Superior, as NIfTI readers and MONAI have them. Its axes
are those of the volume, oblique or not, so that resampling works axis by axis and only axis by axis.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_medfm.volume.geometry import Geometry, Region

Triple = tuple[int, int, int]

_SIGNS = (-1, -1, 1)  # canonical x and y run towards Left and Posterior
_SAME = 1e-3  # mm; spacings this close are the same
_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Lattice:
    """A regular grid over a volume; everything in it is in the order x, y, z.

    Attributes
    ----------
    shape : (int, int, int)
        Points along each axis.
    starts : (float, float, float)
        Canonical voxel coordinates of point (0, 0, 0).
    steps : (float, float, float)
        Canonical voxels from point to point; negative where the axes run against each other.
    limits : (int, int, int)
        Voxels of the volume along each axis.
    """

    shape: Triple
    starts: tuple[float, float, float]
    steps: tuple[float, float, float]
    limits: Triple

    @classmethod
    def over(cls, geometry: Geometry, spacing: float | None = None) -> Self:
        """Return the lattice of a spacing over a volume.

        Its first point, in the order of the volume's file, is the centre of the file's first voxel; the last one
        lies within half a step of the last voxel's. So does ``Spacing`` of MONAI.

        Parameters
        ----------
        geometry : Geometry
            Of a volume with three axes.
        spacing : float, optional
            mm from point to point; by default the points are the voxels.
        """
        against = geometry.source.flips if geometry.source is not None else (False,) * 3
        axes = [
            _axis(geometry.shape[k], geometry.spacing[k], spacing, against[k], sign)
            for k, sign in zip((2, 1, 0), _SIGNS, strict=True)
        ]
        counts, starts, steps = zip(*axes, strict=True)
        depth, height, width = geometry.shape
        return cls(counts, starts, steps, (width, height, depth))

    def positions(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Map canonical voxel coordinates (z, y, x), (..., 3), to positions (x, y, z) on the lattice, (..., 3)."""
        return (np.asarray(voxels, np.float64)[..., ::-1] - self.starts) / self.steps

    def around(self, position: ArrayLike, size: Triple) -> "LatticeRegion":
        """Return the region of a size in whose middle a position lies, or as near to it as the volume allows.

        Along an axis on which the volume is smaller, it is in the middle of the region. So does
        ``point_based_window_inferer`` of MONAI.
        """
        places = zip(np.asarray(position, np.float64).tolist(), size, self.shape, strict=True)
        x, y, z = (_origin(*place) for place in places)
        return LatticeRegion(self, (x, y, z), size)


def _axis(count: int, own: float, wanted: float | None, against: bool, sign: int) -> tuple[int, float, float]:
    """Points along an axis, where the first lies, and the signed step, in voxels."""
    ratio = 1.0 if wanted is None or abs(own - wanted) <= _SAME else wanted / own
    points = round((count - 1) / ratio + 1)
    reach = (points - 1) * ratio
    low = count - 1 - reach if against else 0.0
    return points, low if sign > 0 else low + reach, sign * ratio


def _origin(position: float, size: int, count: int) -> int:
    if count <= size:
        return -((size - count) // 2)
    half = size // 2
    return 0 if position < half else count - size if position + half > count else int(position) - half


@dataclass(frozen=True, slots=True)
class LatticeRegion:
    """A box of a lattice; it may reach beyond the volume.

    Attributes
    ----------
    lattice : Lattice
        The grid.
    origin : (int, int, int)
        Its first point.
    size : (int, int, int)
        Points along each axis.
    """

    lattice: Lattice
    origin: Triple
    size: Triple

    @property
    def key(self) -> str:
        """Where it lies and how far apart its points are, for cache keys; the volume itself is not part of it."""
        grid = self.lattice
        return f"{self.origin} {self.size} {grid.shape} {grid.starts!r} {grid.steps!r}"

    @property
    def box(self) -> Region:
        """The voxels (z, y, x) of the volume that lie in it; empty if none does."""
        spans = [_span(self._places(axis)) for axis in (2, 1, 0)]
        return tuple(slice(start, stop) for start, stop in spans)

    def positions(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Map canonical voxel coordinates (z, y, x), (..., 3), to positions (x, y, z) in the region, (..., 3)."""
        return self.lattice.positions(voxels) - self.origin

    def inside(self, positions: ArrayLike, margin: int = 0) -> NDArray[np.bool_]:
        """Return which positions in the region, (..., 3), lie in it, `margin` points or more from its faces.

        A face beyond which the volume has nothing more needs no distance.
        """
        low = [margin if origin > 0 else -0.5 for origin in self.origin]
        ends = np.add(self.origin, self.size) >= self.lattice.shape
        high = [size - 0.5 if end else size - 1 - margin for size, end in zip(self.size, ends, strict=True)]
        places = np.asarray(positions, np.float64)
        return np.asarray(((places >= low) & (places <= high)).all(axis=-1))

    def read(self, array: NDArray[Any], fill: float = 0.0) -> NDArray[np.float32]:
        """Return a volume's values at the points of the region, (x, y, z), linear between voxels.

        Parameters
        ----------
        array : ndarray, (z, y, x)
            The volume's voxels; only those that are needed are read. NaN counts as `fill`.
        fill : float
            The value of points that the lattice does not have. Between the outermost voxel and the
            lattice's end the outermost voxel counts.
        """
        reads = [_Read.along(self, axis) for axis in (2, 1, 0)]
        values = np.asarray(array[tuple(read.part for read in reads)], np.float32)
        values = np.nan_to_num(values, nan=fill, posinf=_LARGEST, neginf=-_LARGEST)
        for axis, read in enumerate(reads):
            values = read.between(values, axis)
        whole = np.full(self.size, fill, np.float32)
        whole[tuple(read.there for read in reversed(reads))] = values.transpose()
        return whole

    def nearest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (x, y, z) of the points on the voxels (z, y, x) of `box`: of the nearest point each."""
        chosen = [places[places >= 0] for places in (self._places(axis) for axis in range(3))]
        return np.ascontiguousarray(values[np.ix_(*chosen)].transpose())

    def _places(self, axis: int) -> NDArray[np.intp]:
        """The point of the region nearest to each voxel along an axis of the lattice; -1 if it is not in the region."""
        grid = self.lattice
        position = (np.arange(grid.limits[axis]) - grid.starts[axis]) / grid.steps[axis]
        place = np.clip(np.rint(position), 0, grid.shape[axis] - 1).astype(np.intp) - self.origin[axis]
        return np.where((place >= 0) & (place < self.size[axis]), place, -1)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What has to be read along an axis, and how it is mixed."""

    part: slice
    lower: NDArray[np.intp]
    share: NDArray[np.float32]
    there: slice

    @classmethod
    def along(cls, region: LatticeRegion, axis: int) -> Self:
        grid, origin = region.lattice, region.origin[axis]
        first, stop = max(0, origin), min(grid.shape[axis], origin + region.size[axis])
        positions = grid.starts[axis] + grid.steps[axis] * np.arange(first, stop)
        positions = np.clip(positions, 0, grid.limits[axis] - 1)
        lower = np.minimum(np.floor(positions), max(0, grid.limits[axis] - 2)).astype(np.intp)
        part = slice(int(lower.min()), min(int(lower.max()) + 2, grid.limits[axis]))
        share = (positions - lower).astype(np.float32)
        return cls(part, lower - part.start, share, slice(first - origin, stop - origin))

    def between(self, values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        upper = np.minimum(self.lower + 1, values.shape[axis] - 1)
        share = self.share.reshape([-1 if k == axis else 1 for k in range(3)])
        low, high = values.take(self.lower, axis), values.take(upper, axis)
        return np.asarray(low * (1 - share) + high * share)  # exact where a point is a voxel


def _span(places: NDArray[np.intp]) -> tuple[int, int]:
    found = np.flatnonzero(places >= 0)
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)
