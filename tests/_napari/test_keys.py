"""Keys do what they say on the canvas, are given back, and never fire into a text field."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_medfm.session import ObjectClass

from .canvas import CONTROL, SHIFT

pytestmark = pytest.mark.qt

ORGAN, OTHER = (6, 24, 20), (6, 26, 48)


@pytest.mark.parametrize(
    ("key", "tool"),
    [(Qt.Key.Key_B, "box"), (Qt.Key.Key_S, "scribble"), (Qt.Key.Key_L, "lasso"), (Qt.Key.Key_P, "point")],
)
def test_letters_take_a_tool(desk, key, tool):
    desk.workspace.tools.select("move")
    desk.canvas.key(key)
    assert desk.workspace.tools.tool == tool


@pytest.mark.parametrize(("key", "tool"), [(Qt.Key.Key_1, "eraser"), (Qt.Key.Key_2, "brush"), (Qt.Key.Key_6, "move")])
def test_digits_stay_naparis(desk, key, tool):
    desk.canvas.key(Qt.Key.Key_2)
    desk.canvas.key(key)
    assert desk.workspace.tools.tool == tool


def test_v_still_hides_the_layer(desk):
    desk.canvas.key(Qt.Key.Key_V)
    assert not desk.objects.visible
    desk.canvas.key(Qt.Key.Key_V)
    assert desk.objects.visible


def test_letters_work_whichever_layer_is_selected(desk):
    for layer in desk.viewer.layers:
        desk.workspace.tools.select("point")
        desk.viewer.layers.selection.active = layer
        desk.canvas.key(Qt.Key.Key_L)
        assert desk.workspace.tools.tool == "lasso"
        assert desk.viewer.layers.selection.active is desk.objects


def test_t_turns_the_sign(desk):
    desk.canvas.key(Qt.Key.Key_T)
    assert not desk.workspace.tools.positive
    desk.canvas.click(ORGAN)
    desk.settle()
    assert not desk.workspace.bridge.active_prompts()[0].positive
    desk.canvas.key(Qt.Key.Key_T)
    assert desk.workspace.tools.positive


def test_undo_and_redo_go_any_number_of_steps(desk):
    states = [desk.session.labels.copy()]
    for voxel in (ORGAN, (6, 20, 12), OTHER):
        desk.canvas.click(voxel)
        desk.settle()
        states.append(desk.session.labels.copy())
    for expected in states[-2::-1]:
        desk.canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(desk.session.labels, expected)
    for expected in states[1:]:
        desk.canvas.key(Qt.Key.Key_Z, CONTROL | SHIFT)
        assert np.array_equal(desk.session.labels, expected)


def test_enter_accepts_and_the_next_click_starts_the_next_object(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    first = desk.active
    desk.canvas.key(Qt.Key.Key_Return)
    assert desk.session.state.objects[first].accepted
    assert desk.active is None
    desk.canvas.click(OTHER)
    desk.settle()
    assert desk.active not in (first, None)
    assert desk.session.labels[ORGAN] == first
    assert desk.session.labels[OTHER] == desk.active


def test_enter_does_not_accept_while_a_polygon_is_drawn(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    desk.canvas.key(Qt.Key.Key_3)
    assert desk.objects.mode == "polygon"
    desk.canvas.key(Qt.Key.Key_Return)
    assert not desk.session.state.object().accepted


def test_n_starts_another_object_of_the_same_class(desk):
    desk.session.define_classes([ObjectClass("lesion", (1, 2, 3))])
    first = desk.session.add_object("lesion")
    desk.canvas.key(Qt.Key.Key_N)
    assert desk.active != first
    assert desk.session.state.object().class_name == "lesion"


def test_r_resets_the_active_object(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    desk.canvas.key(Qt.Key.Key_R)
    assert desk.session.voxel_count(desk.active) == 0
    assert not len(desk.workspace.bridge.active_prompts())


def test_a_cycles_the_planes_about_the_last_click(desk):
    desk.canvas.click((6, 30, 22))
    desk.settle()
    seen = []
    for _ in range(3):
        desk.canvas.key(Qt.Key.Key_A)
        seen.append((desk.workspace.bridge.plane.axis, desk.workspace.bridge.plane.index))
    assert seen == [(1, 30), (2, 22), (0, 6)]


def test_a_cycles_the_planes_about_the_crosshair_if_there_is_one(desk):
    desk.canvas.click((6, 30, 22))
    desk.settle()
    desk.viewer.cursor.position = (18.0, 11.0, 40.0)  # the screen's own pointer may lie elsewhere
    desk.canvas.key(Qt.Key.Key_C)
    assert desk.workspace.crosshair.voxel == (6, 11, 40)
    desk.viewer.dims.set_current_step(0, 4)
    assert desk.workspace.crosshair.voxel == (4, 11, 40)
    seen = []
    for _ in range(3):
        desk.canvas.key(Qt.Key.Key_A)
        seen.append((desk.workspace.bridge.plane.axis, desk.workspace.bridge.plane.index))
    assert seen == [(1, 11), (2, 40), (0, 4)]
    desk.canvas.key(Qt.Key.Key_C)
    assert desk.workspace.crosshair.voxel is None


def test_i_shows_outlines_only_and_comma_and_full_stop_change_the_opacity(desk):
    desk.canvas.key(Qt.Key.Key_I)
    assert desk.objects.contour > 0
    desk.canvas.key(Qt.Key.Key_I)
    assert desk.objects.contour == 0
    before = desk.objects.opacity
    desk.canvas.key(Qt.Key.Key_Comma)
    assert desk.objects.opacity == pytest.approx(before - 0.1)
    for _ in range(12):
        desk.canvas.key(Qt.Key.Key_Comma)
    assert desk.objects.opacity == pytest.approx(0.1)
    for _ in range(12):
        desk.canvas.key(Qt.Key.Key_Period)
    assert desk.objects.opacity == 1
    desk.objects.opacity = before


def test_h_hides_the_overlay_while_it_is_held(desk):
    before = [layer.opacity for layer in desk.layers.overlays]
    desk.canvas.hold(Qt.Key.Key_H)
    assert all(layer.opacity == 0 for layer in desk.layers.overlays)
    desk.canvas.let_go(Qt.Key.Key_H)
    assert [layer.opacity for layer in desk.layers.overlays] == before


def test_the_space_bar_pans_while_it_is_held(desk):
    desk.workspace.tools.select("box")
    desk.canvas.hold(Qt.Key.Key_Space)
    assert desk.workspace.tools.tool == "move"
    assert desk.objects.mouse_pan
    desk.canvas.let_go(Qt.Key.Key_Space)
    assert desk.workspace.tools.tool == "box"
    assert not desk.objects.mouse_pan


def test_nothing_happens_while_somebody_types(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    opacity = desk.objects.opacity
    desk.typing = True
    try:
        for key in (
            Qt.Key.Key_B,
            Qt.Key.Key_T,
            Qt.Key.Key_R,
            Qt.Key.Key_N,
            Qt.Key.Key_A,
            Qt.Key.Key_C,
            Qt.Key.Key_I,
            Qt.Key.Key_Comma,
            Qt.Key.Key_Period,
            Qt.Key.Key_H,
            Qt.Key.Key_Space,
        ):
            desk.canvas.key(key)
        desk.canvas.key(Qt.Key.Key_Return)
        desk.canvas.key(Qt.Key.Key_Z, CONTROL)
        assert desk.workspace.tools.tool == "point"
        assert desk.workspace.tools.positive
        assert desk.workspace.bridge.plane.axis == 0
        assert desk.workspace.crosshair.voxel is None
        assert (desk.objects.contour, desk.objects.opacity) == (0, opacity)
        assert not desk.session.state.object().accepted
        assert len(desk.workspace.bridge.active_prompts()) == 1
    finally:
        desk.typing = False


def test_keys_without_anything_to_act_on_only_say_so(desk):
    for key in (Qt.Key.Key_R, Qt.Key.Key_Return, Qt.Key.Key_A):
        desk.canvas.key(key)
    assert not desk.session.state.objects


def test_keys_are_given_back(headless):
    viewer, layers = headless.viewer, headless.layers.overlays
    assert viewer.keymap
    headless.close()
    assert not viewer.keymap
    assert not any(layer.keymap for layer in layers)


def test_a_key_that_somebody_had_bound_before_is_theirs_again(open_headless, small_volume):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    viewer.bind_key("T", print)
    desk = open_headless(small_volume, viewer)
    assert print not in viewer.keymap.values()
    desk.close()
    assert list(viewer.keymap.values()) == [print]
