"""The floor without a model: discs and thresholds, and of them whatever the expert would prefer."""

import numpy as np
import pytest

from napari_medfm.evaluation.floors import TYPICAL_DIAMETER, OtsuImage, disc_or_otsu
from napari_medfm.prompts import Box, Point, PromptSet, Scribble
from napari_medfm.simulation import dice, run_robot
from napari_medfm.volume import Plane

from .datasets import disc

PLANE = Plane()
SHAPE = (100, 120)
RADIUS = TYPICAL_DIAMETER / 2 * 120
NOISE = np.random.default_rng(0).integers(0, 2, SHAPE, dtype=np.uint8) * 255


def ask(image, truth, *prompts):
    return disc_or_otsu(OtsuImage.of(image), truth)(PromptSet(prompts), None)


def two_discs():
    """A bright and a dark disc on grey that counts as dark."""
    bright, dark = disc(SHAPE, (30, 30), 20), disc(SHAPE, (70, 90), 12)
    return np.where(bright, 220, np.where(dark, 50, 90)).astype(np.uint8), bright, dark


def test_a_click_on_an_object_of_usual_size_gives_its_disc_whatever_the_image_shows():
    truth = disc(SHAPE, (40, 50), RADIUS)
    assert dice(ask(NOISE, truth, Point(PLANE, (40.0, 50.0))), truth) > 0.97


def test_a_click_on_a_bright_object_gives_its_otsu_component_whatever_its_size():
    image, bright, _ = two_discs()
    assert dice(ask(image, bright, Point(PLANE, (20.0, 30.0))), bright) == 1


def test_a_click_below_the_threshold_gives_the_component_of_that_side():
    truth = disc(SHAPE, (50, 60), 25)
    assert dice(ask(np.where(truth, 20, 200).astype(np.uint8), truth, Point(PLANE, (45.0, 60.0))), truth) == 1


def test_colour_counts_by_its_brightness():
    image, bright, _ = two_discs()
    colour = np.stack([image, image // 2, image // 3], axis=2)
    assert dice(ask(colour, bright, Point(PLANE, (20.0, 30.0))), bright) == 1


def test_components_of_positive_clicks_are_added_up():
    both = disc(SHAPE, (30, 30), 20) | disc(SHAPE, (70, 90), 15)
    image = np.where(both, 200, 30).astype(np.uint8)
    one = Point(PLANE, (30.0, 30.0))
    assert dice(ask(image, both, one), both) < 0.8
    assert dice(ask(image, both, one, Point(PLANE, (70.0, 90.0))), both) == 1


def test_a_negative_click_takes_its_disc_away():
    centre, beside = (40.0, 40.0), (40.0, 40.0 + RADIUS)
    truth = disc(SHAPE, centre, RADIUS) & ~disc(SHAPE, beside, RADIUS)
    found = ask(NOISE, truth, Point(PLANE, centre), Point(PLANE, beside, positive=False))
    assert dice(found, truth) > 0.97


def test_a_correction_that_only_harms_is_left_alone():
    truth = disc(SHAPE, (40, 50), RADIUS)
    clicks = Point(PLANE, (40.0, 50.0)), Point(PLANE, (40.0, 51.0), positive=False)
    assert dice(ask(NOISE, truth, *clicks), truth) > 0.97


def test_a_scribble_grows_by_the_radius():
    truth = np.zeros(SHAPE, bool)
    truth[int(50 - RADIUS) : int(50 + RADIUS) + 1, 20:100] = True
    assert dice(ask(NOISE, truth, Scribble(PLANE, ((50.0, 25.0), (50.0, 95.0)))), truth) > 0.9


def test_a_box_gives_the_ellipse_in_it():
    truth = disc(SHAPE, (50, 60), 25)
    assert dice(ask(NOISE, truth, Box(PLANE, (25.0, 35.0), (76.0, 86.0))), truth) > 0.97


@pytest.mark.parametrize("values", [(40, 90), (90, 40)])
def test_a_box_gives_what_lies_on_either_side_of_its_own_threshold(values):
    truth = np.zeros(SHAPE, bool)
    truth[30:50, 30:34] = truth[46:50, 30:50] = True
    image = np.where(truth, *values).astype(np.uint8)
    image[70:, :] = 255  # the threshold of the whole image would tell nothing
    assert dice(ask(image, truth, Box(PLANE, (28.0, 28.0), (52.0, 52.0))), truth) == 1


def test_an_even_image_is_no_reason_to_fail():
    truth = disc(SHAPE, (40, 50), RADIUS)
    even = np.full(SHAPE, 7, np.uint8)
    assert dice(ask(even, truth, Point(PLANE, (40.0, 50.0))), truth) > 0.97
    assert ask(even, truth, Box(PLANE, (40.0, 50.0), (41.0, 51.0))).sum() == 1


@pytest.mark.parametrize("protocol", ["ritm", "box", "scribble", "cvpr2025"])
def test_it_answers_the_robot_under_every_protocol(protocol):
    image, bright, _ = two_discs()
    trace = run_robot(disc_or_otsu(OtsuImage.of(image), bright), bright, protocol=protocol, max_clicks=3)
    assert trace.dice[-1] > 0.9
