"""Key slices, from which an object is propagated, and where that ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import PromptError
from napari_medfm.volume import Geometry, Plane

Mask = NDArray[np.bool_]

StopReason = Literal["empty", "area", "quality", "brightness", "overlap"]
"""Why propagation ends on a slice: nothing found there, or an answer that is not to be believed."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySlice:
    """An object's mask on one slice, drawn or accepted by a person: never changed by propagation.

    Attributes
    ----------
    plane : Plane
        The slice.
    mask : ndarray of bool, (rows, columns)
        The object there; an empty one says that the object does not reach so far.
    """

    plane: Plane
    mask: Mask


@dataclass(frozen=True, slots=True)
class Stop:
    """Where propagation ends in one direction: nothing is proposed there, nor beyond.

    Attributes
    ----------
    plane : Plane
        The slice.
    reason : str
        Why; see `StopReason`.
    """

    plane: Plane
    reason: StopReason


def check_keys(keys: Iterable[KeySlice], geometry: Geometry) -> tuple[KeySlice, ...]:
    """Return key slices in order along their axis.

    Raises
    ------
    PromptError
        None, keys across several axes, two on one plane, or one beyond the volume or of another shape.
    """
    ordered = tuple(sorted(keys, key=lambda key: key.plane))
    planes = [key.plane for key in ordered]
    if len({plane.axis for plane in planes}) != 1:
        raise PromptError("key slices", "do not lie across one axis", "Give at least one, all in the same direction.")
    if len(set(planes)) != len(planes):
        raise PromptError("key slices", "are two on one slice", "Give one mask for each slice.")
    for key in ordered:
        axis, index = key.plane.axis, key.plane.index
        fits = geometry.ndim == 3 and 0 <= axis < 3 and 0 <= index < geometry.shape[axis]
        if not fits or key.mask.shape != key.plane.shape(geometry.shape):
            reason = f"on slice {index} across axis {axis} does not fit the volume"
            raise PromptError("key slice", reason, "Give a mask of a slice of this 3-D volume.")
    return ordered
