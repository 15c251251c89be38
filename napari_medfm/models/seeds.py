"""Prompts as seeds on the grid of a crop."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_medfm.models.crops import Crop
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Position, Prompt, PromptSet, Scribble, rasterize

Seeds = NDArray[np.int8]
Positions = NDArray[np.float64]

_CORE = 0.25  # semi-axes of the ellipse in a box that is taken for object, in sides of the box


def plant(prompts: PromptSet, crop: Crop, image_shape: tuple[int, int], disc: float) -> Seeds:
    """Say prompts as seeds on a crop's grid.

    In order: a later prompt wins over an earlier one, but a click always keeps its
    own cell. The crop's border is background.

    Parameters
    ----------
    prompts : PromptSet
        Points become discs, scribbles lines, lassos areas; a box makes background of
        all outside and object of a core inside, short of clicks on background. A
        mask makes no seeds.
    crop : Crop
        Where the grid lies in the image.
    image_shape : (int, int)
        (rows, columns): the image's own border is background only if nothing else is.
    disc : float
        Radius of a click in cells; less on a grid so small that it would be an object by itself.

    Returns
    -------
    ndarray of int8, (rows, columns) of the grid
        1 object, -1 background, 0 unknown.
    """
    seeds = np.zeros(crop.grid, dtype=np.int8)
    disc = min(disc, max(crop.grid) / 16)
    for prompt in prompts:
        _plant(seeds, prompt, prompts, crop, disc)
    for point in prompts.points:
        seeds[rasterize(_on_grid(point, crop), crop.grid, 0)] = 1 if point.positive else -1
    _plant_border(seeds, image_shape, crop)
    return seeds


def extent(prompts: PromptSet, image_shape: tuple[int, int]) -> Positions:
    """Return first and last (row, column) of what prompts cover, (2, 2), or (0, 2) if they cover nothing."""
    known = np.concatenate([np.zeros((0, 2)), *map(_corners, prompts)]).clip(0, np.asarray(image_shape) - 1.0)
    return np.stack((known.min(axis=0), known.max(axis=0))) if len(known) else known


def _plant(seeds: Seeds, prompt: Prompt, prompts: PromptSet, crop: Crop, disc: float) -> None:
    match prompt:
        case Point() | Scribble() | Lasso():
            seeds[rasterize(_on_grid(prompt, crop), crop.grid, disc)] = 1 if prompt.positive else -1
        case Box():
            seeds[~rasterize(_on_grid(prompt, crop), crop.grid)] = -1
            seeds[_core(prompt, prompts, crop)] = 1
        case MaskPrompt():
            pass  # what is believed beforehand, no seed: it is for the caller to use


def _plant_border(seeds: Seeds, image_shape: tuple[int, int], crop: Crop) -> None:
    """Take the crop's border for background; the image's own border only if there is nothing else."""
    sides = [seeds[0], seeds[-1], seeds[:, 0], seeds[:, -1]]
    inner = [
        crop.start[0] > 0,
        crop.stop[0] < image_shape[0],
        crop.start[1] > 0,
        crop.stop[1] < image_shape[1],
    ]
    if not any(inner) and not (seeds < 0).any():
        # An image one or two pixels wide has no inside between its long borders.
        inner = [size > 2 for size in seeds.shape for _ in range(2)]
    for side, is_border in zip(sides, inner, strict=True):
        if is_border:
            side[side == 0] = -1


def _core(box: Box, prompts: PromptSet, crop: Crop) -> NDArray[np.bool_]:
    """Cells in the middle of a box, short of clicks on background."""
    size = np.subtract(box.stop, box.start)
    centre = np.add(box.start, box.stop) / 2 - 0.5
    holes = [(np.asarray(point.position) - centre) / size for point in prompts.points if not point.positive]
    reach = min([_CORE, *(0.8 * float(np.hypot(*hole)) for hole in holes)])
    cells = np.divide(crop.grid, crop.size)
    rows, columns = np.ogrid[: crop.grid[0], : crop.grid[1]]
    row, column = crop.positions(centre)
    height, width = reach * size * cells + 0.5
    return np.asarray(((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1)


def _on_grid(prompt: Point | Scribble | Lasso | Box, crop: Crop) -> Point | Scribble | Lasso | Box:
    match prompt:
        case Point():
            return replace(prompt, position=_position(crop, prompt.position))
        case Scribble() | Lasso():
            return replace(prompt, path=tuple(_position(crop, position) for position in prompt.path))
        case Box():
            start, stop = (crop.positions(np.asarray(corner) - 0.5) for corner in (prompt.start, prompt.stop))
            return replace(prompt, start=(float(start[0]), float(start[1])), stop=(float(stop[0]), float(stop[1])))


def _position(crop: Crop, position: Position) -> Position:
    row, column = crop.positions(np.asarray(position, dtype=float))
    return float(row), float(column)


def _corners(prompt: Prompt) -> Positions:
    """Positions whose extent is the prompt's, (n, 2)."""
    match prompt:
        case Point():
            return np.asarray([prompt.position], dtype=float)
        case Box():
            return np.asarray((prompt.start, np.subtract(prompt.stop, 1)), dtype=float)
        case Scribble() | Lasso():
            return np.asarray(prompt.path, dtype=float)
        case MaskPrompt():
            start = np.asarray(prompt.start, dtype=float)
            corners: Positions = np.stack((start, start + prompt.shape - 1))
            return corners if prompt.runs else corners[:0]
