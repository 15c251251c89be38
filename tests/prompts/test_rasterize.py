import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import generate_binary_structure, label

from napari_medfm.errors import PromptError
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Scribble, check_inside, rasterize
from napari_medfm.volume import Plane

from .strategies import SHAPE, boxes, lassos, masks, points, prompts, scribbles

PLANE = Plane(0, 7)
inner = st.floats(3.0, 12.0) | st.integers(3, 12).map(float)
inner_paths = st.lists(st.tuples(inner, inner), min_size=3, max_size=7).map(tuple)
shifts = st.tuples(st.integers(0, 8), st.integers(0, 12))


def voxels_of(mask):
    return {tuple(voxel) for voxel in np.argwhere(mask).tolist()}


def shifted(path, shift):
    return tuple((row + shift[0], column + shift[1]) for row, column in path)


@given(prompts)
def test_a_prompt_covers_voxels_of_its_plane_only(prompt):
    mask = rasterize(prompt, SHAPE)
    assert mask.shape == SHAPE
    assert mask.dtype == bool


@given(scribbles | lassos | boxes | points, st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_a_smaller_image_only_cuts_off(prompt, other):
    rows, columns = np.minimum(SHAPE, other)
    assert np.array_equal(rasterize(prompt, other)[:rows, :columns], rasterize(prompt, SHAPE)[:rows, :columns])


@given(inner_paths, shifts, st.sampled_from([Scribble, Lasso]))
def test_a_shifted_path_covers_shifted_voxels(path, shift, kind):
    original = rasterize(kind(PLANE, path), SHAPE)
    moved = rasterize(kind(PLANE, shifted(path, shift)), SHAPE)
    assert np.array_equal(np.roll(original, shift, axis=(0, 1)), moved)


@given(inner_paths)
def test_a_scribble_is_one_connected_line_through_its_vertices(path):
    mask = rasterize(Scribble(PLANE, path), SHAPE)
    assert label(mask, generate_binary_structure(2, 2))[1] == 1
    assert all(mask[int(np.floor(row + 0.5)), int(np.floor(column + 0.5))] for row, column in path)


def test_a_straight_scribble_is_one_voxel_wide():
    mask = rasterize(Scribble(PLANE, ((5.0, 2.0), (5.0, 20.0))), SHAPE)
    assert voxels_of(mask) == {(5, column) for column in range(2, 21)}


def test_a_scribble_of_one_vertex_is_a_dot():
    assert voxels_of(rasterize(Scribble(PLANE, ((5.4, 2.6),)), SHAPE)) == {(5, 3)}


@given(inner_paths)
def test_a_lasso_covers_its_own_outline(path):
    outline = rasterize(Scribble(PLANE, (*path, path[0])), SHAPE)
    assert not (outline & ~rasterize(Lasso(PLANE, path), SHAPE)).any()


@given(inner_paths)
def test_a_lasso_leaves_no_hole(path):
    outside = ~np.pad(rasterize(Lasso(PLANE, path), SHAPE), 1)
    assert label(outside)[1] == 1


@given(inner_paths, st.integers(0, 6))
def test_where_a_lasso_begins_does_not_matter(path, turn):
    turned = path[turn:] + path[:turn]
    first, second = (rasterize(Lasso(PLANE, vertices), SHAPE) for vertices in (path, turned))
    assert np.array_equal(first, second)


def test_a_square_lasso_is_filled_with_its_border():
    mask = rasterize(Lasso(PLANE, ((2.0, 3.0), (2.0, 8.0), (6.0, 8.0), (6.0, 3.0))), SHAPE)
    assert voxels_of(mask) == {(row, column) for row in range(2, 7) for column in range(3, 9)}


def test_a_hand_that_overshoots_the_start_cuts_no_hole():
    circle = [(12 + 8 * np.sin(angle), 14 + 8 * np.cos(angle)) for angle in np.linspace(0, 2 * np.pi, 60)]
    once = rasterize(Lasso(PLANE, tuple(circle)), SHAPE)
    overshot = rasterize(Lasso(PLANE, tuple(circle + circle[:15])), SHAPE)
    assert np.array_equal(once, overshot)


def test_a_lasso_drawn_over_the_edge_keeps_the_edge():
    mask = rasterize(Lasso(PLANE, ((-9.0, -9.0), (-9.0, 5.0), (4.0, 5.0), (4.0, -9.0))), SHAPE)
    assert voxels_of(mask) == {(row, column) for row in range(5) for column in range(6)}


def test_a_lasso_gone_astray_needs_no_giant_canvas():
    mask = rasterize(Lasso(PLANE, ((-1e6, -1e6), (-1e6, 1e6), (1e6, 1e6), (1e6, -1e6))), SHAPE)
    assert mask.all()


@given(boxes)
def test_a_box_covers_the_voxel_centres_inside_it_half_open(box):
    rows, columns = np.indices(SHAPE)
    expected = (rows >= box.start[0]) & (rows < box.stop[0]) & (columns >= box.start[1]) & (columns < box.stop[1])
    assert np.array_equal(rasterize(box, SHAPE), expected)


@given(points, st.floats(0, 6))
def test_a_point_is_a_disc_around_its_voxel(point, radius):
    row, column = (np.floor(value + 0.5) for value in point.position)
    rows, columns = np.indices(SHAPE)
    assert np.array_equal(rasterize(point, SHAPE, radius), np.hypot(rows - row, columns - column) <= radius)


@given(masks())
def test_a_mask_covers_itself(mask):
    assert np.array_equal(rasterize(MaskPrompt.from_mask(PLANE, mask), SHAPE), mask)


@given(prompts)
def test_what_passes_the_check_covers_something(prompt):
    try:
        check_inside(prompt, SHAPE)
    except PromptError:
        return
    empty_mask = prompt.kind == "mask" and not prompt.runs
    assert empty_mask or rasterize(prompt, SHAPE, radius=0).any()


@pytest.mark.parametrize("position", [(0, 0), (-0.5, -0.5), (23.4, 29.4), (23, 29)])
def test_a_point_on_any_voxel_is_inside(position):
    check_inside(Point(PLANE, position), SHAPE)


@pytest.mark.parametrize(
    "prompt",
    [
        Point(PLANE, (-0.6, 3.0)),
        Point(PLANE, (23.5, 3.0)),
        Point(PLANE, (3.0, 29.5)),
        Box(PLANE, (4.0, 4.0), (4.0, 9.0)),
        Box(PLANE, (9.0, 9.0), (4.0, 4.0)),
        Box(PLANE, (4.2, 4.2), (4.8, 4.8)),
        Box(PLANE, (30.0, 0.0), (40.0, 9.0)),
        Scribble(PLANE, ((-5.0, -5.0), (-5.0, 9.0))),
        Lasso(PLANE, ((40.0, 40.0), (40.0, 50.0), (50.0, 50.0))),
        MaskPrompt(PLANE, (20, 20), (10, 2), (0, 20)),
    ],
    ids=lambda prompt: prompt.kind,
)
def test_what_lies_outside_is_refused(prompt):
    with pytest.raises(PromptError, match=r"on slice 7: lies outside the image of 24 x 30 voxels"):
        check_inside(prompt, SHAPE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [Scribble, Lasso])
def test_a_coordinate_that_is_no_number_is_refused(kind, bad):
    with pytest.raises(PromptError, match="not a number"):
        check_inside(kind(PLANE, ((1.0, 1.0), (bad, 2.0), (3.0, 3.0))), SHAPE)
