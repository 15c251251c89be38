"""A workspace through what people do to a viewer: other images, other views, other windows, and the end."""

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medfm.prompts import Point
from napari_medfm.simulation import dice
from napari_medfm.volume import Geometry, Plane, Volume, array_geometry

from .canvas import Canvas

ORGAN = (6, 24, 20)


@pytest.fixture
def flat_volume(small_volume):
    plain = array_geometry((48, 64), (1.0, 0.5))
    return Volume(small_volume.array[6], Geometry(plain.shape, plain.affine), name="flat")


@pytest.mark.qt
def test_a_two_dimensional_image_is_annotated_like_a_slice(open_on_screen, window, flat_volume, small_labels, qtbot):
    desk = open_on_screen(flat_volume, qtbot)
    desk.canvas.click((24, 20))
    desk.settle()
    assert desk.workspace.bridge.plane == Plane(0, 0)
    assert dice(desk.session.object_mask(1, Plane(0, 0)), np.isin(small_labels[6], (1, 2))) > 0.8
    desk.workspace.cycle_planes()
    desk.workspace.jump(1)
    desk.close()
    window.layers.clear()


@pytest.mark.qt
def test_3d_display_and_back_loses_nothing(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    before = desk.session.labels.copy()
    desk.viewer.dims.ndisplay = 3
    desk.canvas.picture()
    assert desk.workspace.bridge.plane is None
    assert desk.objects.mouse_pan
    desk.session.undo()
    desk.session.redo()
    desk.viewer.dims.ndisplay = 2
    assert np.array_equal(desk.session.labels, before)
    desk.canvas.click((6, 26, 48))
    desk.settle()
    assert len(desk.workspace.bridge.active_prompts()) == 2


@pytest.mark.qt
def test_rolling_the_dims_round_and_painting_stays_in_place(desk):
    for turn in range(5):
        desk.viewer.dims.roll()
        plane = desk.workspace.bridge.plane
        desk.workspace.orientation.go_to(ORGAN)
        desk.workspace.tools.select("brush")
        desk.objects.brush_size = 1
        row, column = (int(value) for value in plane.from_voxel(ORGAN))
        voxel = tuple(int(v) for v in Plane(plane.axis, ORGAN[plane.axis]).to_voxel((row + turn % 3, column)))
        desk.canvas.click(voxel)
        assert desk.session.labels[voxel] == desk.active
    desk.viewer.dims.order = (0, 1, 2)


@pytest.mark.qt
def test_a_hidden_layer_shows_what_changed_meanwhile(desk):
    desk.objects.visible = False
    desk.live.add_prompt(Point(Plane(0, 6), (24.0, 20.0)))
    desk.settle()
    blank = desk.canvas.colour_at((6, 24, 12))
    desk.objects.visible = True
    assert np.abs(desk.canvas.colour_at((6, 24, 12)) - blank).max() > 20


@pytest.mark.qt
def test_a_second_viewer_on_the_same_image_looks_on(
    desk, open_on_screen, small_volume, qtbot, folders_of_this_module, monkeypatch
):
    import napari

    monkeypatch.setenv("MEDFM_DATA_DIR", str(folders_of_this_module))
    other = napari.Viewer(title="second", show_welcome_screen=False)
    try:
        second = open_on_screen(small_volume, qtbot, other)
        second.viewer.dims.set_current_step(0, 6)
        assert second.session.read_only
        desk.canvas.click(ORGAN)
        desk.settle()
        Canvas(other, second.objects).click(ORGAN)
        assert not second.session.labels.any()
        assert desk.session.labels[ORGAN] == desk.active
    finally:
        second.close()
        other.close()


@pytest.mark.qt
def test_letters_and_place_are_on_the_canvas(desk):
    assert desk.workspace.orientation.letters == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    desk.canvas.hover(ORGAN)
    desk.qtbot.waitUntil(lambda: "HU" in desk.workspace.orientation.readout, timeout=5000)
    line, place, value = desk.workspace.orientation.readout.splitlines()
    assert line == "axial 7 of 12"
    assert place.startswith("L 20")
    assert value == f"{desk.session.volume.array[ORGAN]} HU"
    before = desk.canvas.picture()
    desk.viewer.scene.camera.zoom *= 3
    picture = desk.canvas.picture()
    letter = (slice(picture.shape[0] // 2 - 15, picture.shape[0] // 2 + 15), slice(8, 32))
    here, there = before[letter][..., 0] > 200, picture[letter][..., 0] > 200
    assert here.sum() > 30
    assert (here & there).sum() > 0.8 * (here | there).sum()


def test_jumping_shows_the_middle_of_an_object(headless):
    headless.live.add_prompt(Point(Plane(0, 8), (24.0, 20.0)))
    headless.settle()
    headless.viewer.dims.set_current_step(0, 1)
    headless.workspace.jump(1)
    assert headless.workspace.bridge.plane == Plane(0, 8)
    headless.session.add_object()
    headless.workspace.jump(2)  # nowhere yet
    assert headless.workspace.bridge.plane == Plane(0, 8)


def test_nothing_of_a_closed_workspace_is_kept_alive(open_headless, small_volume):
    viewer = ViewerModel()
    desk = open_headless(small_volume, viewer)
    desk.live.add_prompt(Point(Plane(0, 6), (24.0, 20.0)))
    desk.settle()
    workspace, objects = weakref.ref(desk.workspace), weakref.ref(desk.objects)
    parts = [weakref.ref(part) for part in (desk.workspace.tools, desk.workspace.bridge, desk.workspace.orientation)]
    desk.close()
    desk.workspace = None
    gc.collect()
    assert workspace() is None
    assert [part() for part in parts] == [None] * 3
    assert objects() is None


def test_another_image_can_be_opened_in_the_same_viewer_afterwards(open_headless, small_volume, flat_volume):
    viewer = ViewerModel()
    open_headless(small_volume, viewer).close()
    viewer.layers.clear()
    desk = open_headless(flat_volume, viewer)
    desk.live.add_prompt(Point(Plane(0, 0), (24.0, 20.0)))
    desk.settle()
    assert desk.session.voxel_count(1) > 20
