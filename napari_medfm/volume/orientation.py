"""From file grids to the canonical grid and back, and the letters at the screen's edges.

Conversion only permutes and flips axes; voxels are never resampled, so that it
can be undone exactly. Which file axis lies nearest to which body axis is decided
by `nibabel.orientations`.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from napari_medfm.volume.geometry import Geometry, SourceGrid, array_geometry

_WORLD_AXES = (2, 1, 0)
"""World (RAS) axis along which canonical axes z, y, x lie."""

_WORLD_SIGNS = (1, -1, -1)
"""Canonical axes run towards Superior, Posterior, Left."""

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Letters at the low and the high end of each world axis."""


class EdgeLetters(NamedTuple):
    """What stands at each edge of the screen, one of ``R L A P S I`` each."""

    left: str
    right: str
    top: str
    bottom: str


def source_grid(
    shape: tuple[int, ...], affine: NDArray[np.float64], header: dict[str, Any] | None = None
) -> SourceGrid:
    """Decide which axes of a file become the canonical ones.

    A grid of one slice becomes a 2-D image that stands upright: rows run towards
    Posterior or Inferior, columns towards Left or Posterior.

    Parameters
    ----------
    shape : tuple of int
        Shape in the file's axis order; axes after the third must be singletons.
    affine : ndarray, (4, 4)
        File voxel indices of the first three axes to RAS mm.
    header : dict, optional
        What the format's writer needs to restore.
    """
    padded = (*shape, 1, 1, 1)[:3]
    orientation = io_orientation(affine)
    nearest = {int(world): (axis, sign) for axis, (world, sign) in enumerate(orientation)}
    axes = [nearest[world][0] for world in _WORLD_AXES]
    flips = [nearest[world][1] != sign for world, sign in zip(_WORLD_AXES, _WORLD_SIGNS, strict=True)]
    single = next((k for k in range(3) if padded[axes[k]] == 1), None)
    if single is not None:
        if single > 0:
            flips[0] = not flips[0]
        del axes[single], flips[single]
    return SourceGrid(tuple(shape), affine, tuple(axes), tuple(bool(flip) for flip in flips), header or {})


def plain_grid(shape: tuple[int, ...], axes: tuple[int, ...], header: dict[str, Any] | None = None) -> SourceGrid:
    """Return the grid of a file that says nothing of space: `axes` are taken as they come."""
    return SourceGrid(tuple(shape), np.eye(4), axes, (False,) * len(axes), header or {})


def unplaced_geometry(
    source: SourceGrid, *, spacing: tuple[float, ...] | None = None, notes: tuple[str, ...] = ()
) -> Geometry:
    """Return the geometry of a grid that says nothing of space: axial, 1 mm unless told, position unknown."""
    shape = tuple(source.shape[axis] for axis in source.axes)
    return replace(array_geometry(shape, spacing), source=source, notes=notes)


def default_source(geometry: Geometry) -> SourceGrid:
    """Return the grid that an array which never was a file is written on: x first, towards Left.

    With an unknown position, y runs towards Anterior, as readers assume of a file without orientation.
    """
    axes = tuple(range(geometry.ndim))[::-1]
    flips = [False] * geometry.ndim
    flips[-2] = not geometry.known
    affine = np.eye(4)
    origin = geometry.affine[:3, 3].astype(np.float64)
    columns = geometry.affine[:3, :3].T[::-1].copy()
    if flips[-2]:
        origin = origin + columns[1] * (geometry.shape[-2] - 1)
        columns[1] = -columns[1]
    affine[:3, :3], affine[:3, 3] = columns.T, origin
    shape = (*geometry.shape[::-1], 1)[:3]
    return SourceGrid(shape, affine, axes, tuple(flips))


def canonical_geometry(source: SourceGrid, *, known: bool = True, notes: tuple[str, ...] = ()) -> Geometry:
    """Return the geometry of the canonical grid that a source grid converts to."""
    padded = (*source.shape, 1, 1, 1)
    shape = tuple(padded[axis] for axis in source.axes)
    steps = source.affine[:3, :3].T
    signed = [-steps[axis] if flip else steps[axis] for axis, flip in zip(source.axes, source.flips, strict=True)]
    ends = [size - 1 if flip else 0 for size, flip in zip(shape, source.flips, strict=True)]
    imagined = [steps[axis] for axis in range(3) if axis not in source.axes]
    affine = np.eye(4)
    affine[:3, :3] = np.stack([*imagined, *signed], axis=1)
    affine[:3, 3] = source.affine[:3, 3] - np.asarray(ends, np.float64) @ np.stack(signed)
    return Geometry(shape, affine, source, known, notes)


def to_canonical(array: NDArray[Any], source: SourceGrid) -> NDArray[Any]:
    """Return a file's array, in `source.shape` plus optional channels, in canonical axes; a view."""
    spatial = len(source.shape)
    channels = tuple(range(spatial, array.ndim))
    dropped = tuple(axis for axis in range(spatial) if axis not in source.axes)
    moved = np.transpose(array, (*dropped, *source.axes, *channels))[(0,) * len(dropped)]
    flipped: NDArray[Any] = moved[_flip_index(source.flips)]
    return flipped


def to_source(array: NDArray[Any], source: SourceGrid) -> NDArray[Any]:
    """Return a canonical array in the axes of its file; undoes `to_canonical`."""
    spatial = len(source.axes)
    unflipped = array[_flip_index(source.flips)]
    moved = np.transpose(unflipped, (*np.argsort(source.axes), *range(spatial, array.ndim)))
    missing = tuple(axis for axis in range(len(source.shape)) if axis not in source.axes)
    expanded: NDArray[Any] = np.expand_dims(moved, missing)
    return expanded


def rows_grow_upwards(geometry: Geometry, axis: int) -> bool:
    """Whether a plane must be shown with its first row at the bottom, so that the head is up.

    True for coronal and sagittal planes of a volume; a 2-D image is upright as it is.
    """
    return geometry.ndim == 3 and axis > 0


def edge_letters(geometry: Geometry, axis: int = 0) -> EdgeLetters:
    """Return what stands at each edge when a plane is shown in radiological convention.

    Parameters
    ----------
    geometry : Geometry
        Where the voxels lie. On an oblique grid the nearest letters are meant.
    axis : int
        Canonical axis the plane is perpendicular to; ignored for a 2-D image.
    """
    orientation = io_orientation(geometry.affine)
    in_plane = (1, 2) if geometry.ndim == 2 else tuple(k for k in range(3) if k != axis)
    (first, last), (left, right) = (_ends(orientation[k]) for k in in_plane)
    top, bottom = (last, first) if rows_grow_upwards(geometry, axis) else (first, last)
    return EdgeLetters(left, right, top, bottom)


def _ends(orientation: NDArray[np.float64]) -> tuple[str, str]:
    low, high = _LETTERS[int(orientation[0])]
    return (low, high) if orientation[1] > 0 else (high, low)


def _flip_index(flips: tuple[bool, ...]) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
