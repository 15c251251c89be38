"""Morphology in millimetres, on masks with any size of voxels, in bounded memory."""

import math
from collections.abc import Callable

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]

SMOOTHING_REACH = 3.0
"""Standard deviations beyond which smoothing looks no further."""

_SLAB = 1 << 23  # voxels that are worked on at once: a distance takes 20 bytes for each
_CLOSE = 1e-6  # mm: a distance that is equal but for rounding


def grow(mask: Mask, mm: float, spacing: Spacing) -> Mask:
    """Return a mask and all voxels whose centre is at most `mm` from the centre of one of its own.

    Exact for any spacing: Euclidean distances (Maurer et al., IEEE TPAMI 2003), no steps of whole voxels.
    """
    return _by_slabs(mask, voxels_of(mm, spacing[0]), lambda part: _near(part, mm, spacing))


def shrink(mask: Mask, mm: float, spacing: Spacing) -> Mask:
    """Return the voxels of a mask whose centre is more than `mm` from the centre of any voxel outside it.

    Nothing is outside beyond the array: an object that leaves the image is not shrunk from there.
    """
    return _by_slabs(mask, voxels_of(mm, spacing[0]), lambda part: part & ~_near(~part, mm, spacing))


def smooth(mask: Mask, mm: float, spacing: Spacing) -> Mask:
    """Return where a mask, blurred by a Gaussian of standard deviation `mm`, is more than half.

    Corners, spikes and gaps narrower than about twice `mm` go; flat surfaces stay where they are.
    """
    sigma = [mm / step for step in spacing]

    def blurred(part: Mask) -> Mask:
        soft = gaussian_filter(part.astype(np.float32), sigma, truncate=SMOOTHING_REACH, mode="nearest")
        return np.asarray(soft > 0.5)

    return _by_slabs(mask, voxels_of(SMOOTHING_REACH * mm, spacing[0]) + 1, blurred)


def fill_holes(mask: Mask, axis: int | None = None) -> Mask:
    """Return a mask without holes: background from which no path of face neighbours leads to the array's edge.

    Parameters
    ----------
    mask : ndarray of bool, 2-D or 3-D
        The mask.
    axis : int, optional
        Fill in every slice across this axis by itself; else in all directions at once.
    """
    if axis is None or mask.ndim == 2:
        return _filled(mask)
    filled = np.empty_like(mask)
    for before, after in zip(np.moveaxis(mask, axis, 0), np.moveaxis(filled, axis, 0), strict=True):
        after[...] = _filled(before) if before.any() else False
    return filled


def drop_islands(mask: Mask, smallest: float) -> Mask:
    """Return a mask without pieces of fewer than `smallest` voxels; neighbours by a corner belong together."""
    pieces, count = _pieces(mask)
    kept = np.bincount(pieces.ravel(), minlength=count + 1) >= smallest
    kept[0] = False
    return np.asarray(kept[pieces])


def keep_largest(mask: Mask) -> Mask:
    """Return the largest piece of a mask, the first of equal ones."""
    pieces, count = _pieces(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return np.asarray(pieces == 1 + int(np.argmax(sizes))) if count else mask


def piece_at(mask: Mask, voxel: tuple[int, ...]) -> Mask:
    """Return the piece of a mask that holds a voxel; empty if the voxel is none of it."""
    inside = all(0 <= index < size for index, size in zip(voxel, mask.shape, strict=True))
    if not inside or not mask[voxel]:
        return np.zeros_like(mask)
    pieces, _ = _pieces(mask)
    return np.asarray(pieces == pieces[voxel])


def voxels_of(mm: float, step: float) -> int:
    """Return how many voxels of a size a distance may reach."""
    return math.floor(mm / step + _CLOSE)


def _near(mask: Mask, mm: float, spacing: Spacing) -> Mask:
    if not mask.any():
        return mask
    return np.asarray(distance_transform_edt(~mask, sampling=spacing) <= mm + _CLOSE)


def _by_slabs(mask: Mask, reach: int, change: Callable[[Mask], Mask]) -> Mask:
    """Do what looks no further than `reach` slices along the first axis slab by slab: the same, in less memory."""
    thick = max(1, _SLAB // max(1, mask[0].size) - 2 * reach)
    if thick >= len(mask) or mask.ndim == 2:
        return change(mask)
    changed = np.empty_like(mask)
    for start in range(0, len(mask), thick):
        first = max(0, start - reach)
        part = change(mask[first : start + thick + reach])
        changed[start : start + thick] = part[start - first : start - first + thick]
    return changed


def _filled(mask: Mask) -> Mask:
    outside, _ = _pieces(~np.pad(mask, 1), faces=True)
    inner = (slice(1, -1),) * mask.ndim
    return np.asarray(outside[inner] != outside[(0,) * mask.ndim])


def _pieces(mask: Mask, *, faces: bool = False) -> tuple[NDArray[np.unsignedinteger], int]:
    """Number the pieces of a mask from 1; neighbours share a corner, or only a face."""
    connectivity = {(2, True): 4, (2, False): 8, (3, True): 6, (3, False): 26}[mask.ndim, faces]
    pieces, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=connectivity, return_N=True)
    return pieces, int(count)
