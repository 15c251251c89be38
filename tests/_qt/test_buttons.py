"""Buttons that fit."""

import pytest

from napari_medfm._qt.buttons import CompactButton, ToolButton

pytestmark = pytest.mark.qt


def look(widget):
    """Return what a widget looks like."""
    return widget.grab().toImage()


def test_a_text_too_long_for_the_button_is_cut_and_never_painted_outside(qtbot):
    button = CompactButton("Undo: a step with a very long name indeed", "Undo")
    qtbot.addWidget(button)
    assert button.minimumSizeHint().width() < 60 < button.sizeHint().width()
    cut = CompactButton("Undo: a st…", "Undo")
    qtbot.addWidget(cut)
    for each in (button, cut):
        each.resize(button.fontMetrics().horizontalAdvance(cut.text()) + 9, 28)
        each.show()
    assert look(button) == look(cut)


def test_the_key_stands_on_the_button_and_in_the_tooltip(qtbot):
    plain, keyed = CompactButton("Accept", "Accept it"), CompactButton("Accept", "Accept it", hint="Enter")
    for button in (plain, keyed):
        qtbot.addWidget(button)
        button.resize(140, 28)
        button.show()
    assert keyed.toolTip() == "Accept it (key: Enter)"
    assert plain.toolTip() == "Accept it"
    assert look(keyed) != look(plain)


def test_keyboard_focus_is_visible(qtbot):
    button = CompactButton("Accept", "Accept it")
    qtbot.addWidget(button)
    button.show()
    button.activateWindow()
    button.setFocus()
    qtbot.waitUntil(button.hasFocus)
    focused = look(button)
    button.clearFocus()
    assert look(button) != focused


def test_a_tool_button_stays_down_and_is_named_for_screen_readers(qtbot):
    button = ToolButton("Lasso", "Draw around it", glyph="lasso", hint="L")
    qtbot.addWidget(button)
    button.click()
    assert button.isChecked()
    assert button.accessibleName() == "Lasso"
