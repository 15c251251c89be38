"""Carrying an object through the slices: from what a person stands by, while the person goes on."""

import queue
from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models import load_model
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation, Propagating, Proposals, Reach
from napari_medfm.session.keyslices import key_slices, masks_nearby, needed
from napari_medfm.session.request import PredictionRequest
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane, Volume, Window, array_geometry
from napari_medfm.workers import Lane

from .conftest import FINGERPRINT

SHAPE = (14, 32, 32)
BALL = ((np.indices(SHAPE).T - (7, 16, 15)) ** 2).sum(axis=-1).T <= 5**2
MIDDLE = Plane(0, 7)
WAIT = 60


class Room:
    """A session of a bright ball in noise, the real random walker, and a thread that is the owner's."""

    def __init__(self, session, lane):
        self.session = session
        self.inbox = queue.SimpleQueue()
        predictor = Predictor(load_model("random_walker"), MemoryStore(1 << 26))
        self.proposals = Proposals(session)
        options = {"window": Window("wide", 0, 255), "dispatch": self.inbox.put, "proposals": self.proposals}
        self.live = LiveSegmentation(session, predictor, lane, **options)
        self.propagating = Propagating(session, self.live, self.proposals, lane, self.inbox.put)
        self.outcomes, self.failures = [], []
        self.propagating.events.finished.connect(self.outcomes.append)
        self.propagating.events.failed.connect(self.failures.append)

    def draw(self, plane, mask=None, number=None):
        """Paint the ball on a slice by hand."""
        shape = self.session.volume.shape
        number = self.session.state.active or self.session.add_object() if number is None else number
        mask = plane.take(BALL) if mask is None else mask
        region = plane.region(shape)
        self.session.write_voxels(number, region, np.expand_dims(mask, plane.axis))
        return number

    def until(self, condition):
        while not condition():
            self.inbox.get(timeout=WAIT)()

    def settle(self):
        """Let everything that is under way come to its end."""
        self.until(lambda: not (self.live.busy or self.propagating.busy) and self.inbox.empty())

    def propagate(self, plane=MIDDLE, reach=None):
        self.propagating.start(plane, reach)
        self.settle()
        return self.proposed

    @property
    def proposed(self):
        slices = self.proposals.slices(1)
        return [plane.index for plane, pending in slices.items() if pending.proposals]

    @property
    def mask(self):
        return self.proposals.shown(tuple(slice(0, size) for size in SHAPE)) > 0

    def close(self):
        self.propagating.close()
        self.live.close()
        self.proposals.close()


@pytest.fixture(scope="module")
def lane():
    with Lane() as lane:
        yield lane


@pytest.fixture
def room(folder, lane):
    array = (np.where(BALL, 190.0, 60.0) + np.random.default_rng(0).normal(0, 8, SHAPE)).astype(np.float32)
    volume = Volume(array, array_geometry(SHAPE, (1.0, 1.0, 1.0)), name="CT")
    with AnnotationSession.create(volume, FINGERPRINT, folder=folder) as session:
        room = Room(session, lane)
        yield room
        room.close()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_from_one_slice_the_object_is_proposed_and_becomes_its_own_in_one_step(room, axis):
    plane = Plane(axis, (7, 16, 15)[axis])
    number = room.draw(plane)
    before = room.session.labels.copy()
    room.propagate(plane)
    assert (room.session.labels == before).all()
    assert dice(room.mask | (before > 0), BALL) > 0.85
    room.propagating.accept()
    assert dice(room.session.labels == number, BALL) > 0.85
    assert room.session.undo() == "accept proposals"
    assert (room.session.labels == before).all()


def test_it_says_how_far_it_went_and_why_not_farther(room):
    room.draw(MIDDLE)
    room.propagate()
    assert [outcome.slices for outcome in room.outcomes] == [len(room.proposed)]
    assert len(room.outcomes[0].stops) == 2
    room.propagate(reach=Reach("up", 2))
    assert room.proposed == [8, 9]
    room.propagate(reach=Reach("down", 1))
    assert room.proposed == [6]


def test_slices_come_one_by_one_and_a_click_goes_first(room):
    room.draw(MIDDLE)
    heard = []
    room.propagating.events.proposed.connect(heard.append)
    room.propagating.start(MIDDLE)
    room.until(lambda: heard)
    room.session.set_active(None)
    room.live.add_prompt(Point(Plane(0, 0), (2.0, 2.0)))
    answered = []
    room.live.events.applied.connect(lambda *_: answered.append(room.propagating.busy))
    room.until(lambda: answered)
    assert answered == [True]
    room.settle()
    assert heard[:3] == [1, 2, 3]
    assert len(room.proposed) > 6


def test_stopping_keeps_what_is_there_and_discarding_does_not(room):
    room.draw(MIDDLE)
    heard = []
    room.propagating.events.proposed.connect(heard.append)
    room.propagating.start(MIDDLE)
    room.until(lambda: heard)
    room.propagating.stop()
    room.settle()
    assert not room.propagating.busy
    assert room.outcomes == []
    assert len(room.proposed) == heard[-1]
    room.propagating.discard()
    assert room.proposed == []


def test_a_corrected_slice_is_a_key_slice_and_only_what_depends_on_it_is_proposed_anew(room):
    number = room.draw(MIDDLE)
    room.propagate()
    below = {plane: pending for plane, pending in room.proposals.slices(number).items() if plane.index < 7}
    half = BALL[9] & (np.indices(SHAPE[1:])[0] > 16)
    room.draw(Plane(0, 9), half)
    room.settle()
    after = room.proposals.slices(number)
    assert {plane: after[plane] for plane in below} == below
    assert 9 not in room.proposed
    assert (room.session.object_mask(number, Plane(0, 9)) == half).all()
    assert 8 in room.proposed
    assert np.count_nonzero(room.mask[10]) < 0.8 * np.count_nonzero(BALL[10])


def test_a_click_against_the_heart_of_a_proposal_ends_the_object_there(room):
    number = room.draw(MIDDLE)
    room.propagate()
    room.live.add_prompt(Point(Plane(0, 9), (16.0, 15.0), positive=False))
    room.settle()
    assert not room.session.object_mask(number, Plane(0, 9)).any()
    assert max(room.proposed) == 8
    assert min(room.proposed) < 7


def test_accepting_or_marking_other_objects_propagates_nothing_anew(room):
    number = room.draw(MIDDLE)
    room.propagate()
    other = room.session.add_object()
    corner = np.zeros(SHAPE[1:], bool)
    corner[:3, :3] = True
    room.draw(Plane(0, 9), corner, other)
    room.session.set_active(number)
    room.settle()
    assert len(room.outcomes) == 1
    room.propagating.accept()
    room.settle()
    assert len(room.outcomes) == 1
    assert room.proposed == []


def test_locked_objects_keep_their_voxels_and_are_not_propagated(room):
    other = room.session.add_object()
    room.session.write_voxels(other, np.s_[8:14, 0:32, 15:32], np.ones((6, 32, 17), bool))
    room.session.set_locked(other, True)
    room.session.set_active(None)
    number = room.draw(MIDDLE)
    room.propagating.start(MIDDLE)
    room.settle()
    assert room.proposals.slices(number)
    assert not room.mask[8:, :, 15:].any()
    room.session.set_locked(number, True)
    with pytest.raises(LockedObjectError):
        room.propagating.start(MIDDLE)


def test_between_two_slices_shape_alone_will_do(room):
    number = room.draw(Plane(0, 4))
    with pytest.raises(SessionError, match="is not on two slices"):
        room.propagating.interpolate(MIDDLE)
    room.draw(Plane(0, 10))
    room.propagating.interpolate(MIDDLE)
    room.settle()
    assert room.proposed == [5, 6, 7, 8, 9]
    assert {pending.origin.model for pending in room.proposals.slices(number).values()} == {"shape"}
    assert dice(room.mask[4:11] | (room.session.labels[4:11] > 0), BALL[4:11]) > 0.8


def test_without_an_object_on_any_slice_there_is_nothing_to_propagate(room):
    with pytest.raises(SessionError):
        room.propagating.start(MIDDLE)
    room.session.add_object()
    with pytest.raises(SessionError, match="is on no slice yet"):
        room.propagating.start(MIDDLE)


def test_what_was_drawn_across_another_axis_makes_no_key_slices(room):
    number = room.draw(MIDDLE)
    room.live.add_prompt(Point(MIDDLE, (16.0, 15.0)))
    room.settle()
    room.live.add_prompt(Point(Plane(1, 16), (7.0, 15.0)))
    room.settle()
    assert [key.plane.index for key in key_slices(room.session, number, 0)] == [7]
    assert [key.plane.index for key in key_slices(room.session, number, 1)] == [16]


def test_a_lone_click_is_told_what_the_object_is_on_the_nearest_slice(room):
    number = room.draw(MIDDLE)
    click = Point(Plane(0, 9), (16.0, 15.0))
    request = PredictionRequest(number, click.plane, PromptSet((click,)), "image")
    (near,) = masks_nearby(room.session, request)
    assert (near == BALL[7]).all()
    more = PromptSet((click, Point(click.plane, (3.0, 3.0), positive=False)))
    assert not masks_nearby(room.session, replace(request, prompts=more))
    assert not masks_nearby(room.session, replace(request, object_id=room.session.add_object()))


def test_a_slice_that_was_clicked_tells_what_the_object_is_however_far_away_it_is(room):
    number = room.draw(Plane(0, 0), BALL[7])
    room.draw(Plane(0, 13), BALL[5], number)
    click = Point(MIDDLE, (16.0, 15.0))
    request = PredictionRequest(number, MIDDLE, PromptSet((click,)), "image")
    assert not masks_nearby(room.session, request)
    room.session.add_prompt(Point(Plane(0, 0), (16.0, 15.0)))
    (near,) = masks_nearby(room.session, request)
    assert (near == BALL[7]).all()


def test_a_nearer_slice_on_which_the_object_is_proposed_has_a_say_too(room):
    number = room.draw(MIDDLE)
    room.propagate(reach=Reach("up", 2))
    click = Point(Plane(0, 11), (16.0, 15.0))
    request = PredictionRequest(number, click.plane, PromptSet((click,)), "image")
    nearest, key = masks_nearby(room.session, request, room.proposals)
    (proposal,) = room.proposals.slices(number)[Plane(0, 9)].proposals
    assert (nearest == proposal.to_mask(SHAPE[1:])).all()
    assert (key == BALL[7]).all()
    beside = replace(request, plane=Plane(0, 6), prompts=PromptSet((Point(Plane(0, 6), (16.0, 15.0)),)))
    assert len(masks_nearby(room.session, beside, room.proposals)) == 1


def test_inside_a_closed_row_of_key_slices_nothing_is_needed(room):
    number = room.session.add_object()
    for index in (2, 3, 4, 5, 9):
        room.draw(Plane(0, index), np.ones(SHAPE[1:], bool), number)
    assert [key.plane.index for key in needed(key_slices(room.session, number, 0))] == [2, 5, 9]


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (Reach(), range(10)),
        (Reach("up"), range(4, 10)),
        (Reach("down"), range(5)),
        (Reach(most=2), range(2, 7)),
        (Reach("up", 99), range(4, 10)),
    ],
)
def test_a_reach_is_counted_from_the_visible_slice(reach, expected):
    assert reach.around(4, 10) == expected
