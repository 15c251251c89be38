"""Radiological axial slices, heads up elsewhere, letters that stay right however the view is turned."""

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm._napari.orientation import (
    Orientation,
    canvas_letters,
    describe_plane,
    describe_position,
    describe_value,
    unmirrored,
    upright,
)
from napari_medfm.volume import Geometry, Plane, Volume, array_geometry


def known(shape, spacing=(3.0, 1.0, 0.5)):
    plain = array_geometry(shape, spacing[3 - len(shape) :])
    return Geometry(plain.shape, plain.affine)


@pytest.fixture
def volume():
    shape = (6, 8, 10)
    return Volume(np.arange(480, dtype=np.int16).reshape(shape), known(shape), modality="CT")


@pytest.fixture
def shown(volume):
    viewer = ViewerModel()
    layer = viewer.add_image(volume.array, scale=volume.spacing)
    orientation = Orientation(viewer, layer, volume)
    yield viewer, layer, orientation
    orientation.teardown()


@pytest.mark.parametrize(
    ("axes", "camera", "letters"),
    [
        ((1, 2), ("down", "right"), ("R", "L", "A", "P")),
        ((0, 2), ("up", "right"), ("R", "L", "S", "I")),
        ((0, 1), ("up", "right"), ("A", "P", "S", "I")),
        ((1, 2), ("up", "left"), ("L", "R", "P", "A")),
        ((2, 1), ("down", "right"), ("A", "P", "R", "L")),
        ((2, 0), ("down", "right"), ("I", "S", "R", "L")),
    ],
)
def test_letters_follow_plane_and_camera(axes, camera, letters):
    assert tuple(canvas_letters(known((6, 8, 10)), axes, camera)) == letters


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3), 2)))
def test_opposite_edges_have_opposite_letters(axes):
    pairs = ({"R", "L"}, {"A", "P"}, {"S", "I"})
    letters = canvas_letters(known((6, 8, 10)), axes, upright(known((6, 8, 10)), axes))
    assert {letters.left, letters.right} in pairs
    assert {letters.top, letters.bottom} in pairs


def test_the_head_is_up_in_coronal_and_sagittal_planes():
    geometry = known((6, 8, 10))
    assert upright(geometry, (1, 2)) == ("down", "right")
    assert upright(geometry, (0, 2)) == ("up", "right")
    assert upright(geometry, (0, 1)) == ("up", "right")
    assert upright(known((8, 10)), (0, 1)) == ("down", "right")


def test_cycling_goes_through_the_three_planes_about_a_voxel(shown):
    viewer, _layer, orientation = shown
    seen = []
    for _ in range(3):
        orientation.cycle((4, 5, 6))
        axis = viewer.dims.order[0]
        seen.append((axis, viewer.dims.current_step[axis], tuple(map(str, viewer.scene.camera.orientation2d))))
    assert seen == [(1, 5, ("up", "right")), (2, 6, ("up", "right")), (0, 4, ("down", "right"))]
    assert orientation.letters == {"left": "R", "right": "L", "top": "A", "bottom": "P"}


def test_cycling_keeps_a_close_up_on_the_voxel(shown):
    viewer, _layer, orientation = shown
    viewer.scene.camera.zoom = 400.0
    orientation.cycle((4, 5, 6))
    assert viewer.scene.camera.zoom == 400.0
    assert tuple(viewer.scene.camera.center[-2:]) == (12.0, 3.0)


def test_cycling_does_nothing_to_a_two_dimensional_image():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((8, 10)))
    orientation = Orientation(viewer, layer, Volume(layer.data, array_geometry((8, 10))))
    orientation.cycle((1, 1))
    assert viewer.dims.order == (0, 1)
    orientation.teardown()


def test_a_slice_can_be_asked_for_by_plane(shown):
    viewer, _layer, orientation = shown
    orientation.show_plane(Plane(2, 7))
    assert (viewer.dims.order[0], viewer.dims.current_step[2]) == (2, 7)
    orientation.show_plane(Plane(2, 1))
    assert (viewer.dims.order[0], viewer.dims.current_step[2]) == (2, 1)


def test_no_letters_where_the_position_is_not_known():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((6, 8, 10)))
    orientation = Orientation(viewer, layer, Volume(layer.data, array_geometry((6, 8, 10))))
    assert orientation.letters == {}
    assert orientation.readout == "slice across z 3 of 6"
    orientation.teardown()


def test_letters_leave_the_canvas_in_three_dimensional_display(shown):
    viewer, _, orientation = shown
    viewer.dims.ndisplay = 3
    assert orientation.letters == {}
    viewer.dims.ndisplay = 2
    assert len(orientation.letters) == 4


def test_letters_follow_a_camera_turned_by_hand(shown):
    viewer, _, orientation = shown
    viewer.scene.camera.orientation2d = ("down", "left")
    assert (orientation.letters["left"], orientation.letters["right"]) == ("L", "R")


def test_place_and_value_under_the_cursor_are_named(volume):
    assert describe_position(volume.geometry, (2, 3, 4)) == "L 2.0 P 3.0 S 6.0 mm"
    assert describe_position(array_geometry((6, 8, 10)), (2.2, 3, 4)) == "voxel 2 3 4"
    assert describe_value(volume, (2, 3, 4)) == f"{volume.array[2, 3, 4]} HU"
    assert describe_value(volume, (2, 3, 99)) == ""
    assert describe_plane(volume.geometry, Plane(1, 2)) == "coronal 3 of 8"
    colour = Volume(np.full((4, 5, 3), 7, np.uint8), array_geometry((4, 5)))
    assert describe_value(colour, (1, 1)) == "RGB 7 7 7"


def test_teardown_gives_the_camera_and_the_canvas_back(volume):
    viewer = ViewerModel()
    layer = viewer.add_image(volume.array, scale=volume.spacing)
    camera, overlays = viewer.scene.camera.orientation, set(viewer.canvas.overlays)
    orientation = Orientation(viewer, layer, volume)
    viewer.dims.order = (1, 0, 2)
    orientation.teardown()
    assert viewer.scene.camera.orientation == camera
    assert set(viewer.canvas.overlays) == overlays
    assert not viewer.mouse_move_callbacks
    viewer.dims.order = (2, 0, 1)
    assert viewer.scene.camera.orientation == camera


def test_another_image_changes_the_values(shown, volume):
    _, layer, orientation = shown
    assert isinstance(layer, Image)
    orientation.set_volume(Volume(volume.array * 0 + 5, volume.geometry))
    assert orientation.readout == "axial 3 of 6"


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("camera", list(itertools.product(("up", "down"), ("left", "right"))))
def test_in_3d_right_and_left_never_change_sides(axes, camera):
    to_viewer = {"towards": (1, 0, 0), "away": (-1, 0, 0)}[unmirrored(axes, camera)]
    on_screen = [to_viewer, (0, 1 if camera[0] == "up" else -1, 0), (0, 0, 1 if camera[1] == "right" else -1)]
    screen = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)])  # depth, height and width as x, y and z of a right-handed room
    body = np.array([(0, 0, 1), (0, -1, 0), (-1, 0, 0)])  # superior, posterior, left
    turned = np.array(on_screen) @ screen
    assert np.linalg.det(np.linalg.solve(body[list(axes)], turned)) == pytest.approx(1)


@pytest.mark.parametrize("axis", range(3))
def test_3d_display_shows_the_patient_from_the_front_and_keeps_a_view_that_was_turned(shown, axis):
    viewer, _, orientation = shown
    orientation.show_plane(Plane(axis, 2))
    viewer.dims.ndisplay = 3
    displayed, camera = list(viewer.dims.displayed), viewer.scene.camera
    assert np.allclose(camera.view_direction, [each == 1 for each in displayed], atol=1e-6)  # to the back
    assert np.allclose(camera.up_direction, [each == 0 for each in displayed], atol=1e-6)  # head up
    camera.angles = (10, 20, 30)
    viewer.dims.ndisplay = 2
    viewer.dims.ndisplay = 3
    assert camera.angles == (10, 20, 30)
