"""Altered copies."""

import numpy as np
import pytest

from napari_medfm.adaptation.variation import vary

from .discs import support_on


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_move_with_the_picture(compact, support, mirrored):
    for seed in range(4):
        copy = vary(compact, support.slices[0], np.random.default_rng(seed), mirrored=mirrored)
        picture = compact.picture(copy.embedding)
        beside = ~copy.mask & ~copy.ignore
        assert picture[copy.mask].mean() > picture[beside].mean() + 40
        assert copy.digest != support.slices[0].digest


def test_what_comes_in_from_beyond_the_edge_is_not_known(compact, support):
    copies = [vary(compact, support.slices[0], np.random.default_rng(seed)) for seed in range(4)]
    assert all(copy.ignore.any() for copy in copies)
    assert all(compact.picture(copy.embedding)[copy.ignore].mean() < 30 for copy in copies)


def test_equal_draws_give_equal_copies(compact, support):
    digests = [vary(compact, support.slices[0], np.random.default_rng(5)).digest for _ in range(2)]
    assert digests[0] == digests[1]


def test_there_is_no_copy_where_no_picture_is_kept(sam):
    assert vary(sam, support_on(sam, (1,)).slices[0], np.random.default_rng(0)) is None
