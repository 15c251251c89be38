"""What a session knows of a class on single slices: what a model can learn from, and what it need not look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.session.request import outstanding
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.state import Extent
from napari_medfm.volume import Plane

_MOST = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSlice:
    """One slice on which all of a class is labelled.

    Attributes
    ----------
    plane : Plane
        The slice.
    labels : ndarray of uint16, (rows, columns)
        0 is not the class; each other value is one accepted object of it.
    ignore : ndarray of bool, (rows, columns)
        Objects of the class that nobody accepted, or whose answer is outstanding: nothing is known there.
    """

    plane: Plane
    labels: NDArray[np.uint16]
    ignore: NDArray[np.bool_]

    @property
    def is_positive(self) -> bool:
        """Whether any of the class is on it."""
        return bool(self.labels.any())

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.plane.name} slice {self.plane.index + 1}"


def labelled_slices(session: AnnotationSession, class_name: str) -> tuple[LabelledSlice, ...]:
    """Return the slices that were marked as fully annotated for a class, or as without it, in order."""
    marks = session.state.extent
    planes = sorted(plane for (name, plane), extent in marks.items() if name == class_name)
    return tuple(labelled_slice(session, class_name, plane) for plane in planes)


def labelled_slice(session: AnnotationSession, class_name: str, plane: Plane) -> LabelledSlice:
    """Return what is labelled of a class on a slice; a class holds the classes below it."""
    state = session.state
    waiting = {number for number, where in outstanding(state) if where == plane}
    shape = plane.shape(session.volume.shape)
    labels, ignore = np.zeros(shape, np.uint16), np.zeros(shape, bool)
    if state.extent_of(class_name, plane) is Extent.NEGATIVE:
        return LabelledSlice(plane, labels, ignore)
    number = 0
    for thing in sorted(_members(session, class_name), key=lambda each: state.objects[each].class_name != class_name):
        mask = session.object_mask(thing, plane)
        if state.objects[thing].accepted and thing not in waiting:
            number = min(number + 1, _MOST)
            labels[mask & (labels == 0)] = number
        else:
            ignore |= mask
    ignore &= labels == 0
    return LabelledSlice(plane, labels, ignore)


def held_planes(session: AnnotationSession, class_name: str, axis: int) -> tuple[Plane, ...]:
    """Return the slices across an axis that were marked for a class, or hold some of it."""
    volume = session.volume
    planes = {plane for (name, plane) in session.state.extent if name == class_name and plane.axis == axis}
    for number in _members(session, class_name):
        box = session.bounding_box(number)
        if box is not None and volume.ndim == 2:
            planes.add(Plane())
        elif box is not None:
            inside = np.moveaxis(session.labels[box], axis, 0)
            mine = np.isin(inside, list(_members(session, class_name))).reshape(len(inside), -1).any(axis=1)
            planes |= {Plane(axis, box[axis].start + int(index)) for index in np.flatnonzero(mine)}
    return tuple(sorted(planes))


def _members(session: AnnotationSession, class_name: str) -> list[int]:
    return sorted(session.state.members(class_name))
