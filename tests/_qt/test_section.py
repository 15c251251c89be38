"""Folding, wrapping, eliding, banners, and wiring that lets go."""

import gc
import weakref

import pytest
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_medfm._qt.section import Banner, Line, Paragraph, Section, Wiring, caption
from napari_medfm.errors import SessionError

pytestmark = pytest.mark.qt


class Model:
    changed = Signal(int)


class View:
    def __init__(self):
        self.seen = []

    def show(self, value):
        self.seen.append(value)


def test_wiring_passes_values_on_until_it_is_released():
    model, view, wiring = Model(), View(), Wiring()
    wiring.connect(model.changed, view.show)
    model.changed.emit(1)
    wiring.release()
    model.changed.emit(2)
    assert view.seen == [1]
    assert len(model.changed) == 0


def test_wiring_keeps_no_view_alive_and_can_be_released_after_it_is_gone():
    model, view, wiring = Model(), View(), Wiring()
    wiring.connect(model.changed, view.show)
    reference = weakref.ref(view)
    del view
    gc.collect()
    assert reference() is None
    wiring.release()
    wiring.release()


@pytest.fixture
def section(qtbot):
    section = Section("Prompts")
    section.rows.addWidget(QLabel("content"))
    qtbot.addWidget(section)
    section.show()
    return section


def test_a_section_folds_and_unfolds_by_mouse_and_keyboard(qtbot, section):
    content, header = section.content(), section.toggleButton()
    unfolded = section.sizeHint().height()
    qtbot.mouseClick(header, Qt.MouseButton.LeftButton)
    assert content.maximumHeight() == 0
    assert section.sizeHint().height() < unfolded
    qtbot.keyClick(header, Qt.Key.Key_Space)
    assert content.maximumHeight() > 1000
    assert section.sizeHint().height() == unfolded


def test_a_section_grows_with_what_is_put_into_it_later(qtbot, section):
    before = section.sizeHint().height()
    section.rows.addWidget(QLabel("more"))
    qtbot.waitUntil(lambda: section.sizeHint().height() > before)


def test_a_refusal_leaves_as_a_signal_and_anything_else_is_raised(section):
    refused = SessionError("object 1", "is locked", "Unlock it.")
    failures = []
    section.failed.connect(failures.append)

    def refuse():
        raise refused

    def break_down():
        raise ZeroDivisionError

    section.attempt(refuse)
    assert failures == [refused]
    with pytest.raises(ZeroDivisionError):
        section.attempt(break_down)


def test_a_long_line_is_elided_and_all_of_it_is_in_the_tooltip(qtbot):
    text = "a_file_with_a_very_long_name_that_never_fits.nii.gz"
    line = Line(text, tip="The file in use")
    qtbot.addWidget(line)
    line.resize(80, 20)
    line.show()
    assert line.text() == text
    assert line.toolTip() == f"{text}\nThe file in use"
    assert line.accessibleName() == text
    assert QLabel.text(line).endswith("…")


def test_a_long_name_wraps_and_is_still_told_as_it_is(qtbot):
    name = "0123456789abcdef" * 4 + ".medfm"
    paragraph = Paragraph(f"{name}: is damaged.")
    qtbot.addWidget(paragraph)
    assert paragraph.heightForWidth(250) > 2 * paragraph.fontMetrics().height()
    assert paragraph.text() == f"{name}: is damaged."


def test_a_paragraph_is_as_tall_as_its_text(qtbot):
    body, paragraph = QWidget(), Paragraph("word " * 60)
    layout = QVBoxLayout(body)
    layout.addWidget(paragraph)
    qtbot.addWidget(body)
    body.resize(200, 600)
    body.show()
    tall = paragraph.height()
    assert tall == paragraph.heightForWidth(paragraph.width())
    paragraph.setText("word")
    qtbot.waitUntil(lambda: paragraph.height() < 2 * paragraph.fontMetrics().height())
    paragraph.setText("word " * 60)
    paragraph.setStyleSheet("font-size: 20pt")
    qtbot.waitUntil(lambda: paragraph.height() > tall)
    assert paragraph.height() == paragraph.heightForWidth(paragraph.width())


def test_a_banner_is_there_only_while_it_has_something_to_say(qtbot):
    banner = Banner("warning", dismissable=True)
    qtbot.addWidget(banner)
    banner.say("Something is wrong.")
    assert banner.text == "Something is wrong."
    dismiss = next(child for child in banner.children() if getattr(child, "accessibleName", str)() == "Dismiss")
    dismiss.click()
    assert banner.text == ""
    banner.say("Again.")
    banner.say("")
    assert banner.isHidden()


def test_a_caption_names_its_control(qtbot):
    control = QLineEdit()
    control.setToolTip("What it does")
    label = caption("Level", control)
    for widget in (control, label):
        qtbot.addWidget(widget)
    assert label.buddy() is control
    assert (control.accessibleName(), label.toolTip()) == ("Level", "What it does")
