"""World positions land on the right slice and voxel, whichever way the axes are rolled."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm._napari.pointing import clip, displayed_axes, is_inside, locate, visible_plane
from napari_medfm.volume import Plane

SHAPE = (7, 9, 11)


def viewer_with(*layers):
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    return viewer


def world_of(layer, viewer, voxel):
    """Return what napari reports as the mouse's position over a voxel of the visible slice."""
    ahead = viewer.dims.ndim - layer.ndim
    world = list(viewer.dims.point)
    for axis, value in enumerate(layer.data_to_world(voxel)):
        if axis + ahead in viewer.dims.displayed:
            world[axis + ahead] = float(value)
    return world


@settings(max_examples=40, deadline=None)  # an example needs a viewer
@given(
    order=st.permutations(range(3)),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    translate=st.tuples(*[st.floats(-200.0, 200.0)] * 3),
    fractions=st.tuples(*[st.floats(0.001, 0.999)] * 3),
)
def test_a_click_lands_on_its_voxel_in_every_order_of_axes(order, spacing, translate, fractions):
    layer = Image(np.zeros(SHAPE), scale=spacing, translate=translate)
    viewer = viewer_with(layer)
    viewer.dims.order = order
    voxel = np.array([fraction * size - 0.5 for fraction, size in zip(fractions, SHAPE, strict=True)])
    step = int(np.floor(voxel[order[0]] + 0.5))
    viewer.dims.set_current_step(order[0], step)

    plane = visible_plane(layer, viewer.dims)
    position = locate(layer, plane, world_of(layer, viewer, voxel))

    assert plane == Plane(order[0], step)
    assert np.allclose(position, plane.from_voxel(tuple(voxel)), atol=1e-6)
    assert is_inside(position, plane.shape(SHAPE))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_slice_that_is_found_is_the_slice_that_is_drawn(order):
    array = np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE)
    layer = Image(array, scale=(2.5, 1.0, 0.4))
    viewer = viewer_with(layer)
    viewer.dims.order = order
    for step in range(SHAPE[order[0]]):
        viewer.dims.set_current_step(order[0], step)
        plane = visible_plane(layer, viewer.dims)
        shown = viewer.dims.displayed
        inside = world_of(layer, viewer, (1.0, 1.0, 1.0))
        drawn = layer.get_value(inside, world=True, dims_displayed=list(shown))
        voxel = np.round(plane.to_voxel(locate(layer, plane, inside))).astype(int)
        assert drawn == array[tuple(voxel)]


def test_three_dimensional_display_has_no_visible_slice():
    layer = Image(np.zeros(SHAPE))
    viewer = viewer_with(layer)
    viewer.dims.ndisplay = 3
    assert visible_plane(layer, viewer.dims) is None


def test_a_two_dimensional_image_is_its_own_slice_also_beside_a_volume():
    flat = Image(np.zeros((9, 11)))
    viewer = viewer_with(flat)
    assert visible_plane(flat, viewer.dims) == Plane(0, 0)
    viewer.add_image(np.zeros(SHAPE))
    assert visible_plane(flat, viewer.dims) == Plane(0, 0)
    viewer.dims.order = (1, 0, 2)
    assert visible_plane(flat, viewer.dims) is None


def test_a_transposed_two_dimensional_image_is_pointed_at_correctly():
    flat = Image(np.zeros((9, 11)), scale=(2.0, 0.5))
    viewer = viewer_with(flat)
    viewer.dims.order = (1, 0)
    assert displayed_axes(flat, viewer.dims) == (1, 0)
    assert locate(flat, Plane(0, 0), (6.0, 2.0)) == pytest.approx((3.0, 4.0))


def test_beyond_the_layers_own_slices_nothing_is_visible():
    small = Image(np.zeros((3, 9, 11)))
    viewer = viewer_with(small, Image(np.zeros(SHAPE)))
    viewer.dims.set_current_step(0, 6)
    assert visible_plane(small, viewer.dims) is None


def test_a_further_axis_of_another_layer_does_not_disturb():
    layer = Image(np.zeros(SHAPE))
    viewer = viewer_with(layer, Image(np.zeros((2, *SHAPE))))
    viewer.dims.set_current_step(1, 5)
    assert visible_plane(layer, viewer.dims) == Plane(0, 5)
    assert locate(layer, Plane(0, 5), (1.0, 5.0, 2.0, 3.0)) == pytest.approx((2.0, 3.0))


def test_the_image_ends_at_the_outer_edge_of_its_voxels():
    assert is_inside((-0.5, 10.49), (9, 11))
    assert not is_inside((-0.51, 0), (9, 11))
    assert not is_inside((0, 10.5), (9, 11))
    assert clip((-3.0, 20.0), (9, 11)) == (0.0, 10.0)
