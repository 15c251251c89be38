import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.propagation.carrying import carry
from napari_medfm.propagation.stopping import Scale
from napari_medfm.simulation import dice

from .conftest import ball

SCALE = Scale((1.0, 1.0), 2.0)


def disc(radius, centre, shape=(64, 64)):
    return ball((1, *shape), (0, *centre), radius)[0]


def picture(mask, seed):
    noise = np.random.default_rng(seed).normal(0, 6, mask.shape)
    return np.clip(np.where(mask, 170, 70) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("before", "after"),
    [((12, (32, 32)), (12, (34, 30))), ((12, (32, 32)), (14, (32, 32))), ((12, (32, 32)), (10, (32, 32)))],
    ids=["moved", "grown", "shrunk"],
)
def test_a_mask_follows_what_it_lies_on(before, after):
    old, new = disc(*before), disc(*after)
    carried = carry(old, picture(old, 0), picture(new, 1), SCALE)
    assert dice(carried, new) > 0.97
    assert dice(carried, new) > dice(old, new)


def test_a_large_object_is_carried_on_a_coarser_grid():
    old, new = disc(120, (200, 200), (400, 400)), disc(120, (206, 200), (400, 400))
    carried = carry(old, picture(old, 0), picture(new, 1), SCALE)
    assert dice(carried, new) > 0.985


def test_colour_is_seen_as_brightness():
    old, new = disc(12, (32, 32)), disc(12, (34, 32))
    before, after = (np.stack((picture(mask, seed),) * 3, axis=-1) for seed, mask in enumerate((old, new)))
    assert dice(carry(old, before, after, SCALE), new) > 0.97


def test_a_mask_of_the_whole_slice_stays():
    whole = np.ones((30, 30), bool)
    assert carry(whole, picture(whole, 0), picture(whole, 1), SCALE).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.tuples(st.integers(0, 39), st.integers(0, 39)), st.floats(0.5, 20.0))
def test_noise_small_objects_and_the_border_are_no_obstacle(radius, centre, step):
    mask = disc(radius, centre, (40, 40))
    noise = np.random.default_rng(radius).integers(0, 256, (2, 40, 40)).astype(np.uint8)
    carried = carry(mask, noise[0], noise[1], Scale((1.0, 1.0), step))
    assert carried.shape == mask.shape
    assert carried.dtype == bool
