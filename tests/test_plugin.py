"""The panel docked in napari: from opening an image to closing the window, and back where one was."""

import gc
import threading
import weakref
from pathlib import Path

import nibabel
import numpy as np
import pytest
from _napari.canvas import CONTROL, Canvas, canvas_widget, top_level_widgets
from napari.layers import Image, Points
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget, QFileDialog, QLineEdit

from napari_medfm._napari.images import image_layer_data
from napari_medfm._plugin import Engine, are_registered, is_typing, worded
from napari_medfm._qt.opengl import forget_vertex_arrays
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession
from napari_medfm.settings import load_settings
from napari_medfm.volume import PRESETS, Volume, Window, array_geometry, fingerprint, open_labels

pytestmark = pytest.mark.qt

ORGAN, OTHER = (6, 24, 20), (6, 26, 48)
WAIT = 60_000
"""Milliseconds: the first model that is loaded imports torch."""


class Room:
    """A viewer with the panel docked."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
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
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT)

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
            if hasattr(dock, "close_annotator"):
                self.viewer.window.remove_dock_widget(dock)
        forget_vertex_arrays(canvas_widget(self.viewer))  # the panel that does so is gone
        self.viewer.layers.clear()
        self.viewer.dims.ndisplay = 2
        self.__dict__.clear()  # pytest keeps a room until the window is gone


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Leave what the imports made out of every search for leaks: it is about what tests make."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_widget_outlives_its_test():
    """Leave the search for widgets to `window`: napari keeps pop-ups of removed layers until its window closes."""


@pytest.fixture(scope="module")
def window(qapp):
    """Return a viewer on the screen, the same for a module; no widget and no lane outlives it."""
    import napari

    before = top_level_widgets()
    viewer = napari.Viewer(title="room", show_welcome_screen=False)
    viewer.window.resize(1250, 850)
    yield viewer
    viewer.close()
    left = top_level_widgets() - before
    assert not left, f"top-level widgets left behind: {sorted(map(repr, left))}"
    for thread in threading.enumerate():
        if thread.name.startswith("medfm"):
            thread.join(5)  # a step that runs is finished first
    assert not lanes()


@pytest.fixture
def room(window, qtbot):
    room = Room(window, qtbot)
    yield room
    room.leave()


@pytest.fixture
def open_room(room, small_volume):
    """Return the room with the phantom open for annotation."""
    room.add(small_volume)
    room.dock()
    room.opened()
    return room


def lanes():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("medfm")]


def test_open_click_see_correct_accept_undo_paint_save_close_reopen(open_room, small_volume, tmp_path, monkeypatch):
    room, path = open_room, tmp_path / "out" / "small_labels.nii.gz"
    path.parent.mkdir()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1
    room.panel.tool_selected.emit("box")
    room.canvas.drag([(6, 9, 7), (6, 20, 20), (6, 39, 33)])
    room.wait(lambda: not room.case.live.busy)
    room.canvas.key(Qt.Key.Key_Return)
    assert room.session.state.objects[1].accepted
    room.panel.tool_selected.emit("point")
    room.click(OTHER)
    room.canvas.key(Qt.Key.Key_Z, CONTROL)
    assert room.session.labels[OTHER] == 0
    room.panel.tool_selected.emit("brush")
    room.canvas.drag([(6, 10, 50), (6, 12, 54)])
    expected = room.session.labels.copy()
    assert len(np.unique(expected)) == 3

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    room.panel.save_requested.emit()
    room.wait(lambda: any("saved" in notice for notice in room.told))
    assert np.array_equal(open_labels(path, like=small_volume), expected)
    assert nibabel.load(path).get_data_dtype() == np.uint8

    room.viewer.window.remove_dock_widget(room.docked)
    assert [type(layer) for layer in room.viewer.layers] == [Image]
    room.dock()
    room.wait(lambda: room.panel.resume.offer.text)
    assert "2 objects" in room.panel.resume.offer.text
    room.panel.resume.resume.click()
    room.opened()
    assert np.array_equal(room.session.labels, expected)
    assert room.session.can_undo
    assert room.session.state.objects[1].accepted


def test_a_file_that_is_being_written_is_finished_before_the_panel_closes(open_room, small_volume, tmp_path):
    room = open_room
    room.click(ORGAN)
    expected = room.session.labels.copy()
    path = tmp_path / "labels.nii.gz"
    room.annotator.save(path)
    room.viewer.window.remove_dock_widget(room.docked)
    assert np.array_equal(open_labels(path, like=small_volume), expected)
    assert any("saved" in notice for notice in room.told)


def test_starting_anew_keeps_the_earlier_session(open_room):
    room = open_room
    room.click(ORGAN)
    path = room.session.path
    room.viewer.window.remove_dock_widget(room.docked)
    room.dock()
    room.wait(lambda: room.panel.resume.offer.text)
    assert room.case is None
    room.panel.resume.anew.click()
    room.opened()
    assert not room.session.state.objects
    assert len(list(path.parent.glob("*.aside"))) == 1


def test_an_offer_that_is_not_answered_is_kept(open_room, small_volume):
    room = open_room
    room.click(ORGAN)
    expected = room.session.labels.copy()
    room.viewer.window.remove_dock_widget(room.docked)
    room.dock()
    room.wait(lambda: room.panel.resume.offer.text)
    room.viewer.window.remove_dock_widget(room.docked)
    with AnnotationSession.resume(small_volume, fingerprint(small_volume)) as session:
        assert not session.read_only
        assert np.array_equal(session.labels, expected)


def test_hiding_the_panel_lets_go_of_the_viewer_and_showing_it_goes_on(open_room):
    room = open_room
    room.click(ORGAN)
    expected, layer = room.session.labels.copy(), room.viewer.layers[0]
    room.docked.hide()
    assert room.annotator is None
    assert list(room.viewer.layers) == [layer]
    assert not room.viewer.keymap
    room.docked.show()
    room.wait(lambda: room.panel.resume.offer.text or room.case is not None)
    room.panel.resume_answered.emit(True)
    room.opened()
    assert np.array_equal(room.session.labels, expected)


def test_an_image_that_comes_later_is_opened(room, small_volume):
    room.dock()
    assert room.case is None
    room.viewer.add_points()
    room.add(small_volume)
    room.opened()
    assert room.session.volume.name == "small"
    assert room.viewer.layers.selection.active is room.case.workspace.layers.objects


def test_another_image_is_chosen_in_the_panel(open_room, small_volume):
    room = open_room
    room.click(ORGAN)
    first = room.case
    other = room.add(Volume(small_volume.array[:, ::-1].copy(), array_geometry((12, 48, 64)), name="other"))
    room.panel.image_selected.emit(other.name)
    room.wait(lambda: room.case not in (None, first))
    assert room.session.volume.name == "other"
    assert first.workspace.layers.objects not in room.viewer.layers
    room.panel.image_selected.emit("small")
    room.wait(lambda: room.case is not None and room.session.volume.name == "small")
    assert room.session.labels[ORGAN] == 1  # made in this sitting: nobody has to ask


def test_a_registered_image_feeds_the_model_over_the_same_labels(open_room, small_volume):
    room = open_room
    room.click(ORGAN)
    before = room.case
    second = Volume(-small_volume.array, small_volume.geometry, name="inverted")
    assert are_registered(second, small_volume)
    room.add(second)
    room.panel.image_selected.emit("inverted")
    room.wait(lambda: room.session.image_name == "inverted")
    assert room.case is before
    assert list(room.viewer.layers)[-4:] == list(room.case.workspace.layers.overlays)
    room.click(OTHER)
    assert room.session.labels[OTHER] == 1
    room.panel.image_selected.emit("small")
    room.wait(lambda: room.session.image_name == "small")


def test_what_cannot_be_annotated_is_not_offered(room):
    room.viewer.add_image(np.zeros((2, 3, 4, 5)))
    room.viewer.add_labels(np.zeros((4, 5), int))
    room.dock()
    assert room.panel.image.images.count() == 0
    assert room.case is None


def test_an_image_of_another_reader_is_annotated_too(room, small_volume):
    room.viewer.add_image(small_volume.array, scale=(3, 1, 1), name="plain")
    room.dock()
    room.opened()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1
    assert not room.session.volume.geometry.known


def test_a_removed_layer_is_said_and_put_back(open_room):
    room = open_room
    room.click(ORGAN)
    objects = room.case.workspace.layers.objects
    room.viewer.layers.remove(objects)
    room.wait(lambda: "removed" in room.widget.notice)
    assert room.session.labels[ORGAN] == 1
    room.widget.put_back.click()
    assert objects in room.viewer.layers
    assert room.widget.notice == ""
    room.click(OTHER)
    assert room.session.labels[OTHER] == 1


def test_the_panel_and_the_canvas_agree_on_tool_and_sign(open_room):
    room = open_room
    room.canvas.key(Qt.Key.Key_S)
    assert room.panel.prompts.tools["scribble"].isChecked()
    room.canvas.key(Qt.Key.Key_T)
    assert room.panel.prompts.subtract.isChecked()
    room.panel.prompts.tools["lasso"].click()
    assert room.case.workspace.tools.tool == "lasso"
    room.panel.prompts.add.click()
    assert room.case.workspace.tools.positive
    room.panel.hover_toggled.emit(False)
    room.panel.plane_cycle_requested.emit()
    assert room.case.workspace.bridge.plane.axis == 1


def test_typing_a_name_does_not_press_keys(open_room):
    room = open_room
    room.click(ORGAN)
    field = QLineEdit(room.widget)
    field.show()
    field.activateWindow()
    field.setFocus()
    room.wait(field.hasFocus)
    assert is_typing()
    QTest.keyClicks(field, "Liver")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "Liver"
    assert not room.session.state.objects[1].accepted
    assert room.case.workspace.tools.tool == "point"
    field.deleteLater()
    room.canvas.widget.setFocus()


def test_the_window_is_linked_to_the_contrast_if_one_says_so(open_room):
    room, layer = open_room, open_room.viewer.layers[0]
    limits = tuple(layer.contrast_limits)
    room.panel.window_selected.emit(PRESETS["bone"])
    assert room.case.live.window == PRESETS["bone"]
    assert tuple(layer.contrast_limits) == limits
    room.panel.contrast_linked.emit(True)
    assert tuple(layer.contrast_limits) == (PRESETS["bone"].low, PRESETS["bone"].high)
    layer.contrast_limits = (-20, 140)
    assert room.case.live.window == Window("custom", -20, 140)
    assert room.panel.image.window_level.value() == 60


def test_embedding_shows_its_progress_and_can_be_stopped(open_room):
    room, shown = open_room, []
    room.case.live.events.progress.connect(lambda progress: shown.append(progress))
    room.panel.embed_all_requested.emit()
    room.wait(lambda: shown and shown[-1] is None)
    assert shown[-2].done == shown[-2].total == 12
    room.panel.embed_all_requested.emit()
    room.panel.cancel_embedding_requested.emit()


def test_jumping_to_an_object_shows_its_slice(open_room):
    room = open_room
    room.click(ORGAN)
    room.viewer.dims.set_current_step(0, 0)
    room.panel.jump_requested.emit(1)
    assert room.viewer.dims.current_step[0] == 6


def test_labels_of_a_file_open_as_objects(open_room, small_volume, small_labels, tmp_path, monkeypatch):
    from napari_medfm.volume import write_labels

    room = open_room
    path = write_labels(tmp_path / "expert.nii.gz", small_labels, small_volume.geometry)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))
    room.panel.labels_import_requested.emit()
    room.wait(lambda: len(room.session.state.objects) == 3)
    assert np.array_equal(room.session.labels, small_labels)


def test_an_image_is_read_in_the_background_and_opened(open_room, tmp_path):
    room, before = open_room, open_room.case
    path = tmp_path / "time.nii.gz"
    data = np.random.default_rng(2).integers(0, 99, (5, 6, 7, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    asked = []
    room.annotator.read(path, ask=lambda several: asked.append(several.choices) or 1)
    room.wait(lambda: room.case not in (None, before))
    assert len(asked[0]) == 2
    assert sorted(np.unique(room.session.volume.array)) == sorted(np.unique(data[..., 1]))


def test_failures_are_told_once_with_the_next_step(open_room, tmp_path):
    room = open_room
    room.annotator.read(tmp_path / "missing.nii.gz")
    room.wait(lambda: room.told)
    room.annotator.save(tmp_path / "no such folder" / "labels.nii.gz")
    room.wait(lambda: len(room.told) == 2)
    assert all(str(tmp_path) not in notice for notice in room.told)
    assert "missing.nii.gz" in room.told[0]
    assert room.panel.error.text == room.told[1]


def test_a_model_without_weights_leaves_the_one_before_at_work(open_room, tmp_path):
    room = open_room
    room.panel.model_selected.emit("sam")
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    room.panel.weights_chosen.emit("sam", weights)
    room.wait(lambda: room.told)
    assert "weights.pth" in room.told[0]
    room.panel.model_selected.emit("random_walker")
    room.wait(lambda: room.panel.model.status.text() == "Ready")
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1


def test_closing_the_window_ends_the_session_and_frees_everything(small_volume, qtbot, qapp):
    import napari

    viewer = napari.Viewer(title="second room", show_welcome_screen=False)
    room = Room(viewer, qtbot)
    room.add(small_volume)
    room.dock()
    room.opened()
    room.click(ORGAN)
    expected = room.session.labels.copy()
    held = [weakref.ref(thing) for thing in (room.annotator, room.case.workspace, room.case.live, room.session)]
    path = room.session.path
    viewer.close()
    notification_manager.notification_ready.disconnect(room.hear)
    assert not any("removed" in notice for notice in room.told)
    with AnnotationSession.resume(small_volume, path.stem) as session:
        assert not session.read_only
        assert np.array_equal(session.labels, expected)
    del room, viewer
    top_level_widgets()
    qtbot.waitUntil(lambda: not lanes(), timeout=5000)
    gc.collect()
    assert [thing() for thing in held] == [None] * 4


def test_a_window_that_was_never_shown_lets_go_too(small_volume, qtbot):
    import napari

    viewer = napari.Viewer(title="third room", show=False, show_welcome_screen=False)
    room = Room(viewer, qtbot)
    room.add(small_volume)
    room.dock()
    room.wait(lambda: room.case is not None)
    session = room.session
    viewer.close()
    notification_manager.notification_ready.disconnect(room.hear)
    room.widget = room.docked = room.viewer = viewer = None
    top_level_widgets()
    qtbot.waitUntil(lambda: not lanes(), timeout=5000)
    with AnnotationSession.resume(small_volume, session.path.stem) as again:
        assert not again.read_only


def test_two_windows_share_the_device_and_one_writes(open_room, small_volume, qtbot):
    import napari

    first, viewer = open_room, napari.Viewer(title="fourth room", show_welcome_screen=False)
    second = Room(viewer, qtbot)
    second.add(small_volume)
    second.dock()
    second.opened()
    assert lanes().count("medfm-device") == 1
    assert second.session.read_only
    assert second.panel.resume.read_only.text
    second.canvas.click(ORGAN)
    second.wait(lambda: second.told)
    assert not second.session.labels.any()
    viewer.close()
    notification_manager.notification_ready.disconnect(second.hear)
    assert lanes().count("medfm-device") == 1
    first.click(OTHER)
    assert first.session.labels[OTHER] == 1


def test_a_viewer_behind_naparis_proxy_works(room, small_volume):
    from napari_medfm._plugin import AnnotationPanel

    room.add(small_volume)
    docked, _ = room.viewer.window.add_plugin_dock_widget("napari-medfm", "Annotate")
    assert isinstance(docked, QDockWidget)
    room.widget = room.viewer.window.dock_widgets["Annotate (napari-medfm)"]
    assert isinstance(room.widget, AnnotationPanel)
    room.opened()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1


def test_an_unexpected_failure_is_named_by_its_kind_only():
    failure = worded(ValueError("patient Doe"))
    assert isinstance(failure, MedfmError)
    assert "Doe" not in str(failure)
    assert "ValueError" in str(failure)
    assert worded(failure) is failure


def test_the_engine_ends_with_its_last_holder():
    first, second = Engine.hold(), Engine.hold()
    assert first is second
    assert first.store.tiers[1].folder == load_settings().embeddings_dir
    first.release()
    second.release()
    another = Engine.hold()
    assert another is not first
    another.release()


def test_nothing_is_written_beside_the_image(open_room, tmp_path):
    open_room.click(ORGAN)
    assert open_room.session.path.parent == load_settings().sessions_dir
    assert not list(Path(tmp_path).iterdir())


def test_points_of_somebody_else_are_left_alone(open_room):
    theirs = open_room.viewer.add_layer(Points(np.array([[1.0, 2, 3]]), name="theirs"))
    open_room.canvas.click(ORGAN)  # their layer is selected: the click is not ours
    assert not open_room.session.state.objects
    open_room.panel.prompts.tools["point"].click()
    open_room.click(ORGAN)
    open_room.viewer.window.remove_dock_widget(open_room.docked)
    assert theirs in open_room.viewer.layers
    assert len(theirs.data) == 1
