"""Random views of the training images, from a whole slice to a small lesion, with objects to ask for."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_medfm.pretraining.augmentation import recolour
from napari_medfm.pretraining.bank import Bank
from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.disguise import disguise
from napari_medfm.pretraining.shapes import add_shapes

_WHOLE = 0.45  # of the views show a whole image
_ZOOM = (1.15, 6.0)  # sides of the other views, in sides of the object
_SPARSE = 0.35  # of its box at most, and an object branches, bends or lies scattered
_PART = 0.35  # of the views of such an object show a part of it only
_PARTS = (0.2, 0.7)  # sides of these, in sides of the object
_SMALLEST_VIEW = 40.0  # pixels
_SMALLEST_EXTENT = 6  # pixels
_ANOTHER = 0.8  # probability that a further object of a view is another one
_TURNED = 0.25  # of the views are turned by any angle, the others by little
_BENT = 0.4  # of the views are bent
_BEND = (0.01, 0.05)  # standard deviation of the shifts, in half sides of the view
_BEND_CELLS = (3, 8)  # a side of the field of shifts
_RECONTRASTED, _TRANSPLANTED = 0.25, 0.12  # shares of the views


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A view of an image and the objects in it to ask for.

    Attributes
    ----------
    image, layer : int
        Of the bank.
    numbers : tuple of int
        Of the objects; some may be the same.
    affine : ndarray, (2, 3)
        From (x, y, 1) in the view to (x, y) in the bank's square, both from -1 to 1 between outer edges.
    bend : ndarray, (2, k, k), optional
        By how much x and y in the view are shifted before that, coarsely.
    """

    image: int
    layer: int
    numbers: tuple[int, ...]
    affine: NDArray[np.float64]
    bend: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step trains on.

    Attributes
    ----------
    pictures : Tensor, (b, 3, side, side)
        Views in -1..1.
    targets : Tensor, (b, objects, side, side)
        The share of each pixel that belongs to each object.
    """

    pictures: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws batches from a bank: every data set as often as any other, whatever its size.

    Attributes
    ----------
    bank : Bank
        Where from.
    pseudo : float
        Share of the views whose objects are superpixels: they teach any structure (ScribblePrompt; Wong et al.,
        ECCV 2024).
    shapes : float
        Share of the views with a synthetic shape as object.
    """

    bank: Bank
    pseudo: float = 0.45
    shapes: float = 0.07

    def draw(self, images: int, objects: int, side: int, chance: Chance) -> Batch:
        """Return views of some images with some objects each."""
        choices = [self.choose(objects, chance) for _ in range(images)]
        pictures, targets = self.view(choices, side)
        disguise(pictures, targets, _RECONTRASTED, _TRANSPLANTED, chance)
        add_shapes(pictures, targets, self.shapes, chance)
        grey = self.bank.grey[[choice.image for choice in choices]]
        return Batch(recolour(pictures / 255, grey, chance) * 2 - 1, targets)

    def choose(self, objects: int, chance: Chance) -> Choice:
        """Pick an image, objects in it, and a view of the first of them."""
        rng, bank = chance.decisions, self.bank
        image = int(rng.choice(bank.groups[rng.integers(len(bank.groups))]))
        scales = [scale for scale, pool in enumerate(bank.objects[image]) if scale and len(pool)]
        layer = int(rng.choice(scales)) if scales and chance.happens(self.pseudo) else 0
        pool = bank.objects[image][layer]
        first = pool[rng.integers(len(pool))]
        extent, centre = _frame(first[1:5], bank.sizes[image], chance)
        if _is_sparse(first) and chance.happens(_PART):
            extent, centre = _part(first, bank.layers[image, layer], chance)
        others = _neighbours(pool, int(first[0]), centre, extent)
        numbers = [int(first[0])]
        for _ in range(objects - 1):
            another = bool(len(others)) and chance.happens(_ANOTHER)
            numbers.append(int(others[rng.integers(len(others))]) if another else numbers[0])
        return Choice(image, layer, tuple(numbers), _affine(extent, centre, bank.side, chance), _bend(chance))

    def view(self, choices: list[Choice], side: int) -> tuple[Tensor, Tensor]:
        """Return the pictures (b, 3, side, side) in 0..255 and the objects (b, objects, side, side) in 0..1."""
        bank = self.bank
        device = bank.pictures.device
        images, layers, numbers = (
            torch.tensor(values, device=device)
            for values in zip(*((choice.image, choice.layer, choice.numbers) for choice in choices), strict=True)
        )
        pictures = _resampled(bank.pictures[images].float(), _grid(choices, side).to(device), "bilinear")
        # Twice as fine and averaged: borders are soft where a pixel holds both.
        maps = _resampled(bank.layers[images, layers][:, None].float(), _grid(choices, 2 * side).to(device), "nearest")
        return pictures, functional.avg_pool2d((maps == numbers[:, :, None, None]).float(), 2)


def _frame(box: NDArray[np.int64], size: NDArray[np.int64], chance: Chance) -> tuple[float, NDArray[np.float64]]:
    """Side of a view and its middle (row, column), both in pixels."""
    longest = float(size.max())
    extent = float(max(box[2] - box[0], box[3] - box[1], _SMALLEST_EXTENT))
    if chance.happens(_WHOLE):
        side = longest * chance.between(0.85, 1.15)
    else:
        side = min(extent * math.exp(chance.between(*map(math.log, _ZOOM))), longest * 1.1)
    side = max(side, _SMALLEST_VIEW)
    if side > 0.8 * longest:
        return side, size * (0.5 + chance.decisions.uniform(-0.08, 0.08, 2))
    slack = max(0.0, (side - extent) / 2)
    return side, (box[:2] + box[2:]) / 2 + chance.decisions.uniform(-slack, slack, 2)


def _is_sparse(thing: NDArray[np.int64]) -> bool:
    extents = thing[3:5] - thing[1:3]
    return bool(thing[5] < _SPARSE * extents[0] * extents[1])


def _part(thing: NDArray[np.int64], numbers: Tensor, chance: Chance) -> tuple[float, NDArray[np.float64]]:
    """Frame of a view around some pixel of an object, smaller than the object."""
    places = (numbers == int(thing[0])).nonzero()
    centre = places[int(chance.decisions.integers(len(places)))].cpu().numpy().astype(np.float64)
    side = float((thing[3:5] - thing[1:3]).max()) * chance.between(*_PARTS)
    return max(side, _SMALLEST_VIEW), centre


def _neighbours(pool: NDArray[np.int64], first: int, centre: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Numbers of the other objects that a view shows well."""
    middles, extents = (pool[:, 1:3] + pool[:, 3:5]) / 2, pool[:, 3:5] - pool[:, 1:3]
    inside = (np.abs(middles - centre) < side / 2.4).all(axis=1) & (extents.max(axis=1) > side / 50)
    numbers: NDArray[np.int64] = pool[inside & (pool[:, 0] != first), 0]
    return numbers


def _affine(side: float, centre: NDArray[np.float64], canvas: int, chance: Chance) -> NDArray[np.float64]:
    """A view turned, mirrored and stretched at random."""
    angle = chance.between(-math.pi, math.pi) if chance.happens(_TURNED) else chance.between(-0.3, 0.3)
    cosine, sine = math.cos(angle), math.sin(angle)
    stretch = np.exp(chance.decisions.uniform(-0.15, 0.15, 2)) * (chance.sign(), chance.sign(0.7))
    turned = np.array([[cosine, -sine], [sine, cosine]]) * stretch * (side / canvas)
    return np.concatenate([turned, (2 * centre[::-1] / canvas - 1)[:, None]], axis=1)


def _bend(chance: Chance) -> NDArray[np.float64] | None:
    """A smooth random field of shifts (Simard et al., ICDAR 2003), or none."""
    if not chance.happens(_BENT):
        return None
    cells = int(chance.decisions.integers(*_BEND_CELLS))
    return chance.decisions.normal(0, chance.between(*_BEND), (2, cells, cells))


def _grid(choices: list[Choice], side: int) -> Tensor:
    """Where in the bank's square each pixel of the views comes from, (b, side, side, 2)."""
    plain = torch.eye(2, 3)[None].expand(len(choices), -1, -1)
    grid = functional.affine_grid(plain, [len(choices), 1, side, side], align_corners=False).clone()
    for at, choice in enumerate(choices):
        if choice.bend is not None:
            shifts = torch.from_numpy(choice.bend)[None].float()
            grid[at] += functional.interpolate(shifts, size=(side, side), mode="bicubic")[0].permute(1, 2, 0)
    affine = torch.from_numpy(np.stack([choice.affine for choice in choices])).float()
    return torch.einsum("bhwc,bdc->bhwd", grid, affine[..., :2]) + affine[:, None, None, :, 2]


def _resampled(maps: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(maps, grid, mode=mode, padding_mode="zeros", align_corners=False)
