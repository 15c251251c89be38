"""Prompts as seeds: later ones win, clicks keep their cell, the crop's border is background."""

import numpy as np
import pytest

from napari_medfm.models.crops import Crop
from napari_medfm.models.seeds import extent, plant
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.volume import Plane

PLANE = Plane()
SHAPE = (100, 120)


def crop_at(first, last, margin=10, side=200):
    """Return a crop of the image."""
    return Crop.around(np.array(first, float), np.array(last, float), margin, SHAPE, side)


MIDDLE = crop_at((50, 60), (50, 60), 20)
WHOLE = crop_at((0, 0), (99, 119), 0)


def seeds_of(*prompts, crop=MIDDLE, disc=1.5):
    """Return the seeds of prompts."""
    return plant(PromptSet(prompts), crop, SHAPE, disc)


def at(seeds, row, column, crop=MIDDLE):
    """Return the seed of the cell that a voxel lies in."""
    return seeds[tuple(np.round(crop.positions(np.array([row, column]))).astype(int))]


def test_a_click_is_a_disc_and_the_border_of_the_crop_is_background():
    seeds = seeds_of(Point(PLANE, (50.0, 60.0)))
    assert seeds.shape == (41, 41)
    assert (seeds == 1).sum() == 9
    assert at(seeds, 50, 60) == 1
    assert np.all(seeds[[0, -1]] == -1)
    assert np.all(seeds[:, [0, -1]] == -1)
    assert (seeds == -1).sum() == 160


def test_on_a_grid_of_few_cells_a_click_is_one():
    seeds = seeds_of(Point(PLANE, (50.0, 60.0)), crop=crop_at((50, 60), (50, 60), 4))
    assert (seeds == 1).sum() == 1


def test_the_image_s_own_border_is_no_background_unless_there_is_no_other():
    corner = crop_at((5, 5), (5, 5), 20)
    seeds = seeds_of(Point(PLANE, (5.0, 5.0)), crop=corner)
    assert np.all(seeds[0, :-1] == 0)
    assert np.all(seeds[:-1, 0] == 0)
    assert np.all(seeds[-1] == -1)
    assert (seeds_of(Point(PLANE, (50.0, 60.0)), crop=WHOLE)[0] == -1).all()
    with_negative = seeds_of(Point(PLANE, (50.0, 60.0)), Point(PLANE, (9.0, 9.0), False), crop=WHOLE)
    assert (with_negative[0] == 0).all()


def test_an_image_one_pixel_wide_keeps_cells_that_are_no_border():
    crop = Crop.around(np.zeros(2), np.array([49.0, 0.0]), 0, (50, 1), 64)
    seeds = plant(PromptSet((Point(PLANE, (20.0, 0.0)),)), crop, (50, 1), 1.5)
    assert seeds[0] == seeds[-1] == -1
    assert (seeds == 0).sum() > 30


def test_later_prompts_win_but_a_click_keeps_its_cell():
    yes, no = Point(PLANE, (50.0, 60.0)), Point(PLANE, (51.0, 60.0), positive=False)
    seeds = seeds_of(yes, no)
    assert (at(seeds, 50, 60), at(seeds, 51, 60)) == (1, -1)
    assert at(seeds, 51, 61) == -1
    assert at(seeds_of(no, yes), 51, 61) == 1
    same_place = Point(PLANE, (50.0, 60.0), positive=False)
    assert not (seeds_of(yes, same_place) == 1).any()


@pytest.mark.parametrize("positive", [True, False])
def test_scribbles_are_lines_and_lassos_areas(positive):
    sign = 1 if positive else -1
    line = seeds_of(Scribble(PLANE, ((45.0, 50.0), (45.0, 70.0)), positive))
    assert (line[1:-1, 1:-1] == sign).sum() == 21
    area = seeds_of(Lasso(PLANE, ((45.0, 55.0), (45.0, 65.0), (55.0, 65.0), (55.0, 55.0)), positive))
    assert (area[1:-1, 1:-1] == sign).sum() == 121


def test_a_box_has_a_core_and_background_all_around():
    seeds = seeds_of(Box(PLANE, (40.0, 50.0), (61.0, 71.0)))
    inside = np.zeros(seeds.shape, bool)
    inside[10:31, 10:31] = True
    assert np.all(seeds[~inside] == -1)
    assert np.all(seeds[inside] >= 0)
    core = np.argwhere(seeds == 1)
    assert np.array_equal(core.mean(axis=0), [20, 20])
    assert 8 <= np.ptp(core[:, 0]) <= 12


def test_the_core_of_a_box_stops_short_of_clicks_on_background():
    box = Box(PLANE, (40.0, 50.0), (61.0, 71.0))
    assert at(seeds_of(box, Point(PLANE, (50.0, 60.0), positive=False)), 50, 60) == -1
    near = seeds_of(box, Point(PLANE, (53.0, 60.0), positive=False))
    assert np.ptp(np.argwhere(near == 1)[:, 0]) <= 6


def test_masks_make_no_seeds():
    mask = np.zeros(SHAPE, bool)
    mask[45:55, 55:65] = True
    assert not (seeds_of(MaskPrompt.from_mask(PLANE, mask)) == 1).any()


def test_prompts_outside_the_crop_are_not_on_its_grid():
    seeds = seeds_of(Point(PLANE, (50.0, 60.0)), Point(PLANE, (5.0, 5.0)), Scribble(PLANE, ((1.0, 1.0), (9.0, 9.0))))
    assert (seeds == 1).sum() == 9


def test_the_extent_covers_every_prompt_as_far_as_the_image_goes():
    mask = np.zeros(SHAPE, bool)
    mask[45:55, 55:65] = True
    for prompt, expected in [
        (Point(PLANE, (3.0, 4.5)), [[3, 4.5], [3, 4.5]]),
        (Box(PLANE, (3.0, 4.0), (8.0, 140.0)), [[3, 4], [7, 119]]),
        (Scribble(PLANE, ((-4.0, 8.0), (3.0, 2.0))), [[0, 2], [3, 8]]),
        (MaskPrompt.from_mask(PLANE, mask), [[45, 55], [54, 64]]),
    ]:
        assert np.array_equal(extent(PromptSet((prompt,)), SHAPE), expected)
    both = extent(PromptSet((Point(PLANE, (3.0, 4.0)), Point(PLANE, (50.0, 2.0)))), SHAPE)
    assert np.array_equal(both, [[3, 2], [50, 4]])


def test_what_covers_nothing_has_no_extent():
    empty = MaskPrompt.from_mask(PLANE, np.zeros(SHAPE, bool))
    assert extent(PromptSet((empty,)), SHAPE).shape == (0, 2)
    assert extent(PromptSet(), SHAPE).shape == (0, 2)
