"""Outlines as signed distances in millimetres, and what lies between two of them."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, shift

from napari_medfm.inference.proposals import Proposal
from napari_medfm.propagation.keys import KeySlice, check_keys
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
    distances are mixed: an oblique vessel stays as wide as it is. Towards an empty mask a shape shrinks,
    as an ellipsoid does from its middle to its end, until nothing of it is left.

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
    box = _box(first | second)
    shapes = _within(first, box), _within(second, box)
    centres = [np.argwhere(shape).mean(axis=0) for shape in shapes]
    meeting = (1 - share) * centres[0] + share * centres[1]
    depth = np.zeros(shapes[0].shape)
    for shape, centre, weight in zip(shapes, centres, (1 - share, share), strict=True):
        depth += weight * shift(signed_distance(shape, spacing), meeting - centre, order=1, mode="nearest")
    return _placed(depth > 0, box, first.shape)


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
    box = _box(first | second)
    depths = [signed_distance(_within(mask, box), spacing) for mask in (first, second)]
    return _placed((1 - share) * depths[0] + share * depths[1] > 0, box, first.shape)


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
        One for every slice between two neighbouring keys, in order; their confidence is 1.

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
    box = _box(mask)
    depth = signed_distance(_within(mask, box), spacing)
    width = math.sqrt(1 - share**2)
    return _placed(depth > (1 - width) * depth.max(), box, mask.shape)


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _within(mask: Mask, box: tuple[slice, slice]) -> Mask:
    """The box of a mask, and nothing around it: beyond the image there is no object, so every shape has an outline."""
    return np.pad(mask[box], _MARGIN)


def _placed(inside: Mask, box: tuple[slice, slice], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask[box] = inside[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return mask
