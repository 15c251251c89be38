"""Means per data set, the mean of these, and how sure they are."""

import numpy as np
import pytest

from napari_medfm.evaluation import ALL_DATASETS, FORMS, dice_curve, latencies, mean_of_means, summarise, worst

from .datasets import make_trial


def summaries(trials, **options):
    return {(found.model, found.protocol, found.dataset): found for found in summarise(trials, **options)}


def test_each_data_set_counts_alike_however_many_objects_it_has():
    assert mean_of_means({"a": [1.0], "b": [0.0, 0.0, 0.3]}).mean == pytest.approx(0.55)


def test_the_interval_is_that_of_resampled_objects():
    values = [0.0] * 50 + [1.0] * 50
    found = mean_of_means({"a": values})
    spread = np.sqrt(0.25 / 100)  # of the mean of 100 coin tosses
    assert found.low == pytest.approx(0.5 - 1.96 * spread, abs=0.015)
    assert found.high == pytest.approx(0.5 + 1.96 * spread, abs=0.015)


def test_resampling_within_data_sets_keeps_what_differs_between_them_out_of_the_interval():
    found = mean_of_means({"a": [0.2] * 9, "b": [0.8] * 9})
    assert found.low == found.high == found.mean == pytest.approx(0.5)


def test_the_bootstrap_is_seeded():
    values = {"a": list(np.linspace(0, 1, 30))}
    assert mean_of_means(values, seed=3) == mean_of_means(values, seed=3)
    assert mean_of_means(values, seed=3) != mean_of_means(values, seed=4)


def test_there_is_a_summary_per_data_set_and_one_over_them():
    trials = [
        make_trial((0.2, 0.4), case=1),
        make_trial((0.4, 0.8), case=2),
        make_trial((0.9, 1.0), dataset="b", case=3),
    ]
    found = summaries(trials)
    assert [key[2] for key in found] == ["a", "b", ALL_DATASETS]
    means = {key[2]: summary.estimates["dice_1_click"].mean for key, summary in found.items()}
    assert means == pytest.approx({"a": 0.3, "b": 0.9, ALL_DATASETS: 0.6})
    assert [summary.objects for summary in found.values()] == [2, 1, 3]


def test_thin_and_odd_objects_are_summarised_once_more():
    trials = [
        make_trial((0.2,), dataset="a", form="thin"),
        make_trial((0.8,), dataset="a", case=2),
        make_trial((0.4,), dataset="b", case=3, form="thin"),
    ]
    found = summaries(trials)
    assert [key[2] for key in found] == ["a", "b", ALL_DATASETS, FORMS["thin"]]
    thin = found["m", "ritm", FORMS["thin"]]
    assert thin.objects == 2
    assert thin.estimates["dice_1_click"].mean == pytest.approx(0.3)


def test_a_single_data_set_is_not_averaged_with_itself():
    assert [key[2] for key in summaries([make_trial()])] == ["a"]


def test_models_and_protocols_are_kept_apart():
    trials = [
        make_trial((0.1,), model="m"),
        make_trial((0.3,), model="n"),
        make_trial((0.5, 0.6), model="m", protocol="box"),
    ]
    found = summaries(trials)
    assert found["m", "ritm", "a"].estimates["dice_1_click"].mean == 0.1
    assert found["n", "ritm", "a"].estimates["dice_1_click"].mean == 0.3
    assert found["m", "box", "a"].estimates["dice_box"].mean == 0.5
    assert "dice_box" not in found["m", "ritm", "a"].estimates
    assert "noc_85" not in found["m", "box", "a"].estimates


def test_distances_in_mm_and_in_pixels_are_not_averaged():
    found = summaries([make_trial(unit="mm"), make_trial(unit="px", dataset="b", case=2)])
    assert (found["m", "ritm", "a"].unit, found["m", "ritm", "b"].unit) == ("mm", "px")
    overall = found["m", "ritm", ALL_DATASETS]
    assert overall.unit == ""
    assert overall.estimates.keys().isdisjoint({"nsd", "hd95"})


def test_a_curve_begins_with_the_box_and_ends_with_the_last_click():
    box = [make_trial((0.5, 0.6, 0.7), protocol="box", clicks=2)]
    assert {clicks: found.mean for clicks, found in dice_curve(box).items()} == {0: 0.5, 1: 0.6, 2: 0.7}
    assert list(dice_curve([make_trial((0.5, 1.0), clicks=4)])) == [1, 2, 3, 4]
    assert dice_curve([]) == {}


def test_an_image_is_encoded_once_however_many_objects_it_has():
    trials = [
        make_trial((0.5, 0.6), target=1, encode_seconds=2.0, seconds=(0.1, 0.3)),
        make_trial((0.5,), target=2, encode_seconds=2.0, seconds=(0.2,)),
        make_trial((0.5,), case=2, encode_seconds=4.0, seconds=(0.2,)),
    ]
    (found,) = latencies(trials)
    assert (found.encodes, found.encode_p50, found.encode_p95) == (2, 3.0, pytest.approx(3.9))
    assert (found.decodes, found.decode_p50) == (4, pytest.approx(0.2))


def test_the_worst_end_with_the_lowest_dice():
    trials = [make_trial((0.1, 0.9), case=1), make_trial((0.9, 0.2), case=2), make_trial((0.5,), case=3)]
    assert [trial.case for trial in worst(trials, 2)] == [2, 3]
