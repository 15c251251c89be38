"""What is measured of an object: mean intensity, and its two diameters as a radiologist takes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from napari_medfm.editing.morphology import Mask

_EDGES = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])


@dataclass(frozen=True, slots=True)
class Diameters:
    """Two diameters of a shape in a plane, in mm: the longest, and the longest at right angles to it."""

    long: float
    short: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of an object.

    Attributes
    ----------
    voxels : int
        How many it has.
    mean : float or None
        Mean intensity, in HU for CT; None of a colour image, or where nothing is a number.
    diameters : Diameters or None
        On the axial slice where its area is largest; None if it has no voxels.
    index : int
        Of that slice.
    """

    voxels: int
    mean: float | None
    diameters: Diameters | None
    index: int


def measure(slices: Iterable[tuple[int, Mask, NDArray[Any] | None]], spacing: tuple[float, float]) -> Measurement:
    """Measure an object slice by slice, so that no more than two slices are in memory.

    Parameters
    ----------
    slices : iterable of (int, ndarray of bool, ndarray or None)
        Index, mask (rows, columns) and intensities of the slices that may hold the object.
    spacing : (float, float)
        mm per (row, column) step.
    """
    largest, widest, voxels, total, numbers = 0, None, 0, 0.0, 0
    for index, mask, values in slices:
        area = int(np.count_nonzero(mask))
        voxels += area
        if area > largest:
            largest, widest = area, (index, mask.copy())
        if values is not None and area:
            inside = values[mask].astype(np.float64)
            inside = inside[np.isfinite(inside)]
            total, numbers = total + float(inside.sum()), numbers + inside.size
    mean = total / numbers if numbers else None
    if widest is None:
        return Measurement(0, mean, None, 0)
    return Measurement(voxels, mean, diameters(widest[1], spacing), widest[0])


def diameters(mask: Mask, spacing: tuple[float, float]) -> Diameters | None:
    """Return the long and the short axis of a shape; None if it is empty.

    The long axis is the largest distance between two places of the outline, the short axis the longest line
    at right angles to it, both measured across the convex hull: the two calipers of the WHO criteria (Miller et al.,
    Cancer 1981), the first of which is the longest diameter of RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009).
    The outline runs through the middles of the voxels' edges, so that a row of n voxels is n voxels long.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
        The shape; several pieces are measured across.
    spacing : (float, float)
        mm per (row, column) step.
    """
    places = _outline(mask)
    if not len(places):
        return None
    outline = places * spacing
    corners = outline[ConvexHull(outline).vertices]
    apart = squareform(pdist(corners))
    one, other = np.unravel_index(int(np.argmax(apart)), apart.shape)
    length = float(apart[one, other])
    along = (corners[other] - corners[one]) / length
    across = np.array([-along[1], along[0]])
    return Diameters(length, _widest((corners - corners[one]) @ np.stack([along, across], axis=1)))


def _outline(mask: Mask) -> NDArray[np.float64]:
    """Middles of the edges of the outermost voxels of every row, which is all a convex hull needs."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return np.zeros((0, 2))
    held = mask[rows]
    ends = np.stack([held.argmax(axis=1), mask.shape[1] - 1 - held[:, ::-1].argmax(axis=1)])
    voxels = np.concatenate([np.stack([rows, columns], axis=1) for columns in ends])
    return np.asarray((voxels[:, None] + _EDGES).reshape(-1, 2))


def _widest(corners: NDArray[np.float64]) -> float:
    """The longest line across a convex shape along its second axis; it is longest over some corner."""
    marks = np.unique(corners[:, 0])
    upper = np.array([_height(corners, mark) for mark in marks])
    lower = np.array([_height(corners * (1, -1), mark) for mark in marks])
    return float((upper + lower).max())


def _height(corners: NDArray[np.float64], mark: float) -> float:
    """How high the hull of some corners reaches over a place on its first axis."""
    left, right = corners[corners[:, 0] <= mark], corners[corners[:, 0] >= mark]
    run = right[None, :, 0] - left[:, None, 0]
    share = np.divide(mark - left[:, None, 0], run, out=np.zeros_like(run), where=run > 0)
    heights = left[:, None, 1] + share * (right[None, :, 1] - left[:, None, 1])
    return float(heights.max())
