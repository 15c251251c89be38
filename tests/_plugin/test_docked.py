"""What both docks have in common, in a window without napari."""

import pytest
from qtpy.QtWidgets import QMainWindow

from napari_medfm._plugin.docked import DockedWidget

pytestmark = pytest.mark.qt


class Work:
    """What goes on in a dock, and says when it ends."""

    def __init__(self):
        self.ended = 0

    def close(self):
        self.ended += 1

    def abandon(self):
        self.ended += 1


class Dock(DockedWidget):
    def _begin(self, dispatch):
        self.work = Work()
        return self.work


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    window.setCentralWidget(Dock(None))
    return window


def test_a_window_that_is_wider_than_the_screen_is_narrowed(window, qtbot):
    screen = window.screen().availableGeometry()
    window.resize(screen.width() + 120, 300)
    window.show()
    qtbot.waitUntil(lambda: window.width() == screen.width())
    assert window.height() == 300


def test_a_window_that_fits_stays_as_it_is(window, qtbot):
    window.resize(500, 300)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.waitUntil(lambda: not window.centralWidget()._fitting.isActive())
    assert (window.width(), window.height()) == (500, 300)


def test_what_goes_on_ends_with_the_dock_and_begins_anew(window, qtbot):
    dock = window.centralWidget()
    window.show()
    first = dock.work
    dock.hide()
    assert first.ended == 1
    dock.show()
    assert dock.work is not first
