"""The panel's whole life, from the first image to the last window."""

import gc
import weakref
from pathlib import Path

import nibabel
import numpy as np
import pytest
from _napari.canvas import CONTROL, top_level_widgets
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QFileDialog

from napari_medfm._plugin import AnnotationPanel
from napari_medfm._qt.export_dialog import ExportDialog
from napari_medfm.session import AnnotationSession
from napari_medfm.settings import load_settings
from napari_medfm.volume import open_labels

from .conftest import ORGAN, OTHER, Room, lanes

pytestmark = pytest.mark.qt


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
    room.panel.progress.save.click()
    room.panel.findChild(ExportDialog).accept()
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


def test_closing_the_window_ends_the_session_and_frees_everything(small_volume, qtbot, qapp):
    import napari

    viewer = napari.Viewer(title="second room", show_welcome_screen=False)
    room = Room(viewer)
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
    room = Room(viewer)
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
    second = Room(viewer)
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
    room.add(small_volume)
    docked, _ = room.viewer.window.add_plugin_dock_widget("napari-medfm", "Annotate")
    assert isinstance(docked, QDockWidget)
    room.widget = room.viewer.window.dock_widgets["Annotate (napari-medfm)"]
    assert isinstance(room.widget, AnnotationPanel)
    room.opened()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1


def test_nothing_is_written_beside_the_image(open_room, tmp_path):
    open_room.click(ORGAN)
    assert open_room.session.path.parent == load_settings().sessions_dir
    assert not list(Path(tmp_path).iterdir())


def test_the_keyboard_follows_the_mouse_from_a_field_to_the_image(open_room):
    room, field = open_room, open_room.panel.proposals.sure
    room.panel.window().activateWindow()
    field.setFocus()
    room.wait(field.hasFocus)
    room.canvas.key(Qt.Key.Key_B)
    assert room.panel.prompts.tools["point"].isChecked(), "who types keeps the keyboard"
    for voxel in (ORGAN, OTHER):
        room.canvas.hover(voxel)
    room.wait(room.canvas.widget.hasFocus)
    room.canvas.key(Qt.Key.Key_B)
    assert room.panel.prompts.tools["box"].isChecked()
