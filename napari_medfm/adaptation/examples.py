"""Labelled slices as tensors: what the head and the decoder learn from, made once before training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medfm.adaptation.networks import FINER
from napari_medfm.adaptation.support import SupportSet, SupportSlice
from napari_medfm.adaptation.variation import Variation, vary
from napari_medfm.inference import EmbeddingStore
from napari_medfm.models.adaptable import Adaptable, Look

_OBJECTS = 2  # of one slice, drawn at random, that the decoder is asked for
_CLOSE = 3  # copies of each slice that are also looked at closely
_FEWEST = 4  # cells of an object that can be asked for
_KNOWN = 0.5  # share of a cell that has to be known


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is to be drawn in one look.

    Attributes
    ----------
    look : Look
        What is seen.
    truth, known : Tensor, (1, cells, cells)
        Share of each cell that belongs to it, and whether that is known: 0 or 1.
    slice : int
        The example it is of.
    """

    look: Look
    truth: Tensor
    known: Tensor
    slice: int


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Everything to learn from.

    Attributes
    ----------
    slices : tuple of SupportSlice
        Originals first, then altered copies.
    origins : tuple of str
        Digest of the original of each.
    wholes : tuple of Target
        The structure on each of the slices, on the head's grid.
    objects : tuple of Target
        Single objects of it, in the looks that the decoder takes, on its own grid.
    """

    slices: tuple[SupportSlice, ...]
    origins: tuple[str, ...]
    wholes: tuple[Target, ...]
    objects: tuple[Target, ...]

    def without(self, digest: str) -> "Examples":
        """Return them without an original and its copies; targets still name their slices by number."""
        wholes, objects = (
            tuple(each for each in targets if self.origins[each.slice] != digest)
            for targets in (self.wholes, self.objects)
        )
        return replace(self, wholes=wholes, objects=objects)


def prepare(
    model: Adaptable, support: SupportSet, variation: Variation, *, cells: int, store: EmbeddingStore | None = None
) -> Iterator[Examples | None]:
    """Embed altered copies and look at slices and objects; one of either for every ``next``.

    Parameters
    ----------
    model : Adaptable
        Embeds and looks.
    support : SupportSet
        What was labelled.
    variation : Variation
        The copies; its seed is that of all draws.
    cells : int
        Side of the decoder's grid.
    store : EmbeddingStore, optional
        Holds copies that were made ahead.

    Yields
    ------
    Examples or None
        The examples once, at the end.
    """
    rng = np.random.default_rng(variation.seed)
    slices = list(support.slices)
    origins = [each.digest for each in slices]
    for number in range(variation.copies):
        for original in support.slices:
            altered = vary(model, original, number, variation, store)
            if altered is not None:
                slices.append(altered)
                origins.append(original.digest)
            yield None
    wholes: list[Target] = []
    objects: list[Target] = []
    for number, each in enumerate(slices):
        wholes.append(_whole(model, each, number))
        yield None
        is_close = number < (1 + _CLOSE) * len(support.slices)
        for mask in _some(each.objects, rng):
            objects += _looks(model, each, mask, number, cells, is_close=is_close)
            yield None
    yield Examples(tuple(slices), tuple(origins), tuple(wholes), tuple(objects))


def target(look: Look, mask: NDArray[np.bool_], ignore: NDArray[np.bool_], cells: int, number: int = 0) -> Target:
    """Return what is to be drawn in a look: a mask of the image, (rows, columns), beside what is not known of it."""
    device = look.features.device
    truth = torch.from_numpy(look.square.shares(mask, cells))[None]
    known = torch.from_numpy(look.square.shares(~ignore, cells) > _KNOWN)[None].float()
    return Target(look, truth.to(device), known.to(device), number)


def _whole(model: Adaptable, each: SupportSlice, number: int) -> Target:
    look = model.look(each.embedding)
    return target(look, each.mask, each.ignore, FINER * look.features.shape[-1], number)


def _looks(
    model: Adaptable, each: SupportSlice, mask: NDArray[np.bool_], number: int, cells: int, *, is_close: bool
) -> Iterator[Target]:
    closer = model.look_closer(each.embedding, mask) if is_close else ()
    for look in (model.look(each.embedding), *closer):
        found = target(look, mask, each.ignore, cells, number)
        if int((found.truth > 0.5).sum()) >= _FEWEST:
            yield found


def _some(objects: Sequence[NDArray[np.bool_]], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    chosen = rng.permutation(len(objects))[:_OBJECTS]
    return [objects[index] for index in sorted(chosen)]
