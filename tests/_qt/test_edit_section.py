"""The section for editing by hand says what the hand shall do, shows what it would, and says what it did."""

import numpy as np
import pytest

from napari_medfm._qt import MedfmPanel
from napari_medfm._qt.edit_section import EDIT_TOOLS, EditSection
from napari_medfm._qt.main_thread import MainThreadDispatcher
from napari_medfm.editing import Brush
from napari_medfm.session import Hand
from napari_medfm.volume import Plane, Window
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt
HERE = Plane(0, 6)
WINDOW = Window("abdomen", -160, 240)


@pytest.fixture
def hand(qtbot, session):
    number = session.add_object("liver")
    session.write_voxels(number, (slice(4, 9), slice(10, 20), slice(10, 20)), np.ones((5, 10, 10), bool))
    dispatch = MainThreadDispatcher()
    with Lane("editing") as lane:
        hand = Hand(session, lane, dispatch)
        yield hand
        hand.close()
        dispatch.close()


@pytest.fixture
def section(qtbot, session, hand, wiring):
    section = EditSection()
    qtbot.addWidget(section)
    section.bind(session, hand, lambda: WINDOW, wiring)
    section.set_plane(HERE)
    return section


def choose(section, words):
    section.operations.setCurrentIndex(section.operations.findText(words))
    section.operations.activated.emit(section.operations.currentIndex())


def test_it_is_folded_until_somebody_needs_it(section):
    assert not section.isExpanded()


def test_the_range_begins_with_the_window_and_comes_back_to_it(section, hand):
    assert (hand.brush.low, hand.brush.high) == (-160, 240)
    section.low.setValue(10)
    section.diameter.setValue(7)
    assert hand.brush == Brush(3.5, low=10, high=240)
    hand.set_brush(Brush(3.5, low=20.5, high=60))  # picked in the image
    assert section.low.value() == 20.5
    section.reset_range.click()
    assert (hand.brush.low, hand.brush.high) == (section.low.value(), section.high.value()) == (-160, 240)


@pytest.mark.parametrize("words", ["Smooth", "Grow", "Shrink", "Fill holes in slices", "Drop small islands"])
def test_what_is_chosen_is_previewed_and_then_done(qtbot, section, session, hand, words):
    number = session.state.active
    session.write_voxels(number, (slice(6, 7), slice(14, 15), slice(14, 15)), np.ones((1, 1, 1), bool), add=False)
    session.write_voxels(number, (slice(6, 7), slice(40, 41), slice(40, 41)), np.ones((1, 1, 1), bool))
    before = session.voxel_count(number)
    with qtbot.waitSignal(hand.events.previewed):
        choose(section, words)
    assert section.preview.isChecked()
    assert section.outcome.text().startswith("On this slice: ")
    with qtbot.waitSignal(hand.events.shaped):
        section.apply.click()
    assert not section.preview.isChecked()
    assert session.voxel_count(number) != before
    assert section.outcome.text().endswith(" voxels")
    session.undo()
    assert session.voxel_count(number) == before


def test_the_preview_follows_amount_slice_and_direction_and_ends_when_it_is_folded(qtbot, section, hand):
    section.expand(animate=False)
    choose(section, "Grow")
    for act in (lambda: section.amount.setValue(4), lambda: section.set_plane(Plane(0, 7))):
        with qtbot.waitSignal(hand.events.previewed) as heard:
            act()
    assert heard.args[0].plane == Plane(0, 7)
    with qtbot.waitSignal(hand.events.previewed) as heard:
        section.set_plane(Plane(2, 12))
    assert heard.args[0].added.shape == (12, 48)
    with qtbot.waitSignal(hand.events.previewed, check_params_cb=lambda change: change is None):
        section.collapse(animate=False)
    assert not section.preview.isChecked()


def test_a_class_is_chosen_inside_which_alone_is_painted(section, session, hand):
    assert [section.inside.itemText(k) for k in range(section.inside.count())] == ["Anywhere", "liver", "lesion"]
    section.inside.setCurrentIndex(1)
    section.inside.activated.emit(1)
    assert hand.inside == "liver"
    session.define_classes([known for known in session.state.classes if known.name == "liver"])
    assert hand.inside == "liver"
    section.inside.setCurrentIndex(0)
    section.inside.activated.emit(0)
    assert hand.inside is None


def test_without_an_object_it_says_so(qtbot, section, session, hand):
    session.set_active(None)
    with qtbot.waitSignal(hand.events.previewed):
        choose(section, "Grow")
    assert section.outcome.text() == "No object is active, or it is locked"
    with qtbot.waitSignal(section.failed):
        section.apply.click()


def test_nothing_can_be_done_without_a_session(section):
    section.unbind()
    assert not any(button.isEnabled() for button in (*section.tools.values(), section.apply, section.preview))


def test_prompt_and_edit_tools_are_one_choice(qtbot, session, hand, wiring):
    panel = MedfmPanel()
    qtbot.addWidget(panel)
    panel.edit.bind(session, hand, lambda: WINDOW, wiring)
    chosen = []
    panel.tool_selected.connect(chosen.append)
    for tool in EDIT_TOOLS:
        panel.edit.tools[tool.name].click()
        panel.set_tool(tool.name)
        buttons = panel.prompts.tools | panel.edit.tools
        assert [name for name, button in buttons.items() if button.isChecked()] == [tool.name]
    panel.set_tool("lasso")
    assert [name for name, button in buttons.items() if button.isChecked()] == ["lasso"]
    assert chosen == [tool.name for tool in EDIT_TOOLS]
