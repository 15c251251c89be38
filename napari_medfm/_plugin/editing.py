"""Editing by hand in the image that is open: what works, what is drawn, and the section that steers it."""

from napari.viewer import Viewer

from napari_medfm._napari.brushing import Brushing
from napari_medfm._napari.notices import tell
from napari_medfm._napari.workspace import Workspace
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.session import AnnotationSession, Hand, LiveSegmentation, Measures
from napari_medfm.volume import Window
from napari_medfm.workers import Lane


class Editing:
    """Brushes, operations and measurements of one case.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    session : AnnotationSession
        What is edited.
    live : LiveSegmentation
        Knows the window, whose range the brush begins with.
    workspace : Workspace
        The case in the viewer.
    lane : Lane
        Where things are worked out.
    dispatch : MainThreadDispatcher
        Brings answers to the thread of the interface.

    Attributes
    ----------
    hand : Hand
    measures : Measures
    """

    def __init__(
        self,
        viewer: Viewer,
        session: AnnotationSession,
        live: LiveSegmentation,
        workspace: Workspace,
        lane: Lane,
        dispatch: MainThreadDispatcher,
    ) -> None:
        self._session, self._live, self._workspace = session, live, workspace
        self.hand, self.measures = Hand(session, lane, dispatch), Measures(session, lane, dispatch)
        self._brushing = Brushing(viewer, workspace.layers, workspace.tools, session, self.hand)
        workspace.bridge.confine(self._inside)
        self.hand.events.failed.connect(tell)

    def present(self, panel: MedfmPanel) -> None:
        """Show it in the panel."""
        panel.bind_editing(self._session, self.hand, self.measures, self._window)

    def close(self) -> None:
        """Let go of everything; what was not done yet is dropped."""
        self.hand.events.failed.disconnect(tell)
        self._brushing.teardown()
        self.hand.close()
        self.measures.close()

    def _window(self) -> Window:
        return self._live.window

    def _inside(self) -> str | None:
        return self.hand.inside
