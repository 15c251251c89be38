"""What a click says where an object is known on other slices."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from napari_medfm.inference.proposals import Mask
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import Box, Point, PromptSet, voxel_at

_ALIKE = 0.5  # of the larger of two areas, that the smaller one is at least
_HEART = 0.9  # of the greatest depth of a part
_CRUMB = 1 / 8  # of the area of a part that is denied: what is smaller than that is not kept without it


def as_large_as(near: Sequence[Mask], click: Point, ask: Callable[[PromptSet], MaskPrediction]) -> MaskPrediction:
    """Answer a lone click on an object that is known on slices nearby.

    Such a click may mean a nucleus or the whole brain; on other slices that was said already. An answer about as
    large as the object there, or of a size between, is believed, and so is the only one of a model without doubt.
    Else it is asked for again in a box as large as the object on the nearest of them, about the click: the object need
    not overlap itself from slice to slice, so that where it lies there says little.

    Parameters
    ----------
    near : sequence of ndarray of bool, (rows, columns)
        The object on slices where it is known, the nearest first; not empty. Where propagation ends, what it found
        last says less than the key slice that it came from: give both.
    click : Point
        On the object.
    ask : callable
        Answers prompts on the slice of the click.
    """
    prediction = ask(PromptSet((click,)))
    area, areas = np.count_nonzero(prediction.mask), [np.count_nonzero(mask) for mask in near]
    if len(prediction.masks) == 1 or _ALIKE * min(areas) <= area <= max(areas) / _ALIKE:
        return prediction
    sides = [np.ptp(np.flatnonzero(near[0].any(axis=1 - axis))) + 1 for axis in (0, 1)]
    row, column = (
        (max(0.0, at - side / 2), min(float(size), at + side / 2 + 1))
        for at, side, size in zip(click.position, sides, near[0].shape, strict=True)
    )
    return ask(PromptSet((Box(click.plane, (row[0], column[0]), (row[1], column[1])), click)))


def without_denied(proposed: Mask, click: Point) -> Mask | None:
    """Return a proposal without the part that a click denies, or None if it denies none.

    A click that takes away where a part is deepest means the part, not a hole in it: the object does not reach
    so far, or what was proposed is another one. Asked the same, a model shaves off some of it. Crumbs beside the
    part go with it: kept, they would say that the object is there.

    Parameters
    ----------
    proposed : ndarray of bool, (rows, columns)
        What was proposed on the slice.
    click : Point
        What is said against it.
    """
    row, column = voxel_at(click.position)
    if click.positive or not proposed[row, column]:
        return None
    parts, _ = label(proposed)
    part = parts == parts[row, column]
    depth = distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    if depth[row, column] < _HEART * depth.max():
        return None
    areas = np.bincount(parts.ravel())
    rest: Mask = (areas >= _CRUMB * np.count_nonzero(part))[parts] & proposed & ~part
    return rest
