"""Carrying a mask from one slice to the next by the image alone: what moved, and where the edge is now.

The mask moves along with the image (optical flow; Le Besnerais and Champagnat, ICIP 2005), then its outline
settles on the nearest edge within a band (random walker; Grady, IEEE TPAMI 2006). On the images of
``benchmarks/propagation.py`` this keeps to an object better than asking a small model anew on every slice,
which forgets slice by slice what was meant.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom
from skimage.registration import optical_flow_ilk
from skimage.segmentation import random_walker

from napari_medfm.propagation.shapes import signed_distance
from napari_medfm.propagation.stopping import Scale

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

_MARGIN = 12  # cells seen around the mask
_CELLS = 128  # of the longer side of what is looked at, at most
_RADIUS = 4  # cells that move together
_FARTHEST = 20.0  # cells from the outline that a distance tells anything
_STEEPNESS = 1000.0  # how much the walker minds an edge
_SMALLEST = 8  # cells that a flow needs on each side


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """Two slices around a mask, reduced to cells; brightness 0..1."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    depth: NDArray[np.float64]
    cell: tuple[float, float]

    @property
    def tells(self) -> bool:
        """Whether there is anything to see on both slices."""
        return bool(np.ptp(self.before) > 0 and np.ptp(self.after) > 0)


def carry(last: Mask, before: Image, after: Image, scale: Scale) -> Mask:
    """Return where an object lies on a slice, from its mask on the slice before.

    Parameters
    ----------
    last : ndarray of bool, (rows, columns)
        The object on the slice before; not empty.
    before, after : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        Both slices, windowed.
    scale : Scale
        mm of everything: the outline settles within one step, at least one voxel.

    Returns
    -------
    ndarray of bool, (rows, columns)
        May be empty.
    """
    box, factor = _around(last)
    rows, columns = box
    cell = scale.spacing[0] * factor, scale.spacing[1] * factor
    depth = _reduced(signed_distance(last[box], scale.spacing), factor)
    look = _Look(
        _reduced(_grey(before[rows, columns]), factor), _reduced(_grey(after[rows, columns]), factor), depth, cell
    )
    carried = np.zeros_like(last)
    carried[box] = _enlarged(_settled(_moved(look), look, max(scale.step, *cell)), factor, last[box].shape)
    return carried


def _moved(look: _Look) -> NDArray[np.float64]:
    """Signed distances, mm, moved along with the image."""
    farthest = _FARTHEST * max(look.cell)
    depth = np.clip(look.depth, -farthest, farthest)
    if min(depth.shape) < _SMALLEST or not look.tells:
        return depth
    flow = optical_flow_ilk(look.after, look.before, radius=_RADIUS)
    return np.asarray(map_coordinates(depth, np.indices(depth.shape) + flow, order=1, mode="nearest"))


def _settled(depth: NDArray[np.float64], look: _Look, band: float) -> Mask:
    """The mask whose outline follows edges within a band, mm, around where `depth` has it."""
    guess = depth > 0
    if not guess.any() or guess.all() or not look.tells:
        return guess
    exact = signed_distance(guess, look.cell)
    seeds = np.zeros(guess.shape, np.int8)
    seeds[exact >= min(band, 0.6 * float(exact.max()))] = 1
    seeds[exact < -band] = 2
    if not all((seeds == kind).any() for kind in range(3)):
        return guess
    # A probability a little beyond 0..1 is no news: only which side is likelier counts.
    walked = random_walker(look.after, seeds, beta=_STEEPNESS, mode="bf", prob_tol=1.0)
    return np.asarray(np.where(walked > 0, walked == 1, guess))


def _around(mask: Mask) -> tuple[tuple[slice, slice], int]:
    """The box to look at, and how many voxels make a cell on each axis."""
    ends = [np.flatnonzero(mask.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    longest = max(int(last - first) + 1 for first, last in ends)
    factor = max(1, -(-longest // (_CELLS - 2 * _MARGIN)))
    pad = _MARGIN * factor
    rows, columns = (slice(max(0, int(first) - pad), int(last) + 1 + pad) for first, last in ends)
    return (rows, columns), factor


def _grey(image: Image) -> NDArray[np.float64]:
    grey = image.mean(axis=2) if image.ndim == 3 else image
    return np.asarray(grey, dtype=np.float64) / 255


def _reduced(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Means of square blocks; the last ones repeat the border."""
    if factor == 1:
        return values
    padded = np.pad(values, [(0, -size % factor) for size in values.shape], mode="edge")
    rows, columns = (size // factor for size in padded.shape)
    return np.asarray(padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3)))


def _enlarged(mask: Mask, factor: int, shape: tuple[int, ...]) -> Mask:
    if factor == 1:
        return mask
    depth = np.clip(signed_distance(mask, (1.0, 1.0)), -_CELLS, _CELLS)
    fine = zoom(depth, factor, order=1, mode="nearest", grid_mode=True)
    return np.asarray(fine[: shape[0], : shape[1]] > 0)
