"""Where to look next."""

from dataclasses import replace

from napari_medfm.adaptation import suggest

from .test_filling import LARGE, proposal

SAME = [proposal(index, LARGE) for index in range(9)]


def order(proposals, labelled):
    return [int(each.plane.index) for each in suggest(proposals, labelled)]


def test_labelled_slices_are_not_suggested():
    assert sorted(order(SAME, {0, 4})) == [1, 2, 3, 5, 6, 7, 8]


def test_far_from_labelled_slices_there_is_more_to_learn():
    assert order(SAME, {0})[0] == 8
    assert order(SAME, {0, 8})[0] == 4


def test_an_unsure_slice_comes_first():
    unsure = [replace(each, entropy=0.9) if index == 2 else each for index, each in enumerate(SAME)]
    assert order(unsure, {0, 4})[0] == 2


def test_a_slice_on_which_head_and_decoder_disagree_comes_first():
    torn = [replace(each, disagreement=0.9) if index == 5 else each for index, each in enumerate(SAME)]
    assert order(torn, {0, 4})[0] == 5


def test_where_the_structure_jumps_is_worth_a_look():
    jumping = [proposal(index, *([] if index == 3 else [LARGE])) for index in range(9)]
    found = suggest(jumping, {0, 8})
    assert found[0].plane.index == 3
    assert found[0].change == 1.0


def test_slices_that_hold_nothing_gain_nothing_from_being_far():
    empty = [proposal(index, *([LARGE] if index < 3 else [])) for index in range(9)]
    found = {int(each.plane.index): each for each in suggest(empty, {0})}
    assert found[8].distance == 0
    assert found[2].distance > 0


def test_gain_is_a_share():
    assert all(0 <= each.gain <= 1 for each in suggest(SAME, ()))
