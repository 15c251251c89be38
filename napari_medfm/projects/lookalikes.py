"""What looks like a lesion that is known, told from embeddings: arrays in, boxes with scores out.

A lesion is described by the mean of its features and the mean of what lies around it. Both are compared after the
features were decorrelated by how they vary on the slices at hand, so that what is everywhere counts little (linear
discriminant of one example: Hariharan et al., ECCV 2012). Windows of the lesion's size, in millimetres, go over the
map of features; where they are most like it, and like nothing that was refused, is a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""(first row, first column, last row + 1, last column + 1) in pixels of a slice."""

_SCALES = (0.6, 1.0, 1.67)  # of the size of the lesion
_LONG = 1.5  # ratio of its sides from which a lesion is looked for lying the other way, too
_AROUND = 0.3  # of the size: how far the surroundings reach on each side, one cell at least
_STEP = 0.25  # of the size, from window to window; one cell at least
_RIDGE = 1.0  # of the mean variance, added to all: few slices tell little of how features vary together
_REFUSED = 0.5  # of the likeness to what was refused, taken off the score
_OVERLAP = 0.2  # IoU from which two boxes mean the same
_MOST = 12  # candidates of a slice, and of windows of one size


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """What an encoder makes of a slice.

    Attributes
    ----------
    features : ndarray of float32, (rows, columns, channels)
        Only cells that lie in the image.
    cell : (float, float)
        Height and width of a cell in pixels.
    shape : (int, int)
        (rows, columns) of the slice in pixels; the last cells may reach beyond.
    """

    features: Floats
    cell: tuple[float, float]
    shape: tuple[int, int]

    def describe(self, rows: NDArray[Any], columns: NDArray[Any]) -> Floats:
        """Return descriptions of windows and of what lies around them, (rows, columns, 2 * channels).

        Parameters
        ----------
        rows, columns : ndarray, (n, 2)
            First and last edge of each window along one axis, in pixels.
        """
        sums = self.features.astype(np.float64).cumsum(0).cumsum(1).astype(np.float32)
        integral = np.pad(sums, ((1, 0), (1, 0), (0, 0)))
        inner = [self._edges(edges, axis) for axis, edges in enumerate((rows, columns))]
        outer = [_widened(edges, size) for edges, size in zip(inner, integral.shape[:2], strict=True)]
        within, area = _sums(integral, *inner)
        whole, all_of_it = _sums(integral, *outer)
        around = (whole - within) / np.maximum(all_of_it - area, 1e-6)
        return np.concatenate((within / np.maximum(area, 1e-6), around), axis=2).astype(np.float32)

    def describe_box(self, box: Box) -> Floats:
        """Return the description of one window, (2 * channels)."""
        found: Floats = self.describe(np.array([[box[0], box[2]]]), np.array([[box[1], box[3]]]))[0, 0]
        return found

    def _edges(self, edges: NDArray[Any], axis: int) -> Floats:
        """Pixels as cells, inside the map."""
        cells = np.asarray(edges, np.float32) / np.float32(self.cell[axis])
        return np.asarray(np.clip(cells, 0.0, self.features.shape[axis]))


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A place on a slice that looks like the lesion.

    Attributes
    ----------
    box : Box
        Where.
    score : float
        1 as the lesion itself; 0 and less, nothing alike.
    description : ndarray of float32, (2 * channels,)
        By which it is compared.
    """

    box: Box
    score: float
    description: Floats


@dataclass(frozen=True, slots=True)
class Sight:
    """How slices are looked at.

    Attributes
    ----------
    axis : int
        Across which slices are taken.
    window : str
        Name of a preset that images in HU are seen through; empty: what suits each.
    """

    axis: int = 0
    window: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What is looked for.

    Attributes
    ----------
    examples : ndarray of float32, (n, 2 * channels)
        Descriptions of what is alike.
    refused : ndarray of float32, (m, 2 * channels)
        Descriptions of what is not, though it may look so; m may be 0.
    sizes : ndarray of float, (n, 2)
        Height and width of each example, in mm.
    mean : ndarray of float32, (2 * channels,)
        Of descriptions anywhere.
    whitening : ndarray of float32, (2 * channels, 2 * channels)
        What decorrelates them.
    sight : Sight
        As they were seen, and slices have to be.
    """

    examples: Floats
    refused: Floats
    sizes: NDArray[np.float64]
    mean: Floats
    whitening: Floats
    sight: Sight = Sight()

    @classmethod
    def of(
        cls,
        examples: Sequence[tuple[FeatureMap, Box]],
        spacing: Sequence[tuple[float, float]],
        background: Sequence[FeatureMap],
        sight: Sight = Sight(),
    ) -> Self:
        """Make a query of lesions.

        Parameters
        ----------
        examples : sequence of (FeatureMap, Box)
            Each lesion, and the slice it is on.
        spacing : sequence of (float, float)
            Height and width of a pixel of each, in mm.
        background : sequence of FeatureMap
            Of slices as they are searched, for how features vary.
        sight : Sight
            How the slices were seen.
        """
        sizes = np.array([extent(box) for _, box in examples]) * np.array(spacing)
        descriptions = np.stack([each.describe_box(box) for each, box in examples])
        height, width = np.median(sizes, axis=0) / np.median(spacing, axis=0)
        mean, whitening = _variation([_everywhere(each, height, width)[0] for each in background])
        return cls(descriptions, descriptions[:0], sizes, mean, whitening, sight)

    def without(self, refused: Sequence[Floats]) -> Self:
        """Return the query with these descriptions refused, instead of those before."""
        kept = [each for each in refused if each.shape == self.mean.shape]
        return replace(self, refused=np.stack(kept) if kept else self.examples[:0])

    def rate(self, descriptions: Floats) -> Floats:
        """Return the score of each description, (n, 2 * channels)."""
        seen = self._white(descriptions)
        like = _likeness(seen, self._white(self.examples))
        if len(self.refused):
            like -= np.float32(_REFUSED) * np.maximum(_likeness(seen, self._white(self.refused)), 0)
        return like

    def _white(self, descriptions: Floats) -> Floats:
        return np.asarray((descriptions - self.mean) @ self.whitening, dtype=np.float32)

    def find(self, seen: FeatureMap, spacing: tuple[float, float]) -> list[Sighting]:
        """Return what on a map looks most like it, best first; no two of them overlap much.

        Parameters
        ----------
        seen : FeatureMap
            Of a slice.
        spacing : (float, float)
            Height and width of its pixels in mm.
        """
        sightings: list[Sighting] = []
        for size in self._sizes():
            sightings += self._peaks(seen, size[0] / spacing[0], size[1] / spacing[1])
        return distinct(sightings)[:_MOST]

    def _sizes(self) -> list[tuple[float, float]]:
        """Height and width of windows, mm; a lesion may lie either way."""
        height, width = np.median(self.sizes, axis=0).tolist()
        ways = (
            [(height, width)] if max(height, width) < _LONG * min(height, width) else [(height, width), (width, height)]
        )
        return [(scale * high, scale * wide) for scale in _SCALES for high, wide in ways]

    def _peaks(self, seen: FeatureMap, height: float, width: float) -> list[Sighting]:
        descriptions, rows, columns = _everywhere(seen, height, width)
        scores = self.rate(descriptions.reshape(-1, descriptions.shape[-1])).reshape(descriptions.shape[:2])
        places = np.argwhere((scores == maximum_filter(scores, size=3)) & (scores > 0))
        best = sorted(places.tolist(), key=lambda place: -float(scores[place[0], place[1]]))[:_MOST]
        edges = [(*rows[y].tolist(), *columns[x].tolist()) for y, x in best]
        return [
            Sighting((top, left, bottom, right), float(scores[y, x]), descriptions[y, x])
            for (top, bottom, left, right), (y, x) in zip(edges, best, strict=True)
        ]


def distinct(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return sightings best first, without those that mean the same place as a better one."""
    kept: list[Sighting] = []
    for each in sorted(sightings, key=lambda one: -one.score):
        if all(overlap(each.box, other.box) < _OVERLAP for other in kept):
            kept.append(each)
    return kept


def extent(box: Box) -> tuple[float, float]:
    """Return height and width of a box."""
    return box[2] - box[0], box[3] - box[1]


def overlap(box: Box, other: Box) -> float:
    """Return the intersection of two boxes in their union, 0..1."""
    height = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    width = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)]
    return height * width / max(sum(areas) - height * width, 1e-9)


def _everywhere(
    seen: FeatureMap, height: float, width: float
) -> tuple[Floats, NDArray[np.float64], NDArray[np.float64]]:
    """Describe windows of one size all over a map; return the edges of their rows and columns, too."""
    rows, columns = (
        _windows(extent, size, cell) for extent, size, cell in zip(seen.shape, (height, width), seen.cell, strict=True)
    )
    return seen.describe(rows, columns), rows, columns


def _windows(extent: int, size: float, cell: float) -> NDArray[np.float64]:
    """Edges of windows along an axis, (n, 2); those at the ends reach up to them."""
    count = max(1, round(extent / max(cell, _STEP * size)))
    middles = (np.arange(count) + 0.5) * extent / count
    return np.clip(np.stack((middles - size / 2, middles + size / 2), axis=1), 0.0, extent)


def _widened(edges: Floats, size: int) -> Floats:
    margin = np.maximum(1.0, _AROUND * (edges[:, 1] - edges[:, 0]))
    wider = np.stack((edges[:, 0] - margin, edges[:, 1] + margin), axis=1)
    return np.asarray(np.clip(wider, 0.0, size - 1), dtype=np.float32)


def _sums(integral: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Sums over windows, (rows, columns, channels), whose edges may cut cells; and their areas in cells."""
    bands = _at(integral, rows[:, 1], 0) - _at(integral, rows[:, 0], 0)
    sums = _at(bands, columns[:, 1], 1) - _at(bands, columns[:, 0], 1)
    return sums, np.outer(rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0])[..., None]


def _at(values: Floats, places: Floats, axis: int) -> Floats:
    """Values between samples along an axis."""
    lower = np.minimum(places.astype(int), values.shape[axis] - 2)
    share = (places - lower).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(values.ndim)])
    return np.asarray(values.take(lower, axis) * (1 - share) + values.take(lower + 1, axis) * share)


def _variation(descriptions: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Mean of descriptions, and what makes them vary alike in all directions (symmetric whitening)."""
    flat = np.concatenate([each.reshape(-1, each.shape[-1]) for each in descriptions]).astype(np.float64)
    covariance = np.atleast_2d(np.cov(flat.T, bias=True))
    level = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    values, vectors = np.linalg.eigh(covariance + _RIDGE * level * np.eye(len(covariance)))
    whitening = (vectors / np.sqrt(values)) @ vectors.T
    return flat.mean(axis=0).astype(np.float32), whitening.astype(np.float32)


def _likeness(seen: Floats, known: Floats) -> Floats:
    """The best agreement with any that is known: a cosine, less if there is less of it than of that."""
    lengths = np.linalg.norm(known, axis=1).clip(1e-6)
    own = np.linalg.norm(seen, axis=1)
    agreement = (seen @ known.T) / (lengths * np.maximum(own[:, None], lengths))
    return np.asarray(agreement.max(axis=1), dtype=np.float32)
