"""The dock panel that the manifest names."""

from napari.viewer import Viewer

from napari_medfm._plugin.annotator import Annotator
from napari_medfm._plugin.docked import DockedWidget
from napari_medfm._plugin.project_dock import dock_project
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.opengl import forget_vertex_arrays
from napari_medfm._qt.section import Banner


class AnnotationPanel(DockedWidget[Annotator]):
    """The dock panel that the manifest names.

    While it is open, images can be annotated; hiding or closing it takes everything
    out of the viewer but the images, and showing it again goes on where one was.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer it is docked in.

    Attributes
    ----------
    panel : MedfmPanel
        What is shown.
    put_back : CompactButton
        Adds layers that were removed from the viewer again.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.panel = MedfmPanel()
        self._removed = Banner("warning")
        self.put_back = CompactButton("Put back", "Add the removed layers to the viewer again")
        self._removed.buttons.addWidget(self.put_back)
        self.put_back.clicked.connect(self._restore_layers)
        self.panel.project_requested.connect(self._show_project)
        for part in (self._removed, self.panel):
            self.rows.addWidget(part)
        self.go_on()

    @property
    def annotator(self) -> Annotator | None:
        """What is going on; None while the panel is closed."""
        return self._going

    @property
    def notice(self) -> str:
        """What is said about removed layers; empty if none are missing."""
        return str(self._removed.text)

    def _begin(self, dispatch: MainThreadDispatcher) -> Annotator:
        self._viewer.layers.events.removing.connect(self._before_removal)
        return Annotator(self._viewer, self.panel, dispatch, self._show_removed)

    def _ended(self) -> None:
        self._viewer.layers.events.removing.disconnect(self._before_removal)

    def _show_project(self) -> None:
        dock_project(self._viewer)

    def _before_removal(self) -> None:
        forget_vertex_arrays(self)

    def _show_removed(self, removed: bool) -> None:
        text = "Layers of this session were removed from the viewer. Nothing is lost: they show what the journal holds."
        self._removed.say(text if removed else "")

    def _restore_layers(self) -> None:
        if self.annotator is not None:
            self.annotator.put_back()
