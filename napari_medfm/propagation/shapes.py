"""Outlines as signed distances in millimetres, and what lies between two of them."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, shift

from napari_medfm.propagation.proposals import KeySlice, Proposal, check_keys
from napari_medfm.volume import Geometry, Plane

Mask = NDArray[np.bool_]

_MARGIN = 2  # voxels around a shape, so that its border is inside what is computed


def signed_distance(mask: Mask, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Return how deep every voxel lies in a mask: mm to its outline, negative outside.

    The outline runs half a voxel beyond the border voxels' centres, so that a mask and its complement
    have opposite values. Everything is infinitely far inside or outside where there is no outline.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
        The shape.
    spacing : (float, float)
        mm per (row, column) step.

    Source: Raya and Udupa, "Shape-based interpolation of multidimensional objects", IEEE TMI 1990.
    """
    if not mask.any() or mask.all():
        return np.full(mask.shape, np.inf if mask.any() else -np.inf)
    half = min(spacing) / 2
    inside = distance_transform_edt(mask, sampling=spacing)
    outside = distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(np.where(mask, inside - half, half - outside))


def between(first: Mask, second: Mask, share: float, spacing: tuple[float, float]) -> Mask:
    """Return the shape that lies at a share of the way from one mask to another.

    Where they do not lie on the same place, both are brought to the same centre before their signed
    distances are mixed: an oblique vessel stays as wide as it is. Towards an empty mask a shape shrinks
    until nothing of it is left.

    Parameters
    ----------
    first, second : ndarray of bool, (rows, columns)
        The shapes.
    share : float
        0 is the first, 1 the second.
    spacing : (float, float)
        mm per (row, column) step.

    Returns
    -------
    ndarray of bool, (rows, columns)
    """
    if not (first.any() or second.any()):
        return np.zeros_like(first)
    if not first.any():
        return _shrunk(second, 1 - share, spacing)
    if not second.any():
        return _shrunk(first, share, spacing)
    centres = _centre(first), _centre(second)
    meeting = (1 - share) * centres[0] + share * centres[1]
    box = _box(first | second)
    mixed = np.zeros(tuple(part.stop - part.start for part in box))
    for mask, centre, weight in ((first, centres[0], 1 - share), (second, centres[1], share)):
        distance = signed_distance(mask, spacing)[box]
        mixed += weight * shift(distance, meeting - centre, order=1, mode="nearest")
    found = np.zeros_like(first)
    found[box] = mixed > 0
    return found


def mixed(first: Mask, second: Mask, share: float, spacing: tuple[float, float]) -> Mask:
    """Return the mean of two masks of the same slice: their signed distances mixed where they lie.

    Parameters
    ----------
    first, second : ndarray of bool, (rows, columns)
        Two opinions; an empty one is outvoted by one that is not.
    share : float
        Of the second, 0..1.
    spacing : (float, float)
        mm per (row, column) step.
    """
    if not (first.any() and second.any()):
        return first | second
    found = np.zeros_like(first)
    box = _box(first | second)
    inner = first[box], second[box]
    if inner[0].all() or inner[1].all():  # without an outline there is nothing to mix
        return second if share > 0.5 else first
    found[box] = (1 - share) * signed_distance(inner[0], spacing) + share * signed_distance(inner[1], spacing) > 0
    return found


def interpolate(keys: tuple[KeySlice, ...], geometry: Geometry) -> list[Proposal]:
    """Fill the slices between key slices by shape alone; no model and no image is asked.

    Parameters
    ----------
    keys : tuple of KeySlice
        Across one axis.
    geometry : Geometry
        Of the volume; its spacing counts within the planes.

    Returns
    -------
    list of Proposal
        One for every slice between two neighbouring keys, in order; their quality is 1.

    Raises
    ------
    PromptError
        Keys across several axes, two on one plane, or one of another shape than its plane.
    """
    ordered = check_keys(keys, geometry)
    found = []
    for first, second in pairwise(ordered):
        spacing = geometry.plane_spacing(first.plane)
        gap = second.plane.index - first.plane.index
        for step in range(1, gap):
            plane = Plane(first.plane.axis, first.plane.index + step)
            found.append(Proposal.of(plane, between(first.mask, second.mask, step / gap, spacing), 1.0))
    return found


def _shrunk(mask: Mask, share: float, spacing: tuple[float, float]) -> Mask:
    depth = signed_distance(mask, spacing)
    return np.asarray(depth > share * depth.max()) if not mask.all() else mask & (share < 1)


def _centre(mask: Mask) -> NDArray[np.float64]:
    return np.argwhere(mask).mean(axis=0)


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - _MARGIN), int(rows[-1]) + 1 + _MARGIN),
        slice(max(0, int(columns[0]) - _MARGIN), int(columns[-1]) + 1 + _MARGIN),
    )
