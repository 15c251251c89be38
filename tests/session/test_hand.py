"""Brushes and operations by hand: in order, one undo step each, previewed, never out of date."""

import queue
import threading

import numpy as np
import pytest

from napari_medfm.editing import Brush, Grow, Shrink, Smooth
from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.session import Hand
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

HERE = Plane(0, 2)


class Bench:
    """A hand at work, whose callbacks run when `run` is called."""

    def __init__(self, session):
        self.session, self.inbox, self.lane = session, queue.SimpleQueue(), Lane("editing")
        self.hand = Hand(session, self.lane, self.inbox.put)
        self.heard = {name: [] for name in self.hand.events.signals}
        for name, heard in self.heard.items():
            self.hand.events[name].connect(lambda *args, heard=heard: heard.append(args), check_nargs=False)

    def run(self):
        """Let everything that was asked for be worked out and told."""
        while True:
            assert self.lane.wait_idle(30)
            if self.inbox.empty():
                return
            self.inbox.get()()

    def hold(self):
        """Keep the lane busy until the event is set."""
        gate = threading.Event()
        self.lane.submit(lambda: gate.wait(30))
        return gate


@pytest.fixture
def bench(session):
    bench = Bench(session)
    yield bench
    bench.hand.close()
    bench.lane.close()


@pytest.fixture
def block(session):
    """Return an object of 4 x 10 x 10 voxels."""
    number = session.add_object()
    session.write_voxels(number, (slice(1, 5), slice(4, 14), slice(5, 15)), np.ones((4, 10, 10), bool))
    return number


def test_a_ball_paints_through_the_slices_in_millimetres_as_one_step(bench, session):
    bench.hand.paint(Brush(3.0, ball=True), HERE, ((10.0, 10.0),))
    bench.run()
    number = session.state.active
    depth = [int(session.object_mask(number, Plane(0, k)).sum()) for k in range(6)]
    assert depth == [0, 1, 29, 1, 0, 0]  # 3 mm slices
    assert session.undo() == "brush"
    assert not session.state.objects  # the stroke made it


def test_only_values_in_the_range_are_painted(bench, session):
    bench.hand.paint(Brush(5.0, low=0, high=100), HERE, ((10.0, 8.0), (10.0, 14.0)))
    bench.run()
    values = session.volume.array[session.labels == session.state.active]
    assert values.size > 20
    assert 0 <= values.min() <= values.max() <= 100


def test_a_stroke_erases_only_from_the_active_object(bench, session, block):
    bench.hand.paint(Brush(2.0), HERE, ((8.0, 8.0),), add=False)
    bench.run()
    assert session.voxel_count(block) == 400 - 13
    session.set_active(None)
    bench.hand.paint(Brush(2.0), HERE, ((8.0, 8.0),), add=False)
    assert isinstance(bench.heard["failed"][-1][0], SessionError)


def test_strokes_are_done_in_the_order_they_were_drawn(bench, session):
    gate = bench.hold()
    session.add_object()
    bench.hand.paint(Brush(2.0), HERE, ((8.0, 8.0),))
    bench.hand.paint(Brush(2.0), HERE, ((8.0, 8.0),), add=False)
    gate.set()
    bench.run()
    assert session.voxel_count(1) == 0
    session.undo()
    assert session.voxel_count(1) == 13


def test_a_class_bounds_strokes_and_operations(bench, session, block):
    session.set_class(block, "organ")
    session.add_object("lesion")
    bench.hand.inside = "organ"
    bench.hand.paint(Brush(4.0), HERE, ((4.0, 5.0),))
    bench.hand.shape(Grow(9.0))
    bench.run()
    lesion = session.state.active
    assert session.voxel_count(lesion) > 100
    assert (session.object_mask(lesion, HERE) & ~session.object_mask(block, HERE)).sum() == 0


def test_a_range_is_picked_under_the_brush(bench, session):
    bench.hand.pick_range(Brush(4.0), HERE, (10.0, 10.0))
    bench.run()
    ((brush,),) = bench.heard["brush_changed"]
    assert bench.hand.brush == brush
    assert session.volume.array.min() < brush.low < brush.high < session.volume.array.max()


def test_an_operation_is_previewed_on_the_slice_in_view_and_then_done(bench, session, block):
    bench.hand.preview(Shrink(1.0), HERE)
    bench.run()
    (change,) = bench.heard["previewed"][-1]
    assert change.plane == HERE
    assert change.removed.sum() == 36
    bench.hand.show(Plane(0, 5))
    bench.run()
    assert not bench.heard["previewed"][-1][0].removed.any()
    bench.hand.clear_preview()
    assert bench.heard["previewed"][-1] == (None,)
    bench.hand.shape(Shrink(1.0))
    assert bench.hand.busy
    bench.run()
    assert bench.heard["busy_changed"] == [(True,), (False,)]
    assert bench.heard["shaped"] == [("shrink", 0, 4 * 36)]
    assert session.undo_name == "shrink"


def test_a_preview_follows_what_happens_to_the_object(bench, session, block):
    bench.hand.preview(Shrink(1.0), HERE)
    bench.run()
    session.write_voxels(block, (slice(2, 3), slice(4, 14), slice(5, 6)), np.ones((1, 10, 1), bool), add=False)
    bench.run()
    assert bench.heard["previewed"][-1][0].removed.sum() == 90 - 56
    session.set_locked(block, True)
    bench.run()
    assert bench.heard["previewed"][-1] == (None,)


def test_what_was_overtaken_by_the_person_is_worked_out_again(bench, session, block):
    gate = bench.hold()
    bench.hand.shape(Grow(1.0))
    gate.set()
    assert bench.lane.wait_idle(30)  # worked out, but not done yet
    session.write_voxels(block, (slice(1, 5), slice(4, 14), slice(15, 16)), np.ones((4, 10, 1), bool))
    bench.run()
    assert bench.heard["shaped"] == [("grow", 4 * (2 * 10 + 2 * 11), 0)]
    assert session.undo_name == "grow"


def test_while_one_is_worked_out_another_is_not_begun(bench, session, block):
    gate = bench.hold()
    bench.hand.shape(Smooth(1.0))
    bench.hand.shape(Grow(1.0))
    gate.set()
    bench.run()
    assert [title for title, *_ in bench.heard["shaped"]] == ["smooth"]


def test_a_piece_is_kept_or_dropped_where_one_points(bench, session, block):
    island = (slice(0, 1), slice(18, 20), slice(20, 24))
    session.write_voxels(block, island, np.ones((1, 2, 4), bool))
    bench.hand.keep_piece((0, 18, 20), keep=False)
    bench.run()
    assert session.voxel_count(block) == 400
    session.undo()
    bench.hand.keep_piece((0, 18, 20))
    bench.run()
    assert session.voxel_count(block) == 8


def test_a_locked_object_is_told_and_nothing_is_done(bench, session, block):
    session.set_locked(block, True)
    bench.hand.shape(Grow(1.0))
    bench.hand.paint(Brush(2.0), HERE, ((8.0, 8.0),))
    bench.run()
    assert [type(error) for (error,) in bench.heard["failed"]] == [LockedObjectError] * 2
    assert not bench.hand.busy


def test_what_is_not_done_when_the_session_ends_is_dropped(bench, session, block):
    gate = bench.hold()
    bench.hand.paint(Brush(2.0), HERE, ((18.0, 18.0),))
    bench.hand.shape(Grow(1.0))
    bench.hand.close()
    gate.set()
    bench.run()
    assert session.voxel_count(block) == 400
