"""What is measured of each object, worked out when somebody asks and kept until the object changes."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_medfm.editing import Measurement, measure
from napari_medfm.session.patches import overlap
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane, Region, Volume, is_ct
from napari_medfm.workers import Dispatch, Lane, Priority

_COLUMNS = ("id", "name", "class", "accepted", "voxels", "ml", "mean", "unit", "long_mm", "short_mm", "slice")


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A measurement, or that it is being made."""

    number: int
    region: Region | None
    voxels: int
    measurement: Measurement | None = None


class Measures:
    """Measurements of a session's objects.

    Parameters
    ----------
    session : AnnotationSession
        Whose objects.
    lane : Lane
        Where they are measured; not closed with this.
    dispatch : callable
        Brings a callback to the session's thread.

    Attributes
    ----------
    measured : Signal(int)
        The measurement of an object is there, or is no longer right: ask again.
    """

    measured = Signal(int)

    def __init__(self, session: AnnotationSession, lane: Lane, dispatch: Dispatch) -> None:
        self._session, self._lane, self._dispatch = session, lane, dispatch
        self._known: dict[int, _Known] = {}
        self._unit: str | None = None
        self._links = (
            (session.events.voxels_changed, self._on_voxels),
            (session.events.objects_changed, self._on_objects),
            (session.events.classes_changed, self._forget_all),
            (session.events.image_changed, self._on_image),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def unit(self) -> str:
        """Unit of mean intensities: ``HU`` for CT, else empty; known once something is measured."""
        return self._unit or ""

    def get(self, object_id: int) -> Measurement | None:
        """Return the measurement of an object; if it is not there it is made, and `measured` tells when."""
        known = self._known.get(object_id)
        if known is None:
            self._ask(object_id)
            return None
        return known.measurement

    def to_csv(self, object_ids: Sequence[int]) -> str | None:
        """Return a table of objects as CSV, one line each under a header; None while some are still being measured.

        Names may begin with a sign that a spreadsheet takes for a formula; such a field is given a leading quote.
        """
        found = [self.get(number) for number in object_ids]
        if any(each is None for each in found):
            return None
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for number, each in zip(object_ids, found, strict=True):
            if each is not None:
                writer.writerow([_harmless(value) for value in self._row(number, each)])
        return text.getvalue()

    def close(self) -> None:
        """Let go of the session; what is being measured is dropped."""
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._known.clear()

    def _row(self, number: int, found: Measurement) -> tuple[Any, ...]:
        thing, long_short = self._session.state.object(number), found.diameters
        mean = "" if found.mean is None else f"{found.mean:.6g}"
        axes = ("", "") if long_short is None else (f"{long_short.long:.2f}", f"{long_short.short:.2f}")
        counts = (found.voxels, f"{self._session.volume_ml(number):.4f}", mean, self.unit)
        return (number, thing.name, thing.class_name or "", int(thing.accepted), *counts, *axes, found.index + 1)

    def _image(self) -> Volume:
        return self._session.image or self._session.volume

    def _ask(self, number: int) -> None:
        session = self._session
        asked = self._known[number] = _Known(number, None, session.voxel_count(number))
        task = partial(_measure, session, self._image(), number, self._unit)
        future = self._lane.submit(task, priority=Priority.BACKGROUND, channel=f"measure/{id(self)}/{number}")
        future.add_done_callback(lambda done: self._dispatch(lambda: self._take(asked, done)))

    def _take(self, asked: _Known, done: Any) -> None:
        if self._known.get(asked.number) is not asked or done.cancelled():
            return
        if done.exception() is not None:  # the voxels changed while they were read, and the news is still on its way
            del self._known[asked.number]
        else:
            region, found, self._unit = done.result()
            self._known[asked.number] = _Known(asked.number, region, asked.voxels, found)
        self.measured.emit(asked.number)

    def _on_voxels(self, region: Region) -> None:
        for known in list(self._known.values()):
            near = known.measurement is None or (known.region is not None and overlap(known.region, region) is not None)
            if near or self._has_changed(known):
                self._forget(known.number)

    def _on_image(self, _name: str) -> None:
        self._unit = None
        self._forget_all()

    def _on_objects(self, _ids: frozenset[int]) -> None:
        for known in list(self._known.values()):  # another class may give an object's voxels to a third one
            if self._has_changed(known):
                self._forget(known.number)

    def _has_changed(self, known: _Known) -> bool:
        there = known.number in self._session.state.objects
        return not there or self._session.voxel_count(known.number) != known.voxels

    def _forget_all(self) -> None:
        for number in list(self._known):
            self._forget(number)

    def _forget(self, number: int) -> None:
        del self._known[number]
        self.measured.emit(number)


def _measure(
    session: AnnotationSession, image: Volume, number: int, unit: str | None
) -> tuple[Region | None, Measurement, str]:
    """Measure an object, on the lane; what is read while somebody paints is dropped, as that stroke will say."""
    region = session.bounding_box(number)
    planes = [] if region is None else _axial(session.volume, region)
    found = measure(_slices(session, image, number, planes), session.volume.geometry.plane_spacing(Plane()))
    return region, found, ("HU" if is_ct(image) else "") if unit is None else unit


def _axial(volume: Volume, region: Region) -> list[Plane]:
    if volume.ndim == 2:
        return [Plane()]
    return [Plane(0, index) for index in range(region[0].start, region[0].stop)]


def _slices(
    session: AnnotationSession, image: Volume, number: int, planes: Sequence[Plane]
) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[Any] | None]]:
    for plane in planes:
        mask = session.object_mask(number, plane)
        yield plane.index, mask, None if image.is_rgb or not mask.any() else image.plane(plane)


def _harmless(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t", "\r") else value
