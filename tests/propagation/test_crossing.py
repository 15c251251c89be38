import numpy as np
import pytest

from napari_medfm.inference import Proposal
from napari_medfm.models.steps import finish
from napari_medfm.propagation import Crossing, agree, cross
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

from .conftest import ball, key, scene_of

SHAPE = (16, 32, 32)
BALL = ball(SHAPE, (8, 16, 14), 6)
ALL = range(16)


def mask_of(found, keys, shape):
    result = np.zeros(shape, bool)
    for each in found:
        each.plane.take(result)[:] = each.to_mask(each.plane.shape(shape))
    for known in keys:
        known.plane.take(result)[:] = known.mask
    return result


def said(votes, seen, indices=ALL):
    return Crossing(indices, votes.astype(np.uint8), seen, 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_across_one_slice_show_the_whole_object(predictor, axis):
    centre = (8, 16, 14)[axis]
    keys = (key(BALL, centre, axis),)
    crossing = finish(cross(predictor, scene_of(BALL), keys, range(SHAPE[axis])))
    both = np.moveaxis(crossing.votes, 0, axis) == 2
    assert dice(both, BALL) > 0.85


def test_thick_slices_are_seen_in_their_true_proportions(predictor):
    spacing = (3.0, 1.0, 1.0)
    truth = ball((10, 40, 40), (5, 20, 20), 11, spacing)
    keys = (key(truth, 5),)
    crossing = finish(cross(predictor, scene_of(truth, spacing), keys, range(10)))
    assert dice(crossing.votes == 2, truth) > 0.85


def test_a_slice_without_the_object_is_told_to_the_planes_across(predictor):
    scene, middle, empty = scene_of(BALL), key(BALL, 8), key(np.zeros(SHAPE, bool), 11)
    untold, told = (finish(cross(predictor, scene, keys, ALL)) for keys in ((middle,), (middle, empty)))
    assert told.votes[11].sum() < 0.7 * untold.votes[11].sum()


def test_only_the_slices_that_are_asked_for_are_told_of(predictor):
    crossing = finish(cross(predictor, scene_of(BALL), (key(BALL, 8),), range(9, 12)))
    assert crossing.votes.shape == (3, 32, 32)
    assert dice(crossing.votes == 2, BALL[9:12]) > 0.85


def test_a_wide_object_is_asked_for_in_few_planes_and_known_everywhere(predictor):
    truth = np.zeros((6, 70, 70), bool)
    truth[2:4, 5:65, 5:65] = True
    steps = cross(predictor, scene_of(truth), (key(truth, 2),), range(6))
    crossing = finish(steps)
    assert (crossing.votes[2][truth[2]] == 2).mean() > 0.95


def test_two_of_three_decide_where_the_planes_across_hold_the_object():
    keys = (key(BALL, 8),)
    seen = np.ones((32, 32), bool)
    votes = np.where(BALL, 2, 0)
    votes[9] = 1  # one direction says so everywhere
    carried = [Proposal.of(Plane(0, 9), BALL[9], 0.9), Proposal.of(Plane(0, 10), np.zeros_like(seen), 0.9)]
    found = agree(carried, said(votes, seen), keys, scene_of(BALL))
    assert dice(mask_of(found, keys, SHAPE), BALL) == 1.0
    assert {each.plane.index: each.confidence for each in found}[9] == 0.9
    assert {each.plane.index: each.confidence for each in found}[11] == 0.5


def test_what_the_planes_across_deny_ends_there():
    tube = np.zeros(SHAPE, bool)
    tube[:, 10:20, 10:20] = True
    keys = (key(tube, 8),)
    votes = np.where(tube, 2, 0)
    votes[12:] = 0
    carried = [Proposal.of(Plane(0, at), tube[at], 0.9) for at in (9, 10, 11, 12, 13)]
    found = agree(carried, said(votes, tube[8]), keys, scene_of(tube))
    assert {each.plane.index for each in found if not each.is_empty} == {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11}


def test_what_leaves_the_planes_across_goes_on_as_it_was_carried():
    oblique = np.zeros((16, 64, 64), bool)
    for at in range(16):
        oblique[at, 20:26, 4 + 3 * at : 12 + 3 * at] = True
    keys = (key(oblique, 0),)
    carried = [Proposal.of(Plane(0, at), oblique[at], 0.9) for at in range(1, 16)]
    votes = np.where(oblique & oblique[0], 2, 0)
    found = agree(carried, said(votes, oblique[0]), keys, scene_of(oblique))
    assert dice(mask_of(found, keys, oblique.shape), oblique) > 0.9


def test_key_slices_and_locked_voxels_are_left_alone():
    keys = (key(BALL, 8),)
    locked = np.zeros(SHAPE, bool)
    locked[9] = True
    votes = np.where(BALL, 2, 0)
    found = agree([], said(votes, np.ones((32, 32), bool)), keys, scene_of(BALL, locked=locked))
    held = {each.plane.index for each in found if not each.is_empty}
    assert held
    assert not held & {8, 9}
