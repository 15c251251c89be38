from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import PromptError
from napari_medfm.inference import MemoryStore, Predictor, Proposal
from napari_medfm.models.backends import random_walker
from napari_medfm.propagation import Course, KeySlice, Stop, StopRules, beside, propagate
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

from .conftest import ball, key, scene_of

SHAPE = (20, 48, 48)
BALL = ball(SHAPE, (10, 24, 24), 8)
ANYTHING = StopRules(quality=0.0, drop=0.0, agreement=0.0, change=99.0)


def proposals(steps):
    return [found for found in steps if isinstance(found, Proposal)]


def merged(found, keys, shape=SHAPE):
    """Write as a caller would: each box, and nothing else."""
    result = np.zeros(shape, bool)
    for proposal in found:
        part = result[proposal.region()]
        part |= proposal.inside.reshape(part.shape)
    for known in keys:
        known.plane.take(result)[:] = known.mask
    return result


def test_a_ball_is_found_from_its_middle_slice(predictor):
    keys = (key(BALL, 10),)
    found = proposals(propagate(predictor, scene_of(BALL), keys))
    assert dice(merged(found, keys), BALL) > 0.9


@pytest.mark.parametrize("axis", [1, 2])
def test_any_plane_will_do_and_thick_slices_count_as_thick(predictor, axis):
    spacing = (3.0, 1.0, 1.0)
    truth = ball((12, 48, 48), (6, 24, 24), 14, spacing)
    keys = (key(truth, 24, axis),)
    found = proposals(propagate(predictor, scene_of(truth, spacing), keys))
    assert {proposal.plane.axis for proposal in found} == {axis}
    assert dice(merged(found, keys, truth.shape), truth) > 0.85


def test_it_goes_outwards_slice_by_slice_and_says_why_it_ends(predictor):
    bar = np.zeros(SHAPE, bool)
    bar[6:14, 18:30, 18:30] = True
    found = [each for each in propagate(predictor, scene_of(bar), (key(bar, 10),)) if each is not None]
    assert [each.plane.index for each in found] == [9, 8, 7, 6, 5, 11, 12, 13, 14]
    assert [each.plane.index for each in found if isinstance(each, Stop)] == [5, 14]


def test_it_does_not_leave_the_range_it_was_given(predictor):
    found = proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10),), Course(8, 11, ANYTHING)))
    assert [proposal.plane.index for proposal in found] == [9, 8, 11]


def test_an_empty_range_proposes_nothing(predictor):
    assert proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10),), Course(15, 14))) == []


def test_keys_are_never_proposed_for_and_the_gap_between_them_is_filled(predictor):
    keys = (key(BALL, 6), key(BALL, 14))
    found = proposals(propagate(predictor, scene_of(BALL), keys, Course(7, 13)))
    assert [proposal.plane.index for proposal in found] == [7, 8, 9, 10, 13, 12, 11]
    assert dice(merged(found, keys)[6:15], BALL[6:15]) > 0.93


def test_where_neither_direction_can_go_on_the_gap_is_filled_by_shape(predictor):
    keys = (key(BALL, 6), key(BALL, 14))
    never = StopRules(quality=1.1, patience=0)
    found = proposals(propagate(predictor, scene_of(BALL), keys, Course(7, 13, never)))
    assert [proposal.confidence for proposal in found] == [0.0] * 7
    assert dice(merged(found, keys)[6:15], BALL[6:15]) > 0.85


def test_where_one_direction_ends_early_the_other_goes_on(predictor):
    bar = np.zeros(SHAPE, bool)
    bar[:, 18:30, 18:30] = True
    scene = scene_of(bar)
    scene.volume.array[16:19] = np.where(bar[16:19], 60.0, 180.0)
    rules = StopRules(agreement=0.0, quality=0.0, drop=0.0)
    keys = (key(bar, 3), key(bar, 19))
    found = proposals(propagate(predictor, scene, keys, Course(4, 18, rules)))
    assert [proposal.plane.index for proposal in found if proposal.confidence > 0] == list(range(4, 16))
    assert sorted(proposal.plane.index for proposal in found) == list(range(4, 19))


def test_a_key_without_the_object_is_an_end(predictor):
    nothing = KeySlice(Plane(0, 13), np.zeros(SHAPE[1:], bool))
    found = proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10), nothing)))
    assert max(proposal.plane.index for proposal in found) == 12
    assert proposals(propagate(predictor, scene_of(BALL), (nothing,))) == []


def test_locked_voxels_are_never_proposed(predictor):
    locked = np.zeros(SHAPE, bool)
    locked[:, :, 24:] = True
    keys = (KeySlice(Plane(0, 10), BALL[10] & ~locked[10]),)
    found = merged(proposals(propagate(predictor, scene_of(BALL, locked=locked), keys)), keys)
    assert not (found & locked).any()
    assert dice(found, BALL & ~locked) > 0.8


class Forgetful(random_walker.RandomWalker):
    """Doubts slices on which there is nothing bright."""

    def decode(self, embedding, prompts, previous=None):
        found = super().decode(embedding, prompts, previous)
        sure = embedding.arrays["image"].max() > 150
        return replace(found, qualities=np.full_like(found.qualities, 0.9 if sure else 0.1))


@pytest.mark.parametrize(("dark", "reached"), [(1, 15), (2, 11)])
def test_a_single_doubtful_slice_is_bridged_but_not_two(dark, reached):
    bar = np.zeros(SHAPE, bool)
    bar[:, 18:30, 18:30] = True
    scene = scene_of(bar)
    scene.volume.array[12 : 12 + dark] = np.minimum(scene.volume.array[12 : 12 + dark], 120)
    rules = StopRules(agreement=0.0, growth=9.0, overlap=0.0, change=99.0)
    steps = propagate(Predictor(Forgetful()), scene, (key(bar, 10),), Course(10, 15, rules))
    assert max(proposal.plane.index for proposal in proposals(steps)) == reached


def test_an_image_without_any_contrast_carries_the_mask_unchanged(predictor):
    scene = scene_of(BALL)
    scene.volume.array[:] = 7.0
    found = proposals(propagate(predictor, scene, (key(BALL, 10),), Course(8, 12, ANYTHING)))
    assert dice(found[0].to_mask(SHAPE[1:]), BALL[10]) > 0.9


class CountingWalker(random_walker.RandomWalker):
    def __init__(self):
        self.encoded = 0

    def encode(self, image):
        self.encoded += 1
        return super().encode(image)


def test_slices_that_are_embedded_are_not_embedded_again():
    model = CountingWalker()
    predictor = Predictor(model, MemoryStore(1 << 28))
    first = proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10),)))
    encoded = model.encoded
    again = proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10),)))
    assert encoded > 0
    assert model.encoded == encoded
    assert [proposal.plane for proposal in again] == [proposal.plane for proposal in first]


def test_on_a_lane_it_streams_and_can_be_cancelled(predictor):
    streamed = []
    with Lane() as lane:
        steps = propagate(predictor, scene_of(BALL), (key(BALL, 10),))

        def keep(found):
            if found is not None:
                streamed.append(found)
                lane.cancel("propagate")

        future = lane.submit_steps(steps, channel="propagate", on_step=keep)
        assert lane.wait_idle(60)
    assert future.cancelled()
    assert len(streamed) == 1


def test_keys_across_two_axes_are_refused(predictor):
    with pytest.raises(PromptError, match="do not lie across one axis"):
        proposals(propagate(predictor, scene_of(BALL), (key(BALL, 10), key(BALL, 24, 1))))


def test_a_changed_key_changes_only_what_lies_between_its_neighbours():
    keys = tuple(key(BALL, index) for index in (4, 8, 15))
    chosen, indices = beside(keys, Plane(0, 8), 20)
    assert [known.plane.index for known in chosen] == [4, 8, 15]
    assert indices == range(5, 15)
    chosen, indices = beside(keys, Plane(0, 15), 20)
    assert [known.plane.index for known in chosen] == [8, 15]
    assert indices == range(9, 20)
    chosen, indices = beside(keys, Plane(0, 6), 20)  # one that was taken away
    assert [known.plane.index for known in chosen] == [4, 8]
    assert indices == range(5, 8)
