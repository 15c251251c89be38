"""Random walks: against a dense solution and the walker of scikit-image; level sets against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.segmentation import random_walker

from napari_medfm.models.walk import EdgeWeights, cuts, probabilities

shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))


def random_weights(shape, seed):
    """Return edge weights of a noisy image."""
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 1)).astype(float)
    return EdgeWeights.of(image, image.std())


def laplacian(weights, shape):
    """Return the grid's Laplacian as a full matrix."""
    number = np.arange(np.prod(shape)).reshape(shape)
    matrix = np.zeros((number.size, number.size))
    for one, other, weight in [
        (number[1:], number[:-1], weights.down),
        (number[:, 1:], number[:, :-1], weights.right),
    ]:
        for i, j, w in zip(one.ravel(), other.ravel(), weight.ravel(), strict=True):
            matrix[[i, j], [i, j]] += w
            matrix[[i, j], [j, i]] -= w
    return matrix


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 99), st.sampled_from([0.0, 1e-3, 0.5]))
def test_probabilities_solve_the_walks_equations(shape, seed, trust):
    rng = np.random.default_rng(seed)
    seeds = rng.integers(-1, 2, shape).astype(np.int8)
    seeds[0, 0] = 1
    prior = rng.random(shape)
    weights = random_weights(shape, seed)
    found = probabilities(weights, seeds, prior, trust)
    assert found.shape == shape
    assert np.all((found >= 0) & (found <= 1))
    assert np.allclose(found[seeds > 0], 1, atol=1e-3)
    assert np.allclose(found[seeds < 0], 0, atol=1e-3)
    free = (seeds == 0).ravel()
    balance = laplacian(weights, shape) @ found.ravel() + trust * (found - prior).ravel()
    assert np.allclose(balance[free], 0, atol=1e-8)


def test_agrees_with_the_walker_of_scikit_image():
    rng = np.random.default_rng(3)
    image = rng.random((40, 30))
    seeds = np.zeros(image.shape, np.int8)
    seeds[20, 12] = 1
    seeds[[0, -1]] = seeds[:, [0, -1]] = -1
    # Its weights are exp(-beta d^2 / (10 std)) + eps: taken over, so that only the solution is compared.
    spread = 130 / (10 * image.std())
    weights = EdgeWeights(
        np.exp(-spread * np.diff(image, axis=0) ** 2) + 1e-10, np.exp(-spread * np.diff(image, axis=1) ** 2) + 1e-10
    )
    labels = np.where(seeds > 0, 1, np.where(seeds < 0, 2, 0))
    expected = random_walker(image, labels, beta=130, mode="bf", return_full_prob=True)[0]
    assert np.allclose(probabilities(weights, seeds), expected, atol=2e-3)


def test_a_prior_decides_where_no_seed_reaches():
    weights = EdgeWeights(np.zeros((9, 10)), np.zeros((10, 9)))
    prior = np.random.default_rng(0).random((10, 10))
    assert np.allclose(probabilities(weights, np.zeros((10, 10), np.int8), prior, 0.1), prior)


def test_a_walk_hardly_crosses_an_edge_of_the_image():
    image = np.zeros((20, 20, 1))
    image[:, 10:] = 100
    seeds = np.zeros((20, 20), np.int8)
    seeds[10, 3], seeds[10, 16] = 1, -1
    found = probabilities(EdgeWeights.of(image, image.std()), seeds)
    assert found[:, :9].min() > 0.9
    assert found[:, 11:].max() < 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_do_not_depend_on_brightness_contrast_or_repeated_channels(channels):
    image = np.random.default_rng(1).random((12, 9, 1)) * 50
    changed = np.repeat(image * 4 + 20, channels, axis=2)
    one, other = EdgeWeights.of(image, image.std()), EdgeWeights.of(changed, changed.std())
    assert np.allclose(one.down, other.down, atol=1e-3)
    assert np.allclose(one.right, other.right, atol=1e-3)


def test_a_plain_image_hinders_nowhere():
    weights = EdgeWeights.of(np.full((5, 6, 3), 77.0), 0.0)
    assert (weights.down.shape, weights.right.shape) == ((4, 6), (5, 5))
    assert np.allclose(weights.down, 1, atol=1e-4)
    assert np.allclose(weights.right, 1, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 99))
def test_every_level_set_is_said_to_cut_what_it_cuts(shape, seed):
    weights = random_weights(shape, seed)
    probability = np.random.default_rng(seed).integers(0, 5, shape) / 4  # with ties
    weight, count = cuts(weights, probability)
    order = np.argsort(-probability, axis=None, kind="stable")
    for size in range(1, probability.size + 1):
        inside = np.zeros(probability.size, bool)
        inside[order[:size]] = True
        inside = inside.reshape(shape)
        down, right = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
        assert count[size - 1] == down.sum() + right.sum()
        assert np.isclose(weight[size - 1], weights.down[down].sum() + weights.right[right].sum())
