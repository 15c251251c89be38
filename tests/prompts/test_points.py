import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble, as_points, rasterize, voxel_at
from napari_medfm.prompts.points import MOST_POINTS
from napari_medfm.volume import Plane

from .strategies import SHAPE, lassos, mask_prompts, prompt_sets, scribbles

PLANE = Plane(0, 2)
LARGE = (320, 320)


def converted(*prompts, shape=LARGE, **options):
    return as_points(PromptSet(prompts), shape, **options).prompts


@given(prompt_sets, st.sampled_from([(1.0, 1.0), (0.9, 4.0)]))
def test_only_kinds_that_the_model_takes_are_left(prompts, spacing):
    taken = ("point", "box")
    assert all(prompt.kind in taken for prompt in as_points(prompts, SHAPE, spacing, keep=taken))
    assert as_points(prompts, SHAPE, spacing, keep=("point", "box", "scribble", "lasso", "mask")) == prompts


@given(scribbles | lassos | mask_prompts)
def test_points_are_few_lie_inside_and_keep_plane_and_sign(prompt):
    points = converted(prompt, shape=SHAPE)
    assert len(points) <= MOST_POINTS
    for point in points:
        row, column = voxel_at(point.position)
        assert 0 <= row < SHAPE[0]
        assert 0 <= column < SHAPE[1]
        assert (point.plane, point.positive) == (prompt.plane, prompt.positive)


@given(lassos | mask_prompts)
def test_points_of_an_area_lie_on_different_voxels_of_it(prompt):
    mask = rasterize(prompt, SHAPE)
    voxels = [voxel_at(point.position) for point in converted(prompt, shape=SHAPE)]
    assert len(set(voxels)) == len(voxels)
    assert all(mask[voxel] for voxel in voxels)
    assert bool(voxels) == bool(mask.any())


@given(prompt_sets)
def test_the_same_prompts_always_give_the_same_points(prompts):
    assert as_points(prompts, SHAPE) == as_points(prompts, SHAPE)


def test_a_scribble_gives_its_ends_and_even_steps_between():
    bent = Scribble(PLANE, ((10.0, 10.0), (10.0, 60.0), (60.0, 60.0)), positive=False)
    positions = np.array([point.position for point in converted(bent)])
    assert positions[0].tolist() == [10, 10]
    assert positions[-1].tolist() == [60, 60]
    assert len(positions) == MOST_POINTS
    along = np.abs(np.diff(positions, axis=0)).sum(axis=1)  # both legs run along an axis
    assert np.allclose(along, along[0])


def test_a_scribble_is_measured_in_mm():
    bent = Scribble(PLANE, ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0)))
    down = [point.position for point in converted(bent, spacing=(4.0, 1.0)) if point.position[0] < 10]
    across = [point.position for point in converted(bent, spacing=(4.0, 1.0)) if point.position[1] > 0]
    assert len(down) > len(across)


def test_a_short_scribble_needs_fewer_points_and_a_dot_one():
    assert len(converted(Scribble(PLANE, ((5.0, 5.0), (5.0, 12.0))))) == 2
    assert [point.position for point in converted(Scribble(PLANE, ((5.0, 6.0),)))] == [(5.0, 6.0)]


def test_the_first_point_of_a_lasso_is_its_deepest():
    key_hole = ((10, 10), (10, 90), (45, 90), (45, 200), (55, 200), (55, 90), (90, 90), (90, 10))
    first, *others = (point.position for point in converted(Lasso(PLANE, key_hole)))
    assert np.hypot(first[0] - 50, first[1] - 50) < 2
    assert any(column > 90 for _, column in others)


def test_points_in_a_lasso_keep_clear_of_each_other_and_of_the_outline():
    square = Lasso(PLANE, ((100, 100), (100, 200), (200, 200), (200, 100)))
    positions = np.array([point.position for point in converted(square)])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)[~np.eye(len(positions), dtype=bool)]
    assert len(positions) > 3
    assert distances.min() > 15
    assert positions.min() > 110
    assert positions.max() < 190


def test_a_box_for_a_model_without_boxes_is_its_centre():
    assert converted(Box(PLANE, (10, 20), (15, 21)), keep=("point",)) == (Point(PLANE, (12.0, 20.0)),)


@pytest.mark.parametrize(
    "prompt", [Lasso(PLANE, ((-9, -9), (-9, -5), (-5, -5))), Scribble(PLANE, ((-9, -9), (-9, -5)))]
)
def test_a_prompt_outside_says_nothing(prompt):
    assert converted(prompt) == ()


def test_an_empty_mask_says_nothing():
    assert converted(MaskPrompt.from_mask(PLANE, np.zeros(LARGE, bool))) == ()
