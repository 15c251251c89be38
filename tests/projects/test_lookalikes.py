import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.projects.lookalikes import FeatureMap, Query, Sighting, distinct, extent, overlap

CHANNELS, CELLS, CELL = 6, 24, 4.0
SPACING = (1.0, 1.0)
edge = st.floats(0, 90)
box = st.tuples(edge, edge, edge, edge).map(
    lambda e: (min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]) + 1, max(e[1], e[3]) + 1)
)


def noise(seed, planted=()):
    """Return a map of noise in which boxes, in cells, have features of their own."""
    features = np.random.default_rng(seed).normal(0, 0.3, (CELLS, CELLS, CHANNELS)).astype(np.float32)
    for top, left, bottom, right in planted:
        features[top:bottom, left:right, 0] += 3
        features[top:bottom, left:right, 1] -= 2
    return FeatureMap(features, (CELL, CELL), (96, 96))


def in_pixels(cells):
    return tuple(CELL * each for each in cells)


KNOWN = (4, 5, 8, 10)


@pytest.fixture(scope="module")
def query():
    seen = noise(0, [KNOWN])
    return Query.of([(seen, in_pixels(KNOWN))], [SPACING], [seen, noise(1)])


def test_a_window_is_described_by_the_mean_of_what_it_covers_even_of_parts_of_cells():
    seen = noise(3)
    found = seen.describe_box((2.0, 6.0, 10.0, 14.0))  # cells 0.5..2.5 and 1.5..3.5
    weights = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]) / 4
    assert np.allclose(found[:CHANNELS], (seen.features[0:3, 1:4] * weights[..., None]).sum((0, 1)), atol=1e-5)


def test_what_lies_around_a_window_is_described_without_it():
    seen = noise(3, [(8, 8, 12, 12)])
    inside, around = np.split(seen.describe_box(in_pixels((8, 8, 12, 12))), 2)
    assert inside[0] > 2.5
    assert abs(around[0]) < 0.5


def test_the_lesion_itself_scores_one_and_a_place_without_it_much_less(query):
    assert query.rate(query.examples)[0] == pytest.approx(1, abs=1e-3)
    assert query.rate(noise(1).describe_box(in_pixels(KNOWN))[None])[0] < 0.4


@pytest.mark.parametrize("place", [(14, 3, 18, 8), (2, 17, 6, 22), (19, 18, 24, 24)])
def test_what_looks_like_it_is_found_first_and_boxed(query, place):
    best = query.find(noise(7, [place]), SPACING)[0]
    assert overlap(best.box, in_pixels(place)) > 0.4
    assert best.score > 0.6


def test_size_is_told_in_millimetres(query):
    coarse = noise(7, [(14, 3, 18, 8)])
    fine_pixels = FeatureMap(coarse.features, (8.0, 8.0), (192, 192))
    best = query.find(fine_pixels, (0.5, 0.5))[0]
    assert overlap(best.box, tuple(8.0 * each for each in (14, 3, 18, 8))) > 0.4


def test_an_elongated_lesion_is_found_lying_the_other_way():
    seen = noise(0, [(4, 5, 7, 14)])
    query = Query.of([(seen, in_pixels((4, 5, 7, 14)))], [SPACING], [seen, noise(1)])
    best = query.find(noise(9, [(8, 15, 17, 18)]), SPACING)[0]
    assert overlap(best.box, in_pixels((8, 15, 17, 18))) > 0.5


def test_what_was_refused_falls_behind_with_all_that_looks_like_it(query):
    like, other = (12, 3, 16, 8), (12, 15, 16, 20)
    seen = noise(11, [like])
    seen.features[12:16, 15:20, 0] += 3  # half of what makes a lesion
    seen.features[12:16, 15:20, 4] += 3
    before = query.rate(np.stack([seen.describe_box(in_pixels(each)) for each in (like, other)]))
    again = noise(12)
    again.features[3:7, 15:20, 0] += 3
    again.features[3:7, 15:20, 4] += 3
    wiser = query.without([again.describe_box(in_pixels((3, 15, 7, 20)))])
    after = wiser.rate(np.stack([seen.describe_box(in_pixels(each)) for each in (like, other)]))
    assert before[1] > 0.2
    assert after[1] < before[1] - 0.2
    assert after[0] > after[1]
    assert after[0] > before[0] - 0.3


def test_what_another_encoder_described_is_not_compared(query):
    assert len(query.without([np.zeros(5, np.float32)]).refused) == 0


@given(box, box)
@settings(max_examples=60, deadline=None)
def test_overlap_is_a_share_and_the_same_from_both_sides(one, other):
    share = overlap(one, other)
    assert 0 <= share <= 1 + 1e-9
    assert share == pytest.approx(overlap(other, one))
    assert overlap(one, one) == pytest.approx(1)
    assert min(extent(one)) >= 1


@given(st.lists(st.tuples(box, st.floats(0, 1)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_distinct_sightings_are_the_best_of_their_place(pairs):
    sightings = [Sighting(each, score, np.zeros(1, np.float32)) for each, score in pairs]
    kept = distinct(sightings)
    assert [each.score for each in kept] == sorted((each.score for each in kept), reverse=True)
    assert all(overlap(a.box, b.box) < 0.2 for a in kept for b in kept if a is not b)
    for each in sightings:
        assert any(each is one or (overlap(each.box, one.box) >= 0.2 and one.score >= each.score) for one in kept)
