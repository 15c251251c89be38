"""The simulated person of training: clicks, strokes and boxes, for many objects at once.

Tensors only, because it runs several times in every step. Cells are those of the prompt maps, two pixels of the
view wide; places are (row, column) in pixels of the view, pixel centres at whole numbers. What serves to
measure models is `napari_medfm.simulation`.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.models.compact_network import MAP_STRIDE
from napari_medfm.pretraining.chance import Chance

ADDS, REMOVES, NONE = 1, 0, -1
"""What a place is."""

_REACH = 16  # cells: deeper places count as equally deep
_STROKE = 12  # places along a stroke
_JITTER = 0.1  # standard deviation of a box's edges, in its sides
_LOOSE = 0.02  # that boxes are too large on each side, in their sides


@dataclass(frozen=True, slots=True, eq=False)
class Pointed:
    """All that was pointed at so far.

    Attributes
    ----------
    places : Tensor, (b, n, 2)
        Clicks, and places along strokes.
    signs : Tensor of int64, (b, n)
        See `ADDS`, `REMOVES`, `NONE`.
    boxes : Tensor, (b, 4)
        (first row, first column, last row + 1, last column + 1) in pixels of the view; NaN is no box.
    """

    places: Tensor
    signs: Tensor
    boxes: Tensor

    @classmethod
    def nothing(cls, count: int, device: torch.device) -> Self:
        """Return what was pointed at before the first prompt."""
        signs = torch.zeros(count, 0, dtype=torch.long, device=device)
        return cls(torch.zeros(count, 0, 2, device=device), signs, torch.full((count, 4), torch.nan, device=device))

    def add(self, places: Tensor, signs: Tensor) -> Self:
        """Return it with further places, (b, k, 2) and (b, k)."""
        return replace(
            self, places=torch.cat([self.places, places], dim=1), signs=torch.cat([self.signs, signs], dim=1)
        )

    def without(self, silenced: Tensor) -> Self:
        """Return it with nothing pointed at for those of the objects, (b,)."""
        signs = torch.where(silenced[:, None], NONE, self.signs)
        return replace(self, signs=signs, boxes=torch.where(silenced[:, None], torch.nan, self.boxes))


@dataclass(frozen=True, slots=True, eq=False)
class Click:
    """A click for each object.

    Attributes
    ----------
    places : Tensor, (b, 2)
        Where.
    signs : Tensor of int64, (b,)
        `NONE` where nothing is wrong.
    """

    places: Tensor
    signs: Tensor


def errors(mask: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is missing and what is too much, each like the masks: float, 0 or 1."""
    return truth * (1 - mask), mask * (1 - truth)


def depth(region: Tensor) -> Tensor:
    """Return the chessboard distance of each cell to the outside of its region, (b, 1, h, w).

    Beyond the view is outside. Found by repeated erosion, `_REACH` cells deep at most.
    """
    total, rest = torch.zeros_like(region), region
    for _ in range(_REACH):
        total = total + rest
        rest = -functional.max_pool2d(-functional.pad(rest, (1, 1, 1, 1)), 3, 1)
    return total


def click(mask: Tensor, truth: Tensor, chance: Chance, centred: float = 0.5) -> Click:
    """Click into the larger error of each object, somewhere in its inner part.

    Parameters
    ----------
    mask, truth : Tensor, (b, 1, h, w)
        0 or 1.
    chance : Chance
        Random draws.
    centred : float
        How deep at least, as a share of the deepest place; 1 is the middle.
    """
    missing, surplus = (depth(region)[:, 0] for region in errors(mask, truth))
    deepest = missing.amax(dim=(1, 2)), surplus.amax(dim=(1, 2))
    adds = deepest[0] > deepest[1]
    depths = torch.where(adds[:, None, None], missing, surplus)
    share = chance.uniform(len(depths), 1, 1, low=centred, high=1.0)
    inner = (depths >= share * depths.amax(dim=(1, 2), keepdim=True)) & (depths > 0)
    cells = chance.place(inner.float())
    places = cells * float(MAP_STRIDE) + chance.uniform(len(cells), 2, low=-0.5, high=MAP_STRIDE - 0.5)
    signs = torch.where(adds, ADDS, REMOVES)
    return Click(places, torch.where(torch.maximum(*deepest) > 0, signs, NONE))


def stroke(start: Click, mask: Tensor, truth: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
    """Draw a bent stroke from each click to another place of the same error.

    Returns
    -------
    tuple of Tensor
        Places (b, n, 2), and their signs (b, n): `NONE` where the stroke leaves the error.
    """
    missing, surplus = errors(mask, truth)
    region = torch.where((start.signs == ADDS)[:, None, None, None], missing, surplus)[:, 0]
    along = chance.place(region) * float(MAP_STRIDE) + 0.5 - start.places
    across = torch.stack([-along[:, 1], along[:, 0]], dim=1) * chance.uniform(len(along), 1, low=-0.3, high=0.3)
    way = torch.linspace(0, 1, _STROKE, device=mask.device)[None, :, None]
    places = start.places[:, None] + way * along[:, None] + 4 * way * (1 - way) * across[:, None]
    inside = _at(region, places) > 0
    return places, torch.where(inside & (start.signs != NONE)[:, None], start.signs[:, None], NONE)


def loose_box(truth: Tensor, chance: Chance) -> Tensor:
    """Return a box around each object as a person draws it, mostly a little too large, (b, 4).

    Parameters
    ----------
    truth : Tensor, (b, 1, h, w)
        0 or 1, none empty.
    chance : Chance
        Random draws.
    """
    box = torch.cat([torch.stack(_ends(truth.amax(dim=(1, across))), dim=1) for across in (3, 2)], dim=1)
    box = box[:, (0, 2, 1, 3)] * float(MAP_STRIDE)
    sides = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    outward = torch.tensor([-_LOOSE, -_LOOSE, _LOOSE, _LOOSE], device=truth.device)
    shift = chance.normal(len(box), 4) * _JITTER + outward
    return (box + shift * sides).clamp(0, truth.shape[-1] * MAP_STRIDE)


def _ends(filled: Tensor) -> tuple[Tensor, Tensor]:
    """First and last + 1 of what is filled, of each row of (b, n)."""
    return filled.argmax(dim=1), filled.shape[1] - filled.flip(1).argmax(dim=1)


def _at(region: Tensor, places: Tensor) -> Tensor:
    """The region's cell at each place, (b, n)."""
    cells = ((places + 0.5) / MAP_STRIDE).floor().long()
    rows, columns = (cells[..., axis].clamp(0, region.shape[1 + axis] - 1) for axis in (0, 1))
    owners = torch.arange(len(region), device=region.device)[:, None]
    return region[owners, rows, columns]
