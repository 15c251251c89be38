"""Which slices of an object a person stands by: from them it is propagated, and they are never changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_medfm.prompts import Point
from napari_medfm.session.request import PredictionRequest
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import WHOLE, Plane

if TYPE_CHECKING:
    from napari_medfm.propagation import Held, KeySlice

_NEARBY = 5  # slices that are looked through for an object with gaps

Way = Literal["both", "up", "down"]
"""Up is where the index grows: towards Superior, Posterior or Left."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an object is propagated.

    Attributes
    ----------
    way : str
        To both sides of the visible slice, or to one.
    most : int
        Slices to a side at most; 0 until the model is unsure.
    """

    way: Way = "both"
    most: int = 0

    def around(self, index: int, count: int) -> range:
        """Return the slices, of so many, that may be proposed for."""
        most = self.most or count
        first = index if self.way == "up" else max(0, index - most)
        last = index if self.way == "down" else min(count - 1, index + most)
        return range(first, last + 1)


def key_slices(session: AnnotationSession, object_id: int, axis: int) -> "tuple[KeySlice, ...]":
    """Return an object's key slices across an axis, in order; one with prompts that holds nothing is an end.

    They are the slices that hold some of it. If it was pointed at across another axis, too, a slice that
    only cuts what was drawn there says little: then they are those with prompts.
    """
    from napari_medfm.propagation import KeySlice

    prompted = session.state.object(object_id).prompts.planes
    planes = {plane for plane in prompted if plane.axis == axis}
    if not planes or all(plane.axis == axis for plane in prompted):
        planes |= _holding(session, object_id, axis)
    return tuple(KeySlice(plane, session.object_mask(object_id, plane)) for plane in sorted(planes))


def needed(keys: "Sequence[KeySlice]") -> "tuple[KeySlice, ...]":
    """Return the key slices beside which something is missing: of a closed row of them the first and the last."""
    known = {key.plane.index for key in keys}
    return tuple(key for key in keys if not {key.plane.index - 1, key.plane.index + 1} <= known)


def mask_nearby(session: AnnotationSession, request: PredictionRequest) -> NDArray[np.bool_] | None:
    """Return the object on the nearest other slice that holds it, if a lone click is all that is known on its own.

    None if more is known, or the object is on no slice.
    """
    prompts, plane = request.prompts, request.plane
    lone = len(prompts) == 1 and isinstance(prompts[0], Point) and prompts[0].positive
    flat = session.volume.ndim < 3 or plane == WHOLE
    box = session.bounding_box(request.object_id) if lone and not flat else None
    if box is None:
        return None
    across = box[plane.axis]
    others = (index for index in range(across.start, across.stop) if index != plane.index)
    planes = (Plane(plane.axis, index) for index in sorted(others, key=_distance(plane)))
    masks = (session.object_mask(request.object_id, each) for each in islice(planes, _NEARBY))
    return next((mask for mask in masks if mask.any()), None)


def _distance(plane: Plane) -> Callable[[int], int]:
    return lambda index: abs(index - plane.index)


def locked_voxels(session: AnnotationSession, object_id: int) -> "tuple[Held, ...]":
    """Return the voxels of locked objects other than one, as they are now."""
    from napari_medfm.propagation import Held

    held = []
    for other in session.state.objects.values():
        box = session.bounding_box(other.id) if other.locked and other.id != object_id else None
        if box is not None:
            held.append(Held(box, np.asarray(session.labels[box] == other.id)))
    return tuple(held)


def _holding(session: AnnotationSession, object_id: int, axis: int) -> set[Plane]:
    box = session.bounding_box(object_id)
    if box is None:
        return set()
    planes = (Plane(axis, index) for index in range(box[axis].start, box[axis].stop))
    return {plane for plane in planes if session.object_mask(object_id, plane).any()}
