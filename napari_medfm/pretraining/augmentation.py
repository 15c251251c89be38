"""Changes of what an image looks like that leave its objects where they are."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.pretraining.chance import Chance

_MONO, _WINDOW, _GAMMA, _INVERT, _TINT, _BLUR, _NOISE = 0.15, 0.5, 0.5, 0.12, 0.5, 0.2, 0.35
"""How often each happens."""


def recolour(pictures: Tensor, grey: Tensor, chance: Chance) -> Tensor:
    """Change window, gamma, colour, sharpness and noise of each picture at random; invert some.

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
    pictures = _mixed(pictures, 1 - pictures, _some(pictures, _INVERT, chance))
    tint = _each(pictures, -0.12, 0.12, chance, channels=3) * _some(pictures, _TINT, chance)
    pictures = pictures * (1 + tint * ~grey[:, None, None, None])
    blurred = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    pictures = _mixed(pictures, blurred, _some(pictures, _BLUR, chance))
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


def _mixed(pictures: Tensor, others: Tensor, chosen: Tensor) -> Tensor:
    return pictures * (1 - chosen) + others * chosen


def _each(pictures: Tensor, low: float, high: float, chance: Chance, channels: int = 1) -> Tensor:
    return chance.uniform(len(pictures), channels, 1, 1, low=low, high=high)


def _some(pictures: Tensor, probability: float, chance: Chance) -> Tensor:
    return chance.some(len(pictures), probability).float()[:, None, None, None]
