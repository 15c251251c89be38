"""A brush paints what lies within its radius in mm of the hand's way, whatever the voxels' size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.editing import Brush, range_around, stamp
from napari_medfm.volume import Plane, array_geometry

SHAPE, SPACING = (8, 16, 20), (3.0, 0.8, 1.2)
GEOMETRY = array_geometry(SHAPE, SPACING)
GRID = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
places = st.tuples(st.floats(-3, 22), st.floats(-3, 22))


def to_path(voxels):
    """Return the mm of every voxel centre from a path of voxel coordinates."""
    path = np.array(voxels) * SPACING
    points = GRID * SPACING
    nearest = np.full(SHAPE, np.inf)
    for one, other in zip(path, [*path[1:], path[-1]], strict=True):
        for share in np.linspace(0, 1, 400):
            nearest = np.minimum(nearest, np.linalg.norm(points - (one + share * (other - one)), axis=-1))
    return nearest


@settings(max_examples=12, deadline=None)
@given(path=st.lists(places, min_size=1, max_size=3), axis=st.integers(0, 2), ball=st.booleans())
def test_a_stroke_covers_the_voxels_within_its_radius(path, axis, ball):
    plane, brush = Plane(axis, 4), Brush(3.5, ball=ball)
    found = np.zeros(SHAPE, bool)
    covered = stamp(brush, plane, tuple(path), GEOMETRY)
    if covered is not None:
        found[covered.region] = covered.mask
    away = to_path([plane.to_voxel(place) for place in path])
    if not ball:
        off = np.ones(SHAPE, bool)
        off[plane.region(SHAPE)] = False
        away[off] = np.inf
    sure = np.abs(away - brush.radius) > 0.02  # the comparison walks in small steps
    assert np.array_equal(found[sure], (away <= brush.radius)[sure])


def test_a_brush_beside_the_image_covers_nothing():
    assert stamp(Brush(2.0), Plane(0, 4), ((-9.0, 5.0),), GEOMETRY) is None


def test_on_a_flat_image_a_ball_is_a_disc():
    covered = stamp(Brush(2.0, ball=True), Plane(), ((5.0, 5.0),), array_geometry((12, 12), (1.0, 1.0)))
    assert covered.mask.shape == (5, 5)
    assert covered.mask.sum() == 13


def test_a_range_takes_its_ends_and_never_what_is_no_number():
    brush = Brush(1.0, low=10, high=20)
    assert brush.accepts(np.array([9.9, 10, 15, 20, 20.1, np.nan])).tolist() == [False, True, True, True, False, False]
    assert brush.is_ranged
    assert not Brush(1.0).is_ranged


def test_a_range_is_picked_from_most_of_the_values():
    values = np.concatenate([np.full(98, 40.0), [np.nan, 3000.0, -1000.0]])
    assert range_around(values) == (40.0, 40.0)
    assert range_around(np.array([np.nan])) is None
