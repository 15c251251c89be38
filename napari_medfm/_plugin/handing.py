"""What the panel asks of the case that is open, whichever it is, handed on to it."""

from collections.abc import Callable

from napari_medfm._plugin.case import Case
from napari_medfm._qt import MedfmPanel


class Handing:
    """Hands on what is wanted of the case that is open; nothing happens while none is.

    Parameters
    ----------
    panel : MedfmPanel
        Where it is asked for.
    case : callable
        Returns the case, or None.
    find_lookalikes : callable
        Given the case, shows the gallery of what looks like its active object.
    """

    def __init__(
        self, panel: MedfmPanel, case: Callable[[], Case | None], find_lookalikes: Callable[[Case], None]
    ) -> None:
        self._case, self._lookalikes = case, find_lookalikes
        self._intents = (
            (panel.plane_cycle_requested, self._cycle_planes),
            (panel.tool_selected, self._select_tool),
            (panel.sign_toggled, self._set_positive),
            (panel.hover_toggled, self._set_hover),
            (panel.jump_requested, self._jump),
            (panel.lookalikes_requested, self._find_lookalikes),
        )
        for signal, slot in self._intents:
            signal.connect(slot)

    def close(self) -> None:
        """Hand on nothing any more."""
        for signal, slot in self._intents:
            signal.disconnect(slot)

    def _cycle_planes(self) -> None:
        if (case := self._case()) is not None:
            case.workspace.cycle_planes()

    def _select_tool(self, tool: str) -> None:
        if (case := self._case()) is not None:
            case.workspace.tools.select(tool)

    def _set_positive(self, positive: bool) -> None:
        if (case := self._case()) is not None:
            case.workspace.tools.set_positive(positive)

    def _set_hover(self, on: bool) -> None:
        if (case := self._case()) is not None:
            case.workspace.tools.set_hover(on)

    def _jump(self, object_id: int) -> None:
        if (case := self._case()) is not None:
            case.workspace.jump(object_id)

    def _find_lookalikes(self) -> None:
        if (case := self._case()) is not None:
            self._lookalikes(case)
