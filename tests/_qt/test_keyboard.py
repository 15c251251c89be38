import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QLineEdit, QPushButton, QSpinBox, QTextEdit, QVBoxLayout, QWidget

from napari_medfm._qt.keyboard import KeyboardFollowsMouse

pytestmark = pytest.mark.qt


class Desk(QWidget):
    """A canvas beside fields, with the keyboard following the mouse."""

    def __init__(self):
        super().__init__()
        self.canvas = QOpenGLWidget()
        self.canvas.setFocusPolicy(Qt.FocusPolicy.WheelFocus)
        self.button, self.number, self.name, self.text = QPushButton(), QSpinBox(), QLineEdit(), QTextEdit()
        self.choice = QComboBox()
        self.choice.setEditable(True)
        layout = QVBoxLayout(self)
        for part in (self.canvas, self.button, self.number, self.name, self.text, self.choice):
            layout.addWidget(part)
        self.keyboard = KeyboardFollowsMouse(self)
        self.keyboard.follow(self.button)

    def move_the_mouse(self, kind=QEvent.Type.Enter):
        QApplication.sendEvent(self.canvas, QEvent(kind))


@pytest.fixture
def desk(qtbot):
    desk = Desk()
    qtbot.addWidget(desk)
    with qtbot.waitExposed(desk):
        desk.show()
    desk.activateWindow()
    qtbot.waitUntil(desk.isActiveWindow)
    return desk


@pytest.mark.parametrize("part", ["button", "number", "name", "choice"])
def test_the_canvas_gets_the_keyboard_with_the_mouse(desk, part):
    getattr(desk, part).setFocus()
    desk.move_the_mouse()
    assert desk.canvas.hasFocus()


@pytest.mark.parametrize("part", ["number", "name", "choice", "text"])
def test_who_is_typing_keeps_it(desk, part):
    field = getattr(desk, part)
    field.setFocus()
    QTest.keyClicks(field, "1")
    desk.move_the_mouse()
    assert not desk.canvas.hasFocus()


def test_an_open_menu_keeps_it(desk, qtbot):
    desk.choice.addItems(["one", "two"])
    desk.choice.showPopup()
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is not None)
    desk.move_the_mouse()
    assert not desk.canvas.hasFocus()
    desk.choice.hidePopup()


def test_another_window_keeps_it(desk, qtbot):
    other = QLineEdit()
    qtbot.addWidget(other)
    with qtbot.waitExposed(other):
        other.show()
    other.activateWindow()
    other.setFocus()
    qtbot.waitUntil(other.hasFocus)
    desk.move_the_mouse()
    assert other.hasFocus()


def test_it_can_be_left_alone_again(desk):
    desk.keyboard.leave()
    desk.button.setFocus()
    desk.move_the_mouse()
    assert desk.button.hasFocus()
