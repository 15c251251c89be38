import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_medfm.prompts import rasterize
from napari_medfm.simulation import component_click, error_scribble, middle_box, next_click, noisy_box
from napari_medfm.volume import Plane

SHAPE = (40, 52)
SLICE = Plane(1, 9)


def blob(seed, shape=SHAPE, share=0.3):
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return field > np.quantile(field, 1 - share)


def rectangle(rows, columns, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


NOTHING = np.zeros(SHAPE, bool)
seeds = st.integers(0, 10_000)
pairs = st.tuples(seeds, seeds).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: (blob(pair[0]), blob(pair[1])))


def full_size_distances(mask):
    """Distance transform of the whole padded image, as the published code does it."""
    return distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


class TestNextClick:
    @given(pairs, st.lists(st.tuples(st.integers(0, 39), st.integers(0, 51)), max_size=5))
    def test_equals_the_published_rule_computed_on_the_whole_image(self, pair, clicked):
        prediction, truth = pair
        missing, extra = full_size_distances(truth & ~prediction), full_size_distances(prediction & ~truth)
        for voxel in clicked:
            missing[voxel] = extra[voxel] = 0
        positive = missing.max() > extra.max()
        expected = np.unravel_index(np.argmax(missing if positive else extra), SHAPE)
        click = next_click(prediction, truth, clicked, SLICE)
        assert click.position == tuple(float(index) for index in expected)
        assert click.positive == positive
        assert click.plane == SLICE

    def test_the_first_click_on_nothing_is_the_deepest_voxel_of_the_object(self):
        click = next_click(NOTHING, rectangle((10, 21), (10, 31)))
        assert (click.position, click.positive) == ((15.0, 15.0), True)

    def test_a_tie_removes(self):
        truth, prediction = rectangle((2, 9), (2, 9)), rectangle((20, 27), (20, 27))
        assert not next_click(prediction, truth).positive

    def test_the_edge_of_the_image_is_a_border(self):
        click = next_click(NOTHING, rectangle((0, 7), (0, 7)))
        assert click.position == (3.0, 3.0)

    def test_nothing_wrong_needs_no_click(self):
        assert next_click(blob(1), blob(1)) is None
        assert next_click(NOTHING, NOTHING) is None

    def test_the_same_voxel_is_never_clicked_twice(self):
        truth, clicked = rectangle((5, 9), (5, 9)), []
        while (click := next_click(NOTHING, truth, clicked)) is not None:
            clicked.append(click.position)
        assert len(clicked) == len(set(clicked)) == truth.sum()

    @given(pairs, seeds)
    def test_a_jittered_click_is_at_least_half_as_deep_on_the_same_side(self, pair, seed):
        prediction, truth = pair
        exact = next_click(prediction, truth)
        click = next_click(prediction, truth, rng=np.random.default_rng(seed))
        depth = full_size_distances((truth & ~prediction) if exact.positive else (prediction & ~truth))
        assert click.positive == exact.positive
        assert depth[tuple(map(int, click.position))] >= 0.5 * depth.max()

    def test_jittered_clicks_spread_and_repeat_by_seed(self):
        clicks = [next_click(NOTHING, blob(3), rng=np.random.default_rng(seed)).position for seed in (*range(30), 0)]
        assert len(set(clicks)) > 10
        assert clicks[0] == clicks[-1]


class TestComponentClick:
    @given(pairs, seeds)
    def test_lies_in_an_error_and_says_what_is_true_there(self, pair, seed):
        prediction, truth = pair
        click = component_click(prediction, truth, np.random.default_rng(seed), SLICE)
        voxel = tuple(map(int, click.position))
        assert prediction[voxel] != truth[voxel]
        assert click.positive == truth[voxel]
        assert click.plane == SLICE

    def test_what_is_missing_and_what_is_too_much_hang_together(self):
        # Alone, the separate square would be the largest error; the two halves together are larger.
        truth = rectangle((2, 12), (2, 8)) | rectangle((25, 34), (30, 39))
        prediction = rectangle((2, 12), (8, 14))
        click = component_click(prediction, truth, np.random.default_rng(0))
        assert click.position[0] < 12
        assert next_click(prediction, truth).position[0] > 24

    def test_corners_connect(self):
        truth = rectangle((2, 7), (2, 7)) | rectangle((7, 13), (7, 13)) | rectangle((20, 27), (20, 27))
        assert component_click(NOTHING, truth, np.random.default_rng(0)).position[0] < 13

    def test_equally_deep_voxels_are_drawn_alike(self):
        truth = rectangle((10, 15), (5, 45))
        columns = {component_click(NOTHING, truth, np.random.default_rng(seed)).position[1] for seed in range(40)}
        assert len(columns) > 15
        assert all(7 <= column <= 42 for column in columns)

    def test_works_in_three_dimensions(self):
        truth = np.zeros((9, 30, 30), bool)
        truth[1:8, 5:24, 6:21] = True
        click = component_click(np.zeros_like(truth), truth, np.random.default_rng(5))
        assert click.plane == Plane(0, 4)
        assert 8 <= click.position[0] <= 20
        assert click.positive

    def test_nothing_wrong_needs_no_click(self):
        assert component_click(blob(1), blob(1), np.random.default_rng(0)) is None


class TestBoxes:
    @given(seeds, seeds)
    def test_a_widened_box_holds_the_object_and_at_most_five_of_256_more(self, shape_seed, seed):
        truth = blob(shape_seed, (256, 512), 0.1)
        box = middle_box(truth, np.random.default_rng(seed), SLICE)
        rows, columns = np.nonzero(truth)
        margins = [rows.min() - box.start[0], box.stop[0] - rows.max() - 1]
        assert rasterize(box, truth.shape)[truth].all()
        assert all(0 <= margin <= 5 for margin in margins)
        assert columns.min() - box.start[1] in {0, min(columns.min(), 2 * max(margins))}

    def test_all_widenings_are_drawn(self):
        truth = rectangle((100, 150), (100, 150), (256, 256))
        drawn = {100 - middle_box(truth, np.random.default_rng(seed)).start[0] for seed in range(60)}
        assert drawn == {0, 1, 2, 3, 4, 5}

    def test_a_three_dimensional_object_is_boxed_on_its_middle_slice(self):
        truth = np.zeros((12, 20, 20), bool)
        truth[[2, 3, 7, 9]] = rectangle((4, 8), (5, 11), (20, 20))
        truth[7] = rectangle((6, 9), (7, 10), (20, 20))
        box = middle_box(truth, np.random.default_rng(0))
        assert (box.plane, box.start, box.stop) == (Plane(0, 7), (6.0, 7.0), (9.0, 10.0))

    @given(seeds, seeds)
    def test_a_noisy_box_is_near_the_object_and_inside_the_image(self, shape_seed, seed):
        truth = blob(shape_seed)
        box = noisy_box(truth, np.random.default_rng(seed), SLICE)
        assert rasterize(box, SHAPE).any()
        assert min(box.start) >= 0
        assert box.stop[0] <= SHAPE[0]
        assert box.stop[1] <= SHAPE[1]

    def test_the_noise_of_a_box_is_a_tenth_of_its_sides(self):
        truth = rectangle((100, 160), (200, 240), (400, 400))
        boxes = [noisy_box(truth, np.random.default_rng(seed)) for seed in range(400)]
        starts, stops = np.array([box.start for box in boxes]), np.array([box.stop for box in boxes])
        assert np.allclose(starts.mean(axis=0), (100, 200), atol=1)
        assert np.allclose(np.std(starts, axis=0), (6, 4), rtol=0.15)
        assert np.allclose(np.std(stops, axis=0), (6, 4), rtol=0.15)

    @pytest.mark.parametrize("box", [middle_box, noisy_box])
    def test_an_empty_object_has_no_box(self, box):
        assert box(NOTHING, np.random.default_rng(0)) is None


class TestErrorScribble:
    @given(pairs, seeds)
    def test_stays_in_one_connected_part_of_the_larger_error(self, pair, seed):
        prediction, truth = pair
        scribble = error_scribble(prediction, truth, np.random.default_rng(seed), SLICE)
        error = (truth & ~prediction) if scribble.positive else (prediction & ~truth)
        assert scribble.positive == next_click(prediction, truth).positive
        assert scribble.plane == SLICE
        assert all(error[int(row), int(column)] for row, column in scribble.path)

    def test_keeps_to_the_middle_of_a_bent_error(self):
        bent = rectangle((5, 35), (5, 14)) | rectangle((26, 35), (5, 45))
        depth = full_size_distances(bent)
        for seed in range(20):
            drawn = rasterize(error_scribble(NOTHING, bent, np.random.default_rng(seed)), SHAPE)
            assert depth[drawn].min() >= 2

    def test_strokes_differ_and_repeat_by_seed(self):
        strokes = [error_scribble(NOTHING, blob(2), np.random.default_rng(seed)) for seed in (*range(10), 0)]
        assert len(set(strokes)) > 5
        assert strokes[0] == strokes[-1]

    def test_nothing_wrong_needs_no_stroke(self):
        assert error_scribble(blob(1), blob(1), np.random.default_rng(0)) is None
