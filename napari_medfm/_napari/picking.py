"""Taking hold of a prompt that is already there: which one, by which part, and where it goes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Prompt, PromptSet, Scribble
from napari_medfm.volume import Plane

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Grip:
    """A prompt in the hand.

    Attributes
    ----------
    index : int
        Its place in the object's prompts.
    prompt : Prompt
        The prompt before it is moved.
    corner : (bool, bool) or None
        For a box held by a corner: whether the (row, column) of `stop` follows the
        hand, else that of `start`. None if the whole prompt is moved.
    """

    index: int
    prompt: Prompt
    corner: tuple[bool, bool] | None = None

    def moved(self, start: Position, end: Position, shape: tuple[int, int]) -> Prompt:
        """Return the prompt after the hand has gone from `start` to `end`, kept within the plane."""
        if self.corner is not None and isinstance(self.prompt, Box):
            return _resized(self.prompt, self.corner, end, shape)
        step = np.subtract(end, start)
        if isinstance(self.prompt, Box):
            step = np.round(step)
        return _shifted(self.prompt, _bounded(step, _corners(self.prompt), shape))


def pick(prompts: PromptSet, plane: Plane, position: Position, reach: Position) -> Grip | None:
    """Return what the hand takes hold of at a position; the nearest prompt, the later of two.

    Parameters
    ----------
    prompts : PromptSet
        All prompts of the object; those of other planes are out of reach.
    plane : Plane
        The slice that is shown.
    position : (float, float)
        (row, column) of the hand.
    reach : (float, float)
        How far away a prompt may be, in voxels along rows and columns.
    """
    best: tuple[float, Grip] | None = None
    for index, prompt in enumerate(prompts):
        if prompt.plane != plane or isinstance(prompt, MaskPrompt):
            continue
        outline = outline_of(prompt)
        distance = _distance(outline, position, reach)
        if distance <= 1 and (best is None or distance <= best[0]):
            best = distance, Grip(index, prompt, _corner(prompt, position, reach))
    return best and best[1]


def outline_of(prompt: Prompt) -> NDArray[np.float64]:
    """Return the line to draw for a prompt, (n, 2) of (row, column); closed ones end where they began."""
    match prompt:
        case Point():
            return np.array([prompt.position], dtype=np.float64)
        case Scribble():
            return np.array(prompt.path, dtype=np.float64)
        case Lasso():
            return np.array([*prompt.path, prompt.path[0]], dtype=np.float64)
        case Box():
            (top, left), (bottom, right) = np.subtract(prompt.start, 0.5), np.subtract(prompt.stop, 0.5)
            return np.array([(top, left), (top, right), (bottom, right), (bottom, left), (top, left)])
        case MaskPrompt():
            return np.zeros((0, 2))


def _distance(outline: NDArray[np.float64], position: Position, reach: Position) -> float:
    """Distance from a position to a line, in units of the reach."""
    line = (outline - position) / reach
    if len(line) == 1:
        return float(np.hypot(*line[0]))
    start, step = line[:-1], np.diff(line, axis=0)
    length = np.maximum((step**2).sum(axis=1), 1e-12)
    along = np.clip(-(start * step).sum(axis=1) / length, 0, 1)
    nearest = start + along[:, None] * step
    return float(np.hypot(*nearest.T).min())


def _corner(prompt: Prompt, position: Position, reach: Position) -> tuple[bool, bool] | None:
    if not isinstance(prompt, Box):
        return None
    ends = np.subtract((prompt.start, prompt.stop), 0.5)
    away = np.abs(ends - position) / reach
    if not (away.min(axis=0) <= 1).all():
        return None
    row, column = away.argmin(axis=0)
    return bool(row), bool(column)


def _resized(box: Box, corner: tuple[bool, bool], end: Position, shape: tuple[int, int]) -> Box:
    edges = np.array((box.start, box.stop))
    for axis, is_stop in enumerate(corner):
        edge = np.clip(np.round(end[axis] + 0.5), 0, shape[axis])
        fixed = edges[0 if is_stop else 1, axis]
        edges[:, axis] = sorted((edge if edge != fixed else fixed + (1 if fixed < shape[axis] else -1), fixed))
    (top, left), (bottom, right) = edges.tolist()
    return replace(box, start=(top, left), stop=(bottom, right))


def _corners(prompt: Prompt) -> NDArray[np.float64]:
    """First and last voxel centre that a prompt needs, (2, 2)."""
    if isinstance(prompt, Box):
        return np.array([prompt.start, np.subtract(prompt.stop, 1)], dtype=np.float64)
    outline = outline_of(prompt)
    return np.array([outline.min(axis=0), outline.max(axis=0)])


def _bounded(step: NDArray[np.float64], corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    low, high = np.minimum(-corners[0], 0), np.maximum(np.subtract(shape, 1) - corners[1], 0)
    return np.clip(step, low, high)


def _shifted(prompt: Prompt, step: NDArray[np.float64]) -> Prompt:
    def shift(position: Position) -> Position:
        return position[0] + float(step[0]), position[1] + float(step[1])

    match prompt:
        case Point():
            return replace(prompt, position=shift(prompt.position))
        case Box():
            return replace(prompt, start=shift(prompt.start), stop=shift(prompt.stop))
        case Scribble() | Lasso():
            return replace(prompt, path=tuple(shift(position) for position in prompt.path))
        case MaskPrompt():
            return prompt
