"""Changes of what an image looks like that leave its objects where they are."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.pretraining.chance import Chance

_MONO, _WINDOW, _GAMMA, _INVERT, _TINT, _BLUR, _NOISE = 0.15, 0.5, 0.5, 0.12, 0.5, 0.2, 0.35
_CURVE, _SHADE, _SPECKLE, _COARSE = 0.3, 0.25, 0.15, 0.15
"""How often each happens."""

_KNOTS = 5  # of a curve of values
_ORDERED = 0.7  # of the curves rise everywhere; the others turn parts of the range about
_FIELD = 4  # cells a side of what varies slowly over a picture


def recolour(pictures: Tensor, grey: Tensor, chance: Chance) -> Tensor:
    """Change window, values, shading, colour, sharpness and noise of each picture at random; invert some.

    Values go through random curves (Zhou et al., Models Genesis, Medical Image Analysis 2021); shading and speckle
    multiply, as those of coils and of ultrasound do.

    Parameters
    ----------
    pictures : Tensor, (b, 3, h, w)
        In 0..1.
    grey : Tensor of bool, (b,)
        Which of them have no colour and get none.
    chance : Chance
        Random draws.

    Returns
    -------
    Tensor, (b, 3, h, w)
        In 0..1.
    """
    pictures = _mixed(pictures, pictures.mean(dim=1, keepdim=True), _some(pictures, _MONO, chance))
    pictures = _windowed(pictures, chance)
    pictures = _brightened(pictures, chance)
    pictures = _mixed(pictures, _curved(pictures, chance), _some(pictures, _CURVE, chance))
    pictures = pictures * _shading(pictures, chance) * _speckle(pictures, chance)
    pictures = _mixed(pictures, 1 - pictures, _some(pictures, _INVERT, chance))
    tint = _each(pictures, -0.12, 0.12, chance, channels=3) * _some(pictures, _TINT, chance)
    pictures = pictures * (1 + tint * ~grey[:, None, None, None])
    blurred = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    pictures = _mixed(pictures, blurred, _some(pictures, _BLUR, chance))
    pictures = _mixed(pictures, _coarser(pictures, chance), _some(pictures, _COARSE, chance))
    strength = _each(pictures, 0, 0.07, chance) * _some(pictures, _NOISE, chance)
    noise = chance.normal(len(pictures), 1, *pictures.shape[-2:])
    return (pictures + noise * strength).clamp(0, 1)


def _windowed(pictures: Tensor, chance: Chance) -> Tensor:
    chosen = _some(pictures, _WINDOW, chance)
    low, high = _each(pictures, 0, 0.25, chance) * chosen, 1 - _each(pictures, 0, 0.35, chance) * chosen
    return ((pictures - low) / (high - low)).clamp(0, 1)


def _brightened(pictures: Tensor, chance: Chance) -> Tensor:
    gamma = torch.exp(_each(pictures, -0.6, 0.6, chance) * _some(pictures, _GAMMA, chance))
    brightened: Tensor = pictures.clamp_min(1e-4) ** gamma
    return brightened


def _curved(pictures: Tensor, chance: Chance) -> Tensor:
    """Values through a piecewise linear curve, another one for each picture."""
    knots = chance.uniform(len(pictures), _KNOTS)
    ordered = chance.some(len(pictures), _ORDERED)[:, None]
    knots = torch.where(ordered, knots.sort(dim=1).values, knots)
    places = pictures.clamp(0, 1).flatten(1) * (_KNOTS - 1)
    lower = places.floor().clamp_max(_KNOTS - 2).long()
    below, above = knots.gather(1, lower), knots.gather(1, lower + 1)
    return (below + (places - lower) * (above - below)).view_as(pictures)


def _shading(pictures: Tensor, chance: Chance) -> Tensor:
    """A factor that varies slowly over each picture."""
    strength = _each(pictures, 0, 0.35, chance) * _some(pictures, _SHADE, chance)
    return torch.exp(strength * _field(pictures, _FIELD, chance))


def _speckle(pictures: Tensor, chance: Chance) -> Tensor:
    """A factor that varies from grain to grain, of 1 to 4 pixels."""
    strength = _each(pictures, 0.1, 0.4, chance) * _some(pictures, _SPECKLE, chance)
    grain = int(chance.decisions.integers(1, 5))
    return (1 + strength * _field(pictures, pictures.shape[-1] // grain, chance)).clamp_min(0)


def _field(pictures: Tensor, cells: int, chance: Chance) -> Tensor:
    noise = chance.normal(len(pictures), 1, cells, cells)
    return functional.interpolate(noise, size=pictures.shape[-2:], mode="bicubic")


def _coarser(pictures: Tensor, chance: Chance) -> Tensor:
    """Pictures of a half to a quarter of the resolution."""
    side = int(pictures.shape[-1] / chance.between(2, 4))
    small = functional.interpolate(pictures, size=(side, side), mode="area")
    return functional.interpolate(small, size=pictures.shape[-2:], mode="bilinear")


def _mixed(pictures: Tensor, others: Tensor, chosen: Tensor) -> Tensor:
    return pictures * (1 - chosen) + others * chosen


def _each(pictures: Tensor, low: float, high: float, chance: Chance, channels: int = 1) -> Tensor:
    return chance.uniform(len(pictures), channels, 1, 1, low=low, high=high)


def _some(pictures: Tensor, probability: float, chance: Chance) -> Tensor:
    return chance.some(len(pictures), probability).float()[:, None, None, None]
