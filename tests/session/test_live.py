import logging
import queue
import random
import threading

import numpy as np
import pytest

from napari_medfm.errors import ModelError, PromptError, SessionError
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec, load_model
from napari_medfm.prompts import MaskPrompt, Point
from napari_medfm.session import AnnotationSession, LiveSegmentation, outstanding
from napari_medfm.session.background import NEIGHBOURS
from napari_medfm.volume import Plane, Volume, Window, array_geometry
from napari_medfm.workers import Lane, call_now

from .conftest import FINGERPRINT

SHAPE = (30, 24, 28)
WINDOW, OTHER_WINDOW = Window("wide", 0.0, 255.0), Window("narrow", 0.0, 128.0)


def discs(image, prompts, grow=0):
    """Return what `Discs` answers: a disc around every click, larger on brighter images, of which later ones win."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    radius = 2 + int(image[0, 0]) % 4 + grow
    mask = np.zeros(image.shape, bool)
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            mask |= prompt.to_mask(image.shape)
        else:
            row, column = prompt.position
            mask[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = prompt.positive
    return mask


class Discs:
    """A model whose every answer shows which image, window, prompts and model it is the answer to.

    It can be held up (`gate`), made to fail (`error`), and remembers what it was asked.
    """

    def __init__(self, name="discs", grow=0):
        self.spec = ModelSpec(
            name=name,
            title=name.title(),
            ndim=2,
            prompt_kinds=frozenset({"point", "mask"}),
            input_size=0,
            preprocessing="none",
            embedding_bytes=0,
            cacheable=True,
            precision="float32",
            tier="classical",
            origin="no training",
            licence="BSD-3-Clause",
            commercial_use=True,
            encoder_digest=f"digest of {name}",
        )
        self.grow = grow
        self.gate = threading.Event()
        self.gate.set()
        self.started = queue.SimpleQueue()
        self.encoded, self.decoded = [], []
        self.error = None

    def encode(self, image):
        self.encoded.append(int(image[0, 0]))
        self.started.put("encode")
        assert self.gate.wait(30)
        return ImageEmbedding({"image": image}, image.shape, self.spec.encoder_digest)

    def decode(self, embedding, prompts, previous=None):
        self.decoded.append((prompts, previous))
        self.started.put("decode")
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        mask = discs(embedding.arrays["image"], prompts, self.grow)
        return MaskPrediction(mask[None], mask[None].astype(np.float32), np.array([0.9], np.float32))


def bright(shape, start=0):
    """Return an image whose slice k is k grey levels brighter than the first."""
    array = np.broadcast_to(np.arange(start, start + shape[0], dtype=np.uint8)[:, None, None], shape)
    return Volume(array, array_geometry(shape), name=f"from {start}")


@pytest.fixture
def session(folder):
    with AnnotationSession.create(bright(SHAPE), FINGERPRINT, folder=folder) as session:
        session.add_image("second", bright(SHAPE, 101), "second")
        yield session


@pytest.fixture
def model():
    model = Discs()
    yield model
    model.gate.set()


@pytest.fixture
def lane():
    with Lane() as lane:
        yield lane


@pytest.fixture
def predictor(model):
    return Predictor(model, MemoryStore(10**8))


@pytest.fixture
def live(session, predictor, lane, model):
    live = LiveSegmentation(session, predictor, lane, window=WINDOW)
    yield live
    model.gate.set()
    live.close()


@pytest.fixture
def heard(live):
    heard = []
    for name in live.events.signals:
        live.events[name].connect(lambda *args, name=name: heard.append((name, *args)), check_nargs=False)
    return heard


def of(heard, name):
    return [args for found, *args in heard if found == name]


def click(live, plane, row=10.0, column=12.0, positive=True):
    live.add_prompt(Point(plane, (row, column), positive))


def expected(session, number, plane, window=WINDOW, grow=0):
    image = window.to_uint8(session.image.plane(plane))
    return discs(image, session.state.object(number).prompts.in_plane(plane), grow)


def hold(model):
    """Hold the model up in whatever it does next."""
    model.gate.clear()
    while not model.started.empty():
        model.started.get()


def wait_until_held(model):
    return model.started.get(timeout=30)


# prompts and answers


def test_a_click_is_answered(live, session, heard):
    plane = Plane(0, 3)
    click(live, plane)
    assert live.busy
    assert live.wait()
    assert not live.busy
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))
    ((number, where, quality, seconds),) = of(heard, "applied")
    assert (number, where, quality) == (1, plane, pytest.approx(0.9))
    assert 0 < seconds < 30
    assert of(heard, "busy_changed") == [[True], [False]]
    assert session.undo() == "click"
    assert not session.labels.any()


def test_clicks_are_answered_by_the_default_model_on_a_real_looking_image(folder, small_volume, small_labels, lane):
    plane = Plane(0, 6)
    with AnnotationSession.create(small_volume, FINGERPRINT, folder=folder) as session:
        live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane)
        live.add_prompt(Point(plane, (24.0, 10.0)))
        assert live.wait()
        organ = np.isin(small_labels[6], (1, 2))
        found = session.object_mask(1, plane)
        overlap = 2 * (found & organ).sum() / (found.sum() + organ.sum())
        assert found[24, 10]
        assert overlap > 0.6
        live.close()


@pytest.mark.parametrize("plane", [Plane(1, 5), Plane(2, 9)])
def test_every_plane_can_be_prompted(live, session, plane):
    click(live, plane)
    live.wait()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))


def test_a_further_prompt_refines_the_last_answer(live, model):
    plane = Plane(0, 3)
    click(live, plane)
    live.wait()
    click(live, plane, 12.0, 12.0, positive=False)
    live.wait()
    click(live, Plane(0, 4))
    live.wait()
    (_, first), (_, second), (_, third) = model.decoded
    assert first is None
    assert second.mask.any()
    assert third is None or third is not second


def test_a_deleted_prompt_is_no_longer_refined_but_answered_anew(live, session, model):
    plane = Plane(0, 3)
    for row in (8.0, 12.0, 16.0):
        click(live, plane, row)
        live.wait()
    live.remove_prompt(1)
    live.wait()
    assert model.decoded[-1][1] is None
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))


def test_a_moved_prompt_is_followed_on_both_planes(live, session):
    here, there = Plane(0, 3), Plane(0, 8)
    click(live, here, 6.0)
    click(live, here, 7.0)
    live.wait()
    live.move_prompt(1, Point(there, (10.0, 10.0)))
    live.wait()
    for plane in (here, there):
        np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))


def test_a_prompt_that_is_not_there_cannot_be_moved(live, session):
    session.add_object()
    with pytest.raises(SessionError, match="number 0"):
        live.remove_prompt(0)


def test_a_mask_is_its_own_answer(live, session, model, box_mask):
    live.add_prompt(MaskPrompt.from_mask(Plane(0, 3), box_mask((2, 5), (2, 5), (24, 28))))
    assert not live.busy
    assert session.voxel_count(1) == 9
    assert not model.decoded


def test_only_the_newest_of_quick_clicks_is_answered(live, session, model):
    plane = Plane(0, 3)
    hold(model)
    click(live, plane, 5.0)
    wait_until_held(model)
    for row in (9.0, 13.0, 17.0):
        click(live, plane, row)
    model.gate.set()
    live.wait()
    assert [len(prompts) for prompts, _ in model.decoded] == [1, 4]
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))
    assert outstanding(session.state) == ()


def test_clicks_on_several_planes_are_all_answered(live, session, model):
    hold(model)
    planes = [Plane(0, index) for index in range(5)]
    for plane in planes:
        click(live, plane)
    model.gate.set()
    live.wait()
    for plane in planes:
        np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))
    for _ in planes:
        session.undo()
    assert not session.labels.any()


# staleness


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda session: session.undo(),
        lambda session: session.delete_object(1),
        lambda session: session.reset(1),
        lambda session: session.set_locked(1, True),
        lambda session: session.remove_prompt(0),
    ],
)
def test_an_answer_that_comes_too_late_is_dropped(live, session, model, heard, meanwhile):
    hold(model)
    click(live, Plane(0, 3))
    wait_until_held(model)
    meanwhile(session)
    model.gate.set()
    assert live.wait()
    assert not session.labels.any()
    assert not of(heard, "applied")
    assert not of(heard, "failed")


def test_after_a_change_of_image_the_new_one_is_asked(live, session, model):
    plane = Plane(0, 3)
    hold(model)
    click(live, plane)
    wait_until_held(model)
    session.set_image("second")
    live.set_window(OTHER_WINDOW)
    model.gate.set()
    live.wait()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane, OTHER_WINDOW))


def test_after_a_change_of_window_the_image_is_seen_through_the_new_one(live, session, model):
    plane = Plane(0, 3)
    hold(model)
    click(live, plane)
    wait_until_held(model)
    live.set_window(OTHER_WINDOW)
    model.gate.set()
    live.wait()
    assert live.window == OTHER_WINDOW
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane, OTHER_WINDOW))


def test_after_a_change_of_model_the_new_one_answers(live, session, model):
    plane = Plane(0, 3)
    hold(model)
    click(live, plane)
    wait_until_held(model)
    other = Predictor(Discs("wider", grow=3))
    live.set_predictor(other)
    model.gate.set()
    live.wait()
    assert live.predictor is other
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane, grow=3))


def test_closing_drops_what_is_in_flight_and_asks_nothing_more(live, session, model, heard):
    hold(model)
    click(live, Plane(0, 3))
    click(live, Plane(0, 4))
    wait_until_held(model)
    live.close()
    session.close()
    model.gate.set()
    assert live.wait()
    live.close()
    assert not of(heard, "applied")
    assert of(heard, "busy_changed") == [[True], [False]]
    assert len(model.decoded) <= 1


def test_a_click_whose_correction_is_undone_in_flight_gets_its_answer_and_keeps_the_redo(live, session, model):
    hold(model)
    plane = Plane(0, 3)
    click(live, plane, 5.0)
    click(live, plane, 9.0)
    wait_until_held(model)
    session.undo()
    model.gate.set()
    live.wait()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))
    assert session.can_redo
    session.redo()
    live.wait()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))
    session.undo()
    session.undo()
    assert not session.labels.any()


def test_a_click_that_was_undone_before_its_answer_came_is_asked_about_when_redone(live, session, model):
    hold(model)
    plane = Plane(0, 3)
    click(live, plane)
    wait_until_held(model)
    session.undo()
    model.gate.set()
    live.wait()
    assert not session.labels.any()
    session.redo()
    live.wait()
    assert session.labels.any()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))


def test_a_dropped_answer_is_not_asked_for_again_at_the_price_of_a_redo(live, session, model):
    plane = Plane(0, 3)
    hold(model)
    click(live, plane)
    wait_until_held(model)
    session.write_voxels(1, (slice(3, 4), slice(0, 3), slice(0, 3)), np.ones((1, 3, 3), bool))
    session.undo()
    session.set_image("second")
    model.gate.set()
    live.wait()
    assert outstanding(session.state) == ((1, plane),)
    assert session.redo() == "brush"


class Hurry:
    """Questions, edits and answers in every order, the same for the same seed."""

    planes = (Plane(0, 1), Plane(0, 2), Plane(1, 4))

    def __init__(self, session, predictor, lane, seed):
        self.inbox = queue.SimpleQueue()
        self.session, self.lane = session, lane
        self.live = LiveSegmentation(session, predictor, lane, window=WINDOW, dispatch=self.inbox.put)
        self.live.events.applied.connect(self.check)
        self.live.events.failed.connect(self.fail)
        self.rng = random.Random(seed)
        self.applied = 0
        self.acts = [self.click] * 4 + [
            self.remove,
            self.move,
            self.edit,
            session.undo,
            session.redo,
            session.add_object,
            lambda: session.set_image(self.rng.choice(list(session.images))),
            lambda: self.live.set_window(self.rng.choice((WINDOW, OTHER_WINDOW))),
            lambda: self.live.refresh(self.rng.choice(self.planes)),
            lambda: self.live.hover(self.rng.choice(self.planes), (5.0, 5.0)),
            lambda: self.live.show(self.rng.choice(self.planes), 1),
        ]

    def check(self, number, plane, _quality, _seconds):
        """Compare what was just put in place with the answer to what holds just now."""
        self.applied += 1
        seen = self.session.labels[plane.region(SHAPE)].reshape(plane.shape(SHAPE))
        wanted = expected(self.session, number, plane, self.live.window) & np.isin(seen, (0, number))
        np.testing.assert_array_equal(seen == number, wanted)

    def fail(self, error):
        raise error

    def spot(self):
        position = self.rng.uniform(0, 20), self.rng.uniform(0, 20)
        return Point(self.rng.choice(self.planes), position, self.rng.random() < 0.7)

    def click(self):
        self.live.add_prompt(self.spot())

    def remove(self):
        for index in self.any_prompt():
            self.live.remove_prompt(index)

    def move(self):
        for index in self.any_prompt():
            self.live.move_prompt(index, self.spot())

    def edit(self):
        if self.session.state.objects:
            acts = self.session.set_active, self.session.set_active, self.session.delete_object, self.session.reset
            self.rng.choice(acts)(self.rng.choice(list(self.session.state.objects)))

    def any_prompt(self):
        thing = self.session.state.objects.get(self.session.state.active or 0)
        return [self.rng.randrange(len(thing.prompts))] if thing is not None and len(thing.prompts) else []

    def turn(self):
        self.rng.choice(self.acts)()
        if self.rng.random() < 0.4:
            self.lane.wait_idle(30)
        for _ in range(self.rng.choice((0, 0, 1, 3))):
            if not self.inbox.empty():
                self.inbox.get()()

    def finish(self):
        while self.live.busy:
            self.inbox.get(timeout=30)()
        self.live.close()


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_nothing_stale_is_ever_applied_whatever_the_delays(session, predictor, lane, seed):
    hurry = Hurry(session, predictor, lane, seed)
    for _ in range(200):
        hurry.turn()
    hurry.finish()
    assert hurry.applied > 20


# what is left over


def test_prompts_without_answer_are_answered_after_reopening(live, session, model, predictor, lane, folder):
    plane, other = Plane(0, 3), Plane(1, 5)
    hold(model)
    click(live, plane)
    click(live, other)
    live.close()
    session.close()
    model.gate.set()
    with AnnotationSession.resume(session.volume, FINGERPRINT, folder) as again:
        assert outstanding(again.state) == ((1, plane), (1, other))
        live = LiveSegmentation(again, predictor, lane, window=WINDOW)
        live.refresh(plane)
        live.wait()
        assert outstanding(again.state) == ((1, other),)
        live.catch_up()
        live.wait()
        assert outstanding(again.state) == ()
        assert len(again.history.done) == 2
        live.close()


def test_refresh_asks_for_other_objects_that_wait_on_the_plane_too(live, session, model):
    plane = Plane(0, 3)
    session.add_prompt(Point(plane, (5.0, 5.0)))
    session.accept()
    session.add_prompt(Point(plane, (18.0, 18.0)))
    live.refresh(plane)
    live.wait()
    assert session.voxel_count(1)
    assert session.voxel_count(2)


# hovering


def embed(live, plane):
    live.show(plane, 1)
    live._lane.wait_idle(30)
    live.wait()


def test_hovering_previews_a_click_and_changes_nothing(live, session, model, heard):
    plane = Plane(0, 3)
    embed(live, plane)
    live.hover(plane, (10.0, 12.0))
    live._lane.wait_idle(30)
    live.wait()
    ((where, mask),) = of(heard, "preview_changed")
    image = WINDOW.to_uint8(session.image.plane(plane))
    assert where == plane
    np.testing.assert_array_equal(mask, discs(image, [Point(plane, (10.0, 12.0))]))
    assert not session.state.objects


def test_hovering_never_encodes(live, model, heard):
    live.hover(Plane(0, 3), (10.0, 12.0))
    live._lane.wait_idle(30)
    live.wait()
    assert not model.encoded
    assert not of(heard, "preview_changed")


def test_only_the_newest_hover_is_worked_out(live, model):
    plane = Plane(0, 3)
    embed(live, plane)
    hold(model)
    live.hover(plane, (1.0, 1.0))
    wait_until_held(model)
    for row in range(2, 12):
        live.hover(plane, (float(row), 1.0))
    model.gate.set()
    live._lane.wait_idle(30)
    assert [prompts[-1].position[0] for prompts, _ in model.decoded] == [1.0, 11.0]


def test_a_click_goes_before_a_hover_and_ends_the_preview(live, session, model, heard):
    plane = Plane(0, 3)
    embed(live, plane)
    live.hover(plane, (10.0, 12.0))
    live._lane.wait_idle(30)
    live.wait()
    click(live, plane)
    assert of(heard, "preview_changed")[-1] == [plane, None]
    live.wait()
    assert len(of(heard, "preview_changed")) == 2


def test_a_preview_that_was_cleared_meanwhile_is_not_shown(live, model, heard):
    plane = Plane(0, 3)
    embed(live, plane)
    hold(model)
    live.hover(plane, (10.0, 12.0))
    wait_until_held(model)
    live.clear_hover()
    model.gate.set()
    live._lane.wait_idle(30)
    live.wait()
    assert not of(heard, "preview_changed")


def test_hovering_adds_to_the_prompts_and_the_voxels_that_are_there(live, session, model):
    plane = Plane(0, 3)
    embed(live, plane)
    session.add_object()
    session.write_voxels(1, (slice(3, 4), slice(0, 3), slice(0, 3)), np.ones((1, 3, 3), bool))
    live.hover(plane, (10.0, 12.0), positive=False)
    live._lane.wait_idle(30)
    assert [prompt.kind for prompt in model.decoded[-1][0]] == ["mask", "point"]
    click(live, plane)
    live.wait()
    live.hover(plane, (10.0, 12.0), positive=False)
    live._lane.wait_idle(30)
    assert [prompt.kind for prompt in model.decoded[-1][0]] == ["mask", "point", "point"]
    assert model.decoded[-1][1] is not None


@pytest.mark.parametrize("position", [(-4.0, 3.0), (3.0, 900.0)])
def test_beside_the_image_there_is_no_preview(live, model, position):
    embed(live, Plane(0, 3))
    live.hover(Plane(0, 3), position)
    live._lane.wait_idle(30)
    assert not model.decoded


def test_a_locked_object_has_no_preview(live, session, model):
    embed(live, Plane(0, 3))
    session.set_locked(session.add_object(), True)
    live.hover(Plane(0, 3), (3.0, 3.0))
    live._lane.wait_idle(30)
    assert not model.decoded


def test_a_hover_that_fails_says_so_once(live, model, heard):
    embed(live, Plane(0, 3))
    model.error = ModelError("discs", "broke", "Mend it.")
    for row in (3.0, 4.0, 5.0):
        live.hover(Plane(0, 3), (row, 3.0))
        live._lane.wait_idle(30)
        live.wait()
    assert len(of(heard, "failed")) == 1


# the background


def test_the_visible_slice_comes_first_then_its_neighbours_in_scroll_direction(live, model):
    live.show(Plane(0, 15), direction=-1)
    live._lane.wait_idle(30)
    assert model.encoded[:4] == [15, 14, 13, 12]
    assert len(model.encoded) == NEIGHBOURS + 1


def test_scrolling_on_gives_up_what_is_no_longer_near(live, model):
    hold(model)
    live.show(Plane(0, 5), 1)
    wait_until_held(model)
    live.show(Plane(0, 20), 1)
    model.gate.set()
    live._lane.wait_idle(30)
    assert model.encoded[:3] == [5, 20, 21]
    assert 6 not in model.encoded


def test_a_click_during_embedding_is_answered_next(live, session, model):
    hold(model)
    live.embed_all(visible=15)
    wait_until_held(model)
    click(live, Plane(0, 2))
    model.gate.set()
    assert live.wait()
    assert model.encoded[:2] == [15, 2]
    assert session.voxel_count(1)


def test_a_click_waits_for_one_step_of_the_encoder_only(session, lane):
    class Slow(Discs):
        def encode_steps(self, image):
            for _ in range(5):
                self.started.put("step")
                assert self.gate.wait(30)
                yield
            return self.encode(image)

    model = Slow()
    live = LiveSegmentation(session, Predictor(model, MemoryStore(10**8)), lane, window=WINDOW)
    click(live, Plane(0, 2))  # whose slice is embedded now
    assert live.wait()
    hold(model)
    live.embed_all(visible=15)
    assert wait_until_held(model) == "step"
    click(live, Plane(0, 2), 20.0, 20.0)
    model.gate.set()
    assert live.wait()
    lane.wait_idle(30)
    done = [model.started.get() for _ in range(model.started.qsize())]
    assert done.index("decode") < done.index("encode")  # of the slice that was in work
    assert sorted(model.encoded) == list(range(30))
    live.close()


def test_embedding_everything_reports_and_ends(live, model, heard):
    live.embed_all(visible=15)
    live._lane.wait_idle(30)
    live.wait()
    progress = [found for (found,) in of(heard, "progress")]
    assert progress[-1] is None
    assert [(found.done, found.total) for found in progress[:-1]] == [(done, 30) for done in range(1, 31)]
    assert sorted(model.encoded) == list(range(30))


def test_listeners_hear_states_in_order_while_one_of_them_lets_others_run(live, model):
    heard = []

    def pause_at_once(progress):
        if progress is not None:
            live.pause_background()

    live.events.progress.connect(pause_at_once)
    live.events.progress.connect(heard.append)
    live.embed_all(visible=0)
    live._lane.wait_idle(30)
    live.wait()
    assert [progress and progress.done for progress in heard] == [1, None]


def test_embedding_everything_goes_on_from_where_one_looks(live, model):
    hold(model)
    live.embed_all(visible=0)
    wait_until_held(model)
    live.show(Plane(0, 20), 1)
    model.gate.set()
    live._lane.wait_idle(30)
    assert model.encoded[:3] == [0, 20, 21]
    assert sorted(model.encoded) == list(range(30))


def test_the_background_can_be_paused_and_taken_up_again(live, model, heard):
    hold(model)
    live.embed_all(visible=0)
    wait_until_held(model)
    live.pause_background()
    model.gate.set()
    live._lane.wait_idle(30)
    live.wait()
    assert model.encoded == [0]
    assert of(heard, "progress") == [[None]]
    live.embed_all(visible=0)
    live._lane.wait_idle(30)
    assert sorted(model.encoded) == list(range(30))


# failures


def test_an_error_of_the_model_is_told_and_the_next_click_is_answered(live, session, model, heard):
    plane = Plane(0, 3)
    model.error = ModelError("discs", "broke", "Mend it.")
    click(live, plane)
    live.wait()
    assert of(heard, "failed") == [[model.error]]
    assert of(heard, "busy_changed") == [[True], [False]]
    model.error = None
    click(live, plane, 5.0, 5.0)
    live.wait()
    np.testing.assert_array_equal(session.object_mask(1, plane), expected(session, 1, plane))


def test_an_unexpected_error_is_worded_and_its_text_kept_out_of_the_log(live, model, heard, caplog):
    model.error = RuntimeError("/home/jane_doe/ct.nii")
    with caplog.at_level(logging.DEBUG):
        click(live, Plane(0, 3))
        live.wait()
    ((error,),) = of(heard, "failed")
    assert "RuntimeError" in error.reason
    assert "jane" not in str(error)
    assert "jane" not in caplog.text


def test_an_answer_that_cannot_be_journaled_is_told(live, session, model, heard):
    hold(model)
    click(live, Plane(0, 3))
    wait_until_held(model)
    session._ledger.journal._connection.execute("PRAGMA query_only = ON")
    model.gate.set()
    live.wait()
    assert "cannot be read or written" in of(heard, "failed")[0][0].reason
    assert not session.labels.any()


def test_a_prompt_that_the_session_refuses_is_not_asked_about(live, model):
    with pytest.raises(PromptError):
        click(live, Plane(0, 99))
    assert not live.busy


def test_an_image_that_is_not_open_is_told_and_the_prompt_kept(live, session, heard, predictor, lane, folder):
    session.set_image("second")
    session.close()
    with AnnotationSession.resume(session.volume, FINGERPRINT, folder) as again:
        live = LiveSegmentation(again, predictor, lane)
        told = []
        live.events.failed.connect(told.append)
        live.add_prompt(Point(Plane(0, 3), (4.0, 4.0)))
        live.show(Plane(0, 3), 1)
        live.hover(Plane(0, 3), (4.0, 4.0))
        assert "not open" in str(told[0])
        assert len(again.state.object(1).prompts) == 1
        assert not live.busy
        live.close()


def test_answers_on_the_lanes_own_thread_are_refused_at_once(session, predictor, lane):
    with pytest.raises(ValueError, match="wait"):
        LiveSegmentation(session, predictor, lane, dispatch=call_now)


def test_waiting_ends_when_the_time_is_up(live, model):
    hold(model)
    click(live, Plane(0, 3))
    assert not live.wait(timeout=0.01)
