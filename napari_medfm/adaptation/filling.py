"""Filling the slices that were not labelled: proposals, never labels, and their clean-up in three dimensions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter1d, label

from napari_medfm.adaptation.adapted import AdaptedModel
from napari_medfm.adaptation.finding import Mask
from napari_medfm.models import ImageEmbedding
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

_SMALLEST = 0.05  # of the largest part: smaller ones are no part of it
_UNSEEN = 0.5  # confidence of an object that only the neighbouring slices say is there
_REACH_MM = 2.0  # standard deviation of the smoothing across slices


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What an adapted model would label on a slice.

    Attributes
    ----------
    plane : Plane
        The slice.
    objects : tuple of ndarray of bool, (rows, columns)
        Each object that was found; may be none.
    confidences : tuple of float
        Of each, 0..1, see `napari_medfm.adaptation.Finding`.
    entropy : float
        Mean entropy of the head's map where it is not sure of background, 0..1.
    disagreement : float
        One minus the Dice of head and decoder.
    shape : (int, int)
        (rows, columns) of the slice.
    """

    plane: Plane
    objects: tuple[Mask, ...]
    confidences: tuple[float, ...]
    entropy: float
    disagreement: float
    shape: tuple[int, int]

    @property
    def mask(self) -> Mask:
        """All objects together, (rows, columns)."""
        union: Mask = np.logical_or.reduce([np.zeros(self.shape, dtype=np.bool_), *self.objects])
        return union

    @property
    def confidence(self) -> float:
        """Of the slice: that of its least sure object; of an empty slice, how sure the head is that it is."""
        return min(self.confidences) if self.confidences else 1.0 - self.entropy

    def above(self, confidence: float) -> "Proposal":
        """Return it with the objects that are at least so sure."""
        return self._with([pair for pair in self._pairs(self.objects) if pair[1] >= confidence])

    def within(self, kept: Mask) -> "Proposal":
        """Return it cut to what is kept, (rows, columns); what that adds belongs to the surest object."""
        objects = [each & kept for each in self.objects]
        added = kept & ~self.mask
        if added.any() and not objects:
            return replace(self, objects=(added,), confidences=(_UNSEEN,))
        if added.any():
            objects[0] = objects[0] | added
        return self._with([pair for pair in self._pairs(objects) if pair[0].any()])

    def _pairs(self, objects: Sequence[Mask]) -> list[tuple[Mask, float]]:
        return list(zip(objects, self.confidences, strict=True))

    def _with(self, pairs: list[tuple[Mask, float]]) -> "Proposal":
        objects, confidences = tuple(mask for mask, _ in pairs), tuple(sure for _, sure in pairs)
        return replace(self, objects=objects, confidences=confidences)


def propose(model: AdaptedModel, plane: Plane, embedding: ImageEmbedding) -> Proposal:
    """Return what the model finds on one slice without prompts.

    Parameters
    ----------
    model : AdaptedModel
        With its adapter on or off: what is found is always the adapter's.
    plane : Plane
        The slice.
    embedding : ImageEmbedding
        Of it.
    """
    found = model.find(embedding)
    objects = tuple(each for each in found.objects if each.mask.any())
    return Proposal(
        plane,
        tuple(each.mask for each in objects),
        tuple(each.confidence for each in objects),
        mean_entropy(found.probability),
        1.0 - dice(found.mask, found.first),
        embedding.image_shape,
    )


def fill(model: AdaptedModel, planes: Iterable[Plane], embed: Callable[[Plane], ImageEmbedding]) -> Iterator[Proposal]:
    """Propose labels for slices, one for every ``next``; to stop, close the generator.

    Parameters
    ----------
    model : AdaptedModel
        Finds the structure.
    planes : iterable of Plane
        In the order wanted.
    embed : callable
        Returns the stored embedding of a slice.
    """
    return (propose(model, plane, embed(plane)) for plane in planes)


def mean_entropy(probability: NDArray[np.float32]) -> float:
    """Return the mean binary entropy, in bits, over the pixels that may belong to the structure; 0 if none may."""
    unsure = probability[probability > 0.05].astype(np.float64)
    if not unsure.size:
        return 0.0
    bounded = np.clip(unsure, 1e-6, 1 - 1e-6)
    return float(np.mean(-bounded * np.log2(bounded) - (1 - bounded) * np.log2(1 - bounded)))


def clean(stack: Mask, spacing: Sequence[float], *, parts: int | None = None) -> Mask:
    """Return the mask of a volume that hangs together, without specks and without slices that jump.

    Votes of neighbouring slices are weighed by their distance (a Gaussian of 2 mm: thick slices hear little of each
    other), then only the largest connected parts stay. Nothing is added beyond a slice's own neighbours.

    Parameters
    ----------
    stack : ndarray of bool, (z, rows, columns)
        Proposed masks of neighbouring slices.
    spacing : sequence of float
        mm per step along each axis.
    parts : int, optional
        How many parts stay at most; by default all that are not much smaller than the largest.
    """
    kept = np.zeros_like(stack)
    boxes = find_objects(stack.astype(np.uint8))
    if not boxes:
        return kept
    box = boxes[0]
    voted = gaussian_filter1d(stack[box].astype(np.float32), _REACH_MM / spacing[0], axis=0, mode="nearest") > 0.5
    kept[box] = largest_parts(voted, parts=parts)
    return kept


def largest_parts(stack: Mask, *, parts: int | None = None) -> Mask:
    """Return the largest connected parts of a mask; voxels that share a corner hang together.

    Parameters
    ----------
    stack : ndarray of bool
        2-D or 3-D.
    parts : int, optional
        How many at most; by default all of at least 5 % of the largest.
    """
    numbers, count = label(stack, np.ones((3,) * stack.ndim))
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    large = [index for index in np.argsort(-sizes, kind="stable") if sizes[index] >= _SMALLEST * sizes.max()]
    kept: Mask = np.isin(numbers, np.array(large[:parts], dtype=np.int64) + 1)
    return kept


def cleaned(proposals: Sequence[Proposal], spacing: Sequence[float], *, parts: int | None = None) -> list[Proposal]:
    """Return proposals for neighbouring slices after `clean`, each cut to what is left of it.

    Parameters
    ----------
    proposals : sequence of Proposal
        One for each slice, in order along the axis, none left out.
    spacing, parts
        See `clean`; the first spacing is that between the slices.
    """
    if not proposals:
        return []
    stack = clean(np.stack([each.mask for each in proposals]), spacing, parts=parts)
    return [each.within(kept) for each, kept in zip(proposals, stack, strict=True)]
