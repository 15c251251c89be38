"""The panel docked in napari, in a window on the screen."""

import gc
import threading
import time

import pytest
from _napari.canvas import Canvas, canvas_widget, top_level_widgets
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtTest import QTest

from napari_medfm._napari.images import image_layer_data
from napari_medfm._plugin.docked import DockedWidget
from napari_medfm._qt.opengl import forget_vertex_arrays
from napari_medfm.volume import automatic_window

ORGAN, OTHER = (6, 24, 20), (6, 26, 48)
"""Voxels inside the two organs of the small phantom."""

WAIT = 60
"""Seconds: the first model that is loaded imports torch."""


class Room:
    """A viewer with the panel docked."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.told = []
        notification_manager.notification_ready.connect(self.hear)

    def hear(self, notice):
        self.told.append(notice.message)

    def dock(self):
        self.docked, self.widget = self.viewer.window.add_plugin_dock_widget("napari-medfm", "Annotate")
        return self.widget

    def add(self, volume, **changes):
        data, arguments, _ = image_layer_data(volume)
        return self.viewer.add_layer(Image(data, **{**arguments, **changes}))

    @property
    def annotator(self):
        return self.widget.annotator

    @property
    def panel(self):
        return self.widget.panel

    @property
    def case(self):
        return self.annotator.case

    @property
    def session(self):
        return self.case.session

    def wait(self, condition):
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline, "nothing came of it"
            QTest.qWait(5)

    def opened(self):
        """Wait for the case and show slice 6."""
        self.wait(lambda: self.case is not None)
        self.viewer.dims.set_current_step(0, 6)
        self.canvas = Canvas(self.viewer, self.case.workspace.layers.objects)
        return self.case

    def click(self, voxel):
        self.canvas.click(voxel)
        self.wait(lambda: self.session.state.objects and not self.case.live.busy)

    def leave(self):
        notification_manager.notification_ready.disconnect(self.hear)
        for dock in list(self.viewer.window.dock_widgets.values()):
            if isinstance(dock, DockedWidget):
                self.viewer.window.remove_dock_widget(dock)
        forget_vertex_arrays(canvas_widget(self.viewer))  # the panel that does so is gone
        self.viewer.layers.clear()
        self.viewer.dims.ndisplay = 2
        self.__dict__.clear()  # pytest keeps a room until the window is gone

    def clear(self):
        """Put everything back as it was when the room was new, but for ids and history."""
        self.wait(lambda: not self.case.live.busy)
        ours = (self.case.workspace.layers.image, *self.case.workspace.layers.overlays)
        for layer in [layer for layer in self.viewer.layers if layer not in ours]:
            self.viewer.layers.remove(layer)
        self.annotator.put_back()
        for number in list(self.session.state.objects):
            self.session.delete_object(number)
        self.panel.contrast_linked.emit(False)
        self.panel.window_selected.emit(automatic_window(self.session.volume))
        self.panel.tool_selected.emit("point")
        self.panel.sign_toggled.emit(True)
        self.viewer.dims.order = (0, 1, 2)
        self.viewer.dims.set_current_step(0, 6)
        self.viewer.reset_view()
        self.told.clear()


@pytest.fixture(scope="package", autouse=True)
def quick_collection():
    """Leave what the imports made out of every search for leaks: it is about what tests make."""
    import torch  # noqa: F401 - the largest of them

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_widget_outlives_its_test():
    """Leave the search for widgets to `window`: napari keeps pop-ups of removed layers until its window closes."""


@pytest.fixture(scope="package")
def window(qapp):
    """Return a viewer on the screen, the same for all tests here; no widget and no lane outlives it."""
    import napari

    before = top_level_widgets()
    viewer = napari.Viewer(title="room", show_welcome_screen=False)
    viewer.window.resize(1250, 850)
    yield viewer
    viewer.close()
    left = top_level_widgets() - before
    assert not left, f"top-level widgets left behind: {sorted(map(repr, left))}"
    join_lanes()
    assert not lanes()


@pytest.fixture
def room(window):
    """Return an empty viewer."""
    room = Room(window)
    yield room
    room.leave()


@pytest.fixture
def open_room(room, small_volume):
    """Return a viewer with the panel, in which the phantom was just opened."""
    room.add(small_volume)
    room.dock()
    room.opened()
    return room


@pytest.fixture(scope="module")
def shared_room(window, small_volume, folders_of_this_run, tmp_path_factory):
    """Return a viewer with the panel and the phantom, the same for a module: opening one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDFM_DATA_DIR", str(tmp_path_factory.mktemp("room")))
        room = Room(window)
        room.add(small_volume)
        room.dock()
        room.opened()
        yield room
        room.leave()


@pytest.fixture
def used_room(shared_room):
    """Return a viewer with the panel and the phantom, as if nobody had done anything yet."""
    shared_room.clear()
    return shared_room


def lanes():
    """Return the names of the lanes that run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("medfm")]


def join_lanes():
    """Wait for lanes that end: a step that runs is finished first."""
    for thread in threading.enumerate():
        if thread.name.startswith("medfm"):
            thread.join(5)
