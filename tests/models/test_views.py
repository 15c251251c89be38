"""Squares of an image as a network sees them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.models.views import View

SIDES = st.integers(1, 600)
SHAPES = st.tuples(SIDES, SIDES)


def around(first, last, shape, margin=2.0, smallest=48):
    """Return the view around two corners."""
    return View.around(np.array([first, last], float), shape, 256, margin=margin, smallest=smallest)


def test_the_whole_image_is_scaled_to_its_longer_side_and_padded_with_black():
    view = View.whole((100, 200), 256)
    picture = view.picture(np.full((100, 200), 90, np.uint8))
    assert picture.shape == (256, 256, 3)
    assert (picture[:128] == 90).all()
    assert not picture[128:].any()


@given(SHAPES, st.data())
def test_a_view_holds_the_object_and_begins_inside_the_image(shape, data):
    rows = sorted(data.draw(st.tuples(*[st.integers(0, shape[0] - 1)] * 2)))
    columns = sorted(data.draw(st.tuples(*[st.integers(0, shape[1] - 1)] * 2)))
    view = around((rows[0], columns[0]), (rows[1], columns[1]), shape)
    covered = view.covered
    assert covered[0].start <= rows[0] <= rows[1] < covered[0].stop
    assert covered[1].start <= columns[0] <= columns[1] < covered[1].stop


def test_an_object_that_grows_a_little_keeps_its_view():
    assert around((200, 200), (230, 230), (512, 512)) == around((199, 200), (231, 231), (512, 512))


def test_a_large_object_is_seen_in_the_whole_image():
    assert around((20, 20), (400, 400), (512, 512)).is_whole


@given(SHAPES, st.data())
def test_positions_go_with_the_picture(shape, data):
    """A single bright pixel is brightest where its position says."""
    at = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    view = around(at, at, shape)
    image = np.zeros(shape, np.uint8)
    image[at] = 255
    weights = view.picture(image)[..., 0].astype(float)
    if not weights.any():  # too small a part of a pixel of a large view
        assert view.extent > 4 * view.side
        return
    centre = [np.average(np.arange(view.side), weights=weights.sum(axis=1 - axis)) for axis in (0, 1)]
    assert view.positions(np.array([at], float))[0] == pytest.approx(centre, abs=max(1.0, view.side / view.extent))


@given(SHAPES, st.data())
def test_a_mask_comes_back_where_it_was(shape, data):
    rows = sorted(data.draw(st.tuples(*[st.integers(0, shape[0] - 1)] * 2)))
    columns = sorted(data.draw(st.tuples(*[st.integers(0, shape[1] - 1)] * 2)))
    mask = np.zeros(shape, bool)
    mask[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
    view = around((rows[0], columns[0]), (rows[1], columns[1]), shape)
    logits = view.paste(8 * view.shares(mask, 128) - 4, outside=-4.0)
    cell = view.extent / 128
    deep = np.zeros(shape, bool)  # further from the edge than a cell
    inset = int(np.ceil(cell)) + 1
    deep[rows[0] + inset : max(0, rows[1] + 1 - inset), columns[0] + inset : max(0, columns[1] + 1 - inset)] = True
    beyond = np.ones(shape, bool)
    beyond[max(0, rows[0] - inset) : rows[1] + 1 + inset, max(0, columns[0] - inset) : columns[1] + 1 + inset] = False
    assert (logits[deep] > 0).all()
    assert (logits[beyond] < 0).all()


def test_what_lies_beyond_the_view_is_outside():
    view = around((10, 10), (20, 20), (512, 512))
    logits = view.paste(np.ones((128, 128), np.float32), outside=-12.0)
    assert logits[15, 15] == 1
    assert logits[500, 500] == -12
