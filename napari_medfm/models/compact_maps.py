"""Prompts drawn as maps over a view, as the built-in model was trained to see them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medfm.models.views import View
from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet

NEAR, FAR = 3.0, 16.0
"""Standard deviations of the bells around a clicked place, in pixels of the view."""

_BETWEEN = 4  # pixels of the image between places along a stroke, at least; fewer places for long strokes
_PLACES = 48  # along one stroke, at most


@dataclass(frozen=True, slots=True, eq=False)
class PromptMaps:
    """What was pointed at, in pixels of the picture.

    Attributes
    ----------
    places : ndarray, (n, 2)
        (row, column) of clicks and of places along strokes; pixel centres at whole numbers.
    signs : ndarray of bool, (n,)
        Whether each adds.
    box : ndarray, (2, 2), or None
        First and last corner; pixel k reaches from k to k + 1.
    """

    places: NDArray[np.float64]
    signs: NDArray[np.bool_]
    box: NDArray[np.float64] | None

    @classmethod
    def of(cls, prompts: PromptSet, image_shape: tuple[int, int], picture_shape: tuple[int, int]) -> Self:
        """Take prompts on an image for a picture of it that may be smaller."""
        ratio = np.divide(picture_shape, image_shape)
        places, signs = _places(prompts)
        box = prompts.box
        corners = None if box is None else np.array([box.start, box.stop]) * ratio
        return cls((places + 0.5) * ratio - 0.5, signs, corners)

    @property
    def corners(self) -> NDArray[np.float64] | None:
        """First and last (row, column) of all of it, (2, 2)."""
        parts = [self.places] if len(self.places) else []
        if self.box is not None:
            parts.append(self.box - np.array([[0.0], [1.0]]))
        if not parts:
            return None
        everything = np.concatenate(parts)
        return np.stack((everything.min(axis=0), everything.max(axis=0)))

    def draw(self, view: View, cells: int, known: NDArray[np.bool_] | None) -> Tensor:
        """Return the maps (1, 7, cells, cells) over a view; see `napari_medfm.models.compact_network.MAPS`.

        Parameters
        ----------
        view : View
            Of the picture.
        cells : int
            Side of the maps.
        known : ndarray of bool or None
            The mask of the picture that is to be corrected.
        """
        return prompt_maps(
            torch.from_numpy(view.positions(self.places))[None].float(),
            torch.from_numpy(self.signs.astype(np.int64))[None],
            None if self.box is None else torch.from_numpy(view.edges(self.box).reshape(1, 4)).float(),
            None if known is None else torch.from_numpy(view.shares(known, cells))[None, None],
            cells,
            view.side / cells,
        )


def prompt_maps(
    places: Tensor, signs: Tensor, boxes: Tensor | None, previous: Tensor | None, cells: int, stride: float
) -> Tensor:
    """Draw prompts as maps, (b, 7, cells, cells).

    Parameters
    ----------
    places : Tensor, (b, n, 2)
        (row, column) in pixels of the view, pixel centres at whole numbers.
    signs : Tensor, (b, n)
        1 adds, 0 removes, -1 is no prompt.
    boxes : Tensor, (b, 4), or None
        (first row, first column, last row + 1, last column + 1) in pixels of the view; NaN is no box.
    previous : Tensor, (b, 1, cells, cells), or None
        Probability of the mask to be corrected.
    cells : int
        Side of the maps.
    stride : float
        Pixels of the view per cell.
    """
    batch = places.shape[0]
    centres = torch.arange(cells, device=places.device) * stride + (stride - 1) / 2
    bells = [_bells(places, signs == sign, centres, sigma) for sigma in (NEAR, FAR) for sign in (1, 0)]
    box = places.new_zeros(batch, 1, cells, cells) if boxes is None else _inside(boxes, centres)
    if previous is None:
        last = places.new_zeros(batch, 2, cells, cells)
    else:
        last = torch.cat([previous, torch.ones_like(previous)], dim=1)
    return torch.cat([*bells, box, last], dim=1)


def _bells(places: Tensor, chosen: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """The highest of the bells around the chosen places, (b, 1, cells, cells)."""
    if not places.shape[1]:
        return places.new_zeros(places.shape[0], 1, len(centres), len(centres))
    rows, columns = (torch.exp(-((centres - places[..., axis, None]) ** 2) / (2 * sigma**2)) for axis in (0, 1))
    bells: Tensor = (rows * chosen[..., None])[..., :, None] * columns[..., None, :]
    return bells.amax(dim=1, keepdim=True)


def _inside(boxes: Tensor, centres: Tensor) -> Tensor:
    """1 inside a box, 0 outside, soft over a few pixels, (b, 1, cells, cells)."""
    top, left, bottom, right = (boxes[:, at, None] for at in range(4))
    middle = centres[None] + 0.5
    rows = torch.minimum(middle - top, bottom - middle)
    columns = torch.minimum(middle - left, right - middle)
    depth = torch.minimum(rows[:, :, None], columns[:, None, :])
    return torch.nan_to_num(torch.sigmoid(depth), nan=0.0)[:, None]


def _places(prompts: PromptSet) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    places: list[NDArray[np.float64]] = [np.zeros((0, 2))]
    signs: list[bool] = []
    for prompt in prompts:
        if isinstance(prompt, Box | MaskPrompt):
            continue  # drawn as areas
        path = np.array([prompt.position]) if isinstance(prompt, Point) else _along(prompt.path)
        places.append(path)
        signs += [prompt.positive] * len(path)
    return np.concatenate(places), np.array(signs, dtype=bool)


def _along(path: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Places along a stroke, evenly spaced."""
    corners = np.array(path, dtype=float)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    count = int(np.clip(np.ceil(lengths[-1] / _BETWEEN) + 1, 1, _PLACES))
    at = np.linspace(0, lengths[-1], count)
    return np.stack([np.interp(at, lengths, corners[:, axis]) for axis in (0, 1)], axis=1)
