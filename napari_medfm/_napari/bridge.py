"""Between the session and its layers: what one does, the other shows and keeps.

The session owns the voxels, the layers show a copy of them. A stroke of napari's brush
is journaled in its paint event, and the layer then shows what became of it; a layer that
a person removes takes nothing with it.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from psygnal import Signal

from napari_medfm._napari.layers import SessionLayers, is_in
from napari_medfm._napari.notices import attempt
from napari_medfm._napari.pointing import visible_plane
from napari_medfm.prompts import PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import Plane, Region

Indices = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """What napari wrote into the labels, one value at a time.

    Attributes
    ----------
    indices : tuple of ndarray
        One array of voxel indices per axis.
    value : int
        What was written into all of them.
    """

    indices: Indices
    value: int


class Bridge:
    """Keeps the layers like the session, and the session told of what happens on the layers.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : SessionLayers
        Our layers in it.
    session : AnnotationSession
        What is annotated.
    live : LiveSegmentation
        Its conversation with the model.

    Attributes
    ----------
    plane_changed : Signal(Plane)
        Another slice is shown.
    layers_removed : Signal()
        A person removed the image or one of our layers; nothing is lost.
    """

    plane_changed = Signal(object)
    layers_removed = Signal()

    def __init__(
        self, viewer: ViewerModel, layers: SessionLayers, session: AnnotationSession, live: LiveSegmentation
    ) -> None:
        self._viewer, self._layers, self._session, self._live = viewer, layers, session, live
        self._plane: Plane | None = None
        self._announced: list[Stroke] = []
        self._inside: Callable[[], str | None] = _anywhere
        self._links: list[tuple[Any, Callable[..., Any]]] = [
            (session.events.voxels_changed, self._show_voxels),
            (session.events.labels_replaced, layers.replace_voxels),
            (session.events.objects_changed, self._show_objects),
            (session.events.active_changed, self._show_active),
            (session.events.prompts_changed, self._show_prompts),
            (live.events.preview_changed, layers.preview.show),
            (layers.objects.events.paint, self._on_paint),
            (layers.objects.events.labels_update, self._on_written),
            (layers.objects.events.selected_label, self._on_selected_label),
            (viewer.layers.events.removed, self._on_removed),
            (viewer.dims.events.point, self._on_plane),
            (viewer.dims.events.order, self._on_plane),
            (viewer.dims.events.ndisplay, self._on_plane),
            (viewer.scene.camera.events.zoom, self._on_zoom),
        ]
        for signal, callback in self._links:
            signal.connect(callback)
        self._show_objects()
        self._show_active()
        self._on_zoom()
        self._on_plane()

    @property
    def plane(self) -> Plane | None:
        """The slice that is shown; None in 3-D display."""
        return self._plane

    def confine(self, inside: Callable[[], str | None]) -> None:
        """Ask before each stroke of napari's brush inside which class it may paint."""
        self._inside = inside

    def active_prompts(self) -> PromptSet:
        """Return the prompts of the active object."""
        thing = self._session.state.objects.get(self._session.state.active or 0)
        return thing.prompts if thing is not None else PromptSet()

    def teardown(self) -> None:
        """Let go of the session, the viewer and its layers."""
        for signal, callback in self._links:
            signal.disconnect(callback)
        self._links.clear()
        self._layers.preview.clear()

    def _show_voxels(self, region: Region) -> None:
        self._layers.show_voxels(self._session.labels, region)

    def _show_objects(self, _ids: frozenset[int] = frozenset()) -> None:
        # A new colour table lets napari announce the selected label again, which nobody chose.
        with self._layers.objects.events.selected_label.blocker(self._on_selected_label):
            self._layers.colour(self._session.state.objects)

    def _show_active(self, _active: int | None = None) -> None:
        self._layers.objects.selected_label = self._paints()
        self._layers.prompts.show(self.active_prompts())

    def _paints(self) -> int:
        """Return what the brush writes: the active object, or, while there is none, the next one."""
        state = self._session.state
        return state.active or state.next_id

    def _show_prompts(self, object_id: int) -> None:
        if object_id == self._session.state.active:
            self._layers.prompts.show(self.active_prompts())

    def _on_selected_label(self) -> None:
        """Follow napari's picker; a value that is no object cannot be painted with."""
        wanted = int(self._layers.objects.selected_label)
        if wanted in (self._paints(), 0):
            return
        if wanted in self._session.state.objects:
            attempt(lambda: self._session.set_active(wanted))
        else:
            self._layers.objects.selected_label = self._paints()

    def _on_paint(self, event: Any) -> None:
        """Journal a stroke; the session says what becomes of it.

        Brush strokes are in the layer by now. Polygons and what scripts write are only
        announced: once napari has written them, the session's voxels are shown again.
        """
        strokes, shown = strokes_of(event.value), self._layers.objects.data
        written = any((shown[stroke.indices] == stroke.value).any() for stroke in strokes)
        self._announced = [] if written else strokes
        for stroke in strokes:
            attempt(partial(self._record, stroke))
        self._forget_history()

    def _on_written(self) -> None:
        announced, self._announced = self._announced, []
        for stroke in announced:
            self._layers.show_voxels(self._session.labels, stroke.indices)

    def _record(self, stroke: Stroke) -> None:
        self._session.record_stroke(stroke.indices, stroke.value, inside=self._inside())

    def _forget_history(self) -> None:
        """Empty napari's own history, which would write old values over newer ones.

        A layer that cannot be edited for a moment forgets it.
        """
        layer = self._layers.objects
        mode = layer.mode
        with layer.events.mode.blocker(), layer.events.editable.blocker():
            layer.editable = False
            layer.editable = True
            layer.mode = mode

    def _on_removed(self, event: Any) -> None:
        ours = (self._layers.image, *self._layers.overlays)
        if is_in(event.value, ours):
            self.layers_removed.emit()

    def _on_plane(self) -> None:
        before, plane = self._plane, visible_plane(self._layers.objects, self._viewer.dims)
        if plane == before:
            return
        self._plane = plane
        self._layers.prompts.look(plane)
        self._live.clear_hover()
        if plane is not None:
            same_axis = before is not None and before.axis == plane.axis
            direction = 1 if not same_axis or plane.index > before.index else -1  # type: ignore[union-attr]
            self._live.show(plane, direction)
            self.plane_changed.emit(plane)

    def _on_zoom(self) -> None:
        step = float(np.min(np.abs(self._layers.objects.scale)))
        self._layers.prompts.fit(self._viewer.scene.camera.zoom * step)


def _anywhere() -> None:
    """Confine strokes to no class."""


def strokes_of(item: Any) -> list[Stroke]:
    """Return what an item of napari's paint event wrote, in order; one stroke for pieces of the same value.

    A piece of the item is ``(box, mask, old values, new value)`` or, from
    ``data_setitem``, ``(indices, old values, new values)``.
    """
    pieces = [stroke for piece in item for stroke in _pieces(piece)]
    return [_joined(list(same)) for _, same in itertools.groupby(pieces, key=lambda stroke: stroke.value)]


def _pieces(piece: Any) -> Iterator[Stroke]:
    if len(piece) == 4:
        box, mask, _, value = piece
        offsets = np.nonzero(np.ones([part.stop - part.start for part in box], bool) if mask is None else mask)
        yield Stroke(tuple(offset + part.start for offset, part in zip(offsets, box, strict=True)), int(value))
        return
    indices, before, values = piece
    values = np.broadcast_to(values, np.shape(before))
    for value in np.unique(values):
        chosen = values == value
        yield Stroke(tuple(np.asarray(axis)[chosen] for axis in indices), int(value))


def _joined(strokes: list[Stroke]) -> Stroke:
    axes = zip(*(stroke.indices for stroke in strokes), strict=True)
    return Stroke(tuple(np.concatenate(axis) for axis in axes), strokes[0].value)
