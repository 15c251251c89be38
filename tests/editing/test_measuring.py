"""Diameters are those of the calipers, intensities those of the voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.editing import diameters, measure


def test_a_row_of_voxels_is_as_long_as_its_voxels():
    mask = np.zeros((5, 12), bool)
    mask[2, 3:9] = True
    found = diameters(mask, (0.5, 0.5))
    assert found.long == pytest.approx(6 * 0.5)
    assert found.short == pytest.approx(0.5)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0, np.pi), ratio=st.floats(0.3, 0.9), spacing=st.sampled_from([(0.5, 0.5), (0.4, 1.0)]))
def test_an_ellipse_has_its_two_axes_however_it_lies(angle, ratio, spacing):
    rows, columns = (np.arange(size) * step - 25 for size, step in zip((130, 130), spacing, strict=True))
    down, right = rows[:, None], columns[None]
    along = down * np.cos(angle) + right * np.sin(angle)
    across = right * np.cos(angle) - down * np.sin(angle)
    found = diameters(along**2 + (across / ratio) ** 2 <= 20**2, spacing)
    assert found.long == pytest.approx(40, abs=1.2)
    assert found.short == pytest.approx(40 * ratio, abs=1.2)


def test_the_short_axis_is_one_line_not_the_widths_of_two_places():
    mask = np.zeros((30, 60), bool)
    mask[10:20, 5:55] = True
    mask[5:10, 6:8] = True
    mask[20:25, 52:54] = True  # a Z: its shadow is 20 high, no line across its hull is
    found = diameters(mask, (1.0, 1.0))
    assert 10 < found.short < 20


def test_nothing_has_no_diameters():
    assert diameters(np.zeros((3, 3), bool), (1, 1)) is None


def test_an_object_is_measured_on_its_largest_slice():
    masks = np.zeros((4, 20, 20), bool)
    masks[1, 4:8, 4:8] = True
    masks[2, 2:12, 4:10] = True
    values = np.where(masks, 50.0, -1000.0)
    values[2, 2, 4] = np.nan
    values[1, 4, 4] = 50.0 + 7 * 75  # 75 numbers
    found = measure(((k, masks[k], values[k]) for k in range(4)), (1.0, 2.0))
    assert found.voxels == 76
    assert found.mean == pytest.approx(57)
    assert found.index == 2
    assert found.diameters == diameters(masks[2], (1.0, 2.0))


def test_an_empty_object_and_a_colour_image_have_no_mean():
    empty = measure([(0, np.zeros((3, 3), bool), np.zeros((3, 3)))], (1, 1))
    assert (empty.voxels, empty.mean, empty.diameters) == (0, None, None)
    assert measure([(0, np.ones((3, 3), bool), None)], (1, 1)).mean is None
