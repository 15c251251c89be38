"""Brushes and pieces by real mouse events: what is under the hand is painted, in millimetres, on any plane."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_medfm._napari.brushing import Brushing
from napari_medfm.editing import Brush, Shrink
from napari_medfm.session import Hand
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

from .canvas import ALT, CONTROL, LEFT, NONE, SHIFT

pytestmark = pytest.mark.qt

ORGAN = (6, 24, 20)


@pytest.fixture(scope="module")
def shared_hand(shared_desk):
    from napari_medfm._qt import MainThreadDispatcher

    dispatch = MainThreadDispatcher()
    with Lane("editing") as lane:
        hand = Hand(shared_desk.session, lane, dispatch)
        brushing = Brushing(
            shared_desk.viewer, shared_desk.layers, shared_desk.workspace.tools, shared_desk.session, hand
        )
        hand.idle = lambda: lane.wait_idle(30)
        yield hand
        brushing.teardown()
        hand.close()
        dispatch.close()


@pytest.fixture
def hand(desk, shared_hand):
    shared_hand.clear_preview()
    shared_hand.set_brush(Brush(4.3))
    return shared_hand


def waited(desk, signal, act):
    """Do something and wait until the session has heard of it."""
    with desk.qtbot.waitSignal(signal, timeout=10_000):
        act()


def painted(desk, act):
    waited(desk, desk.session.events.voxels_changed, act)
    return np.argwhere(desk.session.labels == desk.active)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ball_is_painted_about_the_click_in_every_plane(desk, hand, axis):
    for _ in range(axis):
        desk.workspace.orientation.cycle((6.0, 24.0, 20.0))
    desk.workspace.tools.select("sphere")
    voxels = painted(desk, lambda: desk.canvas.click(ORGAN))
    assert voxels.mean(axis=0) == pytest.approx(ORGAN, abs=0.1)
    assert np.ptp(voxels, axis=0).tolist() == [2, 8, 8]  # slices are 3 mm thick
    assert np.array_equal(desk.objects.data, desk.session.labels)
    assert len(desk.session.history.done[-1].events) == 1


def test_only_values_in_the_range_are_painted_and_alt_click_picks_it(desk, hand):
    desk.workspace.tools.select("range")
    waited(desk, hand.events.brush_changed, lambda: desk.canvas.click((6, 33, 20), ALT))
    assert 80 < hand.brush.low < 110 < hand.brush.high < 140  # the organ has 110 HU
    assert not desk.session.state.objects
    hand.set_brush(Brush(8.0, low=80, high=140))
    voxels = painted(desk, lambda: desk.canvas.drag([(6, 24, 4), (6, 24, 12), (6, 24, 20)]))
    values = desk.session.volume.array[tuple(voxels.T)]
    assert len(voxels) > 150
    assert values.min() >= 80
    assert (voxels[:, 0] == 6).all()


def test_shift_erases_and_undo_brings_the_stroke_back(desk, hand):
    desk.workspace.tools.select("sphere")
    before = len(painted(desk, lambda: desk.canvas.click(ORGAN)))
    hand.set_brush(Brush(2.2))
    after = len(painted(desk, lambda: desk.canvas.click(ORGAN, SHIFT)))
    assert after == before - 13
    desk.canvas.key(Qt.Key.Key_Z, CONTROL)
    assert desk.session.voxel_count(desk.active) == before


def test_the_stroke_is_seen_while_it_is_drawn(desk, hand):
    from qtpy.QtTest import QTest

    desk.workspace.tools.select("sphere")
    pixel = desk.canvas.pixel(ORGAN)
    QTest.mousePress(desk.canvas.widget, LEFT, NONE, pixel)
    assert desk.layers.preview.layer.data[6].sum() == desk.layers.preview.layer.data.sum() > 40
    waited(
        desk,
        desk.session.events.voxels_changed,
        lambda: QTest.mouseRelease(desk.canvas.widget, LEFT, NONE, pixel),
    )
    assert not desk.layers.preview.layer.data.any()


def test_the_cursor_is_as_large_as_the_brush(desk, hand):
    desk.workspace.tools.select("sphere")
    assert desk.objects.cursor == "circle"
    assert desk.objects.cursor_size == pytest.approx(8.6)
    hand.set_brush(Brush(6.0))
    assert desk.objects.cursor_size == 12
    assert not desk.objects.mouse_pan
    desk.workspace.tools.select("point")
    assert desk.objects.cursor == "cross"


def test_a_click_keeps_the_piece_under_it_and_shift_drops_it(desk, hand):
    desk.workspace.tools.select("sphere")
    painted(desk, lambda: desk.canvas.click(ORGAN))
    both = len(painted(desk, lambda: desk.canvas.click((6, 24, 50))))
    desk.workspace.tools.select("piece")
    left = painted(desk, lambda: desk.canvas.click((6, 24, 50), SHIFT))
    assert left.mean(axis=0) == pytest.approx(ORGAN, abs=0.1)
    assert len(left) == pytest.approx(both / 2, abs=5)
    waited(desk, desk.session.events.voxels_changed, lambda: desk.session.undo())
    assert painted(desk, lambda: desk.canvas.click((6, 24, 50))).mean(axis=0) == pytest.approx((6, 24, 50), abs=0.1)


def test_a_drag_with_the_piece_tool_or_with_control_changes_nothing(desk, hand):
    desk.workspace.tools.select("sphere")
    painted(desk, lambda: desk.canvas.click(ORGAN))
    steps = len(desk.session.history.done)
    desk.canvas.drag([ORGAN, (6, 24, 40)], CONTROL)
    desk.workspace.tools.select("piece")
    desk.canvas.drag([ORGAN, (6, 24, 40)], SHIFT)
    assert hand.idle()
    assert len(desk.session.history.done) == steps


def test_what_an_operation_would_do_is_shown_and_no_ghost_covers_it(desk, hand):
    desk.workspace.tools.select("sphere")
    painted(desk, lambda: desk.canvas.click(ORGAN))
    waited(desk, hand.events.previewed, lambda: hand.preview(Shrink(1.0), Plane(0, 6)))
    shown = desk.layers.preview.layer.data.copy()
    assert (shown == 2).sum() > 10
    assert not (shown == 1).any()
    desk.layers.preview.show(Plane(0, 6), np.ones((48, 64), bool))
    assert np.array_equal(desk.layers.preview.layer.data, shown)
    hand.clear_preview()
    assert not desk.layers.preview.layer.data.any()
