"""Tools, prompts of the slice, and steps back and forth."""

import pytest
from qtpy.QtCore import Qt

from napari_medfm._qt.prompt_section import TOOLS, PromptSection, describe_prompt
from napari_medfm._qt.tables import GLYPH_ROLE
from napari_medfm.prompts import Box, Lasso, Point, Scribble
from napari_medfm.volume import Plane

pytestmark = pytest.mark.qt
HERE, THERE = Plane(0, 5), Plane(0, 6)


@pytest.fixture
def section(qtbot, session, wiring):
    section = PromptSection()
    qtbot.addWidget(section)
    section.bind(session, None, wiring)
    section.set_plane(HERE)
    section.show()
    return section


def listed(section):
    """Return the texts of the prompts that are shown."""
    return [section.prompts.item(row, 1).text() for row in range(section.prompts.rowCount())]


def click_cell(qtbot, table, row, column):
    """Click into the middle of a cell."""
    place = table.visualRect(table.model().index(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_every_tool_has_a_button_with_its_key_and_tells_its_name(section):
    told = []
    section.tool_selected.connect(told.append)
    for tool in TOOLS:
        assert f"(key: {tool.key})" in section.tools[tool.name].toolTip()
        section.tools[tool.name].click()
    assert told == [tool.name for tool in TOOLS]


def test_only_one_tool_is_in_the_hand_and_showing_one_tells_nothing(section):
    told = []
    section.tool_selected.connect(told.append)
    section.set_tool("lasso")
    assert [name for name, button in section.tools.items() if button.isChecked()] == ["lasso"]
    assert told == []


def test_the_sign_is_told_when_clicked_and_only_shown_when_set(section):
    told = []
    section.sign_toggled.connect(told.append)
    section.subtract.click()
    section.add.click()
    section.set_positive(False)
    assert told == [False, True]
    assert section.subtract.isChecked()
    assert not section.add.isChecked()


def test_the_preview_can_be_switched_off(section):
    told = []
    section.hover_toggled.connect(told.append)
    section.hover.click()
    section.set_hover(True)
    assert told == [False]


def test_the_prompts_of_the_active_object_on_this_slice_are_listed(section, session):
    session.add_object()
    session.add_prompt(Point(HERE, (3, 4)))
    session.add_prompt(Point(THERE, (7, 8)))
    session.add_prompt(Scribble(HERE, ((1, 1), (2, 2)), positive=False))
    assert listed(section) == ["+ Point at 3, 4", "\N{MINUS SIGN} Scribble"]
    assert section.prompts.item(1, 0).data(GLYPH_ROLE) == "scribble"
    section.set_plane(THERE)
    assert listed(section) == ["+ Point at 7, 8"]
    session.add_object()
    assert listed(section) == []
    assert section.count.text() == "No prompts on this slice yet"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Point(HERE, (1.4, 2.6), positive=False), "\N{MINUS SIGN} Point at 1, 3"),
        (Box(HERE, (0, 0), (4, 4)), "+ Box"),
        (Lasso(HERE, ((0, 0), (0, 4), (4, 0))), "+ Lasso"),
    ],
)
def test_a_prompt_is_told_by_sign_and_kind(prompt, words):
    assert describe_prompt(prompt) == words


def test_the_cross_of_a_row_deletes_that_prompt_of_all_the_objects_prompts(qtbot, section, session):
    session.add_object()
    for plane, row in ((THERE, 1), (HERE, 2), (HERE, 3)):
        session.add_prompt(Point(plane, (row, row)))
    click_cell(qtbot, section.prompts, 1, 2)
    assert [prompt.position for prompt in session.state.object().prompts] == [(1, 1), (2, 2)]
    click_cell(qtbot, section.prompts, 0, 1)
    assert len(session.state.object().prompts) == 2


def test_the_delete_key_deletes_the_chosen_prompt(qtbot, section, session):
    session.add_object()
    session.add_prompt(Point(HERE, (1, 1)))
    session.add_prompt(Point(HERE, (2, 2)))
    section.activateWindow()
    section.prompts.setFocus()
    qtbot.waitUntil(section.prompts.hasFocus)
    section.prompts.setCurrentCell(0, 1)
    qtbot.keyClick(section.prompts, Qt.Key.Key_Delete)
    assert listed(section) == ["+ Point at 2, 2"]


def test_undo_and_redo_name_their_step_and_do_it(section, session):
    assert not section.undo.isEnabled()
    session.add_object()
    session.add_prompt(Point(HERE, (1, 1)))
    assert section.undo.text() == f"Undo: {session.undo_name}"
    assert session.undo_name in section.undo.toolTip()
    section.undo.click()
    assert listed(section) == []
    assert section.redo.text() == f"Redo: {session.redo_name}"
    section.redo.click()
    assert listed(section) == ["+ Point at 1, 1"]


def test_reset_and_accept_act_on_the_active_object(section, session):
    first = session.add_object()
    session.add_prompt(Point(HERE, (1, 1)))
    section.reset.click()
    assert len(session.state.object(first).prompts) == 0
    section.accept.click()
    assert session.state.object(first).accepted


def test_without_an_active_object_there_is_nothing_to_accept_or_reset(section, session):
    assert section.count.text() == "No object is active"
    assert not section.accept.isEnabled()
    session.add_object()
    assert section.accept.isEnabled()
    session.set_active(None)
    assert not section.reset.isEnabled()


def test_a_refusal_is_told(section, session):
    number = session.add_object()
    session.add_prompt(Point(HERE, (1, 1)))
    session.set_locked(number, True)
    failures = []
    section.failed.connect(failures.append)
    section.reset.click()
    assert len(failures) == 1
    assert len(session.state.object(number).prompts) == 1


def test_unbound_it_shows_nothing(section, session, wiring):
    session.add_object()
    session.add_prompt(Point(HERE, (1, 1)))
    wiring.release()
    section.unbind()
    assert listed(section) == []
    assert not section.undo.isEnabled()
    session.add_prompt(Point(HERE, (2, 2)))
    assert listed(section) == []
