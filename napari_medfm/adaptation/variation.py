"""Altered copies of labelled slices: turned, scaled, shifted, lit differently, perhaps mirrored."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_medfm.adaptation.support import SupportSlice
from napari_medfm.models.adaptable import Adaptable

S = TypeVar("S", bound=np.generic)

_TURN = 12.0  # degrees
_SCALE = 0.15
_SHIFT = 0.06  # of the longer side
_GAMMA = 0.3  # of its logarithm
_LARGEST = 512  # pixels of the longer side of a copy
_QUARTERS = 4


def vary(
    model: Adaptable, original: SupportSlice, rng: np.random.Generator, *, mirrored: bool = False
) -> SupportSlice | None:
    """Return an altered copy of a labelled slice, embedded anew; None if embeddings keep no picture.

    Parameters
    ----------
    model : Adaptable
        Embeds the copy.
    original : SupportSlice
        What is altered; beyond its edge nothing is known.
    rng : numpy.random.Generator
        Draws the change.
    mirrored : bool
        Whether the copy may also be mirrored and turned by quarters: right where up and left mean nothing,
        as under a microscope, wrong in a body.
    """
    picture = model.picture(original.embedding)
    if picture is None:
        return None
    share = min(1.0, _LARGEST / max(picture.shape))
    size = max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share))
    coefficients = _affine(size, rng)
    labels = Image.fromarray(original.labels).resize(size, Image.Resampling.NEAREST)
    unknown = Image.fromarray(original.ignore).resize(size, Image.Resampling.NEAREST)
    how = Image.Transform.AFFINE
    reduced = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
    drawn = reduced.transform(size, how, coefficients, Image.Resampling.BILINEAR)
    lit = _relit(np.asarray(drawn), rng)
    values = np.asarray(labels.transform(size, how, coefficients, Image.Resampling.NEAREST))
    ignored = np.asarray(unknown.transform(size, how, coefficients, Image.Resampling.NEAREST, fillcolor=1))
    if mirrored:
        quarters, flipped = int(rng.integers(_QUARTERS)), bool(rng.integers(2))
        lit, values, ignored = (
            _turned(lit, quarters, flipped),
            _turned(values, quarters, flipped),
            _turned(ignored, quarters, flipped),
        )
    embedding = model.encode(np.ascontiguousarray(lit))
    return SupportSlice.annotated(embedding, values, ignored.astype(np.bool_), original.title)


def _affine(size: tuple[int, int], rng: np.random.Generator) -> tuple[float, float, float, float, float, float]:
    """Return what maps (x, y) of the copy to (x, y) of the original: a turn and a scaling about the middle, a shift."""
    angle = math.radians(rng.uniform(-_TURN, _TURN))
    scale = math.exp(rng.uniform(-_SCALE, _SCALE))
    shift = rng.uniform(-_SHIFT, _SHIFT, size=2) * max(size)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = size[0] / 2, size[1] / 2
    return cos, sin, x - cos * x - sin * y + shift[0], -sin, cos, y + sin * x - cos * y + shift[1]


def _relit(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return it with another gamma and a little more or less contrast."""
    gamma, gain = math.exp(rng.uniform(-_GAMMA, _GAMMA)), rng.uniform(0.9, 1.1)
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 0, 255).astype(np.uint8)
    return table[picture]


def _turned(array: NDArray[S], quarters: int, flipped: bool) -> NDArray[S]:
    return np.ascontiguousarray(np.rot90(np.fliplr(array) if flipped else array, quarters))
