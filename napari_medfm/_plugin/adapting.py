"""Adapting in a viewer: keys, maps, the curve, and going from slice to slice."""

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm._napari.notices import attempt
from napari_medfm._napari.workspace import Workspace
from napari_medfm._qt import MedfmPanel
from napari_medfm.errors import MedfmError
from napari_medfm.session import Glimpse, Teaching
from napari_medfm.volume import Plane
from napari_medfm.workers import Latest

if TYPE_CHECKING:
    from napari_medfm.adaptation import Progress

_PAUSE = 2.0
"""Seconds between two pictures of the curve: drawing takes the interpreter from the thread that trains."""


class AdaptingControl:
    """Wires the teaching of a session to the viewer and the panel.

    Parameters
    ----------
    teaching : Teaching
        What is steered.
    workspace : Workspace
        The session in the viewer.
    panel : MedfmPanel
        Shows how it goes.
    drawing : Latest
        Draws curves away from the thread of the interface.
    """

    def __init__(self, teaching: Teaching, workspace: Workspace, panel: MedfmPanel, drawing: Latest) -> None:
        self._teaching, self._workspace, self._panel, self._drawing = teaching, workspace, panel, drawing
        self._maps = False
        self._drawn = 0.0
        self._losses: list[float] = []
        self._scores: list[tuple[int, float]] = []
        adapting, filling = teaching.adapting.events, teaching.filling.events
        self._links: tuple[tuple[Any, Any], ...] = (
            (workspace.bridge.plane_changed, self._on_plane),
            (panel.slice_requested, workspace.show_plane),
            (panel.map_toggled, self._toggle_map),
            (adapting.progressed, self._on_progress),
            (adapting.glimpsed, self._show_map),
            (adapting.in_use_changed, self._ask_for_map),
            (filling.mapped, self._show_map),
        )
        for signal, slot in self._links:
            signal.connect(slot)
        workspace.add_keys(
            {"D": panel.adapt.complete_slice, "J": panel.proposals.go_next, "O": self._accept_under_the_pointer}
        )
        if workspace.bridge.plane is not None:
            self._on_plane(workspace.bridge.plane)

    def close(self) -> None:
        """Let go of viewer and panel, and end what goes on."""
        self._drawing.forget()
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()
        self._teaching.close()

    def _on_plane(self, plane: Plane) -> None:
        self._teaching.adapting.look(plane)
        self._ask_for_map()

    def _toggle_map(self, on: bool) -> None:
        self._maps = on
        self._ask_for_map()

    def _ask_for_map(self) -> None:
        """Work out where the model is in doubt on the visible slice, if that is wanted."""
        known, plane = self._teaching.adapting.in_use, self._workspace.bridge.plane
        self._workspace.map.clear()
        self._teaching.filling.forget_map()
        if self._maps and known is not None and plane is not None:
            attempt(partial(self._teaching.filling.map, known, plane))

    def _show_map(self, glimpse: Glimpse) -> None:
        if glimpse.plane == self._workspace.bridge.plane:
            self._workspace.map.show(glimpse.plane, glimpse.values)

    def _accept_under_the_pointer(self) -> None:
        pointer = self._workspace.pointer()
        if pointer is not None:
            self._teaching.accept_object(pointer.plane, pointer.position)

    def _on_progress(self, progress: "Progress | None") -> None:
        if progress is None:
            self._draw_curve()
            self._losses, self._scores = [], []
            self._ask_for_map()
            return
        if progress.loss is not None and progress.validation is None:
            self._losses.append(progress.loss)
        if progress.validation is not None:
            self._scores.append((len(self._losses), progress.validation))
        if not self._drawing.waiting and monotonic() - self._drawn > _PAUSE:
            self._draw_curve()

    def _draw_curve(self) -> None:
        if self._losses:
            self._drawn = monotonic()
            losses, scores, size = tuple(self._losses), tuple(self._scores), self._panel.adapt.curve_size()
            ink = self._panel.adapt.ink()
            self._drawing.ask(partial(_draw, losses, scores, size, ink), self._panel.adapt.show_curve, self._fail)

    def _fail(self, error: BaseException) -> None:
        self._teaching.adapting.events.failed.emit(
            error if isinstance(error, MedfmError) else MedfmError("curve", "could not be drawn", "Go on without it.")
        )


def _draw(
    losses: tuple[float, ...], scores: tuple[tuple[int, float], ...], size: tuple[int, int], ink: str
) -> NDArray[np.uint8]:
    from napari_medfm.evaluation.charts import draw_training  # matplotlib takes a while to import

    return draw_training(losses, scores, size, ink)
