"""The object table, classes, policy and extent."""

import csv
import io
import json

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QGuiApplication
from qtpy.QtWidgets import QColorDialog, QComboBox, QFileDialog, QLineEdit

from napari_medfm._qt.main_thread import MainThreadDispatcher
from napari_medfm._qt.objects_model import Column
from napari_medfm._qt.objects_section import ObjectsSection
from napari_medfm.session import CommitPolicy, Extent, Measures
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt


@pytest.fixture
def section(qtbot, session, wiring):
    section = ObjectsSection()
    qtbot.addWidget(section)
    section.bind(session, wiring)
    section.resize(300, 500)
    section.show()
    return section


def click(qtbot, section, row, column, double=False):
    """Click into a cell, once or twice."""
    place = section.table.visualRect(section.model.index(row, column)).center()
    qtbot.mouseClick(section.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    if double:
        qtbot.mouseDClick(section.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def choose(box, value):
    """Choose an entry as a person does."""
    place = box.findData(value)
    box.setCurrentIndex(place)
    box.activated.emit(place)


def chosen_row(section):
    rows = section.table.selectionModel().selectedRows()
    return rows[0].row() if rows else None


def test_new_makes_an_object_and_chooses_it(section, session):
    section.add.click()
    section.add.click()
    assert list(session.state.objects) == [1, 2]
    assert chosen_row(section) == 1


def test_the_table_is_copied_once_everything_is_measured(qtbot, section, session, small_labels, wiring):
    assert not section.copy.isEnabled()
    session.import_labels(small_labels, {1: "liver, right lobe"})
    with Lane("editing") as lane:
        dispatch = MainThreadDispatcher()
        measures = Measures(session, lane, dispatch)
        section.bind_measures(measures, wiring)
        section.measure.click()
        assert not section.table.isColumnHidden(Column.LONG)
        assert section.table.isColumnHidden(Column.CLASS)
        section.copy.click()
        qtbot.waitUntil(lambda: section.copy.text() == "Copy table")
        rows = list(csv.DictReader(io.StringIO(QGuiApplication.clipboard().text())))
        shown = section.model.index(0, Column.MEAN).data(), section.model.index(0, Column.LONG).data()
        measures.close()
        dispatch.close()
    assert [row["name"] for row in rows] == ["liver, right lobe", "Object 2", "Object 3"]
    assert shown == (f"{float(rows[0]['mean']):.4g}", f"{float(rows[0]['long_mm']):.1f}")
    assert rows[0]["unit"] == "HU"


def test_the_table_appears_with_the_first_object(section):
    assert section.empty.isVisible()
    assert not section.table.isVisible()
    section.add.click()
    assert section.table.isVisible()
    assert not section.empty.isVisible()


def test_clicking_a_row_makes_its_object_active_and_the_other_way_round(qtbot, section, session):
    first, second = session.add_object(), session.add_object()
    click(qtbot, section, 0, Column.NAME)
    assert session.state.active == first
    session.set_active(second)
    assert chosen_row(section) == 1
    session.accept()
    assert chosen_row(section) is None


def test_the_chosen_row_can_be_changed_with_the_arrow_keys(qtbot, section, session):
    first, _ = session.add_object(), session.add_object()
    qtbot.keyClick(section.table, Qt.Key.Key_Up)
    assert session.state.active == first


def test_an_object_that_is_chosen_again_after_it_was_accepted_is_active_again(qtbot, section, session):
    number = session.add_object()
    session.accept()
    click(qtbot, section, 0, Column.NAME)
    assert session.state.active == number


def test_clicks_on_lock_and_eye_switch_them(qtbot, section, session):
    number = session.add_object()
    click(qtbot, section, 0, Column.LOCKED)
    click(qtbot, section, 0, Column.VISIBLE)
    thing = session.state.object(number)
    assert (thing.locked, thing.visible) == (True, False)


def test_a_name_is_typed_into_the_table(qtbot, section, session):
    number = session.add_object()
    click(qtbot, section, 0, Column.NAME, double=True)
    editor = section.table.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, "Segment 4")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.state.object(number).name == "Segment 4")


def test_a_class_is_chosen_from_the_list_or_typed(qtbot, section, session):
    number = session.add_object()
    click(qtbot, section, 0, Column.CLASS, double=True)
    editor = section.table.findChild(QComboBox)
    assert [editor.itemText(row) for row in range(editor.count())] == ["liver", "lesion"]
    qtbot.keyClicks(editor.lineEdit(), "cyst")
    qtbot.keyClick(editor.lineEdit(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.state.object(number).class_name == "cyst")
    assert section.extent_class.findText("cyst") >= 0


def test_a_colour_goes_to_the_object_it_was_asked_for_whatever_happened_meanwhile(qtbot, section, session):
    first, second = session.add_object(), session.add_object()
    click(qtbot, section, 1, Column.COLOUR)
    dialog = section.findChild(QColorDialog)
    session.delete_object(first)
    dialog.colorSelected.emit(QColor(1, 2, 3))
    dialog.reject()
    assert session.state.object(second).colour == (1, 2, 3)


def test_delete_by_button_or_key_asks_nothing_because_undo_brings_it_back(qtbot, section, session):
    session.add_object()
    number = session.add_object()
    session.write_voxels(number, (slice(0, 1), slice(0, 1), slice(0, 4)), np.ones((1, 1, 4), bool))
    section.delete.click()
    assert list(session.state.objects) == [1]
    session.undo()
    assert session.voxel_count(number) == 4
    section.activateWindow()
    section.table.setFocus()
    qtbot.waitUntil(section.table.hasFocus)
    section.table.selectRow(0)
    qtbot.keyClick(section.table, Qt.Key.Key_Delete)
    assert 1 not in session.state.objects


def test_going_to_an_object_is_an_intent(qtbot, section, session):
    session.add_object()
    number = session.add_object()
    with qtbot.waitSignal(section.jump_requested) as told:
        section.jump.click()
    assert told.args == [number]


def test_the_policy_is_chosen_and_shown(section, session):
    choose(section.policy, CommitPolicy.REPLACE)
    assert session.state.policy is CommitPolicy.REPLACE
    session.set_policy(CommitPolicy.KEEP)
    assert section.policy.currentData() is CommitPolicy.KEEP


def test_the_extent_is_of_the_chosen_class_on_the_slice_in_view(section, session):
    section.set_plane(Plane(0, 3))
    section.extent_class.setCurrentText("lesion")
    choose(section.extent, Extent.NEGATIVE)
    assert session.state.extent_of("lesion", Plane(0, 3)) is Extent.NEGATIVE
    assert session.state.extent_of("liver", Plane(0, 3)) is Extent.UNSEEN
    section.set_plane(Plane(0, 4))
    assert section.extent.currentData() is Extent.UNSEEN
    section.set_plane(Plane(0, 3))
    assert section.extent.currentData() is Extent.NEGATIVE
    session.undo()
    assert section.extent.currentData() is Extent.UNSEEN


def test_the_extent_is_of_the_class_of_the_object_that_is_worked_on(section, session):
    section.set_plane(Plane(0, 3))
    session.set_extent("lesion", [Plane(0, 3)], Extent.NEGATIVE)
    liver = session.add_object("liver")
    session.add_object("lesion")
    assert (section.extent_class.currentText(), section.extent.currentData()) == ("lesion", Extent.NEGATIVE)
    session.set_active(liver)
    assert (section.extent_class.currentText(), section.extent.currentData()) == ("liver", Extent.UNSEEN)


def test_the_class_stays_chosen_when_the_list_changes(section, session):
    section.extent_class.setCurrentText("lesion")
    session.define_classes(session.state.classes[::-1])
    assert section.extent_class.currentText() == "lesion"


def test_a_class_list_is_loaded_from_a_file_and_a_bad_one_is_refused_with_a_reason(section, session, tmp_path):
    failures = []
    section.failed.connect(failures.append)
    good, bad = tmp_path / "organs.json", tmp_path / "bad.json"
    good.write_text(json.dumps([{"name": "spleen", "colour": [10, 20, 30], "parent": None}]))
    bad.write_text("no list")
    for file in (bad, good):
        section.load_classes.click()
        dialog = section.findChildren(QFileDialog)[-1]
        dialog.fileSelected.emit(str(file))
        dialog.reject()
    assert [known.name for known in session.state.classes] == ["spleen"]
    assert len(failures) == 1
    assert "bad.json" in str(failures[0])


def test_a_refused_edit_is_told(qtbot, section, session):
    number = session.add_object()
    session.set_locked(number, True)
    failures = []
    section.failed.connect(failures.append)
    section.delete.click()
    assert len(failures) == 1
    assert number in session.state.objects


def test_with_500_objects_a_change_of_voxels_reads_only_the_rows_in_view(qtbot, section, session):
    session.import_labels(np.arange(session.labels.size, dtype=np.int32).reshape(session.labels.shape) % 501)
    assert section.model.rowCount() == 500
    reads = []
    read = session.voxel_count
    session.voxel_count = lambda number: reads.append(number) or read(number)
    number = session.add_object()
    session.write_voxels(number, (slice(0, 1), slice(0, 1), slice(0, 1)), np.ones((1, 1, 1), bool))
    section.table.viewport().repaint()
    assert 0 < len(set(reads)) < 40


def test_unbound_nothing_can_be_done(section, session, wiring):
    session.add_object()
    wiring.release()
    section.unbind()
    assert section.model.rowCount() == 0
    assert not section.add.isEnabled()
    assert not section.extent_class.isEnabled()
