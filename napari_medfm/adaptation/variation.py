"""Altered copies of labelled slices: turned, scaled, shifted, lit differently, perhaps mirrored.

What changes in a copy follows from the picture, its number and the seed, so that a copy made ahead, while nothing else
was to be done, is the very one that adapting asks for later. Labels are changed along when they are known.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_medfm.adaptation.support import SupportSlice, embedding_digest
from napari_medfm.inference import EmbeddingKey, EmbeddingStore
from napari_medfm.models import ImageEmbedding
from napari_medfm.models.adaptable import Adaptable

S = TypeVar("S", bound=np.generic)

_TURN = 12.0  # degrees
_SCALE = 0.15
_SHIFT = 0.06  # of the longer side
_GAMMA = 0.3  # of its logarithm
_LARGEST = 512  # pixels of the longer side of a copy
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Variation:
    """Which copies are made of every slice.

    Attributes
    ----------
    copies : int
        Of each slice.
    mirrored : bool
        Whether they may also be mirrored and turned by quarters: right where up and left mean nothing, as under a
        microscope, wrong in a body.
    seed : int
        Of all changes.
    """

    copies: int = 8
    mirrored: bool = False
    seed: int = 0

    def key(self, model: Adaptable, embedding: ImageEmbedding, number: int) -> EmbeddingKey:
        """Return what names a copy's embedding in a store: the embedding of the original, and what is changed."""
        how = f"copy of {_LARGEST} px, seed {self.seed}" + (", mirrored" if self.mirrored else "")
        spec = model.spec
        return EmbeddingKey(embedding_digest(embedding), 0, number, how, spec.encoder_digest, spec.precision)


def make_ahead(
    model: Adaptable, embedding: ImageEmbedding, variation: Variation, store: EmbeddingStore
) -> Iterator[None]:
    """Embed the copies of a slice that are not in a store yet; one for every ``next``.

    To be run on the device lane while nothing else is to be done, once for each slice that is likely to be learned
    from::

        lane.submit_steps(make_ahead(model, embedding, recipe.variation, store), priority=Priority.BACKGROUND)
        ...
        Adaptation(model, support, recipe, store=store)  # finds them done

    The store of the `Predictor` will do: copies on the disk outlive the process. Nothing is made of the labels, which
    may still change.

    Parameters
    ----------
    model : Adaptable
        Embeds; one whose embeddings keep no picture has no copies.
    embedding : ImageEmbedding
        Of the slice.
    variation : Variation
        That of the recipe, `Recipe.variation`.
    store : EmbeddingStore
        Where they are kept.
    """
    for number in range(variation.copies):
        if not store.contains(variation.key(model, embedding, number)):
            if _embed(model, embedding, variation, number, store) is None:
                return
            yield


def vary(
    model: Adaptable, original: SupportSlice, number: int, variation: Variation, store: EmbeddingStore | None = None
) -> SupportSlice | None:
    """Return an altered copy of a labelled slice; None if embeddings keep no picture.

    Parameters
    ----------
    model : Adaptable
        Embeds the copy.
    original : SupportSlice
        What is altered; beyond its edge nothing is known.
    number : int
        Which copy, from 0.
    variation : Variation
        What is changed.
    store : EmbeddingStore, optional
        Holds what was made before, and gets what is made now.
    """
    embedding = _embed(model, original.embedding, variation, number, store)
    if embedding is None:
        return None
    change = _Change.drawn(variation, original.embedding, number)
    labels = change.moved(original.labels, embedding.image_shape)
    ignored = change.moved(original.ignore, embedding.image_shape, beyond=1)
    return SupportSlice.annotated(embedding, labels, ignored, original.title)


def _embed(
    model: Adaptable, embedding: ImageEmbedding, variation: Variation, number: int, store: EmbeddingStore | None
) -> ImageEmbedding | None:
    key = variation.key(model, embedding, number)
    found = None if store is None else store.get(key)
    if found is not None:
        return found
    picture = model.picture(embedding)
    if picture is None:
        return None
    made = model.encode(_Change.drawn(variation, embedding, number).seen(picture))
    if store is not None:
        store.put(key, made)
    return made


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to one copy."""

    turn: float  # radians
    scale: float
    shift: tuple[float, float]  # (x, y), of the longer side
    gamma: float
    gain: float
    quarters: int = 0
    flipped: bool = False

    @classmethod
    def drawn(cls, variation: Variation, embedding: ImageEmbedding, number: int) -> Self:
        """Draw the change of a copy: always the same one."""
        picture = hashlib.sha256(f"{embedding_digest(embedding)} {number}".encode()).digest()
        rng = np.random.default_rng([variation.seed, int.from_bytes(picture[:8])])
        change = cls(
            turn=math.radians(rng.uniform(-_TURN, _TURN)),
            scale=math.exp(rng.uniform(-_SCALE, _SCALE)),
            shift=(rng.uniform(-_SHIFT, _SHIFT), rng.uniform(-_SHIFT, _SHIFT)),
            gamma=math.exp(rng.uniform(-_GAMMA, _GAMMA)),
            gain=rng.uniform(0.9, 1.1),
            quarters=int(rng.integers(_QUARTERS)) if variation.mirrored else 0,
            flipped=bool(rng.integers(2)) if variation.mirrored else False,
        )
        return change

    def seen(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture, reduced and changed."""
        size = _reduced(picture.shape)
        reduced = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
        drawn = np.asarray(self._transformed(reduced, Image.Resampling.BILINEAR))
        table = np.clip(255 * self.gain * (np.arange(256) / 255) ** self.gamma, 0, 255).astype(np.uint8)
        return self._turned(table[drawn])

    def moved(self, values: NDArray[S], shape: tuple[int, int], beyond: int = 0) -> NDArray[S]:
        """Return labels, (rows, columns), moved as the picture was, in the shape of the copy."""
        size = shape if self.quarters % 2 else shape[::-1]
        picture = Image.fromarray(values).resize(size, Image.Resampling.NEAREST)
        drawn = self._transformed(picture, Image.Resampling.NEAREST, beyond)
        return self._turned(np.asarray(drawn).astype(values.dtype))

    def _transformed(self, picture: Image.Image, how: Image.Resampling, beyond: int = 0) -> Image.Image:
        affine = self._affine(picture.size)
        return picture.transform(picture.size, Image.Transform.AFFINE, affine, how, fillcolor=beyond)

    def _affine(self, size: tuple[int, int]) -> tuple[float, float, float, float, float, float]:
        """Return what maps (x, y) of the copy to (x, y) of the original: a turn and a scaling about the middle."""
        cos, sin = math.cos(self.turn) / self.scale, math.sin(self.turn) / self.scale
        x, y = size[0] / 2, size[1] / 2
        right, down = (share * max(size) for share in self.shift)
        return cos, sin, x - cos * x - sin * y + right, -sin, cos, y + sin * x - cos * y + down

    def _turned(self, array: NDArray[S]) -> NDArray[S]:
        return np.ascontiguousarray(np.rot90(np.fliplr(array) if self.flipped else array, self.quarters))


def _reduced(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of a copy."""
    share = min(1.0, _LARGEST / max(shape))
    return max(1, round(shape[1] * share)), max(1, round(shape[0] * share))
