import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_medfm.session.patches import (
    HAND,
    Patch,
    Piece,
    Runs,
    bounds,
    box_of,
    overlap,
    shift,
    slabs,
    within,
)

arrays = npst.arrays(np.int32, (2, 3, 4), elements=st.integers(-2, 2))
intervals = st.tuples(st.integers(0, 6), st.integers(1, 6)).map(lambda pair: slice(pair[0], pair[0] + pair[1]))
regions = st.tuples(intervals, intervals, intervals)


def applied(array, runs):
    flat = array.copy().reshape(-1)
    places, old, new = runs.expand()
    np.testing.assert_array_equal(flat[places], old)
    flat[places] = new
    return flat.reshape(array.shape)


@given(arrays, arrays)
@settings(deadline=None)
def test_runs_lead_from_one_array_to_another_and_back(before, after):
    runs = Runs.between(before, after)
    np.testing.assert_array_equal(applied(before, runs), after)
    np.testing.assert_array_equal(applied(after, runs.inverse), before)
    assert runs.table[1].sum() == (before != after).sum()


@given(arrays)
@settings(deadline=None)
def test_runs_of_content_are_those_from_an_empty_array(content):
    np.testing.assert_array_equal(applied(np.zeros_like(content), Runs.of(content)), content)


def test_a_solid_rectangle_takes_one_run_per_row():
    after = np.zeros((100, 100), np.uint16)
    after[20:30, 10:90] = 7
    assert len(Runs.between(np.zeros_like(after), after)) == 10


def test_equal_arrays_have_no_runs():
    assert len(Runs.between(np.ones(5), np.ones(5))) == 0
    assert len(Runs.none()) == 0


@given(st.lists(st.tuples(arrays, arrays, arrays), max_size=3))
@settings(deadline=None)
def test_a_patch_survives_its_bytes(contents):
    region = (slice(3, 5), slice(0, 3), slice(1, 5))
    pieces = tuple(
        Piece(region, {0: Runs.between(a, b), 1: Runs.between(b, c), HAND: Runs.of(c)}) for a, b, c in contents
    )
    read = Patch.decode(Patch(pieces).encode())
    assert len(read.pieces) == len(pieces)
    for one, two in zip(read.pieces, pieces, strict=True):
        assert (one.region, one.shape) == (region, (2, 3, 4))
        assert list(one.levels) == list(two.levels)
        for level in one.levels:
            np.testing.assert_array_equal(one.levels[level].table, two.levels[level].table)


def test_a_patch_of_a_mask_is_small():
    rows, columns = np.ogrid[:512, :512]
    disc = ((rows - 256) ** 2 + (columns - 200) ** 2 < 150**2).astype(np.uint16)
    piece = Piece((slice(0, 1), slice(0, 512), slice(0, 512)), {0: Runs.of(disc)})
    assert len(Patch((piece,)).encode()) < 2000


@pytest.mark.parametrize("content", [b"", b"text", b"\x78\x01damaged"])
def test_what_is_no_patch_is_refused(content):
    with pytest.raises(ValueError):  # noqa: PT011 - zlib's words vary
        Patch.decode(content)


@given(regions, regions)
@settings(deadline=None)
def test_boxes_agree_with_voxels(one, other):
    grid = np.zeros((2, 13, 13, 13), bool)
    grid[0][one] = grid[1][other] = True
    assert overlap(one, other) == box_of(grid[0] & grid[1])
    assert bounds([one, other]) == box_of(grid[0] | grid[1])


def test_no_boxes_have_no_bounds():
    assert bounds([]) is None
    assert Patch().region is None
    assert not Patch()


def test_a_box_inside_another_is_told_in_either_frame():
    outer, inner = (slice(3, 9), slice(5, 8)), (slice(4, 6), slice(5, 7))
    relative = within(inner, outer)
    assert relative == (slice(1, 3), slice(0, 2))
    assert shift(outer, relative) == inner


def test_slabs_are_the_slices_along_the_first_axis():
    region = (slice(2, 4), slice(0, 5), slice(1, 3))
    assert list(slabs(region)) == [(slice(2, 3), *region[1:]), (slice(3, 4), *region[1:])]
    assert list(slabs(region[1:])) == [region[1:]]
