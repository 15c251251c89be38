import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.volume import Geometry, Plane, Volume, array_geometry

SHAPE = (4, 5, 6)
finite = st.floats(-1e3, 1e3)


def oblique():
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * (3.0, 0.8, 0.9)
    affine[:3, 3] = (10, -20, 30)
    return Geometry(SHAPE, affine)


@settings(deadline=None)
@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=5))
def test_voxel_to_world_and_back_is_the_identity(points):
    geometry = oblique()
    assert np.allclose(geometry.to_voxel(geometry.to_world(points)), points, atol=1e-6)


@settings(deadline=None)
@given(st.tuples(finite, finite))
def test_pixels_of_a_2d_image_go_to_world_and_back(point):
    geometry = array_geometry((5, 6), (0.5, 0.7))
    assert np.allclose(geometry.to_voxel(geometry.to_world(point)), point, atol=1e-6)


def test_spacing_is_in_mm_whatever_the_direction():
    assert oblique().spacing == pytest.approx((3.0, 0.8, 0.9))
    assert array_geometry((5, 6), (0.5, 0.7)).spacing == pytest.approx((0.5, 0.7))


@pytest.mark.parametrize(("axis", "spacing"), [(0, (0.8, 0.9)), (1, (3.0, 0.9)), (2, (3.0, 0.8))])
def test_planes_have_the_spacing_and_shape_of_their_two_axes(axis, spacing):
    geometry = oblique()
    planes = geometry.planes(axis)
    assert len(planes) == SHAPE[axis]
    assert geometry.plane_spacing(planes[0]) == pytest.approx(spacing)
    volume = Volume(np.zeros(SHAPE), geometry)
    assert volume.plane(planes[-1]).shape == planes[-1].shape(SHAPE)


@settings(deadline=None)
@given(axis=st.integers(0, 2), index=st.integers(0, 3), position=st.tuples(finite, finite))
def test_a_position_in_a_plane_becomes_a_voxel_and_returns(axis, index, position):
    plane = Plane(axis, index)
    voxel = plane.to_voxel(position)
    assert voxel[axis] == index
    assert plane.from_voxel(voxel) == position


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_in_a_plane_is_the_same_voxels_in_the_grid(axis):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    plane = Plane(axis, 2)
    region = plane.embed_region(slice(1, 3), slice(0, 2))
    assert np.array_equal(array[region].squeeze(axis), plane.take(array)[1:3, 0:2])
    assert np.array_equal(array[plane.region(SHAPE)].squeeze(axis), plane.take(array))


def test_names_of_planes():
    assert [Plane(axis, 0).name for axis in range(3)] == ["axial", "coronal", "sagittal"]
