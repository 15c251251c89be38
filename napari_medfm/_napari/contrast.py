"""The intensity window of the model and the contrast limits of the display, linked if the person says so."""

from collections.abc import Callable

from napari.layers import Image

from napari_medfm.volume import Window


class Contrast:
    """Keeps a layer's contrast limits and the model's window alike while they are linked.

    Parameters
    ----------
    layer : Image
        The layer that shows the image.
    chosen : callable
        Told of the window that follows from the contrast limits.
    linked : bool
        Whether they follow each other.
    """

    def __init__(self, layer: Image, chosen: Callable[[Window], None], *, linked: bool = False) -> None:
        self._layer, self._chosen = layer, chosen
        self.linked = linked
        self._limits = tuple(layer.contrast_limits)
        layer.events.contrast_limits.connect(self._on_limits)

    def show(self, window: Window) -> None:
        """Let the display follow a window, if they are linked."""
        if self.linked and not self._layer.rgb:
            with self._layer.events.contrast_limits.blocker(self._on_limits):
                self._layer.contrast_limits = self._limits = (window.low, window.high)

    def teardown(self) -> None:
        """Let go of the layer."""
        self._layer.events.contrast_limits.disconnect(self._on_limits)

    def _on_limits(self) -> None:
        limits = low, high = tuple(float(limit) for limit in self._layer.contrast_limits)
        if self.linked and not self._layer.rgb and low < high and limits != self._limits:  # napari tells it twice
            self._limits = limits
            self._chosen(Window("custom", low, high))
