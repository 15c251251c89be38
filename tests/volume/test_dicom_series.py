from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.errors import GeometryError
from napari_medfm.volume.dicom_headers import SliceHeader, series_name
from napari_medfm.volume.dicom_series import arrange

HEADER = SliceHeader(
    file=Path("IM"),
    series="1.2",
    number=4,
    modality="CT",
    shape=(6, 5),
    kind=(16, 12, 0),
    position=(0.0, 0.0, 0.0),
    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    spacing=(0.8, 0.7),
    thickness=5.0,
)


def headers(positions):
    return [
        replace(HEADER, file=Path(f"IM{index}"), position=tuple(map(float, position)))
        for index, position in enumerate(positions)
    ]


@settings(deadline=None)
@given(order=st.permutations(range(6)), step=st.floats(0.1, 10), start=st.floats(-500, 500))
def test_slices_in_any_order_are_put_in_order(order, step, start):
    arrangement = arrange(headers([(1, 2, start + step * index) for index in order]))
    assert [order[int(header.name[2:])] for header in arrangement.slices] == list(range(6))
    assert arrangement.affine @ (2, 3, 4, 1) == pytest.approx((-1 - 2 * 0.7, -2 - 3 * 0.8, start + 4 * step, 1))


@settings(deadline=None)
@given(st.sets(st.integers(0, 30), min_size=4, max_size=20))
def test_a_series_is_taken_exactly_when_no_slice_is_missing(places):
    ordered = sorted(places)
    slices = headers([(0, 0, 1.5 * place) for place in ordered])
    even = len(set(np.diff(ordered))) == 1
    if even:
        assert len(arrange(slices).slices) == len(places)
    else:
        with pytest.raises(GeometryError, match=r"lacks slices|uneven"):
            arrange(slices)


def test_a_slight_tilt_is_kept_in_the_affine():
    lean = 3 * np.tan(np.radians(0.4))
    affine = arrange(headers([(0, lean * index, 3 * index) for index in range(5)])).affine
    assert affine[:3, 2] == pytest.approx((0, -lean, 3))


def test_a_single_slice_is_as_thick_as_it_says():
    assert np.linalg.norm(arrange(headers([(0, 0, 0)])).affine[:3, 2]) == 5


def test_series_are_called_by_number():
    assert series_name([HEADER]) == "DICOM series 4"
