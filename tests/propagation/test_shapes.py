import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_medfm.errors import PromptError
from napari_medfm.propagation import KeySlice, interpolate
from napari_medfm.propagation.shapes import between, mixed, signed_distance
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane, array_geometry

from .conftest import ball, key

masks = arrays(bool, st.tuples(st.integers(2, 12), st.integers(2, 12)))
spacings = st.tuples(st.floats(0.3, 4.0), st.floats(0.3, 4.0))


def disc(radius, centre, shape=(60, 60)):
    return ball((1, *shape), (0, *centre), radius)[0]


@given(masks, spacings)
def test_a_mask_is_where_its_distance_is_positive_and_its_complement_where_it_is_not(mask, spacing):
    distance = signed_distance(mask, spacing)
    assert ((distance > 0) == mask).all()
    np.testing.assert_array_equal(signed_distance(~mask, spacing), -distance)


def test_distances_are_in_millimetres():
    line = np.zeros((1, 9), bool)
    line[0, :4] = True
    np.testing.assert_allclose(signed_distance(line, (2.0, 2.0))[0], [7, 5, 3, 1, -1, -3, -5, -7, -9])


@given(masks, spacings, st.floats(0, 1))
def test_halfway_between_a_mask_and_itself_is_itself(mask, spacing, share):
    np.testing.assert_array_equal(between(mask, mask, share, spacing), mask)
    np.testing.assert_array_equal(mixed(mask, mask, share, spacing), mask)


@settings(max_examples=40)
@given(masks, st.floats(0, 1))
def test_towards_nothing_a_shape_only_shrinks(mask, share):
    nothing = np.zeros_like(mask)
    found = between(mask, nothing, share, (1.0, 1.0))
    assert not (found & ~mask).any()
    assert not between(mask, nothing, 1.0, (1.0, 1.0)).any()


def test_a_disc_between_two_discs_has_the_radius_between_theirs():
    found = between(disc(6, (30, 30)), disc(18, (30, 30)), 0.5, (1.0, 1.0))
    assert dice(found, disc(12, (30, 30))) > 0.97


def test_an_oblique_vessel_keeps_its_width_between_places_that_do_not_overlap():
    found = between(disc(5, (12, 12)), disc(5, (44, 44)), 0.5, (1.0, 1.0))
    assert dice(found, disc(5, (28, 28))) > 0.9


def test_where_two_opinions_differ_the_outline_lies_between_them():
    found = mixed(disc(10, (30, 30)), disc(16, (30, 30)), 0.5, (1.0, 1.0))
    assert dice(found, disc(13, (30, 30))) > 0.97


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ball_is_found_again_between_its_slices_in_every_direction(axis):
    shape, spacing = (24, 40, 40), (2.0, 1.0, 1.0)
    truth = ball(shape, (12, 20, 20), 14, spacing)
    slices = np.flatnonzero(truth.any(axis=tuple(other for other in range(3) if other != axis)))
    chosen = sorted({*slices[::4].tolist(), int(slices[-1])})
    found = np.zeros_like(truth)
    for index in chosen:
        Plane(axis, index).take(found)[:] = Plane(axis, index).take(truth)
    for proposal in interpolate(tuple(key(truth, index, axis) for index in chosen), array_geometry(shape, spacing)):
        found[proposal.region()] = np.expand_dims(proposal.inside, axis)
    assert dice(found, truth) > 0.9


def test_only_slices_between_keys_are_filled():
    truth = ball((20, 30, 30), (10, 15, 15), 8)
    found = interpolate((key(truth, 12), key(truth, 8)), array_geometry(truth.shape))
    assert [proposal.plane.index for proposal in found] == [9, 10, 11]


def wrong(*planes, mask_shape=(30, 30)):
    return tuple(KeySlice(plane, np.ones(mask_shape, bool)) for plane in planes)


@pytest.mark.parametrize(
    "keys",
    [
        (),
        wrong(Plane(0, 3), Plane(1, 5)),
        wrong(Plane(0, 3), Plane(0, 3)),
        wrong(Plane(0, 30)),
        wrong(Plane(3, 0)),
        wrong(Plane(0, 3), mask_shape=(20, 30)),
    ],
    ids=["none", "two axes", "same slice", "beyond", "no axis", "shape"],
)
def test_keys_that_do_not_fit_are_refused(keys):
    with pytest.raises(PromptError, match="key slice"):
        interpolate(keys, array_geometry((20, 30, 30)))
