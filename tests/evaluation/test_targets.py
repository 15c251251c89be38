"""Which objects of an expert's mask count follows stated rules."""

from pathlib import Path

import numpy as np
import pytest

from napari_medfm.evaluation import Case, TargetRules, find_targets, form_of
from napari_medfm.evaluation.targets import mask_of
from napari_medfm.volume import Plane

LABELS = Case(1, "set", Path("i.png"), Path("m.png"))
COMPONENTS = Case(1, "set", Path("i.png"), Path("m.png"), targets="components")


@pytest.fixture
def plane():
    """Label 1 of 16 and 4 pixels that touch nowhere, label 2 of 9 that touches the 4 at a corner."""
    expert = np.zeros((20, 20), np.uint16)
    expert[0:4, 0:4] = 1
    expert[10:12, 10:12] = 1
    expert[12:15, 12:15] = 2
    return expert


def sizes(case, expert, **rules):
    found = find_targets(case, expert, TargetRules(**{"smallest": 1, "objects": 99, **rules}))
    return [(target.number, target.pixels) for target in found]


def test_each_label_is_an_object(plane):
    assert sizes(LABELS, plane) == [(1, 20), (2, 9)]


def test_each_component_is_an_object_and_corners_connect(plane):
    assert sizes(COMPONENTS, np.minimum(plane, 1)) == [(1, 16), (2, 13)]


def test_touching_components_of_different_values_are_objects_of_their_own():
    axon_and_myelin = np.zeros((9, 9), np.uint8)
    axon_and_myelin[1:8, 1:8] = 2
    axon_and_myelin[3:6, 3:6] = 1
    assert sizes(COMPONENTS, axon_and_myelin) == [(1, 40), (2, 9)]


def test_an_object_is_thin_or_odd_or_neither():
    rows, columns = np.indices((60, 60))
    disc = (rows - 30) ** 2 + (columns - 30) ** 2 < 20**2
    crescent = disc & ~((rows - 30) ** 2 + (columns - 38) ** 2 < 16**2)
    vessel = np.zeros((60, 60), bool)
    vessel[5:55, 30:34] = True
    whole = np.ones((12, 12), bool)
    assert [form_of(mask) for mask in (disc, crescent, vessel, whole)] == ["plain", "odd", "thin", "plain"]


def test_only_objects_of_the_forms_that_were_asked_for_count():
    expert = np.zeros((40, 40), np.uint8)
    expert[2:12, 2:12] = 1
    expert[20:38, 20:22] = 2
    assert sizes(LABELS, expert, forms=("thin",)) == [(2, 36)]
    assert sizes(LABELS, expert, forms=("plain", "thin")) == [(1, 100), (2, 36)]


def test_an_ignored_label_is_none(plane):
    case = Case(1, "set", Path("i.png"), Path("m.png"), ignore=1)
    assert sizes(case, plane) == [(2, 9)]


def test_objects_below_the_smallest_size_do_not_count(plane):
    assert sizes(LABELS, plane, smallest=10) == [(1, 20)]
    assert sizes(LABELS, np.zeros_like(plane)) == []


def test_objects_are_drawn_by_seed():
    expert = np.kron(np.arange(25).reshape(5, 5), np.ones((3, 3), int))
    drawn = [
        tuple(target.number for target in find_targets(LABELS, expert, TargetRules(4, smallest=1), seed))
        for seed in (0, 0, 1)
    ]
    assert len(drawn[0]) == 4
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_object_of_a_volume_is_taken_on_its_largest_axial_slice(small_labels):
    found = find_targets(LABELS, small_labels, TargetRules(99, smallest=20))
    assert [target.number for target in found] == [1, 2, 3]
    for target in found:
        areas = np.count_nonzero(small_labels == target.number, axis=(1, 2))
        assert target.pixels == areas.max() == areas[target.plane.index]
        assert np.array_equal(target.mask, small_labels[target.plane.index] == target.number)


def test_several_slices_are_spread_over_those_on_which_the_object_is_large_enough():
    expert = np.zeros((12, 6, 6), np.uint8)
    expert[1:11, 1:4, 1:4] = 1
    expert[1, 2:] = 0
    some = find_targets(LABELS, expert, TargetRules(smallest=9, slices=3))
    assert [target.plane for target in some] == [Plane(0, 3), Plane(0, 6), Plane(0, 9)]
    every = find_targets(LABELS, expert, TargetRules(smallest=9, slices=0))
    assert [target.plane.index for target in every] == list(range(2, 11))


@pytest.mark.parametrize("case", [LABELS, COMPONENTS])
def test_a_single_object_is_found_again(case, small_labels):
    for target in find_targets(case, small_labels, TargetRules(99)):
        assert np.array_equal(mask_of(case, small_labels, target.number, target.plane), target.mask)


@pytest.mark.parametrize("rules", [{"objects": 0}, {"smallest": 0}, {"slices": -1}])
def test_rules_that_choose_nothing_are_refused(rules):
    with pytest.raises(ValueError, match="rules need"):
        TargetRules(**rules)
