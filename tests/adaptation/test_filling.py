"""Proposals and their clean-up, on drawn masks and on the adapted model."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_medfm.adaptation import AdaptedModel, Filled, clean, cleaned, fill
from napari_medfm.adaptation.filling import largest_parts, mean_entropy
from napari_medfm.inference import Proposal
from napari_medfm.volume import Plane

from .discs import disc

SHAPE = (20, 24)


def proposal(index, *boxes, sure=0.9, entropy=0.2):
    found = []
    for box in boxes:
        mask = np.zeros(SHAPE, bool)
        mask[box] = True
        found.append(Proposal.of(Plane(0, index), mask, sure))
    return Filled(Plane(0, index), tuple(found), entropy, 0.1, SHAPE)


LARGE, SPECK = np.s_[4:14, 4:14], np.s_[17:19, 20:22]


def test_a_slice_is_as_sure_as_its_least_sure_object():
    both = (*proposal(0, LARGE, sure=0.9).proposals, *proposal(0, SPECK, sure=0.4).proposals)
    assert replace(proposal(0), proposals=both).confidence == 0.4
    assert proposal(0, entropy=0.3).confidence == 0.7


def test_specks_go_and_what_hangs_together_stays():
    stack = np.stack([proposal(index, LARGE, SPECK).mask for index in range(6)])
    kept = clean(stack, (1.0, 1.0, 1.0))
    assert kept[:, 8, 8].all()
    assert not kept[:, 17:, 20:].any()


def test_a_part_that_is_not_much_smaller_stays_unless_one_is_wanted():
    stack = np.stack([proposal(index, LARGE, np.s_[16:20, 4:20]).mask for index in range(6)])
    assert clean(stack, (1.0, 1.0, 1.0))[:, 17, 10].all()
    assert not clean(stack, (1.0, 1.0, 1.0), parts=1)[:, 17, 10].any()


def test_thin_slices_fill_a_gap_and_thick_ones_do_not():
    stack = np.stack([proposal(index, *([] if index == 3 else [LARGE])).mask for index in range(7)])
    assert clean(stack, (1.0, 1.0, 1.0))[3, 8, 8]
    assert not clean(stack, (8.0, 1.0, 1.0))[3].any()


def test_nothing_stays_nothing():
    assert not clean(np.zeros((3, *SHAPE), bool), (1.0, 1.0, 1.0)).any()
    assert cleaned([], (1.0, 1.0, 1.0)) == []


def test_proposals_are_cut_to_what_is_left_and_filled_where_neighbours_agree():
    stack = [proposal(index, *([] if index == 3 else [LARGE, SPECK])) for index in range(7)]
    found = cleaned(stack, (1.0, 1.0, 1.0))
    assert [len(each.proposals) for each in found] == [1] * 7
    assert found[3].confidence == 0.5
    assert found[0].confidence == 0.9


@given(arrays(bool, (3, 6, 7)), st.integers(1, 3))
def test_the_largest_parts_are_part_of_the_whole(stack, parts):
    kept = largest_parts(stack, parts=parts)
    assert not (kept & ~stack).any()
    assert kept.any() == stack.any()
    np.testing.assert_array_equal(largest_parts(kept, parts=parts), kept)


def test_entropy_is_that_of_what_may_belong_to_it():
    assert mean_entropy(np.full(SHAPE, 0.5, np.float32)) == pytest.approx(1.0)
    assert mean_entropy(np.zeros(SHAPE, np.float32)) == 0.0
    assert mean_entropy(np.full(SHAPE, 0.99, np.float32)) < 0.1


def test_slices_are_filled_one_by_one(compact, adapter):
    images = [disc(seed) for seed in range(40, 43)]
    asked = []

    def embed(plane):
        asked.append(plane.index)
        return compact.encode(images[plane.index][0])

    steps = fill(AdaptedModel(compact, adapter), [Plane(0, 2), Plane(0, 0)], embed)
    first = next(steps)
    assert asked == [2]
    assert first.plane == Plane(0, 2)
    assert 0.5 < first.confidence <= 1
    assert first.mask[images[2][1]].mean() > 0.7
    assert next(steps).plane == Plane(0, 0)
