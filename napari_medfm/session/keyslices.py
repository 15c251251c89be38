"""Which slices of an object a person stands by: from them it is propagated, and they are never changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_medfm.inference.proposals import Mask
from napari_medfm.prompts import Point
from napari_medfm.session.proposals import Proposals
from napari_medfm.session.request import PredictionRequest
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import WHOLE, Plane

if TYPE_CHECKING:
    from napari_medfm.propagation import Held, KeySlice

_NEARBY = 5  # slices without prompts that are looked through for an object with gaps

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


def masks_nearby(
    session: AnnotationSession, request: PredictionRequest, proposals: Proposals | None = None
) -> tuple[Mask, ...]:
    """Return the object on other slices, the nearest first, if a lone click is all that is known on its own.

    These are the nearest slice that holds the object and, where one on which it is proposed is nearer, that one. None
    if more is known, or the object is on no slice.
    """
    prompts, plane = request.prompts, request.plane
    lone = len(prompts) == 1 and isinstance(prompts[0], Point) and prompts[0].positive
    flat = session.volume.ndim < 3 or plane == WHOLE
    if flat or not lone or request.object_id not in session.state.objects:
        return ()
    held, proposed = _held_nearby(session, request), _proposed_nearby(session, request, proposals)
    if held is None:
        return ()
    nearer = (proposed,) if proposed is not None and proposed[0] < held[0] else ()
    return tuple(mask for _, mask in (*nearer, held))


def _held_nearby(session: AnnotationSession, request: PredictionRequest) -> tuple[int, Mask] | None:
    """How many slices away the object is, and its mask there."""
    plane, box = request.plane, session.bounding_box(request.object_id)
    if box is None:
        return None
    away = _distance(plane)
    beside = sorted(set(range(box[plane.axis].start, box[plane.axis].stop)) - {plane.index}, key=away)
    prompts = session.state.object(request.object_id).prompts
    pointed = {each.index for each in prompts.planes if each.axis == plane.axis}
    indices = (index for index in beside if index in pointed or index in beside[:_NEARBY])
    masks = ((away(index), session.object_mask(request.object_id, Plane(plane.axis, index))) for index in indices)
    return next((each for each in masks if each[1].any()), None)


def _proposed_nearby(
    session: AnnotationSession, request: PredictionRequest, proposals: Proposals | None
) -> tuple[int, Mask] | None:
    """How many slices away the object is proposed, and as what."""
    away, slices = _distance(request.plane), {} if proposals is None else proposals.slices(request.object_id)
    there = {
        away(plane.index): pending.proposals
        for plane, pending in slices.items()
        if plane.axis == request.plane.axis and plane != request.plane and pending.proposals
    }
    if not there:
        return None
    shape = request.plane.shape(session.volume.shape)
    return min(there), np.logical_or.reduce([each.to_mask(shape) for each in there[min(there)]])


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
