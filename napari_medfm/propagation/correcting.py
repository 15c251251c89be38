"""What a click says where an object is known on other slices."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from napari_medfm.inference.proposals import Mask
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import Box, Point, PromptSet, voxel_at

_ALIKE = 0.5  # of the larger of two areas, that the smaller one is at least
_HEART = 0.9  # of the greatest depth of a part


def as_large_as(near: Mask, click: Point, ask: Callable[[PromptSet], MaskPrediction]) -> MaskPrediction:
    """Answer a lone click on an object that is known on a slice nearby.

    Such a click may mean a nucleus or the whole brain; on another slice that was said already. An answer about as
    large as the object there is believed, and so is the only one of a model without doubt. Else it is asked for
    again in a box as large as the object there, about the click: the object need not overlap itself from slice to
    slice, so that where it lies there says little.

    Parameters
    ----------
    near : ndarray of bool, (rows, columns)
        The object on the nearest slice where it is known; not empty.
    click : Point
        On the object.
    ask : callable
        Answers prompts on the slice of the click.
    """
    prediction = ask(PromptSet((click,)))
    areas = sorted((np.count_nonzero(prediction.mask), np.count_nonzero(near)))
    if len(prediction.masks) == 1 or areas[0] >= _ALIKE * areas[1]:
        return prediction
    sides = [np.ptp(np.flatnonzero(near.any(axis=1 - axis))) + 1 for axis in (0, 1)]
    row, column = (
        (max(0.0, at - side / 2), min(float(size), at + side / 2 + 1))
        for at, side, size in zip(click.position, sides, near.shape, strict=True)
    )
    return ask(PromptSet((Box(click.plane, (row[0], column[0]), (row[1], column[1])), click)))


def without_denied(proposed: Mask, click: Point) -> Mask | None:
    """Return a proposal without the part that a click denies, or None if it denies none.

    A click that takes away where a part is deepest means the part, not a hole in it: the object does not reach
    so far, or what was proposed is another one. Asked the same, a model shaves off some of it.

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
    return np.asarray(proposed & ~part) if depth[row, column] >= _HEART * depth.max() else None
