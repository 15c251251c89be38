"""What a trial is worth follows from its Dice values; and it survives JSON."""

import json

import numpy as np
import pytest

from napari_medfm.evaluation import MEASURES, Trial
from napari_medfm.evaluation.trials import from_row, to_row
from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet
from napari_medfm.volume import Plane

from .datasets import make_trial


def test_dice_is_told_after_each_number_of_clicks():
    trial = make_trial((0.5, 0.7, 0.9), clicks=20)
    assert [trial.after(clicks) for clicks in (1, 2, 3)] == [0.5, 0.7, 0.9]


def test_the_last_dice_stays_where_nothing_was_left_to_correct_but_not_beyond_the_clicks_allowed():
    trial = make_trial((0.5, 1.0), clicks=5)
    assert (trial.after(5), trial.after(6), trial.after(0)) == (1.0, None, None)


def test_an_opening_box_is_no_click():
    trial = make_trial((0.6, 0.7, 0.8), protocol="box", clicks=5)
    assert (trial.after_box, trial.after(1), trial.after(2)) == (0.6, 0.7, 0.8)
    assert make_trial((1.0,), protocol="box").after(3) == 1.0
    assert make_trial((0.6, 0.7)).after_box is None


@pytest.mark.parametrize(("dice", "clicks"), [((0.5, 0.85, 0.6), 2), ((0.5, 0.6), 20), ((0.9,), 1)])
def test_noc_counts_the_clicks_until_dice_first_reaches_the_threshold_or_the_cap(dice, clicks):
    assert make_trial(dice, clicks=20).clicks_to(0.85) == clicks


@pytest.mark.parametrize("protocol", ["box", "scribble", "cvpr2025"])
def test_noc_is_told_of_clicks_only(protocol):
    assert make_trial((0.5, 0.9), protocol=protocol).clicks_to(0.85) is None


def test_the_area_is_that_of_five_clicks_without_the_box():
    trial = make_trial((0.1, 0.5, 0.6, 0.7, 0.8, 0.9), protocol="cvpr2025", clicks=5)
    assert trial.area == pytest.approx(0.25 + 0.6 + 0.7 + 0.8 + 0.45)
    assert make_trial((0.5,), clicks=4).area is None


def test_an_object_failed_if_no_answer_was_good_enough():
    assert make_trial((0.5, 0.84)).failed
    assert not make_trial((0.9, 0.1)).failed


def test_every_measure_of_the_table_is_taken():
    trial = make_trial((0.5, 0.7, 0.86, 0.8, 0.9), clicks=20, nsd=0.4, hd95=2.5)
    assert {name: measure(trial) for name, measure in MEASURES.items()} == {
        "dice_box": None,
        "dice_1_click": 0.5,
        "dice_3_clicks": 0.86,
        "dice_5_clicks": 0.9,
        "dice_10_clicks": 0.9,
        "noc_85": 3,
        "noc_90": 5,
        "dsc_auc": pytest.approx(3.06),
        "nsd": 0.4,
        "hd95": 2.5,
        "failed": 0.0,
    }


def test_a_trial_survives_json():
    plane = Plane(0, 7)
    mask = np.eye(9, dtype=bool)
    prompts = PromptSet((Box(plane, (0.0, 1.0), (5.0, 6.0)), Point(plane, (2.5, 3.0), positive=False)))
    trial = make_trial((0.1, 1 / 3), slice=7, prompts=prompts, answer=MaskPrompt.from_mask(plane, mask))
    read = from_row(json.loads(json.dumps(to_row(trial))))
    assert isinstance(read, Trial)
    assert read == trial
    assert np.array_equal(read.answer.to_mask(mask.shape), mask)
