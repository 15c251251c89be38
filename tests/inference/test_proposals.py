"""Masks of slices that keep no more than their box."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_medfm.inference import Proposal
from napari_medfm.volume import Plane

MASKS = arrays(bool, (6, 7))


@given(MASKS, st.integers(0, 2))
def test_a_mask_comes_back_as_it_was(mask, axis):
    proposal = Proposal.of(Plane(axis, 2), mask, 0.5)
    np.testing.assert_array_equal(proposal.to_mask(mask.shape), mask)
    assert proposal.is_empty != mask.any()
    if mask.any():
        assert proposal.inside.any(axis=0)[[0, -1]].all()
        assert proposal.inside.any(axis=1)[[0, -1]].all()


@given(MASKS, MASKS)
def test_two_overlap_where_both_are_be_it_on_different_slices(one, other):
    first, second = Proposal.of(Plane(0, 1), one, 0.5), Proposal.of(Plane(0, 2), other, 0.5)
    assert first.overlaps(second) == second.overlaps(first) == (one & other).any()


def test_the_box_lies_in_the_volume_where_the_mask_does():
    mask = np.zeros((6, 7), bool)
    mask[2:4, 3:6] = True
    assert Proposal.of(Plane(1, 5), mask, 0.5).region() == np.s_[2:4, 5:6, 3:6]
    assert Proposal.of(Plane(), mask, 0.5).region(2) == np.s_[2:4, 3:6]
