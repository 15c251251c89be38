"""The bar in napari's activity dock, which lets other events run while it is drawn."""

from functools import partial

import pytest
from qtpy.QtWidgets import QApplication, QMainWindow, QProgressBar

from napari_medfm._napari.activity import Activity
from napari_medfm._qt import MainThreadDispatcher

pytestmark = pytest.mark.qt


@pytest.fixture
def bars(window, qtbot):
    """Return a function that returns value and maximum of the bars in the window."""
    (main,) = [
        widget
        for widget in QApplication.topLevelWidgets()
        if isinstance(widget, QMainWindow) and widget.windowTitle() == window.title
    ]
    return lambda: [(bar.value(), bar.maximum()) for bar in main.findChildren(QProgressBar)]


@pytest.fixture
def activity():
    activity = Activity("Preparing slices")
    yield activity
    activity.close()


def test_a_bar_follows_and_goes_away_when_complete(bars, activity, qtbot):
    activity.show(1, 4)
    activity.show(2, 4)
    assert bars() == [(2, 4)]
    activity.show(1, 9)
    qtbot.waitUntil(lambda: bars() == [(1, 9)])
    activity.show(9, 9)
    qtbot.waitUntil(lambda: bars() == [])


def test_progress_that_comes_while_the_bar_is_drawn_is_drawn_afterwards(bars, activity, qtbot):
    dispatch = MainThreadDispatcher()
    for done in range(1, 2000):  # all are handed over before napari draws the first
        dispatch(partial(activity.show, done, 2000))
    qtbot.waitUntil(lambda: bars() == [(1999, 2000)])
    dispatch.close()


def test_a_bar_that_is_ended_while_it_is_drawn_goes_away(bars, activity, qtbot):
    dispatch = MainThreadDispatcher()
    dispatch(activity.close)
    activity.show(1, 4)
    qtbot.waitUntil(lambda: bars() == [])
    dispatch.close()
