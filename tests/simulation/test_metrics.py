import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.simulation import clicks_to, dice, dsc_auc, hd95, iou, nsd


@st.composite
def mask_pairs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    densities = draw(st.tuples(*[st.sampled_from([0.0, 0.05, 0.5, 1.0])] * 2))
    shape = draw(st.sampled_from([(7, 9), (3, 5, 6)]))
    return tuple(rng.random(shape) < density for density in densities)


def ball(radius, shape=(64, 64, 64), spacing=(1.0, 1.0, 1.0), centre=(32.0, 32.0, 32.0)):
    grid = np.ogrid[tuple(slice(size) for size in shape)]
    return sum(((g - c / s) * s) ** 2 for g, c, s in zip(grid, centre, spacing, strict=True)) <= radius**2


def square(first, beyond, shape=(60, 60)):
    mask = np.zeros(shape, bool)
    mask[first:beyond, first:beyond] = True
    return mask


@given(mask_pairs())
def test_overlap_scores_are_symmetric_bounded_and_tied_to_each_other(pair):
    overlap = iou(*pair)
    assert 0 <= overlap <= 1
    assert dice(*pair) == dice(*reversed(pair)) == pytest.approx(2 * overlap / (1 + overlap))


@given(mask_pairs())
def test_only_equal_masks_agree_perfectly(pair):
    assert (dice(*pair) == 1) == np.array_equal(*pair)
    assert dice(pair[0], pair[0]) == iou(pair[1], pair[1]) == 1


def test_overlap_of_masks_counted_by_hand():
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(first, second) == pytest.approx(2 / 3)
    assert iou(first, second) == pytest.approx(1 / 2)


@pytest.mark.parametrize("shape", [(20, 20), (8, 8, 8)])
def test_empty_masks_follow_the_stated_convention(shape):
    empty, full, spacing = np.zeros(shape, bool), np.ones(shape, bool), (1.0,) * len(shape)
    assert dice(empty, empty) == iou(empty, empty) == nsd(empty, empty, spacing) == 1
    assert hd95(empty, empty, spacing) == 0
    for pair in ((empty, full), (full, empty)):
        assert dice(*pair) == iou(*pair) == nsd(*pair, spacing) == 0
        assert hd95(*pair, spacing) == np.inf


@pytest.mark.parametrize("metric", [dice, iou, lambda a, b: nsd(a, b, (1, 1)), lambda a, b: hd95(a, b, (1, 1))])
def test_masks_of_different_shapes_are_not_compared(metric):
    with pytest.raises(ValueError, match=r"shapes \(3, 4\) and \(1, 4\)"):
        metric(np.ones((3, 4), bool), np.ones((1, 4), bool))


def test_spacing_must_fit_the_axes():
    with pytest.raises(ValueError, match="2 spacings for masks of 3 axes"):
        nsd(ball(5), ball(5), (1, 1))


@pytest.mark.parametrize("masks", [(square(20, 40), square(20, 40)), (ball(10), ball(10))])
def test_equal_surfaces_agree_at_any_tolerance(masks):
    assert nsd(*masks, (1.0,) * masks[0].ndim, tolerance_mm=0) == 1
    assert hd95(*masks, (1.0,) * masks[0].ndim) == 0


def test_a_surface_within_the_tolerance_agrees_and_beyond_does_not():
    assert nsd(ball(13), ball(10), (1, 1, 1), tolerance_mm=4) == 1
    assert nsd(ball(13), ball(10), (1, 1, 1), tolerance_mm=1.5) < 0.05


def test_tolerance_and_distance_are_in_mm():
    inner, outer = square(20, 40), square(17, 43)
    assert nsd(inner, outer, (0.5, 0.5), tolerance_mm=2.2) == 1
    assert nsd(inner, outer, (2.0, 2.0), tolerance_mm=2.2) == 0
    assert hd95(inner, outer, (0.5, 0.5)) == pytest.approx(hd95(inner, outer, (2.0, 2.0)) / 4)


def test_each_piece_of_surface_counts_by_its_area():
    low, high = np.zeros((2, 60, 60, 60), bool)
    low[20:40, 15:45, 15:45] = True
    high[20:46, 15:45, 15:45] = True
    total = (2 * 900 + 4 * 30 * 20) + (2 * 900 + 4 * 30 * 26)
    high_astray = 900 + 4 * 30 * 4  # its top, and its walls more than 2 mm above the low top
    low_astray = 26 * 26  # its top, but for a rim near the walls of the high box
    assert nsd(low, high, (1, 1, 1), tolerance_mm=2) == pytest.approx(1 - (high_astray + low_astray) / total, abs=0.02)


def test_an_object_at_the_edge_of_the_image_has_its_border_there():
    edge, shifted = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    edge[0:10, 5:25] = True
    shifted[5:15, 5:25] = True
    assert hd95(edge, shifted, (1, 1)) == pytest.approx(5)
    assert nsd(edge, shifted, (1, 1), tolerance_mm=1) < 0.6


def test_hd95_of_a_shift_along_a_thick_slice_axis_is_that_thickness():
    disc = np.zeros((9, 40, 40), bool)
    disc[3:5] = ball(12, (40, 40), (1, 1), (20, 20))
    assert hd95(disc, np.roll(disc, 1, axis=0), (5.0, 1.0, 1.0)) == pytest.approx(5)


@pytest.mark.parametrize(
    ("scores", "clicks"),
    [([0.5, 0.9, 0.95], 2), ([0.9], 1), ([0.1, 0.2], 20), ([], 20), ([0.0] * 25 + [1.0], 20)],
)
def test_clicks_are_counted_from_one_up_to_the_cap(scores, clicks):
    assert clicks_to(0.9, scores) == clicks


def test_the_cap_may_be_lower():
    assert clicks_to(0.9, [0.0, 0.0, 0.0, 0.95], cap=3) == 3


def test_the_area_under_five_clicks_is_that_of_trapezoids():
    assert dsc_auc([1.0] * 5) == 4
    scores = [0.2, 0.5, 0.6, 0.8, 0.9]
    assert dsc_auc(scores) == pytest.approx(np.trapezoid(scores))


@pytest.mark.parametrize("count", [0, 4, 6])
def test_the_area_needs_exactly_five_clicks(count):
    with pytest.raises(ValueError, match=f"five clicks, not {count}"):
        dsc_auc([0.5] * count)
