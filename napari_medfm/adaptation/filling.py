"""Filling the slices that were not labelled: proposals, never labels, and their clean-up in three dimensions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter1d, label

from napari_medfm.adaptation.adapted import AdaptedModel
from napari_medfm.adaptation.finding import Mask
from napari_medfm.inference import Proposal
from napari_medfm.models import ImageEmbedding
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

_SMALLEST = 0.05  # of the largest part: smaller ones are no part of it
_UNSEEN = 0.5  # confidence of an object that only the neighbouring slices say is there
_REACH_MM = 2.0  # standard deviation of the smoothing across slices


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What an adapted model would label on a slice, and how far it is to be believed.

    Attributes
    ----------
    plane : Plane
        The slice.
    proposals : tuple of Proposal
        Each object that was found, surest first; may be none. Their confidence is that of
        `napari_medfm.adaptation.Finding`.
    entropy : float
        Mean entropy of the head's map where it is not sure of background, 0..1.
    disagreement : float
        One minus the Dice of head and decoder.
    shape : (int, int)
        (rows, columns) of the slice.
    """

    plane: Plane
    proposals: tuple[Proposal, ...]
    entropy: float
    disagreement: float
    shape: tuple[int, int]

    @property
    def mask(self) -> Mask:
        """All objects together, (rows, columns)."""
        union: Mask = np.zeros(self.shape, dtype=np.bool_)
        for each in self.proposals:
            union[each.box] |= each.inside
        return union

    @property
    def confidence(self) -> float:
        """Of the slice: that of its least sure object; of an empty slice, how sure the head is that it is."""
        return min((each.confidence for each in self.proposals), default=1.0 - self.entropy)

    def within(self, kept: Mask) -> "Filled":
        """Return it cut to what is kept, (rows, columns); what that adds belongs to the surest object."""
        objects = [(each.to_mask(self.shape) & kept, each.confidence) for each in self.proposals]
        added = kept & ~self.mask
        if added.any() and not objects:
            objects = [(added, _UNSEEN)]
        elif added.any():
            objects[0] = objects[0][0] | added, objects[0][1]
        cut = (Proposal.of(self.plane, mask, confidence) for mask, confidence in objects)
        return replace(self, proposals=tuple(each for each in cut if not each.is_empty))


def propose(model: AdaptedModel, plane: Plane, embedding: ImageEmbedding) -> Filled:
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
    proposals = (Proposal.of(plane, each.mask, each.confidence) for each in found.objects)
    return Filled(
        plane,
        tuple(each for each in proposals if not each.is_empty),
        mean_entropy(found.probability),
        1.0 - dice(found.mask, found.first),
        embedding.image_shape,
    )


def fill(model: AdaptedModel, planes: Iterable[Plane], embed: Callable[[Plane], ImageEmbedding]) -> Iterator[Filled]:
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
    unsure = probability[probability > 0.05]
    return float(np.mean(entropy(unsure), dtype=np.float64)) if unsure.size else 0.0


def entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the binary entropy of each probability, in bits: 1 where nothing is known."""
    bounded = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(-bounded * np.log2(bounded) - (1 - bounded) * np.log2(1 - bounded), dtype=np.float32)


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


def cleaned(filled: Sequence[Filled], spacing: Sequence[float], *, parts: int | None = None) -> list[Filled]:
    """Return filled neighbouring slices after `clean`, each cut to what is left of it.

    Parameters
    ----------
    filled : sequence of Filled
        One for each slice, in order along the axis, none left out.
    spacing, parts
        See `clean`; the first spacing is that between the slices.
    """
    if not filled:
        return []
    stack = clean(np.stack([each.mask for each in filled]), spacing, parts=parts)
    return [each.within(kept) for each, kept in zip(filled, stack, strict=True)]
