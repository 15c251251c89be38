from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given

from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet
from napari_medfm.volume import Plane

from .strategies import SHAPE, masks, prompt_sets

HERE, THERE = Plane(0, 4), Plane(1, 4)


@given(masks())
def test_a_mask_survives_run_length_coding(mask):
    prompt = MaskPrompt.from_mask(HERE, mask)
    assert np.array_equal(prompt.to_mask(SHAPE), mask)


def test_an_empty_mask_has_no_runs():
    assert MaskPrompt.from_mask(HERE, np.zeros(SHAPE, bool)).runs == ()


def test_a_mask_that_begins_with_object_has_an_empty_first_run():
    mask = np.zeros(SHAPE, bool)
    mask[2, 3:6] = True
    prompt = MaskPrompt.from_mask(HERE, mask)
    assert (prompt.start, prompt.shape, prompt.runs) == ((2, 3), (1, 3), (0, 3))


def test_a_prompt_in_the_history_cannot_be_changed():
    point = Point(HERE, (1.0, 2.0))
    with pytest.raises(FrozenInstanceError):
        point.position = (3.0, 4.0)


@given(prompt_sets)
def test_every_prompt_is_found_on_exactly_one_of_the_planes(prompts):
    parts = [prompts.in_plane(plane) for plane in prompts.planes]
    assert sum(len(part) for part in parts) == len(prompts)
    assert all(prompt.plane == plane for part, plane in zip(parts, prompts.planes, strict=True) for prompt in part)


@given(prompt_sets)
def test_adding_and_removing_a_prompt_leaves_the_set_as_it_was(prompts):
    assert prompts.add(Point(HERE, (0.0, 0.0))).remove(len(prompts)) == prompts


def test_moving_a_prompt_keeps_its_place_in_the_order():
    first, second = Point(HERE, (1.0, 1.0)), Point(THERE, (2.0, 2.0))
    moved = Point(HERE, (5.0, 5.0))
    assert PromptSet((first, second)).move(0, moved).prompts == (moved, second)


def test_the_last_box_counts_and_boxes_and_masks_always_add():
    old, new = Box(HERE, (0.0, 0.0), (4.0, 4.0)), Box(HERE, (1.0, 1.0), (3.0, 3.0))
    prompts = PromptSet((old, new, Point(HERE, (2.0, 2.0), positive=False)))
    assert prompts.box == new
    assert new.positive
    assert MaskPrompt.from_mask(HERE, np.ones(SHAPE, bool)).positive
    assert [point.positive for point in prompts.points] == [False]
    assert PromptSet().box is None
