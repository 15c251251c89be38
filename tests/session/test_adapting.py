"""Teaching the model while annotating: what it learns from, what comes of it, and what is left after a stop."""

import json
import queue
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_medfm.adaptation import AdapterLibrary, Recipe, read_adapter
from napari_medfm.errors import AdapterError
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models.backends.compact import load
from napari_medfm.models.backends.random_walker import load as load_walker
from napari_medfm.prompts import Point
from napari_medfm.session import (
    AnnotationSession,
    Extent,
    LiveSegmentation,
    ObjectClass,
    Proposals,
    Teaching,
    Work,
    Workshop,
)
from napari_medfm.session.notes import noted_adapters
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane, Volume, Window, array_geometry
from napari_medfm.workers import Lane

SHAPE = (9, 72, 96)
QUICK = Recipe(copies=1, head_steps=25, decoder_steps=3, seconds=600)  # enough, however busy the machine is
TINY = Recipe(copies=0, head_steps=2, decoder_steps=0, seconds=600)
BRIGHT = ObjectClass("bright", (250, 200, 0))
FINGERPRINT = "ef" * 32


def tube():
    """A bright tube and a dark one beside it, in noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: SHAPE[1], : SHAPE[2]]
    truth = np.stack([(rows - 30 - z) ** 2 + (columns - 30) ** 2 < (10 + z % 3) ** 2 for z in range(SHAPE[0])])
    other = (rows - 34) ** 2 + (columns - 68) ** 2 < 110
    noise = gaussian_filter(rng.normal(0, 30, SHAPE), (0, 1, 1))
    return np.clip(90 + 90 * truth - 60 * other + noise, 0, 255).astype(np.uint8), truth


IMAGE, TRUTH = tube()


class Room:
    """A session on the tubes with everything that adapts, on the real lane; callbacks run in `settle`."""

    def __init__(self, folder, predictor, lane, *, fingerprint=FINGERPRINT):
        self.inbox = queue.SimpleQueue()
        volume = Volume(IMAGE, array_geometry(SHAPE, (4.0, 1.0, 1.0)), name="tubes")
        if AnnotationSession.exists(fingerprint, folder / "sessions"):
            self.session = AnnotationSession.resume(volume, fingerprint, folder / "sessions")
        else:
            self.session = AnnotationSession.create(volume, fingerprint, folder=folder / "sessions", classes=[BRIGHT])
        dispatch: Callable = self.inbox.put
        workshop = Workshop(lane, lane, AdapterLibrary(folder / "adapters"), dispatch)
        self.proposals = Proposals(self.session)
        self.live = LiveSegmentation(
            self.session, predictor, lane, window=Window("all", 0.0, 255.0), dispatch=dispatch, proposals=self.proposals
        )
        self.teaching = Teaching.begin(self.session, self.live, self.proposals, workshop)
        self.examples, self.adapting = self.teaching.examples, self.teaching.adapting
        self.filling = self.teaching.filling
        self.told, self.failures = [], []
        self.adapting.events.progressed.connect(self.told.append)
        for events in (self.adapting.events, self.filling.events, self.live.events):
            events.failed.connect(self.failures.append)

    def settle(self, until=lambda: True):
        """Run callbacks as they come until nothing is under way."""
        while self.adapting.busy or self.filling.busy or self.live.busy or not self.inbox.empty() or not until():
            self.inbox.get(timeout=60)()

    def label(self, *indices):
        number = next(iter(self.session.state.objects), None) or self.session.add_object("bright")
        for index in indices:
            self.session.write_voxels(number, np.s_[index : index + 1, 0:72, 0:96], TRUTH[index][None])
            self.session.confirm_slice("bright", Plane(0, index))
        return number

    def adapt(self, recipe=QUICK):
        self.adapting.adapt(recipe)
        self.settle(lambda: self.adapting.in_use is not None)

    def close(self):
        for part in (self.teaching, self.live, self.proposals, self.session):
            part.close()


@pytest.fixture(scope="module")
def lane():
    with Lane() as lane:
        yield lane


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load(device="cpu"), MemoryStore(10**9))


@pytest.fixture
def open_room(tmp_path, predictor, lane):
    rooms = []

    def open_room(base=predictor, **options):
        rooms.append(Room(tmp_path, base, lane, **options))
        return rooms[-1]

    yield open_room
    for room in rooms:
        room.close()


@pytest.fixture
def room(open_room):
    return open_room()


@pytest.fixture(scope="module")
def taught(tmp_path_factory, predictor, lane):
    """A room in which three slices were labelled and learned from."""
    room = Room(tmp_path_factory.mktemp("taught"), predictor, lane)
    room.label(0, 4, 8)
    room.adapting.look(Plane(0, 2))
    glimpses = []
    room.adapting.events.glimpsed.connect(glimpses.append)
    room.adapt()
    room.glimpses = glimpses
    yield room
    room.close()


def test_only_slices_that_were_marked_are_learned_from(room):
    number = room.label(2)
    room.session.write_voxels(number, np.s_[5:6, 0:72, 0:96], TRUTH[5:6])
    room.session.confirm_slice("bright", Plane(0, 7))
    assert [each.plane.index for each in room.examples.items] == [2, 7]
    assert (room.examples.positives, room.examples.negatives) == (1, 1)
    np.testing.assert_array_equal(room.examples.items[0].labelled.labels > 0, TRUTH[2])
    room.settle(lambda: room.examples.items[0].picture is not None)
    picture = room.examples.items[0].picture
    assert picture.shape[2] == 3
    assert max(picture.shape) <= 64
    assert (picture == (255, 200, 60)).all(axis=2).any()


def test_what_nobody_accepted_is_neither_the_class_nor_background(room):
    number = room.label(2)
    other = room.session.add_object("bright")
    room.session.write_voxels(other, np.s_[2:3, 60:64, 2:6], np.ones((1, 4, 4), bool))
    (example,) = room.examples.items
    assert example.labelled.ignore.sum() == 16
    assert example.labelled.labels[61, 3] == 0
    room.session.accept(other)
    (example,) = room.examples.items
    assert not example.labelled.ignore.any()
    assert sorted(np.unique(example.labelled.labels)) == [0, 1, 2]
    assert room.session.state.object(number).accepted


def test_copies_of_marked_slices_are_made_while_nothing_else_is_to_be_done(room, predictor, lane):
    room.label(2)
    room.settle()
    assert lane.wait_idle(60)
    model, variation = predictor.model, Recipe().variation
    embedding = predictor.lookup(predictor.key(FINGERPRINT, Plane(0, 2), Window("all", 0.0, 255.0)))
    keys = [variation.key(model, embedding, number) for number in range(variation.copies)]
    assert all(map(predictor.cached, keys))


def test_a_slice_can_be_left_out(room):
    room.label(0, 4, 8)
    assert room.adapting.offered
    room.examples.leave_out(Plane(0, 4))
    assert [each.plane.index for each in room.examples.chosen] == [0, 8]
    assert not room.adapting.offered
    room.examples.leave_out(Plane(0, 4), False)
    assert room.adapting.offered


def test_what_is_left_out_stays_so_after_a_restart(open_room):
    room = open_room()
    room.label(0, 4, 8)
    room.examples.leave_out(Plane(0, 4))
    room.examples.leave_out(Plane(0, 8))
    room.examples.leave_out(Plane(0, 8), False)
    room.close()
    again = open_room()
    assert [each.plane.index for each in again.examples.chosen] == [0, 8]
    assert again.session.undo_name != "left_out"


def test_without_a_labelled_slice_there_is_nothing_to_learn(room):
    room.session.confirm_slice("bright", Plane(0, 3))
    with pytest.raises(AdapterError, match="mark it complete"):
        room.adapting.adapt(QUICK)


def test_training_tells_how_far_it_is_and_saves_what_it_learned(taught):
    told = [each for each in taught.told if each is not None]
    assert {each.phase for each in told} >= {"prepare", "head", "judge"}
    assert any(each.loss is not None for each in told)
    assert any(each.validation is not None for each in told)
    assert taught.told[-1] is None
    known = taught.adapting.in_use
    assert read_adapter(known.listed.path).digest == known.listed.digest
    assert known.listed.facts.structure == "bright"
    assert len(known.listed.facts.support) == 3
    assert [each.version for each in taught.adapting.versions] == [1]
    assert not taught.adapting.offered


def test_the_first_map_comes_while_training_goes_on(taught):
    (glimpse,) = taught.glimpses
    assert glimpse.plane == Plane(0, 2)
    assert glimpse.values[TRUTH[2]].mean() > glimpse.values[~TRUTH[2]].mean() + 0.2


def test_only_what_is_better_answers_by_itself(taught):
    known = taught.adapting.in_use
    assert known.on == known.listed.facts.readout.improved
    assert noted_adapters(taught.session) == {"bright": (known.listed.digest, known.on)}


def test_one_switch_compares_both_on_the_same_click(taught):
    adapting, session = taught.adapting, taught.session
    other = session.add_object("bright")
    adapting.look(Plane(0, 2))
    adapting.set_on(False)
    taught.live.add_prompt(Point(Plane(0, 2), (32.0, 30.0)))
    taught.settle()
    adapting.set_on(True)
    taught.settle()
    facts = [json.loads(facts) for facts in session._ledger.journal.facts_of("mask")]
    assert facts[0]["adapters"] == []
    if len(facts) == 2:  # an equal answer leaves no trace
        assert facts[1]["adapters"] == [adapting.in_use.listed.digest]
    assert taught.live.predictor.adapters == (adapting.in_use.listed.digest,)
    session.delete_object(other)


def test_an_adapter_answers_for_its_class_only(taught):
    adapting = taught.adapting
    taught.session.define_classes([BRIGHT, ObjectClass("dark")])
    adapting.set_on(True)
    adapting.choose("dark")
    assert taught.live.predictor.adapters == ()
    assert adapting.in_use is None
    adapting.choose("bright")
    assert taught.live.predictor.adapters == (adapting.in_use.listed.digest,)


def test_other_slices_are_filled_and_ranked(taught):
    taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2))
    taught.settle(lambda: taught.filling.suggestions)
    slices = taught.proposals.slices("bright")
    assert [plane.index for plane in slices] == [1, 2, 3, 5, 6, 7]
    found = np.stack([taught.proposals.shown(np.s_[index : index + 1, 0:72, 0:96])[0] > 0 for index in (1, 2, 3)])
    assert dice(found, TRUTH[1:4]) > 0.6
    assert sorted(int(each.plane.index) for each in taught.filling.suggestions) == [1, 2, 3, 5, 6, 7]
    (origin,) = {pending.origin for pending in slices.values()}
    assert origin.adapters == (taught.adapting.in_use.listed.digest,)
    first = taught.filling.suggestions[0].plane
    taught.proposals.accept_slice("bright", first)
    taught.settle(lambda: len(taught.filling.suggestions) == 5)
    assert first not in {each.plane for each in taught.filling.suggestions}
    assert taught.adapting.offered
    taught.session.undo()
    taught.proposals.clear("bright")


def test_a_range_is_filled_and_nothing_else(taught):
    taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2), range(4, 7))
    taught.settle()
    assert [plane.index for plane in taught.proposals.slices("bright")] == [5, 6]
    taught.proposals.clear("bright")
    with pytest.raises(AdapterError, match="no slice"):
        taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2), range(4, 5))


def test_what_is_labelled_meanwhile_is_not_proposed_for(taught):
    taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2))
    number = taught.session.add_object("bright")
    taught.session.write_voxels(number, np.s_[6:7, 30:40, 30:40], np.ones((1, 10, 10), bool))
    taught.settle()
    assert [plane.index for plane in taught.proposals.slices("bright")] == [1, 2, 3, 5, 7]
    taught.session.delete_object(number)
    taught.proposals.clear("bright")


def test_filling_that_is_stopped_keeps_what_is_there(taught):
    seen = []
    progressed = taught.filling.events.progressed
    stop = progressed.connect(lambda step: (seen.append(step), taught.filling.cancel()))
    taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2))
    taught.settle(lambda: taught.filling.suggestions)
    progressed.disconnect(stop)
    assert len(taught.proposals.slices("bright")) == 1
    assert not taught.filling.busy
    taught.proposals.clear("bright")


def test_doubt_is_mapped_for_one_slice(taught):
    maps = []
    taught.filling.events.mapped.connect(maps.append)
    taught.filling.map(taught.adapting.in_use, Plane(0, 6))
    taught.settle(lambda: maps)
    assert maps[0].plane == Plane(0, 6)
    assert maps[0].values.shape == SHAPE[1:]
    assert 0 <= maps[0].values.min() < maps[0].values.max() <= 1


def test_older_versions_stay_and_can_be_taken_up_again(taught):
    first = taught.adapting.versions[-1]
    taught.adapting.adapt(TINY)
    taught.settle(lambda: len(taught.adapting.versions) == 2)
    newest = taught.adapting.versions[0]
    assert (newest.version, first.version) == (2, 1)
    assert newest.facts.readout.title != first.facts.readout.title, "each adaptation judges by another slice"
    taught.adapting.use(first)
    taught.settle(lambda: taught.adapting.in_use.listed.digest == first.digest)
    assert taught.adapting.in_use.on


def test_a_version_that_serves_is_kept_if_the_next_is_no_better_than_the_base_model(room):
    room.label(0, 4, 8)
    room.adapt()
    room.adapting.set_on(True)
    first = room.adapting.in_use.listed
    room.adapting.adapt(TINY)
    room.settle(lambda: len(room.adapting.versions) == 2)
    newest = room.adapting.versions[0]
    assert not newest.facts.readout.improved
    assert (room.adapting.in_use.listed, room.adapting.in_use.on) == (first, True)
    assert room.adapting.set_aside == newest
    assert room.teaching.unfinished.offer is None
    room.adapting.use(newest)
    room.settle(lambda: room.adapting.in_use.listed == newest)
    assert room.adapting.set_aside is None
    room.adapting.set_on(False)
    room.adapting.adapt(TINY)
    room.settle(lambda: len(room.adapting.versions) == 3)
    room.settle(lambda: room.adapting.in_use.listed.version == 3)
    assert room.adapting.set_aside is None, "the one before was not better either"


def test_cancelled_training_leaves_nothing(room):
    room.label(0, 4, 8)
    room.adapting.events.progressed.connect(lambda step: room.adapting.cancel() if step else None)
    room.adapting.adapt(QUICK)
    room.settle()
    assert room.adapting.in_use is None
    room.adapting.refresh()
    room.settle()
    assert room.adapting.versions == ()
    assert room.failures == []


def test_stopped_training_keeps_the_best_so_far(room):
    room.label(0, 4, 8)
    room.adapting.events.progressed.connect(
        lambda step: room.adapting.stop() if step and step.phase == "head" and step.done == 3 else None
    )
    room.adapt(Recipe(copies=0, head_steps=2000, decoder_steps=0))
    assert room.adapting.in_use.listed.facts.steps < 500


def test_after_a_restart_the_adapter_is_in_use_again(open_room):
    room = open_room()
    room.label(0, 4, 8)
    room.adapt(TINY)
    digest, on = room.adapting.in_use.listed.digest, room.adapting.in_use.on
    room.close()
    again = open_room()
    again.settle(lambda: again.adapting.in_use is not None)
    assert (again.adapting.in_use.listed.digest, again.adapting.in_use.on) == (digest, on)
    assert not again.adapting.offered, "all of these slices were learned from"
    other = open_room(fingerprint="aa" * 32)
    other.settle(lambda: other.adapting.versions)
    assert other.adapting.in_use is None
    other.settle(lambda: len(other.examples.earlier) == 3)
    assert not again.examples.earlier
    other.examples.leave_out(other.examples.earlier[1].shelved.path)
    other.label(2)
    other.adapting.adapt(TINY)
    other.settle(lambda: len(other.adapting.versions) == 2)
    assert len(other.adapting.versions[0].facts.support) == 3
    other.adapting.use(next(each for each in other.adapting.versions if each.digest == digest))
    other.settle(lambda: other.live.predictor.adapters == (digest,))
    assert other.live.predictor.adapters == (digest,)


def test_training_that_was_interrupted_is_offered_again_and_goes_on(open_room):
    room = open_room()
    room.label(0, 4, 8)
    room.adapting.adapt(Recipe(copies=0, head_steps=5000, decoder_steps=0, seconds=600))
    assert room.teaching.unfinished.offer is None
    room.close()
    again = open_room()
    offer = again.teaching.unfinished.offer
    assert (offer.work, offer.class_name) == (Work.ADAPT, "bright")
    again.teaching.go_on()
    assert again.adapting.learning == "bright"
    assert again.teaching.unfinished.offer is None
    again.adapting.cancel()
    again.close()
    assert open_room().teaching.unfinished.offer is None


def test_filling_is_offered_again_until_nothing_is_proposed_any_more(open_room):
    room = open_room()
    room.label(0, 4, 8)
    room.adapt(TINY)
    room.teaching.fill(Plane(0, 2), range(1, 4))
    room.settle()
    room.close()
    again = open_room()
    offers = []
    again.teaching.unfinished.changed.connect(lambda: offers.append(again.teaching.unfinished.offer))
    assert again.teaching.unfinished.offer is None, "not before its adapter is back"
    again.settle(lambda: again.adapting.in_use is not None)
    assert (offers[-1].work, offers[-1].reach) == (Work.FILL, (1, 4))
    again.teaching.go_on()
    again.settle()
    assert {plane.index for plane in again.proposals.slices("bright")} == {1, 2, 3}
    again.proposals.clear("bright")
    again.settle()
    again.close()
    last = open_room()
    last.settle(lambda: last.adapting.in_use is not None)
    assert last.teaching.unfinished.offer is None


def test_an_offer_that_is_dismissed_does_not_come_back(open_room):
    room = open_room()
    room.label(0, 4, 8)
    room.adapting.adapt(QUICK)
    room.close()
    again = open_room()
    again.teaching.unfinished.dismiss()
    assert again.teaching.unfinished.offer is None
    again.close()
    assert open_room().teaching.unfinished.offer is None


def test_another_class_can_be_worked_on_while_one_is_learned(open_room):
    room = open_room()
    number = room.label(0, 4, 8)
    room.adapting.adapt(QUICK)
    room.teaching.name("dark")
    room.session.add_object("dark")
    assert (room.teaching.class_name, room.adapting.learning) == ("dark", "bright")
    room.settle(lambda: room.adapting.known("bright") is not None)
    room.adapting.choose("bright")
    room.adapting.set_on(True)
    room.adapting.choose("dark")
    assert room.adapting.in_use is None
    assert room.live.predictor.adapters == (), "what was learned answers for its class only"
    room.session.set_active(number)
    assert room.live.predictor.adapters == (room.adapting.in_use.listed.digest,)


def test_filling_goes_on_while_another_class_is_at_hand(taught):
    taught.session.set_active(1)
    taught.filling.fill("bright", taught.adapting.in_use, Plane(0, 2))
    taught.teaching.name("dark")
    taught.session.add_object("dark")
    taught.settle()
    assert len(taught.proposals.slices("bright")) >= 5
    assert taught.filling.suggestions == ()
    taught.session.set_active(1)
    taught.settle(lambda: taught.filling.suggestions)
    taught.proposals.clear("bright")


def test_choosing_another_model_while_training_is_told(open_room, predictor):
    room = open_room()
    room.label(0, 4, 8)
    room.adapting.adapt(QUICK)
    room.adapting.set_base(Predictor(load_walker(), MemoryStore(10**6)))
    assert not room.adapting.busy
    assert "another model was chosen" in str(room.failures.pop())
    room.adapting.set_base(predictor)


def test_an_adapter_of_another_model_is_refused_with_a_reason(taught, predictor):
    walker = Predictor(load_walker(), MemoryStore(10**8))
    taught.live.set_predictor(walker)
    taught.adapting.set_base(walker)
    taught.settle()
    assert taught.adapting.in_use is None
    taught.adapting.use(taught.adapting.versions[0])
    taught.settle(lambda: taught.failures)
    assert "was made on compact and does not fit" in str(taught.failures.pop())
    taught.live.set_predictor(predictor)
    taught.adapting.set_base(predictor)
    taught.settle(lambda: taught.adapting.in_use is not None)


def test_marks_are_part_of_the_session(room):
    room.label(3)
    assert room.session.state.extent_of("bright", Plane(0, 3)) is Extent.ANNOTATED
    room.session.undo()
    assert room.examples.items == ()
