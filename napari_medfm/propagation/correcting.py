"""What a click says where an object is known on other slices."""

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from napari_medfm.inference.proposals import Mask
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import Point, voxel_at
from napari_medfm.propagation.stopping import overlap

_HEART = 0.9  # of the greatest depth of a part


def like_its_neighbour(prediction: MaskPrediction, near: Mask) -> MaskPrediction:
    """Return the one of several answers to an ambiguous click that is most like the object on a slice nearby.

    A lone click may mean a nucleus or the whole brain; on another slice that was said already.

    Parameters
    ----------
    prediction : MaskPrediction
        Several candidates.
    near : ndarray of bool, (rows, columns)
        The object on the nearest slice where it is known; where no candidate overlaps it, the best one stays.
    """
    likeness = [overlap(mask, near) for mask in prediction.masks]
    chosen = int(np.argmax(likeness)) if any(likeness) else prediction.best
    one = slice(chosen, chosen + 1)
    return MaskPrediction(prediction.masks[one], prediction.low_res[one], prediction.qualities[one])


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
