"""The dock of a project, which the manifest names; and where both docks of a viewer find each other."""

from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_medfm._napari.keys import CASE_KEYS, ViewerKeys
from napari_medfm._plugin.annotator import Annotator
from napari_medfm._plugin.dialogs import ask_for_folder, is_typing
from napari_medfm._plugin.docked import DockedWidget
from napari_medfm._plugin.projecting import ProjectControl
from napari_medfm._qt import MainThreadDispatcher
from napari_medfm._qt.images_dialog import ImagesDialog
from napari_medfm._qt.project_panel import ProjectPanel

_HEIGHT = 480  # pixels to begin with, as far as there is room
_PLUGIN, ANNOTATE, PROJECT = "napari-medfm", "Annotate", "Project"


class ProjectDock(DockedWidget[ProjectControl]):
    """The dock of a project.

    Hiding or closing it lets go of the project; the case that is open stays open, and showing it again goes on.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer it is docked in.

    Attributes
    ----------
    panel : ProjectPanel
        What is shown.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.panel = ProjectPanel()
        self.rows.addWidget(self.panel)
        self.panel.new_requested.connect(self._ask_for_new)
        self.panel.open_requested.connect(self._ask_for_project)
        self.panel.add_requested.connect(self._ask_for_images)
        self.go_on()

    @property
    def control(self) -> ProjectControl | None:
        """What is going on; None while the dock is closed."""
        return self._going

    def _begin(self, dispatch: MainThreadDispatcher) -> ProjectControl:
        actions = dict(zip(CASE_KEYS, (self._go_back, self._go_on), strict=True))
        self._keys = ViewerKeys(self._viewer, actions, is_typing=is_typing)
        return ProjectControl(self._viewer, self.panel, dispatch, self._annotators)

    def _ended(self) -> None:
        self._keys.teardown()
        self.panel.set_project("")

    def _annotators(self, *, show: bool) -> Annotator | None:
        widget = annotation_panel(self._viewer, show=show)
        return widget.annotator if widget is not None else None

    def _go_back(self) -> None:
        self.panel.step_to(-1)

    def _go_on(self) -> None:
        self.panel.step_to(1)

    def _ask_for_new(self) -> None:
        if self.control is not None:
            dialog = ImagesDialog(new=True, parent=self.panel)
            dialog.chosen.connect(self.control.make)
            dialog.open()

    def _ask_for_images(self) -> None:
        if self.control is not None:
            dialog = ImagesDialog(new=False, parent=self.panel)
            dialog.chosen.connect(self.control.add)
            dialog.open()

    def _ask_for_project(self) -> None:
        folder = ask_for_folder(self.panel, "Open a project")
        if folder is not None:
            self.open(folder)

    def open(self, folder: Path) -> None:
        """Open the project of a folder in the background."""
        if self.control is not None:
            self.control.open(folder)


def annotation_panel(viewer: Viewer, *, show: bool) -> Any:
    """Return the annotation panel of a viewer; None if it is closed and shall not be shown."""
    if not show and f"{ANNOTATE} ({_PLUGIN})" not in viewer.window.dock_widgets:
        return None
    docked, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, ANNOTATE)
    if show:
        docked.show()
    return widget


def dock_project(viewer: Viewer) -> Any:
    """Show the project of a viewer beside its layers, and return its dock."""
    is_new = f"{PROJECT} ({_PLUGIN})" not in viewer.window.dock_widgets
    docked, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, PROJECT)
    window = docked.parentWidget()
    if is_new and isinstance(window, QMainWindow) and isinstance(docked, QDockWidget):
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docked)
        window.resizeDocks([docked], [_HEIGHT], Qt.Orientation.Vertical)  # else napari's own docks leave it a strip
    docked.show()
    return widget


def show_project(viewer: Viewer, folder: Path) -> Any:
    """Open both docks in a viewer, and a project in them; return the project's dock."""
    annotation_panel(viewer, show=True)
    dock = dock_project(viewer)
    dock.open(folder)
    return dock
