"""The object table's model, checked by Qt's own model tester on the way."""

import math
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from napari_medfm._qt.objects_model import Column, ObjectsModel
from napari_medfm._qt.tables import COLOUR_ROLE, GLYPH_ROLE
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Volume, array_geometry, fingerprint

pytestmark = pytest.mark.qt
Role = Qt.ItemDataRole


@pytest.fixture
def model(qtmodeltester, session, wiring):
    model = ObjectsModel()
    qtmodeltester.check(model)
    model.bind(session, wiring)
    return model


def cell(model, row, column, role=Role.DisplayRole):
    return model.index(row, column).data(role)


def paint(session, number, voxels):
    """Paint a run of voxels of the first row of the first slice."""
    session.write_voxels(number, (slice(0, 1), slice(0, 1), slice(0, voxels)), np.ones((1, 1, voxels), bool))


def test_a_row_per_object_in_the_order_they_were_made(model, session):
    numbers = [session.add_object("liver"), session.add_object(name="Cyst"), session.add_object("lesion")]
    assert [model.object_id(row) for row in range(model.rowCount())] == numbers
    assert [model.row_of(number) for number in numbers] == [0, 1, 2]
    assert [cell(model, row, Column.CLASS) for row in range(3)] == ["liver", "", "lesion"]
    assert cell(model, 1, Column.NAME) == "Cyst"
    assert cell(model, 0, Column.COLOUR, COLOUR_ROLE) == QColor(200, 60, 60)


def test_a_deleted_object_leaves_and_undo_brings_it_back(model, session):
    first, second = session.add_object(), session.add_object()
    session.delete_object(first)
    assert [model.object_id(row) for row in range(model.rowCount())] == [second]
    session.undo()
    assert {model.object_id(row) for row in range(model.rowCount())} == {first, second}


def test_undoing_the_only_object_leaves_an_empty_table(model, session):
    session.add_object()
    session.undo()
    assert model.rowCount() == 0
    assert model.object_id(0) is None
    assert model.row_of(1) == -1


def test_one_more_object_is_a_row_inserted_so_that_choice_and_editors_stay(qtbot, model, session):
    session.add_object()
    with qtbot.waitSignal(model.rowsInserted), qtbot.assertNotEmitted(model.modelReset):
        session.add_object()


def test_the_size_is_in_millilitres_and_follows_the_voxels(qtbot, model, session):
    number = session.add_object()
    with qtbot.waitSignal(model.dataChanged):
        paint(session, number, 10)
    assert model.headerData(Column.SIZE, Qt.Orientation.Horizontal) == "ml"
    assert cell(model, 0, Column.SIZE) == f"{10 * 3 / 1000:.2f}"
    assert cell(model, 0, Column.SIZE, Role.ToolTipRole) == "0.03 ml"


@pytest.mark.parametrize(("known", "unit", "size"), [(True, "mm²", "0.8"), (False, "voxels", "5")])
def test_a_flat_image_has_areas_and_one_of_unknown_spacing_has_voxels(tmp_path, wiring, known, unit, size):
    geometry = replace(array_geometry((8, 9), (0.4, 0.4)), known=known)
    image = Volume(np.zeros((8, 9), np.uint8), geometry)
    with AnnotationSession.create(image, fingerprint(image), folder=tmp_path) as session:
        model = ObjectsModel()
        model.bind(session, wiring)
        session.write_voxels(session.add_object(), (slice(0, 1), slice(0, 5)), np.ones((1, 5), bool))
        assert model.headerData(Column.SIZE, Qt.Orientation.Horizontal) == unit
        assert cell(model, 0, Column.SIZE) == size
        wiring.release()


def test_names_and_classes_are_edited_in_place(model, session):
    number = session.add_object("liver")
    assert model.setData(model.index(0, Column.NAME), "  Segment 4 ")
    assert model.setData(model.index(0, Column.CLASS), "lesion")
    thing = session.state.object(number)
    assert (thing.name, thing.class_name) == ("Segment 4", "lesion")


def test_an_edit_that_changes_nothing_is_no_step(model, session):
    session.add_object("liver")
    step = session.undo_name
    for text in ("", "   ", cell(model, 0, Column.NAME)):
        assert not model.setData(model.index(0, Column.NAME), text)
    assert session.undo_name == step


def test_a_class_that_is_typed_for_the_first_time_has_a_colour_of_its_own(model, session):
    number = session.add_object("liver")
    model.setData(model.index(0, Column.CLASS), "cyst")
    assert model.class_names() == ["liver", "lesion", "cyst"]
    thing = session.state.object(number)
    assert (thing.class_name, thing.colour) == ("cyst", session.state.object_class("cyst").colour)
    others = [session.state.object_class(name).colour for name in ("liver", "lesion")]
    assert min(math.dist(thing.colour, other) for other in others) > 60


def test_lock_and_eye_are_switched_and_shown(model, session):
    number = session.add_object()
    assert cell(model, 0, Column.LOCKED, GLYPH_ROLE) == "unlocked"
    model.toggle(model.index(0, Column.LOCKED))
    model.toggle(model.index(0, Column.VISIBLE))
    assert (session.state.object(number).locked, session.state.object(number).visible) == (True, False)
    assert cell(model, 0, Column.LOCKED, GLYPH_ROLE) == "locked"
    assert cell(model, 0, Column.VISIBLE, GLYPH_ROLE) == "hidden"
    assert cell(model, 0, Column.LOCKED, Role.AccessibleTextRole) == "Locked; click to unlock"


def test_toggling_any_other_cell_changes_nothing(model, session):
    session.add_object()
    before = session.state
    for column in (Column.COLOUR, Column.NAME, Column.CLASS, Column.SIZE, Column.ACCEPTED):
        model.toggle(model.index(0, column))
    assert session.state == before


def test_acceptance_is_shown(model, session):
    session.add_object()
    assert not cell(model, 0, Column.ACCEPTED, GLYPH_ROLE)
    session.accept()
    assert cell(model, 0, Column.ACCEPTED, GLYPH_ROLE) == "check"


def test_every_column_says_what_it_is(model, session):
    session.add_object()
    for column in Column:
        assert model.headerData(column, Qt.Orientation.Horizontal, Role.ToolTipRole)
        assert cell(model, 0, column, Role.ToolTipRole) is not None


def test_a_read_only_session_can_be_looked_at_and_not_edited(tmp_path, session, wiring):
    session.add_object()
    with AnnotationSession.resume(session.volume, session.fingerprint, session.path.parent) as other:
        model, failures = ObjectsModel(), []
        model.failed.connect(failures.append)
        model.bind(other, wiring)
        assert model.rowCount() == 1
        assert not model.flags(model.index(0, Column.NAME)) & Qt.ItemFlag.ItemIsEditable
        model.toggle(model.index(0, Column.LOCKED))
        assert len(failures) == 1
        wiring.release()


def test_unbound_it_is_empty_and_hears_nothing(model, session, wiring):
    session.add_object()
    wiring.release()
    model.unbind()
    session.add_object()
    assert model.rowCount() == 0
    assert model.class_names() == []
