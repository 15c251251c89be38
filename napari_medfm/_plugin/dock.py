"""The dock panel that the manifest names."""

from napari.viewer import Viewer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_medfm._plugin.annotator import Annotator
from napari_medfm._plugin.project_dock import dock_project
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.keyboard import KeyboardFollowsMouse
from napari_medfm._qt.opengl import forget_vertex_arrays
from napari_medfm._qt.section import Banner


class AnnotationPanel(QWidget):
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
    annotator : Annotator or None
        What is going on; None while the panel is closed.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.panel = MedfmPanel()
        self.annotator: Annotator | None = None
        self._keyboard = KeyboardFollowsMouse(self)
        self._removed = Banner("warning")
        self.put_back = CompactButton("Put back", "Add the removed layers to the viewer again")
        self._removed.buttons.addWidget(self.put_back)
        self.put_back.clicked.connect(self._restore_layers)
        self.panel.project_requested.connect(self._show_project)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._removed)
        layout.addWidget(self.panel)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # all the height of the dock
        self._open()

    @property
    def notice(self) -> str:
        """What is said about removed layers; empty if none are missing."""
        return str(self._removed.text)

    def showEvent(self, event: QShowEvent) -> None:
        """Go on."""
        super().showEvent(event)
        self._open()
        self._keyboard.follow(self)

    def hideEvent(self, event: QHideEvent) -> None:
        """Let go of the viewer, unless the whole window was only minimised."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.close_annotator()

    def close_annotator(self) -> None:
        """End the annotation; nothing is lost."""
        annotator, self.annotator = self.annotator, None
        self._keyboard.leave()
        if annotator is not None:
            self.destroyed.disconnect(annotator.abandon)
            annotator.close()
            self._dispatch.close()
            self._viewer.layers.events.removing.disconnect(self._before_removal)

    def _open(self) -> None:
        if self.annotator is None:
            self._dispatch = MainThreadDispatcher(self)
            self._viewer.layers.events.removing.connect(self._before_removal)
            self.annotator = Annotator(self._viewer, self.panel, self._dispatch, self._show_removed)
            self.destroyed.connect(self.annotator.abandon)  # a window that was never shown is never hidden

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
