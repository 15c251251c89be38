import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medfm.errors import UnsupportedDataError
from napari_medfm.volume.labels import as_labels


@settings(deadline=None)
@given(hnp.arrays(np.int64, 6, elements=st.integers(0, 2**32 - 1)), st.sampled_from([np.uint8, np.uint16]))
def test_values_are_kept_in_the_narrowest_type_that_holds_them(values, narrowest):
    labels = as_labels("labels", values, narrowest)
    assert np.array_equal(labels, values)
    candidates = [
        kind for kind in (np.uint8, np.uint16, np.uint32) if np.dtype(kind).itemsize >= np.dtype(narrowest).itemsize
    ]
    assert labels.dtype == next(kind for kind in candidates if values.max() <= np.iinfo(kind).max)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.float64, np.uint64])
def test_whole_numbers_of_any_type_are_labels(dtype):
    labels = as_labels("labels", np.array([[0, 1], [1, 0]], dtype))
    assert labels.dtype == np.uint16
    assert labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    "values",
    [[-1], [0.5], [np.nan], [np.inf], [2.0**32], [1j], ["liver"]],
)
def test_anything_else_is_refused_by_name(values):
    with pytest.raises(UnsupportedDataError, match=r"^mask\.nii: is no label map"):
        as_labels("mask.nii", np.array(values))
