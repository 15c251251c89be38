"""The robot of the propagation benchmark clicks where the rules say, and thins volumes without moving objects."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models.backends import random_walker
from napari_medfm.simulation import dice
from napari_medfm.volume import Volume, array_geometry

# By its path: the package of tests/propagation has the same name.
_spec = importlib.util.spec_from_file_location(
    "propagation_benchmark", Path(__file__).parents[2] / "benchmarks" / "propagation.py"
)
propagation = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = propagation
_spec.loader.exec_module(propagation)


@pytest.fixture
def thing():
    """A bright bar on slices 5..14 of 20, 1 mm thick."""
    truth = np.zeros((20, 40, 40), bool)
    truth[5:15, 14:26, 14:26] = True
    array = np.where(truth, 180.0, 60.0) + np.random.default_rng(0).normal(0, 8, truth.shape)
    return propagation.Thing("phantom", "bar", Volume(array, array_geometry(truth.shape)), truth)


@pytest.fixture
def annotator(thing):
    return propagation.Annotator(Predictor(random_walker.load(), MemoryStore(1 << 28)), thing)


def test_one_click_on_the_middle_slice_becomes_a_volume(annotator, thing):
    assert propagation.middle_of(thing.truth) == 10
    assert annotator.click(10)
    assert dice(annotator.found, thing.truth) > 0.85
    assert list(annotator.keys) == [10]


def test_the_next_click_is_on_the_worst_slice(annotator, thing):
    annotator.found = thing.truth.copy()
    annotator.found[7, 14:20] = False
    annotator.found[9, 14:24] = False
    assert annotator.worst() == 9
    annotator.found[1, 0, 0] = True  # as wrong as can be, but of few voxels
    annotator.found[2, :5, :5] = True
    assert annotator.worst() == 2


def test_a_correction_leaves_what_lies_beyond_the_keys_beside_it(annotator):
    annotator.click(10)
    annotator.click(7)
    annotator.found[12] = False  # would come back if it were proposed anew
    annotator.click(6)
    assert not annotator.found[12].any()


def test_every_fourth_slice_is_kept_with_the_middle_one_and_four_times_as_thick(thing):
    thin = propagation.thinned(thing)
    assert thin.truth.shape == (5, 40, 40)
    assert thin.volume.spacing == (4.0, 1.0, 1.0)
    assert thin.truth.sum() == 144 * 3
    np.testing.assert_array_equal(thin.volume.array, thing.volume.array[2::4])


def test_a_bar_is_its_shape_between_three_slices(thing):
    np.testing.assert_array_equal(propagation.by_shape(thing), thing.truth)


def test_a_walk_in_3d_finds_a_bright_bar(annotator, thing):
    annotator.click(10)
    assert dice(propagation.walked(thing, annotator.clicks[10]), thing.truth) > 0.8


def test_a_run_that_is_broken_off_has_seen_objects_of_every_part():
    order = propagation.evenly(10)
    assert sorted(order) == list(range(10))
    assert order[:3] == [0, 8, 4]
    assert all(place % 2 == 0 for place in order[:5])


def test_a_question_that_was_answered_is_not_asked_again(annotator):
    annotator.click(10)
    answers = dict(annotator.predictor.answers)
    annotator.propagate(10)
    assert answers
    assert annotator.predictor.answers == answers
