"""Crops: the image, its coordinates and the way back agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.models.crops import Crop

sizes = st.integers(1, 90)


def crop_around(shape, share, margin, side):
    """Return the crop around a voxel at shares of an image's height and width."""
    voxel = np.floor(np.multiply(share, shape))
    return Crop.around(voxel, voxel, margin, shape, side)


shares = st.floats(0, 0.99)
crops = st.builds(crop_around, st.tuples(sizes, sizes), st.tuples(shares, shares), st.floats(0, 60), st.integers(1, 40))


def test_around_takes_the_margin_as_far_as_the_image_goes():
    crop = Crop.around(np.array([10.0, 2.0]), np.array([20.0, 4.0]), 5, (100, 50), 64)
    assert (crop.start, crop.stop) == ((5, 0), (26, 10))
    assert crop.grid == crop.size == (21, 10)


def test_the_longer_side_has_as_many_cells_as_asked_for_and_none_is_smaller_than_a_pixel():
    crop = Crop.around(np.zeros(2), np.array([199.0, 99.0]), 0, (200, 100), 50)
    assert crop.grid == (50, 25)
    assert crop.cell_area == 16


@given(crops)
def test_a_crop_is_never_empty_and_never_enlarged(crop):
    assert all(0 <= start < stop for start, stop in zip(crop.start, crop.stop, strict=True))
    assert all(1 <= cells <= size for cells, size in zip(crop.grid, crop.size, strict=True))


@given(crops)
def test_the_edges_of_the_rectangle_are_the_edges_of_the_grid(crop):
    edges = np.array([crop.start, crop.stop]) - 0.5
    assert np.allclose(crop.positions(edges), np.array([(0, 0), crop.grid]) - 0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_that_needs_no_scaling_is_cut_out(channels):
    image = np.random.default_rng(0).integers(0, 256, (40, 30, channels), dtype=np.uint8)
    crop = Crop.around(np.array([8.0, 9.0]), np.array([12.0, 20.0]), 3, (40, 30), 32)
    given = image if channels == 3 else image[..., 0]
    assert np.array_equal(crop.image(given), image[5:16, 6:24])


def test_a_cell_is_the_mean_of_its_pixels():
    image = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
    crop = Crop.around(np.zeros(2), np.array([59.0, 89.0]), 0, (60, 90), 30)
    means = image.reshape(20, 3, 30, 3).mean(axis=(1, 3))
    assert np.abs(crop.image(image)[..., 0] - means).max() < 1  # rounded once along each axis


def test_many_pixels_in_a_cell_are_sampled_without_moving_the_picture():
    rows = np.linspace(0, 255, 3000).astype(np.uint8)
    image = np.repeat(rows[:, None], 2000, axis=1)
    crop = Crop.around(np.zeros(2), np.array([2999.0, 1999.0]), 0, (3000, 2000), 30)
    means = image.reshape(30, 100, 2000).mean(axis=(1, 2))
    assert np.abs(crop.image(image)[..., 0] - means[:, None]).max() < 1


@given(st.integers(0, 50))
def test_shares_of_a_mask_add_up_to_its_area(seed):
    mask = np.random.default_rng(seed).random((48, 36)) < 0.3
    crop = Crop.around(np.zeros(2), np.array([47.0, 35.0]), 0, (48, 36), 24)
    assert np.isclose(crop.shares(mask).sum() * crop.cell_area, mask.sum(), rtol=0.02)


def test_values_at_a_position_stay_there_on_the_way_to_another_crop_and_to_the_image():
    wide = Crop.around(np.zeros(2), np.array([199.0, 199.0]), 0, (200, 200), 40)
    close = Crop.around(np.array([90.0, 60.0]), np.array([130.0, 100.0]), 4, (200, 200), 25)
    rows, columns = np.mgrid[:200, :200].astype(float)

    def ramp(crop):
        size = np.divide(crop.size, crop.grid)
        row, column = (np.arange(n) * s + (s - 1) / 2 + o for n, s, o in zip(crop.grid, size, crop.start, strict=True))
        return row[:, None] + 2 * column

    assert np.allclose(wide.onto(ramp(wide), close), ramp(close))
    whole = np.full((200, 200), -1, np.float32)
    close.paste(ramp(close), whole)
    inner = (slice(90, 130), slice(60, 100))
    assert np.abs(whole - rows - 2 * columns)[inner].max() < 0.01
    assert np.all(whole[:80] == -1)


def test_masks_of_any_memory_layout_are_taken():
    mask = np.zeros((30, 20), bool)
    mask[5:10, 3:9] = True
    crop = Crop.around(np.zeros(2), np.array([29.0, 19.0]), 0, (30, 20), 64)
    assert np.array_equal(crop.shares(np.asfortranarray(mask)) > 0.5, mask)
    assert np.array_equal(crop.image(np.asfortranarray(mask.astype(np.uint8)))[..., 0], mask)
