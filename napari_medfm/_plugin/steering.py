"""What the panel asks of the image that is open: window, planes, tools, preparing slices."""

from collections.abc import Callable

from napari_medfm._plugin.case import Case
from napari_medfm._qt import MedfmPanel
from napari_medfm.volume import Plane, Window


class Steering:
    """Passes on what the panel asks for to the case that is open; nothing happens while none is.

    Parameters
    ----------
    panel : MedfmPanel
        Asks.
    current : callable
        Returns the case that is open, or None.

    Attributes
    ----------
    linked : bool
        Whether the window and the display's contrast follow each other.
    """

    def __init__(self, panel: MedfmPanel, current: Callable[[], Case | None]) -> None:
        self._panel, self._current = panel, current
        self.linked = False
        self._intents = (
            (panel.window_selected, self._set_window),
            (panel.contrast_linked, self._link_contrast),
            (panel.plane_cycle_requested, self._cycle_planes),
            (panel.tool_selected, self._select_tool),
            (panel.sign_toggled, self._set_positive),
            (panel.hover_toggled, self._set_hover),
            (panel.jump_requested, self._jump),
            (panel.embed_all_requested, self._embed_all),
            (panel.cancel_embedding_requested, self._pause),
        )
        for signal, slot in self._intents:
            signal.connect(slot)

    def close(self) -> None:
        """Let go of the panel."""
        for signal, slot in self._intents:
            signal.disconnect(slot)

    def look(self) -> None:
        """Prepare the slice that is shown."""
        case, plane = self._current(), self._plane()
        if case is not None and plane is not None:
            case.live.show(plane)

    def follow_contrast(self, window: Window) -> None:
        """Let the model see the window that the display was given."""
        case = self._current()
        if case is not None:
            case.live.set_window(window)
            self._panel.set_window(window)
            self.look()

    def _plane(self) -> Plane | None:
        case = self._current()
        return case.workspace.bridge.plane if case is not None else None

    def _set_window(self, window: Window) -> None:
        case = self._current()
        if case is not None:
            case.live.set_window(window)
            case.contrast.show(window)
            self.look()

    def _link_contrast(self, linked: bool) -> None:
        case, self.linked = self._current(), linked
        if case is not None:
            case.contrast.linked = linked
            case.contrast.show(case.live.window)

    def _cycle_planes(self) -> None:
        case = self._current()
        if case is not None:
            case.workspace.cycle_planes()

    def _select_tool(self, tool: str) -> None:
        case = self._current()
        if case is not None:
            case.workspace.tools.select(tool)

    def _set_positive(self, positive: bool) -> None:
        case = self._current()
        if case is not None:
            case.workspace.tools.set_positive(positive)

    def _set_hover(self, on: bool) -> None:
        case = self._current()
        if case is not None:
            case.workspace.tools.set_hover(on)

    def _jump(self, object_id: int) -> None:
        case = self._current()
        if case is not None:
            case.workspace.jump(object_id)

    def _embed_all(self) -> None:
        case, plane = self._current(), self._plane()
        if case is not None and plane is not None:
            case.live.embed_all(plane.axis, plane.index)

    def _pause(self) -> None:
        case = self._current()
        if case is not None:
            case.live.pause_background()
            self.look()
