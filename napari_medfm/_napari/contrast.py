"""The intensity window of the model and the contrast limits of the display, linked if the person says so.

Control and a drag with the left button change the display as at a workstation: to the right the window becomes wider,
downwards its level rises and the image becomes darker.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm.volume import Window

_LEFT = 1
_WIDTHS_PER_PIXEL = 1 / 300  # a drag across the canvas makes the window some times as wide
_NARROWEST = 1e-3  # of the width it had


class Contrast:
    """Keeps a layer's contrast limits and the model's window alike while they are linked.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, where the window can be dragged.
    layer : Image
        The layer that shows the image.
    chosen : callable
        Told of the window that follows from the contrast limits; after a drag, once.
    linked : bool
        Whether they follow each other.
    """

    def __init__(
        self, viewer: ViewerModel, layer: Image, chosen: Callable[[Window], None], *, linked: bool = False
    ) -> None:
        self._viewer, self._layer, self._chosen = viewer, layer, chosen
        self.linked = linked
        self._limits = tuple(layer.contrast_limits)
        layer.events.contrast_limits.connect(self._on_limits)
        viewer.mouse_drag_callbacks.append(self._on_drag)

    def show(self, window: Window) -> None:
        """Let the display follow a window, if they are linked."""
        if self.linked and not self._layer.rgb:
            with self._layer.events.contrast_limits.blocker(self._on_limits):
                self._layer.contrast_limits = self._limits = (window.low, window.high)

    def teardown(self) -> None:
        """Let go of the layer and the viewer."""
        self._layer.events.contrast_limits.disconnect(self._on_limits)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)

    def _on_limits(self) -> None:
        limits = low, high = tuple(float(limit) for limit in self._layer.contrast_limits)
        if self.linked and not self._layer.rgb and low < high and limits != self._limits:  # napari tells it twice
            self._limits = limits
            self._chosen(Window("custom", low, high))

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        mode = str(getattr(viewer.layers.selection.active, "mode", "pan_zoom"))
        if event.button != _LEFT or "Control" not in event.modifiers or self._layer.rgb or mode != "pan_zoom":
            return  # napari's own brush would paint meanwhile
        camera, origin = viewer.scene.camera, np.array(event.pos)
        begun = Window("custom", *map(float, self._layer.contrast_limits))
        pans, camera.mouse_pan = camera.mouse_pan, False  # also if Control is let go of before the button
        yield
        while event.type == "mouse_move":
            with self._layer.events.contrast_limits.blocker(self._on_limits):
                window = dragged(begun, np.subtract(event.pos, origin))
                self._layer.contrast_limits = (window.low, window.high)
            yield
        camera.mouse_pan = pans
        self._on_limits()


def dragged(window: Window, pixels: Any) -> Window:
    """Return a window after the mouse went some pixels to the right and down.

    Parameters
    ----------
    window : Window
        Before.
    pixels : (float, float)
        To the right: wider. Down: the level rises.
    """
    right, down = (float(step) * _WIDTHS_PER_PIXEL for step in pixels)
    width = max(window.width * (1 + right), window.width * _NARROWEST)
    return Window.from_level("custom", width, window.level + window.width * down)
