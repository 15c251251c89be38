"""Which voxels of a plane a prompt covers.

A voxel at whole-number index ``i`` covers ``i - 0.5 <= position < i + 0.5``.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from skimage.draw import line

from napari_medfm.errors import PromptError
from napari_medfm.prompts.prompts import Box, Lasso, MaskPrompt, Point, Position, Prompt, Scribble

Mask = NDArray[np.bool_]
_Voxels = NDArray[np.intp]
_STEP = "Draw it on the image again."
_REACH = 512
"""Voxels beyond the image (or one image size, if more) that a lasso may go astray."""


def rasterize(prompt: Prompt, shape: tuple[int, int], radius: float = 1.5) -> Mask:
    """Return the voxels that a prompt covers, as a mask of its plane.

    Parameters
    ----------
    prompt : Prompt
        A point becomes a disc; a box the voxels whose centres lie in it, half-open; a
        scribble a connected line one voxel wide; a lasso everything its closed outline
        encloses and the outline itself, loops and overshoot included; a mask itself.
    shape : (int, int)
        (rows, columns) of the plane; what lies outside is cut off.
    radius : float
        Radius in voxels of the disc around a point's voxel; 0 for that voxel alone.

    Returns
    -------
    ndarray of bool, (rows, columns)
    """
    match prompt:
        case Point():
            return _disc(prompt.position, shape, radius)
        case Box():
            return _rectangle(prompt, shape)
        case Scribble():
            return _on_plane(_trace(prompt.path), shape)
        case Lasso():
            return _enclosed(prompt.path, shape)
        case MaskPrompt():
            return prompt.to_mask(shape)


def voxel_at(position: Position) -> tuple[int, int]:
    """Return the (row, column) index of the voxel that a position lies in."""
    return math.floor(position[0] + 0.5), math.floor(position[1] + 0.5)


def check_inside(prompt: Prompt, shape: tuple[int, int]) -> None:
    """Check that a prompt says something about a plane.

    A point must lie in it, a box, scribble or lasso must cover at least one of its
    voxels, and a mask must fit.

    Parameters
    ----------
    prompt : Prompt
        To be checked; whether its plane exists in the volume is the caller's to know.
    shape : (int, int)
        (rows, columns) of the plane.

    Raises
    ------
    PromptError
        It does not, or a coordinate is not a finite number.
    """
    subject = f"{prompt.kind} on slice {prompt.plane.index}"
    if not np.isfinite(_coordinates(prompt)).all():
        raise PromptError(subject, "has a coordinate that is not a number", _STEP)
    if isinstance(prompt, MaskPrompt):
        fits = all(first + size <= limit for first, size, limit in zip(prompt.start, prompt.shape, shape, strict=True))
    else:
        fits = bool(rasterize(prompt, shape, radius=0).any())
    if not fits:
        raise PromptError(subject, f"lies outside the image of {shape[0]} x {shape[1]} voxels", _STEP)


def _coordinates(prompt: Prompt) -> NDArray[np.float64]:
    match prompt:
        case Point():
            return np.asarray(prompt.position, dtype=np.float64)
        case Box():
            return np.asarray((prompt.start, prompt.stop), dtype=np.float64)
        case Scribble() | Lasso():
            return np.asarray(prompt.path, dtype=np.float64)
        case MaskPrompt():
            return np.asarray(prompt.start, dtype=np.float64)


def _disc(position: Position, shape: tuple[int, int], radius: float) -> Mask:
    row, column = voxel_at(position)
    reach = math.floor(radius)
    rows = np.arange(max(0, row - reach), min(shape[0], row + reach + 1))
    columns = np.arange(max(0, column - reach), min(shape[1], column + reach + 1))
    mask = np.zeros(shape, dtype=bool)
    mask[np.ix_(rows, columns)] = (rows[:, None] - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


def _rectangle(box: Box, shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    first = [max(0, math.ceil(value)) for value in box.start]
    beyond = [max(0, math.ceil(value)) for value in box.stop]
    mask[first[0] : beyond[0], first[1] : beyond[1]] = True
    return mask


def _trace(path: Sequence[Position]) -> _Voxels:
    """Return the voxels of a polyline, (2, n); neighbours in it touch at least by a corner."""
    vertices = [voxel_at(position) for position in path]
    if len(vertices) == 1:
        return np.array(vertices, dtype=np.intp).T
    pieces = [line(*start, *stop) for start, stop in itertools.pairwise(vertices)]
    return np.concatenate(pieces, axis=1)


def _on_plane(voxels: _Voxels, shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    limits = np.array(shape)[:, None]
    rows, columns = voxels[:, ((voxels >= 0) & (voxels < limits)).all(axis=0)]
    mask[rows, columns] = True
    return mask


def _enclosed(path: Sequence[Position], shape: tuple[int, int]) -> Mask:
    """Fill what cannot be reached from outside the outline.

    Not the even-odd rule: a hand that goes on past its starting point would cut a hole.
    """
    outline = _trace([_near(position, shape) for position in (*path, path[0])])
    origin = outline.min(axis=1) - 1
    canvas = np.zeros(outline.max(axis=1) - origin + 2, dtype=bool)
    canvas[tuple(outline - origin[:, None])] = True
    free, _ = label(~canvas)  # through sides, not corners: a line of voxels that touch by corners is tight
    return _on_plane(np.stack(np.nonzero(free != free[0, 0])) + origin[:, None], shape)


def _near(position: Position, shape: tuple[int, int]) -> Position:
    """Pull a vertex gone astray back to the neighbourhood of the image, so that the canvas stays small."""
    reach = max(*shape, _REACH)
    row, column = (min(max(value, -reach), size + reach) for value, size in zip(position, shape, strict=True))
    return float(row), float(column)
