"""Finding a structure without prompts: the head says where, the model's own decoder looks again.

The head sees the image as a whole and knows roughly; each object that it finds is given to the decoder as a box and
as the mask to be corrected, exactly as if a person had drawn them. So nothing but `PromptableModel.decode` is needed
of a model, and one that looks more closely at small things does so here too. What the decoder draws stands, unless
it is something else altogether.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from napari_medfm.models import ImageEmbedding, MaskPrediction, PromptableModel
from napari_medfm.models.adaptable import Look
from napari_medfm.prompts import Box, PromptSet
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

Mask = NDArray[np.bool_]
Finder = Callable[[torch.Tensor], torch.Tensor]
"""From features (channels, h, w) to logits (cells, cells)."""

_PLANE = Plane()
_SMALL = 0.1  # of the largest part: smaller ones are no object
_MOST = 24  # objects on a slice
_AGREES = 0.3  # Dice of the two looks, below which the first one stands


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One object that was found.

    Attributes
    ----------
    mask : ndarray of bool, (rows, columns)
        After the second look.
    first : ndarray of bool, (rows, columns)
        What the head said.
    confidence : float
        0..1: how sure the head is of its part, times how far both looks agree.
    """

    mask: Mask
    first: Mask
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """All that was found on a slice.

    Attributes
    ----------
    probability : ndarray of float32, (rows, columns)
        Of the structure, by the head.
    objects : tuple of Finding
        Surest first; may be none.
    """

    probability: NDArray[np.float32]
    objects: tuple[Finding, ...]

    @property
    def mask(self) -> Mask:
        """All objects together."""
        return _union([each.mask for each in self.objects], self.probability.shape)

    @property
    def first(self) -> Mask:
        """All that the head said was one."""
        return _union([each.first for each in self.objects], self.probability.shape)


def probability_of(look: Look, finder: Finder) -> NDArray[np.float32]:
    """Return the probability of the structure at each pixel of an image, (rows, columns)."""
    with torch.inference_mode():
        logits = finder(look.features).float().cpu().numpy()
    spread = np.clip(look.square.spread(logits, -20.0), -20.0, 20.0)
    return np.asarray(1 / (1 + np.exp(-spread)), dtype=np.float32)


def parts_of(probability: NDArray[np.float32], *, several: bool) -> list[Mask]:
    """Return the objects in a map of probabilities, largest first.

    Parameters
    ----------
    probability : ndarray of float32, (rows, columns)
        Of the structure.
    several : bool
        Whether parts that do not touch are objects of their own, or one together.
    """
    whole = probability > 0.5
    numbers, count = label(whole, np.ones((3, 3)))
    if not count:
        return []
    sizes = np.bincount(numbers.ravel())[1:]
    kept = [number for number in np.argsort(-sizes) if sizes[number] >= _SMALL * sizes.max()][:_MOST]
    parts = [numbers == number + 1 for number in kept]
    return parts if several else [np.logical_or.reduce(parts)]


def find(
    model: PromptableModel, embedding: ImageEmbedding, probability: NDArray[np.float32], *, several: bool
) -> Found:
    """Let the decoder look again at everything that the head found.

    Parameters
    ----------
    model : PromptableModel
        Whose decoder looks.
    embedding : ImageEmbedding
        Of the slice.
    probability, several
        See `parts_of`.
    """
    findings = [_look_again(model, embedding, probability, part) for part in parts_of(probability, several=several)]
    return Found(probability, tuple(sorted(findings, key=lambda each: -each.confidence)))


def as_answer(mask: Mask, probability: NDArray[np.float32] | None = None) -> MaskPrediction:
    """Return a mask as an earlier answer, to be corrected."""
    quality = 1.0 if probability is None or not mask.any() else float(probability[mask].mean())
    nothing_finer = np.where(mask.any(), 1.0, -1.0).reshape(1, 1, 1).astype(np.float32)
    return MaskPrediction(mask[None], nothing_finer, np.array([quality], dtype=np.float32))


def box_around(mask: Mask) -> Box:
    """Return the box of a mask that is not empty."""
    rows, columns = find_objects(mask.astype(np.uint8))[0]
    return Box(_PLANE, (float(rows.start), float(columns.start)), (float(rows.stop), float(columns.stop)))


def _look_again(
    model: PromptableModel, embedding: ImageEmbedding, probability: NDArray[np.float32], part: Mask
) -> Finding:
    earlier = as_answer(part, probability)
    mask = model.decode(embedding, PromptSet((box_around(part),)), earlier).mask
    agreement = dice(mask, part)
    return Finding(mask if agreement >= _AGREES else part, part, earlier.quality * agreement)


def _union(masks: list[Mask], shape: tuple[int, ...]) -> Mask:
    union: Mask = np.logical_or.reduce([np.zeros(shape, dtype=np.bool_), *masks])
    return union
