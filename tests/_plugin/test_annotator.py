"""What the panel's buttons do to the image that is open."""

import re
from pathlib import Path

import numpy as np
import pytest
from _napari.canvas import CONTROL
from napari.layers import Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_medfm._napari.keys import CASE_KEYS
from napari_medfm._plugin import are_registered, is_typing
from napari_medfm.session import ObjectClass
from napari_medfm.volume import PRESETS, Volume, Window, write_labels

from .conftest import ORGAN, OTHER

pytestmark = pytest.mark.qt
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_a_registered_image_feeds_the_model_over_the_same_labels(used_room, small_volume):
    room = used_room
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
    assert room.session.labels[OTHER] == room.session.state.active
    room.panel.image_selected.emit("small")
    room.wait(lambda: room.session.image_name == "small")


def test_a_removed_layer_is_said_and_put_back(used_room):
    room = used_room
    room.click(ORGAN)
    objects = room.case.workspace.layers.objects
    room.viewer.layers.remove(objects)
    room.wait(lambda: "removed" in room.widget.notice)
    assert room.session.labels[ORGAN] == room.session.state.active
    room.widget.put_back.click()
    assert objects in room.viewer.layers
    assert room.widget.notice == ""
    room.click(OTHER)
    assert room.session.labels[OTHER] == room.session.state.active


def test_the_panel_and_the_canvas_agree_on_tool_and_sign(used_room):
    room = used_room
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


def test_typing_a_name_does_not_press_keys(used_room):
    room = used_room
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
    assert not room.session.state.object().accepted
    assert room.case.workspace.tools.tool == "point"
    room.canvas.widget.setFocus()
    field.setParent(None)
    field.deleteLater()


def test_enter_in_a_list_with_a_field_accepts_nothing(used_room):
    room = used_room
    room.click(ORGAN)
    structure = room.panel.adapt.structure
    structure.activateWindow()
    structure.lineEdit().setFocus()
    room.wait(lambda: structure.hasFocus() or structure.lineEdit().hasFocus())
    assert is_typing()
    structure.setEditText("liver")
    QTest.keyClick(structure, Qt.Key.Key_Return)
    assert room.session.state.object().class_name == "liver"
    assert not room.session.state.object().accepted
    assert room.told == []
    room.canvas.widget.setFocus()


def test_the_window_is_linked_to_the_contrast_if_one_says_so(used_room):
    room, layer = used_room, used_room.viewer.layers[0]
    limits = tuple(layer.contrast_limits)
    room.panel.window_selected.emit(PRESETS["bone"])
    assert room.case.live.window == PRESETS["bone"]
    assert tuple(layer.contrast_limits) == limits
    room.panel.contrast_linked.emit(True)
    assert tuple(layer.contrast_limits) == (PRESETS["bone"].low, PRESETS["bone"].high)
    layer.contrast_limits = (-20, 140)
    assert room.case.live.window == Window("custom", -20, 140)
    assert room.panel.image.window_level.value() == 60


def test_a_drag_with_control_changes_the_window_and_neither_prompts_nor_pans(used_room):
    room, layer, heard = used_room, used_room.viewer.layers[0], []
    room.panel.contrast_linked.emit(True)
    centre, before = tuple(room.viewer.scene.camera.center), room.case.live.window
    shown = room.panel.image.set_window
    room.panel.image.set_window = lambda window: (heard.append(window), shown(window))
    room.canvas.drag([ORGAN, (6, 24, 30), (6, 30, 40)], CONTROL)
    del room.panel.image.set_window
    assert room.case.live.window.width > before.width
    assert room.case.live.window.level > before.level
    assert tuple(layer.contrast_limits) == (room.case.live.window.low, room.case.live.window.high)
    assert heard == [room.case.live.window]  # once, as the hand let go: every change is a new look for the model
    assert tuple(room.viewer.scene.camera.center) == centre
    assert not room.session.state.objects


def test_editing_goes_through_the_panel(used_room):
    room = used_room
    room.click(ORGAN)
    number = room.session.state.active
    room.panel.edit.tools["sphere"].click()
    room.panel.edit.diameter.setValue(16)
    before = room.session.voxel_count(number)
    room.canvas.click(ORGAN)
    room.wait(lambda: room.session.voxel_count(number) > before)
    painted = room.session.voxel_count(number)
    room.panel.edit.expand(animate=False)
    room.panel.edit.amount.setValue(1.5)
    room.wait(lambda: room.case.workspace.layers.preview.layer.data.any())
    room.panel.edit.apply.click()
    room.wait(lambda: room.session.voxel_count(number) != painted)
    assert room.session.undo_name == "smooth"
    room.session.define_classes([*room.session.state.classes, ObjectClass("organ")])
    room.session.set_class(number, "organ")
    room.session.add_object()
    room.panel.edit.inside.setCurrentIndex(1)
    room.panel.edit.inside.activated.emit(1)
    room.panel.prompts.tools["brush"].click()
    room.canvas.drag([(6, 2, 60), (6, 4, 60)])  # far from the organ
    assert room.session.voxel_count(room.session.state.active) == 0
    assert not room.case.workspace.layers.objects.data[6, :6, 56:].any()
    room.panel.edit.inside.setCurrentIndex(0)
    room.panel.edit.inside.activated.emit(0)
    room.panel.edit.collapse(animate=False)


def test_embedding_shows_its_progress_and_can_be_stopped(used_room):
    room, shown = used_room, []
    room.case.live.events.progress.connect(lambda progress: shown.append(progress))
    room.panel.embed_all_requested.emit()
    room.wait(lambda: shown and shown[-1] is None)
    assert shown[-2].done == shown[-2].total == 12
    room.panel.embed_all_requested.emit()
    room.panel.cancel_embedding_requested.emit()


def test_jumping_to_an_object_shows_its_slice(used_room):
    room = used_room
    room.click(ORGAN)
    room.viewer.dims.set_current_step(0, 0)
    room.panel.jump_requested.emit(room.session.state.active)
    assert room.viewer.dims.current_step[0] == 6


def test_points_of_somebody_else_are_left_alone(used_room):
    theirs = used_room.viewer.add_layer(Points(np.array([[1.0, 2, 3]]), name="theirs"))
    used_room.canvas.click(ORGAN)  # their layer is selected: the click is not ours
    assert not used_room.session.state.objects
    used_room.panel.prompts.tools["point"].click()
    used_room.click(ORGAN)
    assert theirs in used_room.viewer.layers
    assert len(theirs.data) == 1


def test_failures_are_told_once_with_the_next_step(used_room, tmp_path):
    room = used_room
    room.annotator.read(tmp_path / "missing.nii.gz")
    room.wait(lambda: room.told)
    room.annotator.save(tmp_path / "no such folder" / "labels.nii.gz")
    room.wait(lambda: len(room.told) == 2)
    assert all(str(tmp_path) not in notice for notice in room.told)
    assert "missing.nii.gz" in room.told[0]
    assert room.panel.error.text == room.told[1]


def test_a_model_without_weights_leaves_the_one_before_at_work(used_room, tmp_path):
    room = used_room
    room.panel.model_selected.emit("sam")
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    room.panel.weights_chosen.emit("sam", weights)
    room.panel.model.agree.click()
    room.wait(lambda: room.told)
    assert "weights.pth" in room.told[0]
    room.panel.model_selected.emit("random_walker")
    room.wait(lambda: room.panel.model.status.text() == "Ready")
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == room.session.state.active


def test_labels_of_a_file_open_as_objects(used_room, small_volume, small_labels, tmp_path, monkeypatch):
    room = used_room
    path = write_labels(tmp_path / "expert.nii.gz", small_labels, small_volume.geometry)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))
    room.panel.labels_import_requested.emit()
    room.wait(lambda: len(room.session.state.objects) == 3)
    assert np.array_equal(room.session.labels, small_labels)


def test_the_readme_tells_of_every_key_and_of_no_other(used_room):
    section = README.split("## Keys", 1)[1].split("\n## ", 1)[0]
    rows = [row for row in section.splitlines() if row.startswith("| <kbd>")]
    told = [
        "+".join(re.findall(r"<kbd>(.+?)</kbd>", chord))
        for row in rows
        for chord in re.findall(r"<kbd>.+?</kbd>(?:\+<kbd>.+?</kbd>)*", row.split("|")[1])
    ]
    assert len(told) == len(set(told))
    cases = {key.replace("Page", "Pg").replace("Down", "Dn") for key in CASE_KEYS}
    assert set(told) == cases | {str(key) for key in used_room.case.workspace.layers.objects.keymap}
