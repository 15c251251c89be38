"""Brushes and editing operations on the canvas: strokes of the hand, and what an operation would change.

Left button: a drag paints, with Shift or the other sign it erases; Alt-click picks the range of values under the
brush. With the tool for pieces, a click keeps the piece under it, and with Shift drops it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from numpy.typing import NDArray

from napari_medfm._napari.layers import SessionLayers
from napari_medfm._napari.pointing import Pointer, clip, locate
from napari_medfm._napari.tools import Tools
from napari_medfm.editing import Brush, stamp
from napari_medfm.session import AnnotationSession, Hand
from napari_medfm.session.patches import within
from napari_medfm.volume import Plane, is_lazy

_LEFT = 1
_BRUSHES = frozenset({"range", "sphere"})
_CLICK_PIXELS = 4.0


class Brushing:
    """Takes the hand's strokes to a `Hand`, and shows what that would do.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : SessionLayers
        Our layers in it.
    tools : Tools
        The tool in the hand.
    session : AnnotationSession
        What is edited.
    hand : Hand
        Does the work.
    """

    def __init__(
        self, viewer: ViewerModel, layers: SessionLayers, tools: Tools, session: AnnotationSession, hand: Hand
    ) -> None:
        self._viewer, self._layers, self._tools = viewer, layers, tools
        self._session, self._hand = session, hand
        layers.objects.mouse_drag_callbacks.append(self._on_drag)
        hand.events.previewed.connect(layers.preview.show_change)
        hand.events.brush_changed.connect(self._take_size)
        tools.tool_changed.connect(self._take_size)
        self._take_size()

    def teardown(self) -> None:
        """Let go of the layers and the hand."""
        self._layers.objects.mouse_drag_callbacks.remove(self._on_drag)
        self._hand.events.previewed.disconnect(self._layers.preview.show_change)
        self._hand.events.brush_changed.disconnect(self._take_size)
        self._tools.tool_changed.disconnect(self._take_size)
        self._layers.preview.show_change(None)

    def _take_size(self) -> None:
        if self._tools.tool in _BRUSHES:
            self._layers.objects.cursor_size = 2 * self._hand.brush.radius

    def _brush(self) -> Brush:
        """The brush in the hand: a disc that minds values, or a ball that does not."""
        if self._tools.tool == "sphere":
            return Brush(self._hand.brush.radius, ball=True)
        return self._hand.brush

    def _on_drag(self, _layer: Labels, event: Any) -> Iterator[None]:
        tool, pointer = self._tools.tool, self._tools.pointer(event)
        if pointer is None or event.button != _LEFT or "Control" in event.modifiers:
            return
        if tool == "piece":
            yield from self._take_piece(pointer, event)
        elif tool in _BRUSHES and "Alt" in event.modifiers:
            self._hand.pick_range(self._hand.brush, pointer.plane, pointer.position)
        elif tool in _BRUSHES:
            yield from self._stroke(pointer, event)

    def _take_piece(self, pointer: Pointer, event: Any) -> Iterator[None]:
        keep, origin = self._tools.sign(event), np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.hypot(*np.subtract(event.pos, origin)) <= _CLICK_PIXELS:
            voxel = pointer.plane.to_voxel(pointer.position, self._layers.objects.ndim)
            self._hand.keep_piece(tuple(int(np.round(value)) for value in voxel), keep)

    def _stroke(self, pointer: Pointer, event: Any) -> Iterator[None]:
        add, brush, plane = self._tools.sign(event), self._brush(), pointer.plane
        path, ghost = [pointer.position], self._ghost(plane)
        self._wet(ghost, brush, plane, path)
        yield
        while event.type == "mouse_move":
            path.append(clip(locate(self._layers.objects, plane, event.position), ghost.shape))
            self._wet(ghost, brush, plane, path[-2:])
            yield
        self._layers.preview.clear()
        self._hand.paint(brush, plane, tuple(path), add)

    def _ghost(self, plane: Plane) -> NDArray[np.bool_]:
        rows, columns = plane.shape(self._layers.objects.data.shape)
        return np.zeros((rows, columns), bool)

    def _wet(self, ghost: NDArray[np.bool_], brush: Brush, plane: Plane, path: list[tuple[float, float]]) -> None:
        """Show what the stroke covers so far on the slice in view."""
        image = self._session.image or self._session.volume
        covered = stamp(replace(brush, ball=False), plane, tuple(path), image.geometry)
        if covered is None:
            return
        mask = covered.mask
        if brush.is_ranged and not (is_lazy(image.array) or image.is_rgb):  # else only the hand's own lane reads it
            mask = mask & brush.accepts(image.array[covered.region])
        whole = plane.region(image.shape)
        flat = ghost.reshape([part.stop - part.start for part in whole])  # the same voxels, with the plane's own axis
        flat[within(covered.region, whole)] |= mask
        self._layers.preview.show(plane, ghost)
