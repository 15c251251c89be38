"""Figures show what was measured: outlines where masks end, prompts where they were made, curves for each model."""

import io

import numpy as np
import pytest
from PIL import Image

from napari_medfm.evaluation.charts import draw_curves, draw_trial
from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.volume import Plane

from .datasets import disc, make_trial

PLANE = Plane()
SHAPE = (60, 80)
TRUTH = disc(SHAPE, (30, 40), 15)
EXPERT, MODEL, REMOVE = (0, 229, 176), (255, 158, 27), (255, 59, 107)


def draw(answer, *prompts, image=None, truth=TRUTH):
    trial = make_trial(prompts=PromptSet(prompts), answer=MaskPrompt.from_mask(PLANE, answer))
    image = np.full(truth.shape, 80, np.uint8) if image is None else image
    return np.asarray(Image.open(io.BytesIO(draw_trial(image, truth, trial))).convert("RGB")).astype(int)


def marked(picture, colour):
    return np.abs(picture - colour).max(axis=2) < 40


def test_the_experts_outline_and_the_models_are_drawn_in_their_colours():
    picture = draw(disc(SHAPE, (30, 34), 12))
    expert, model = np.argwhere(marked(picture, EXPERT)), np.argwhere(marked(picture, MODEL))
    assert len(expert) > len(model) > 100
    assert model[:, 1].mean() < expert[:, 1].mean()


def test_an_empty_answer_has_no_outline():
    assert not marked(draw(np.zeros(SHAPE, bool)), MODEL).any()


def test_an_object_at_the_edge_of_the_image_is_outlined_there_too():
    everything = np.ones((20, 20), bool)
    picture = draw(np.zeros_like(everything), truth=everything)
    rows, columns = np.nonzero(marked(picture, EXPERT))
    assert min(np.ptp(rows), np.ptp(columns)) > 0.3 * len(picture)


@pytest.mark.parametrize(
    ("prompt", "colour"),
    [
        (Point(PLANE, (30.0, 40.0)), (255, 255, 255)),
        (Point(PLANE, (30.0, 40.0), positive=False), REMOVE),
        (Scribble(PLANE, ((28.0, 35.0), (32.0, 45.0))), (255, 255, 255)),
        (Scribble(PLANE, ((28.0, 35.0),), positive=False), REMOVE),
        (Box(PLANE, (20.0, 30.0), (40.0, 50.0)), (255, 255, 255)),
    ],
)
def test_prompts_are_drawn_by_their_sign(prompt, colour):
    assert not marked(draw(TRUTH), colour).any()
    assert marked(draw(TRUTH, prompt), colour).any()


def test_colour_images_keep_their_colour():
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[..., 2] = 200
    picture = draw(TRUTH, image=image)
    assert np.median(picture.reshape(-1, 3), axis=0).tolist() == [0, 0, 200]


def test_there_is_a_panel_for_each_data_set_and_one_over_them():
    trials = [make_trial(dataset=name, case=number) for number, name in enumerate(("spleen", "liver"))]
    svg = draw_curves(trials, ["m"])
    assert svg.startswith("<svg")
    assert all(title in svg for title in ("mean of data sets (n = 2)", "spleen (n = 1)", "liver (n = 1)"))
    assert "mean of" not in draw_curves(trials[:1], ["m"])


def test_names_are_taken_literally():
    svg = draw_curves([make_trial(dataset="<b>$x$ & co")], ["m"])
    assert "&lt;b&gt;$x$ &amp; co (n = 1)" in svg


def test_each_model_that_was_measured_has_a_curve():
    trials = [make_trial(model=name) for name in ("one", "two")]
    svg = draw_curves(trials, ["one", "two", "absent"])
    assert "one" in svg
    assert "two" in svg
    assert "absent" not in svg


def test_the_same_trials_give_the_same_drawing():
    assert draw_curves([make_trial()], ["m"]) == draw_curves([make_trial()], ["m"])
