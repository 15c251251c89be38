"""Where voxels lie in the patient, and how canonical arrays relate to their source.

Canonical arrays have axes ``(z, y, x)`` whose indices grow towards Superior,
Posterior and Left; a 2-D image has ``(y, x)``. Voxel coordinates are centres:
voxel ``(0, 0, 0)`` covers ``-0.5 .. 0.5`` on every axis. World coordinates are
millimetres in RAS (right, anterior, superior grow), as in NIfTI.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Region = tuple[slice, ...]
"""A box of voxels: one slice with non-negative start and stop per spatial axis."""

PLANE_NAMES = ("axial", "coronal", "sagittal")
"""Names of the planes across canonical axes 0, 1 and 2."""


@dataclass(frozen=True, slots=True, order=True)
class Plane:
    """One slice of the voxel grid: all voxels with the same index along an axis.

    A 2-D image is its own only plane, ``Plane(0, 0)``. What concerns a volume as a whole has `WHOLE` in its place.

    Attributes
    ----------
    axis : int
        Canonical axis the plane is perpendicular to: 0 axial, 1 coronal, 2 sagittal.
    index : int
        Position along that axis.
    """

    axis: int = 0
    index: int = 0

    @property
    def name(self) -> str:
        """``axial``, ``coronal`` or ``sagittal``; ``volume`` of `WHOLE`."""
        return PLANE_NAMES[self.axis] if self.axis >= 0 else "volume"

    def region(self, shape: tuple[int, ...]) -> Region:
        """Return the plane's voxels as a region of a grid of that spatial shape; all of them of `WHOLE`."""
        full = [slice(0, size) for size in shape]
        if len(shape) == 2 or self == WHOLE:
            return tuple(full)
        full[self.axis] = slice(self.index, self.index + 1)
        return tuple(full)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return (rows, columns) of the plane in a grid of that spatial shape."""
        rows, columns = (size for axis, size in enumerate(shape) if axis != self.axis or len(shape) == 2)
        return rows, columns

    def take(self, array: NDArray[Any], spatial_ndim: int = 3) -> NDArray[Any]:
        """Return the plane's (rows, columns[, channels]) as a view of `array`."""
        if spatial_ndim == 2:
            return array
        index: list[slice | int] = [slice(None)] * spatial_ndim
        index[self.axis] = self.index
        return array[tuple(index)]

    def embed_region(self, rows: slice, columns: slice, ndim: int = 3) -> Region:
        """Return the grid region of a (rows, columns) box drawn in this plane."""
        if ndim == 2:
            return (rows, columns)
        parts = [rows, columns]
        parts.insert(self.axis, slice(self.index, self.index + 1))
        return tuple(parts)

    def to_voxel(self, position: tuple[float, float], ndim: int = 3) -> tuple[float, ...]:
        """Return the voxel coordinates of an in-plane (row, column) position."""
        if ndim == 2:
            return position
        parts = list(position)
        parts.insert(self.axis, float(self.index))
        return tuple(parts)

    def from_voxel(self, voxel: tuple[float, ...]) -> tuple[float, float]:
        """Return the in-plane (row, column) of voxel coordinates, dropping this plane's axis."""
        if len(voxel) == 2:
            return voxel[0], voxel[1]
        row, column = (value for axis, value in enumerate(voxel) if axis != self.axis)
        return row, column


WHOLE = Plane(-1, 0)
"""No slice but all of a volume: what is asked, and answered, in three dimensions."""


@dataclass(frozen=True, slots=True)
class SourceGrid:
    """How the file stored its voxels, so that a write can undo the conversion exactly.

    Attributes
    ----------
    shape : tuple of int
        Spatial shape in the file's own axis order, singleton axes included.
    affine : ndarray, (4, 4)
        File voxel indices to RAS mm.
    axes : tuple of int
        ``axes[k]`` is the file axis that became canonical axis ``k``.
    flips : tuple of bool
        Whether canonical axis ``k`` runs against its file axis.
    header : mapping
        What the format's writer needs to restore (codes, units), by format.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    axes: tuple[int, ...]
    flips: tuple[bool, ...]
    header: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The position of a canonical voxel grid in the patient.

    Attributes
    ----------
    shape : tuple of int
        Spatial shape, ``(z, y, x)`` or ``(y, x)``.
    affine : ndarray, (4, 4)
        Homogeneous canonical voxel coordinates ``(z, y, x, 1)`` to RAS mm. For a
        2-D image the first column stands for an imagined z axis.
    source : SourceGrid or None
        The grid of the file; None for arrays that never were a file.
    known : bool
        False if the file did not say where it lies: letters and mm are guesses.
    notes : tuple of str
        What was converted or doubted on reading, one sentence each, to be shown.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    source: SourceGrid | None = None
    known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in mm along each canonical axis."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(length) for length in lengths[3 - self.ndim :])

    def to_world(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Map voxel coordinates, (..., ndim), to RAS mm, (..., 3)."""
        points = np.asarray(voxels, dtype=np.float64)
        axes = self.affine[:3, 3 - self.ndim : 3]
        return np.asarray(points @ axes.T + self.affine[:3, 3])

    def to_voxel(self, world: ArrayLike) -> NDArray[np.float64]:
        """Map RAS mm, (..., 3), to voxel coordinates, (..., ndim)."""
        points = np.asarray(world, dtype=np.float64) - self.affine[:3, 3]
        inverse = np.linalg.inv(self.affine[:3, :3])
        return np.asarray(points @ inverse.T)[..., 3 - self.ndim :]

    def planes(self, axis: int = 0) -> list[Plane]:
        """Return every plane across an axis, in order; a 2-D image has one."""
        if self.ndim == 2:
            return [Plane(0, 0)]
        return [Plane(axis, index) for index in range(self.shape[axis])]

    def plane_spacing(self, plane: Plane) -> tuple[float, float]:
        """Return mm per (row, column) step within a plane."""
        if self.ndim == 2:
            return self.spacing[0], self.spacing[1]
        return plane.from_voxel(self.spacing)


def array_geometry(shape: tuple[int, ...], spacing: tuple[float, ...] | None = None) -> Geometry:
    """Return the geometry of an array that never was a file: position unknown.

    The grid is taken as axial in canonical order, voxel (0, 0, 0) at the origin.

    Parameters
    ----------
    shape : tuple of int
        Spatial shape, (z, y, x) or (y, x).
    spacing : tuple of float, optional
        Voxel size in mm along the same axes; 1 mm if not given.
    """
    steps = (1.0,) * (3 - len(shape)) + tuple(spacing or (1.0,) * len(shape))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = steps[0], -steps[1], -steps[2], 1.0
    return Geometry(shape, affine, known=False)
