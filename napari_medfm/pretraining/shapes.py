"""Synthetic objects: blobs that differ from what is around them by intensity or texture alone."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.pretraining.chance import Chance

_ROUGHNESS = 0.35  # of the outline, in radii
_BRIGHTER = 0.5  # of the shapes differ by intensity, the others by texture


def add_shapes(pictures: Tensor, targets: Tensor, share: float, chance: Chance) -> None:
    """Draw a shape over some of the pictures and make it their only object, in place.

    Parameters
    ----------
    pictures : Tensor, (b, 3, side, side)
        In 0..255.
    targets : Tensor, (b, objects, side, side)
        In 0..1.
    share : float
        How many of the pictures.
    chance : Chance
        Random draws.
    """
    for at in (chance.decisions.random(len(pictures)) < share).nonzero()[0]:
        shape = _blob(pictures.shape[-1], chance)
        soft = functional.avg_pool2d(shape[None, None].float(), 5, 1, 2)[0, 0]
        filling = _filling(pictures, int(at), chance)
        pictures[at] = (pictures[at] * (1 - soft) + filling * soft).clamp(0, 255)
        targets[at] = shape.float()


def _blob(side: int, chance: Chance) -> Tensor:
    """A disc with a smooth, random outline, (side, side) bool."""
    grain = int(chance.decisions.integers(3, 9))
    field = functional.interpolate(chance.normal(1, 1, grain, grain), size=(side, side), mode="bicubic")[0, 0]
    axis = torch.linspace(-1, 1, side, device=chance.device)
    row, column, radius = chance.between(-0.5, 0.5), chance.between(-0.5, 0.5), chance.between(0.08, 0.5)
    distance = ((axis[:, None] - row) ** 2 + (axis[None] - column) ** 2).sqrt()
    return distance / radius + _ROUGHNESS * field < 1


def _filling(pictures: Tensor, at: int, chance: Chance) -> Tensor:
    if chance.happens(_BRIGHTER):
        return pictures[at] + chance.between(15, 90) * chance.sign()
    another = pictures[(at + 1) % len(pictures)]
    return another * chance.between(0.5, 1) + chance.between(-30, 30)
