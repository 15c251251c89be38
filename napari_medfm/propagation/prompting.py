"""What a model is asked on a slice, given where the object is expected there."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_medfm.prompts import MaskPrompt, Point, PromptSet
from napari_medfm.propagation.stopping import Scale
from napari_medfm.volume import Plane

Mask = NDArray[np.bool_]

AROUND = 4
"""Clicks beside the object."""
_BESIDE = 2.0  # steps from slice to slice between the object and these clicks


def prompts_for(expected: Mask, plane: Plane, scale: Scale) -> PromptSet:
    """Return the prompts for a slice on which an object is expected.

    The mask itself, a click where it is deepest, and clicks beside it, as far away as the object will hardly
    reach. Of points, box, mask and all that can be made of them, this kept best to an object.

    Parameters
    ----------
    expected : ndarray of bool, (rows, columns)
        Where it should be; not empty.
    plane : Plane
        The slice.
    scale : Scale
        mm of everything.
    """
    beside = (Point(plane, place, positive=False) for place in places_beside(expected, scale))
    return PromptSet((MaskPrompt.from_mask(plane, expected), Point(plane, deepest(expected, scale.spacing)), *beside))


def deepest(mask: Mask, spacing: tuple[float, float]) -> tuple[float, float]:
    """Return the (row, column) of a mask that is farthest from its outline in mm."""
    depth = distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return float(row), float(column)


def places_beside(mask: Mask, scale: Scale) -> list[tuple[float, float]]:
    """Return a (row, column) in each of `AROUND` directions, two steps from the mask; none where there is no room."""
    distance = distance_transform_edt(~mask, sampling=scale.spacing)
    near = _BESIDE * scale.step
    places = np.argwhere((distance > near) & (distance < near + 2 * max(scale.spacing)))
    if not len(places):
        return []
    rows, columns = ((places - np.argwhere(mask).mean(axis=0)) * scale.spacing).T
    angles = np.arctan2(rows, columns)
    wanted = np.arange(AROUND) * 2 * np.pi / AROUND
    nearest = np.abs(np.angle(np.exp(1j * (angles[None] - wanted[:, None])))).argmin(axis=1)
    return [(float(row), float(column)) for row, column in places[np.unique(nearest)]]
