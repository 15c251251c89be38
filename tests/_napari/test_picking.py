"""Taking hold of prompts, and moving them without losing them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm._napari.picking import Grip, outline_of, pick
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble, rasterize
from napari_medfm.volume import Plane

SHAPE = (40, 60)
HERE = Plane(0, 3)
REACH = (2.0, 2.0)

positions = st.tuples(st.floats(0, SHAPE[0] - 1), st.floats(0, SHAPE[1] - 1))


@st.composite
def boxes(draw):
    rows = sorted(draw(st.lists(st.integers(0, SHAPE[0]), min_size=2, max_size=2, unique=True)))
    columns = sorted(draw(st.lists(st.integers(0, SHAPE[1]), min_size=2, max_size=2, unique=True)))
    return Box(HERE, (float(rows[0]), float(columns[0])), (float(rows[1]), float(columns[1])))


paths = st.lists(positions, min_size=3, max_size=6).map(tuple)
prompts = st.one_of(
    st.builds(Point, st.just(HERE), positions, st.booleans()),
    boxes(),
    st.builds(Scribble, st.just(HERE), paths, st.booleans()),
    st.builds(Lasso, st.just(HERE), paths, st.booleans()),
)


def test_the_nearest_prompt_is_taken():
    known = PromptSet((Point(HERE, (10, 10)), Point(HERE, (12, 10)), Box(HERE, (20, 20), (30, 40))))
    assert pick(known, HERE, (11.6, 10), REACH).index == 1
    assert pick(known, HERE, (19.5, 30), REACH).index == 2


def test_of_two_at_the_same_place_the_later_one_is_taken():
    known = PromptSet((Point(HERE, (10, 10)), Point(HERE, (10, 10), positive=False)))
    assert pick(known, HERE, (10, 10), REACH).index == 1


def test_nothing_is_taken_beyond_reach_inside_a_box_or_on_another_slice():
    known = PromptSet((Point(HERE, (10, 10)), Box(HERE, (20, 20), (30, 40))))
    assert pick(known, HERE, (10, 13), REACH) is None
    assert pick(known, HERE, (25, 30), REACH) is None
    assert pick(known, Plane(0, 4), (10, 10), REACH) is None


def test_a_mask_cannot_be_taken():
    mask = np.ones(SHAPE, bool)
    assert pick(PromptSet((MaskPrompt.from_mask(HERE, mask),)), HERE, (10, 10), REACH) is None


def test_reach_counts_screen_distance_on_thick_slices():
    known = PromptSet((Point(HERE, (10, 10)),))
    assert pick(known, HERE, (11.5, 10), (1.0, 5.0)) is None
    assert pick(known, HERE, (10, 14), (1.0, 5.0)) is not None


@pytest.mark.parametrize(
    ("at", "corner"), [((4.5, 9.5), (False, False)), ((4.5, 29.5), (False, True)), ((19.5, 29.5), (True, True))]
)
def test_a_box_is_taken_by_its_corner_and_resized(at, corner):
    box = Box(HERE, (5, 10), (20, 30))
    grip = pick(PromptSet((box,)), HERE, at, REACH)
    assert grip.corner == corner
    moved = grip.moved(at, (at[0] + 1, at[1] + 1), SHAPE)
    expected = np.array((box.start, box.stop))
    expected[[int(c) for c in corner], [0, 1]] += 1
    assert (moved.start, moved.stop) == tuple(map(tuple, expected.tolist()))


def test_a_box_taken_by_its_edge_moves_as_a_whole():
    box = Box(HERE, (5, 10), (20, 30))
    grip = pick(PromptSet((box,)), HERE, (12, 9.5), REACH)
    assert grip.moved((12, 9.5), (14, 12.5), SHAPE) == Box(HERE, (7, 13), (22, 33))


@given(prompts, positions, positions)
def test_a_moved_prompt_stays_within_the_slice(prompt, start, end):
    moved = Grip(0, prompt).moved(start, end, SHAPE)
    outline = outline_of(moved)
    assert type(moved) is type(prompt)
    assert (outline >= -0.5 - 1e-9).all()
    assert (outline <= np.subtract(SHAPE, 0.5) + 1e-9).all()


@given(prompts, positions)
def test_a_prompt_that_is_moved_nowhere_is_unchanged(prompt, start):
    assert np.allclose(outline_of(Grip(0, prompt).moved(start, start, SHAPE)), outline_of(prompt))


@given(boxes(), st.tuples(st.booleans(), st.booleans()), positions)
def test_a_resized_box_keeps_at_least_one_voxel(box, corner, end):
    moved = Grip(0, box, corner).moved((0, 0), end, SHAPE)
    assert rasterize(moved, SHAPE).any()


@given(prompts)
def test_every_prompt_can_be_taken_where_it_is_drawn(prompt):
    for position in outline_of(prompt):
        assert pick(PromptSet((prompt,)), HERE, tuple(position), REACH).index == 0
