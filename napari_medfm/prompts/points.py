"""Other prompts said in points, for models that take nothing else."""

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_medfm.prompts.prompts import Box, Kind, Lasso, MaskPrompt, Point, Position, Prompt, PromptSet, Scribble
from napari_medfm.prompts.rasterize import Mask, rasterize, voxel_at

MOST_POINTS = 8
"""Points that one scribble, lasso or mask becomes at most."""

_STEPS_ACROSS = 32
"""Points closer than 1/32 of the image tell a 64 x 64 embedding next to nothing new."""


def as_points(
    prompts: PromptSet,
    shape: tuple[int, int],
    spacing: tuple[float, float] = (1.0, 1.0),
    keep: Collection[Kind] = ("point", "box"),
) -> PromptSet:
    """Replace prompts that a model does not take by points that say nearly the same.

    A scribble becomes points evenly spaced along its length, its ends among them; a
    lasso or a mask its deepest voxel, then those far from the points so far and deep inside
    at once; a box its centre. Parts outside the plane are left out.
    Deterministic; at most `MOST_POINTS` for each prompt.

    Parameters
    ----------
    prompts : PromptSet
        All on one plane.
    shape : (int, int)
        (rows, columns) of that plane.
    spacing : (float, float)
        mm per (row, column) step.
    keep : collection of str
        Kinds the model takes as they are, such as ``ModelSpec.prompt_kinds``.

    Returns
    -------
    PromptSet
        In the order of the originals.
    """
    step = max(np.multiply(shape, spacing)) / _STEPS_ACROSS
    converted: list[Prompt] = []
    for prompt in prompts:
        kept = prompt.kind in keep
        converted += [prompt] if kept else _points(prompt, shape, np.asarray(spacing), float(step))
    return replace(prompts, prompts=tuple(converted))


def as_volume_points(
    prompts: PromptSet, shape: tuple[int, ...], keep: Collection[Kind] = ("point", "box")
) -> PromptSet:
    """Do what `as_points` does to prompts on any planes of a volume.

    Parameters
    ----------
    prompts : PromptSet
        Of one object.
    shape : (int, int, int)
        Of the volume, (z, y, x).
    keep : collection of str
        Kinds the model takes as they are.
    """
    said = [as_points(PromptSet((one,)), one.plane.shape(shape), keep=keep) for one in prompts]
    return replace(prompts, prompts=tuple(point for points in said for point in points))


def _points(prompt: Prompt, shape: tuple[int, int], spacing: NDArray[np.float64], step: float) -> list[Point]:
    match prompt:
        case Point():
            positions = [prompt.position]
        case Box():
            positions = _inside([_centre(prompt)], shape)
        case Scribble():
            positions = _along(prompt.path, shape, spacing, step)
        case Lasso() | MaskPrompt():
            positions = _within(rasterize(prompt, shape), spacing, step)
    return [Point(prompt.plane, position, prompt.positive) for position in positions]


def _centre(box: Box) -> Position:
    # stop is the first voxel beyond, so the last centre inside is one less.
    return (box.start[0] + box.stop[0] - 1) / 2, (box.start[1] + box.stop[1] - 1) / 2


def _inside(positions: list[Position], shape: tuple[int, int]) -> list[Position]:
    voxels = [voxel_at(position) for position in positions]
    return [
        position
        for position, (row, column) in zip(positions, voxels, strict=True)
        if 0 <= row < shape[0] and 0 <= column < shape[1]
    ]


def _along(
    path: tuple[Position, ...], shape: tuple[int, int], spacing: NDArray[np.float64], step: float
) -> list[Position]:
    vertices = np.asarray(path, dtype=np.float64)
    lengths = np.linalg.norm(np.diff(vertices, axis=0) * spacing, axis=1)
    travelled = np.concatenate(([0.0], np.cumsum(lengths)))
    count = _count(travelled[-1] / step)
    marks = np.linspace(0.0, travelled[-1], count)
    rows, columns = (np.interp(marks, travelled, vertices[:, axis]) for axis in (0, 1))
    return _inside(list(zip(rows.tolist(), columns.tolist(), strict=True)), shape)


def _count(steps: float) -> int:
    return int(np.clip(1 + math.ceil(steps), 1, MOST_POINTS))


def _within(mask: Mask, spacing: NDArray[np.float64], step: float) -> list[Position]:
    voxels = np.argwhere(mask)
    if not len(voxels):
        return []
    depth = distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1][mask]
    places = voxels * spacing
    apart = np.ones(len(voxels))
    chosen: list[int] = []
    for _ in range(_count(math.sqrt(len(voxels) * float(spacing.prod())) / step)):
        # Depth alone would leave out a thin part, distance alone would take the corners.
        best = int(np.argmax(depth * apart))
        if best in chosen:
            break
        distance = np.linalg.norm(places - places[best], axis=1)
        apart = np.minimum(apart, distance) if chosen else distance
        chosen.append(best)
    return [(float(row), float(column)) for row, column in voxels[chosen]]
