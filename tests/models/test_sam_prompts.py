"""Prompts in the decoder's terms: positions in the square, kinds, and what makes a click ambiguous."""

import numpy as np
import pytest
from suites.backend import PLANE, click

from napari_medfm.models import MaskPrediction
from napari_medfm.models.sam_prompts import translate
from napari_medfm.models.transforms import LinearColour
from napari_medfm.prompts import Box, Lasso, MaskPrompt, PromptSet, Scribble, rasterize

FRAME = LinearColour((50, 100), 200)
TAKEN = frozenset({"point", "box", "mask"})
BOX = Box(PLANE, (10.0, 20.0), (30.0, 60.0))
STROKE = Scribble(PLANE, ((20.0, 20.0), (20.0, 40.0)))
MASK = np.zeros((50, 100), bool)
MASK[10:30, 20:60] = True


def said(*prompts, previous=None, kinds=TAKEN):
    return translate(PromptSet(prompts), previous, FRAME, kinds, (40, 40))


def prediction(mask, low_res):
    return MaskPrediction(mask[None], low_res[None].astype(np.float32), np.ones(1, np.float32))


def test_clicks_and_boxes_are_placed_in_the_square_and_keep_their_signs():
    inputs = said(BOX, click(25, 50), click(5, 10, positive=False))
    assert inputs.points.tolist() == [[100, 100], [20, 20]]
    assert inputs.labels.tolist() == [1, 0]
    assert inputs.box.tolist() == [40, 40, 120, 120]
    assert inputs.logits is None


@pytest.mark.parametrize(
    ("prompts", "ambiguous"),
    [
        ((click(25, 50),), True),
        ((click(25, 50, positive=False),), False),
        ((click(25, 50), click(26, 50)), False),
        ((click(25, 50), BOX), False),
        ((BOX,), False),
        ((click(25, 50), MaskPrompt.from_mask(PLANE, MASK)), False),
    ],
    ids=["a click", "a negative click", "two", "a click and a box", "a box", "a click and a mask"],
)
def test_only_a_first_click_by_itself_is_ambiguous(prompts, ambiguous):
    assert said(*prompts).ambiguous is ambiguous


def test_nothing_is_empty():
    assert said().empty
    assert not said(BOX).empty


@pytest.mark.parametrize("drawn", [STROKE, Lasso(PLANE, ((10.0, 20.0), (10.0, 60.0), (30.0, 40.0)))])
def test_what_the_model_does_not_take_becomes_points(drawn):
    inputs = said(drawn)
    assert len(inputs.labels) >= 1
    assert inputs.labels.all()


def test_a_stroke_that_the_model_takes_is_every_pixel_of_it():
    inputs = said(STROKE, kinds=TAKEN | {"scribble"})
    assert len(inputs.labels) == rasterize(STROKE, (50, 100)).sum() > len(said(STROKE).labels)


def test_a_mask_alone_brings_its_box_and_is_sure_inside_and_outside():
    inputs = said(MaskPrompt.from_mask(PLANE, MASK))
    assert inputs.box.tolist() == [40, 40, 120, 120]
    assert inputs.logits.shape == (40, 40)
    assert (inputs.logits[9:23, 9:23] > 6).all()
    assert (inputs.logits[:7] < -6).all()
    assert said(MaskPrompt.from_mask(PLANE, MASK), click(25, 50)).box is None


def test_the_last_answer_goes_in_as_its_logits_or_if_they_are_of_another_size_as_its_mask():
    logits = np.random.default_rng(0).normal(size=(40, 40))
    assert np.array_equal(said(BOX, previous=prediction(MASK, logits)).logits, logits.astype(np.float32))
    foreign = said(BOX, previous=prediction(MASK, np.zeros((7, 5))))
    assert np.array_equal(foreign.logits, said(BOX, MaskPrompt.from_mask(PLANE, MASK)).logits)
    assert said(BOX, previous=prediction(np.zeros_like(MASK), np.zeros((7, 5)))).logits is None
