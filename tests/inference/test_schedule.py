import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.inference import (
    EmbeddingProgress,
    MemoryStore,
    Predictor,
    embed_plane,
    embed_planes,
    order_planes,
    pixel_aspect,
    schedule,
    slice_image,
)
from napari_medfm.volume import Plane, Volume, Window, array_geometry
from napari_medfm.workers import Lane, Priority

from .conftest import BlockMeans

SOON = 20
WINDOW = Window("abdomen", -160.0, 240.0)
PRINT = "f" * 64

places = st.integers(1, 60).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count)))


@pytest.fixture
def predictor(model):
    return Predictor(model, MemoryStore(10**8))


@pytest.fixture
def planes(small_volume):
    return small_volume.geometry.planes()


def embed(predictor, volume, planes):
    return embed_planes(predictor, volume, PRINT, WINDOW, planes)


@pytest.mark.parametrize(("axis", "aspect"), [(0, 1.0), (1, 3.0), (2, 3.0)])
def test_a_model_is_told_how_high_pixels_are(predictor, model, small_volume, axis, aspect):
    plane = Plane(axis, 5)
    embedding = embed_plane(predictor, small_volume, PRINT, WINDOW, plane)
    assert embedding.aspect == pixel_aspect(small_volume, plane) == aspect
    assert embedding.image_shape == plane.shape(small_volume.shape)
    list(embed(predictor, small_volume, [plane]))
    assert model.encoded == 1  # both ask for the same


def test_pixels_that_are_nearly_square_are_square():
    volume = Volume(np.zeros((3, 4, 5)), array_geometry((3, 4, 5), (2.0, 1.02, 1.0)))
    assert pixel_aspect(volume, Plane(0, 1)) == 1
    assert pixel_aspect(volume, Plane(1, 1)) == 2
    assert pixel_aspect(volume, Plane(2, 1)) == pytest.approx(2 / 1.02, abs=1e-4)


@given(places, st.sampled_from([-1, 0, 1]))
def test_every_slice_is_ordered_once_and_the_visible_one_first(place, direction):
    visible, count = place
    order = order_planes(visible, direction, count)
    assert order[0] == visible
    assert sorted(order) == list(range(count))


@given(places, st.sampled_from([-1, 0, 1]))
def test_on_either_side_the_nearer_comes_first(place, direction):
    visible, count = place
    order = order_planes(visible, direction, count)
    assert [index for index in order if index > visible] == list(range(visible + 1, count))
    assert [index for index in order if index < visible] == list(range(visible - 1, -1, -1))


@given(places)
def test_scrolling_the_other_way_mirrors_the_order(place):
    visible, count = place
    mirrored = [count - 1 - index for index in order_planes(count - 1 - visible, -1, count)]
    assert order_planes(visible, 1, count) == mirrored


def test_what_lies_ahead_comes_before_what_lies_behind():
    assert order_planes(10, 1, 16) == [10, 11, 12, 13, 9, 14, 15, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert order_planes(10, -1, 16)[:7] == [10, 9, 8, 7, 11, 6, 5]


def test_without_a_direction_both_sides_take_turns():
    assert order_planes(2, 0, 6) == [2, 1, 3, 0, 4, 5]


def test_a_visible_slice_beyond_the_end_still_gives_an_order():
    assert order_planes(9, 1, 3) == [2, 1, 0]
    assert order_planes(0, 1, 0) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_windowed_and_contiguous(small_volume, axis):
    plane = Plane(axis, 5)
    seen = slice_image(small_volume, plane, WINDOW)
    assert np.array_equal(seen, WINDOW.to_uint8(small_volume.plane(plane)))
    assert seen.dtype == np.uint8
    assert seen.flags.c_contiguous


def test_a_colour_image_passes_as_it_is(image):
    colour = np.stack([image, image // 2, image // 3], axis=-1)
    volume = Volume(colour, array_geometry(image.shape))
    assert np.array_equal(slice_image(volume, Plane(0, 0), WINDOW), colour)


def test_a_plane_is_windowed_and_encoded_only_once(predictor, model, small_volume):
    first = embed_plane(predictor, small_volume, PRINT, WINDOW, Plane(0, 4))
    assert embed_plane(predictor, small_volume, PRINT, WINDOW, Plane(0, 4)) is first
    assert model.encoded == 1
    embed_plane(predictor, small_volume, PRINT, Window("other", -160.0, 241.0), Plane(0, 4))
    embed_plane(predictor, small_volume, PRINT, WINDOW, Plane(1, 4))
    assert model.encoded == 3


def test_every_step_embeds_one_slice_in_the_order_given(predictor, model, small_volume, planes):
    order = planes[::-1]
    for number, progress in enumerate(embed(predictor, small_volume, order), start=1):
        assert (progress.done, progress.total, progress.plane) == (number, len(order), order[number - 1])
        assert model.encoded == number
        assert predictor.cached(predictor.key(PRINT, progress.plane, WINDOW))
    assert number == len(order)
    assert progress.seconds_left == 0


def test_a_model_that_encodes_in_steps_yields_between_them(model, small_volume, planes):
    class Stepwise(type(model)):
        def encode_steps(self, image):
            yield
            yield
            return self.encode(image)

    model = Stepwise()
    predictor = Predictor(model, MemoryStore(10**8))
    steps = list(embed(predictor, small_volume, planes[:2]))
    assert [step and step.done for step in steps] == [None, None, 1, None, None, 2]
    assert np.array_equal(
        embed_plane(predictor, small_volume, PRINT, WINDOW, planes[0]).arrays["means"],
        model.encode(slice_image(small_volume, planes[0], WINDOW)).arrays["means"],
    )


def test_stored_slices_are_skipped_and_counted_as_done(predictor, model, small_volume, planes):
    for plane in planes[3:6]:
        embed_plane(predictor, small_volume, PRINT, WINDOW, plane)
    steps = list(embed(predictor, small_volume, planes))
    assert [step.done for step in steps] == list(range(4, len(planes) + 1))
    assert [step.plane for step in steps] == planes[:3] + planes[6:]
    assert model.encoded == len(planes)


def test_a_closed_run_is_taken_up_where_it_stopped(predictor, model, small_volume, planes):
    run = embed(predictor, small_volume, planes)
    next(run)
    next(run)
    run.close()
    assert model.encoded == 2
    steps = list(embed(predictor, small_volume, planes))
    assert steps[0].done == 3
    assert model.encoded == len(planes)


def test_a_run_with_nothing_to_do_says_so_once(predictor, model, small_volume, planes):
    deque(embed(predictor, small_volume, planes), maxlen=0)
    assert list(embed(predictor, small_volume, planes)) == [EmbeddingProgress(len(planes), len(planes), planes[-1], 0)]
    assert list(embed(predictor, small_volume, [])) == []
    assert model.encoded == len(planes)


def test_a_two_dimensional_image_is_one_plane(predictor, image):
    volume = Volume(image, array_geometry(image.shape))
    (step,) = embed(predictor, volume, volume.geometry.planes())
    assert (step.done, step.total, step.plane) == (1, 1, Plane(0, 0))


def test_the_time_left_is_that_of_a_typical_slice(small_volume, planes, monkeypatch):
    """One slow slice, such as the first, and pauses between slices do not upset it."""
    now = 0.0
    monkeypatch.setattr(schedule, "perf_counter", lambda: now)

    class Slow(BlockMeans):
        def encode(self, image):
            nonlocal now
            now += 50.0 if self.encoded in {0, 5} else 2.0
            return super().encode(image)

    left = []
    for step in embed(Predictor(Slow(), MemoryStore(10**8)), small_volume, planes):
        left.append(step.seconds_left)
        now += 1000.0  # clicks are served
    assert left[0] == 11 * 50
    assert left[2:] == [2.0 * remaining for remaining in range(9, -1, -1)]


def test_a_changed_slice_reorders_the_run_without_losing_what_is_done(predictor, model, small_volume, planes):
    seen, changed = [], threading.Event()

    def submit(visible):
        order = [planes[index] for index in order_planes(visible, 1, len(planes))]
        steps = embed(predictor, small_volume, order)
        return lane.submit_steps(steps, priority=Priority.BACKGROUND, channel="embedding", on_step=look)

    def look(step):
        seen.append(step.plane.index)
        if len(seen) == 3:
            futures.append(submit(9))
            changed.set()

    with Lane() as lane:
        futures = [submit(0)]
        assert changed.wait(SOON)
        assert lane.wait_idle(SOON)
    assert futures[0].cancelled()
    assert futures[1].result(SOON) is None
    assert seen[:6] == [0, 1, 2, 9, 10, 11]
    assert sorted(seen) == list(range(len(planes)))
    assert model.encoded == len(planes)


def test_a_click_is_answered_between_two_slices(predictor, small_volume, planes):
    answers, done = [], []

    def click():
        embedding = embed_plane(predictor, small_volume, PRINT, WINDOW, planes[0])
        return predictor.predict(embedding, points=[(24, 20)]), len(done)

    def look(step):
        done.append(step.plane)
        if len(done) == 2:
            answers.append(lane.submit(click))

    with Lane() as lane:
        lane.submit_steps(embed(predictor, small_volume, planes), on_step=look).result(SOON)
        answer, done_by_then = answers[0].result(SOON)
    assert done_by_then == 2
    assert answer.mask[24, 20]
