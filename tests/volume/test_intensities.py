import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medfm.volume.intensities import intensity_notes, scaled

whole_arrays = st.one_of(
    [
        hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
        for dtype in (np.uint8, np.int16, np.uint16, np.int32)
    ]
)


@settings(deadline=None)
@given(whole_arrays, st.integers(-3, 3).filter(bool), st.integers(-40000, 40000))
def test_whole_scales_of_whole_numbers_are_exact(array, slope, intercept):
    expected = array.astype(object) * slope + intercept
    result = scaled(array.copy(), slope, intercept)
    assert (result == expected).all() or result.dtype.kind == "f"
    assert result.flags.c_contiguous


@settings(deadline=None)
@given(whole_arrays, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_turning_axes_round_in_place_gives_the_view(array, flips):
    view = array[tuple(slice(None, None, -1 if flip else None) for flip in flips[: array.ndim])]
    expected = view.copy()
    result = scaled(view)
    assert np.array_equal(result, expected)
    assert result.flags.c_contiguous


def test_turning_axes_round_takes_no_second_copy():
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    assert np.shares_memory(scaled(array[::-1, ::-1, ::-1]), array)


def test_read_only_memory_is_copied_not_written():
    array = np.arange(12).reshape(3, 4)
    array.setflags(write=False)
    assert np.array_equal(scaled(array[::-1]), array[::-1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_byte_order_is_native_afterwards(order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), ">i2", order=order)
    result = scaled(array)
    assert result.dtype.isnative
    assert np.array_equal(result, array)


def test_numbers_that_are_none_and_constants_are_told():
    ramp = np.arange(24.0).reshape(2, 3, 4)
    assert intensity_notes(ramp) == ()
    holes = ramp.copy()
    holes[0, 0, :2] = np.nan, np.inf
    assert intensity_notes(holes) == ("2 of 24 voxels are not a number or infinite: statistics leave them out",)
    assert intensity_notes(np.full((2, 3), 7)) == ("Every voxel has the same value, 7",)
