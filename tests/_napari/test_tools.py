"""Real mouse events on the canvas become prompts, on the right voxels, and the mask is seen."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_medfm.prompts import Box, Lasso, Point, Scribble
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

from .canvas import ALT, RIGHT, SHIFT

pytestmark = pytest.mark.qt

ORGAN = (6, 24, 20)  # inside the organ of the phantom
OTHER = (6, 26, 48)  # inside the organ beside it
OUTSIDE = (6, 4, 34)


def prompts(desk):
    return desk.workspace.bridge.active_prompts().prompts


def blueness(colour):
    return colour[2] - colour[0]


def test_a_click_is_a_mask_in_the_session_and_on_the_screen(desk, small_labels):
    before = desk.canvas.colour_at(ORGAN)
    desk.canvas.click(ORGAN)
    desk.settle()
    (point,) = prompts(desk)
    assert point.plane == Plane(0, 6)
    assert np.round(point.position).tolist() == [24, 20]
    mask = desk.session.object_mask(desk.active, Plane(0, 6))
    assert dice(mask, np.isin(small_labels[6], (1, 2))) > 0.8
    assert np.array_equal(desk.objects.data, desk.session.labels)
    assert blueness(desk.canvas.colour_at((6, 24, 12))) > blueness(before) + 30
    assert blueness(desk.canvas.colour_at(OUTSIDE)) < 10


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_clicking_works_in_each_of_the_three_planes(desk, axis):
    for _ in range(axis):
        desk.workspace.orientation.cycle(ORGAN)
    desk.workspace.orientation.go_to(ORGAN)
    desk.canvas.click(ORGAN)
    desk.settle()
    (point,) = prompts(desk)
    plane = Plane(axis, ORGAN[axis])
    assert point.plane == plane
    assert np.round(point.position).tolist() == list(plane.from_voxel(ORGAN))
    assert desk.session.labels[ORGAN] == desk.active
    assert np.count_nonzero(plane.take(desk.session.labels)) == desk.session.voxel_count(desk.active) > 20


def test_clicking_works_on_rolled_and_transposed_axes(desk):
    for order in ((0, 2, 1), (2, 1, 0), (1, 2, 0)):
        desk.viewer.dims.order = order
        desk.workspace.orientation.go_to(ORGAN)
        desk.canvas.click(ORGAN)
        desk.settle()
        point = prompts(desk)[-1]
        assert point.plane == Plane(order[0], ORGAN[order[0]])
        assert np.round(point.plane.to_voxel(point.position)).tolist() == list(ORGAN)
        desk.session.reset()


def test_shift_and_the_sign_make_a_click_negative(desk):
    desk.canvas.click(ORGAN)
    desk.canvas.click((6, 24, 30), SHIFT)
    desk.workspace.tools.toggle_sign()
    desk.canvas.click((6, 20, 30))
    desk.canvas.click((6, 30, 24), SHIFT)
    desk.settle()
    assert [point.positive for point in prompts(desk)] == [True, False, False, True]


def test_a_negative_click_takes_away_what_it_points_at(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    assert desk.session.labels[6, 26, 30] == desk.active
    desk.canvas.click((6, 26, 30), SHIFT)
    desk.settle()
    assert desk.session.labels[6, 26, 30] == 0


def test_the_second_of_two_quick_clicks_counts_and_does_not_zoom(desk):
    zoom = desk.viewer.scene.camera.zoom
    desk.canvas.double_click(ORGAN)
    desk.settle()
    assert len(prompts(desk)) == 2
    assert desk.viewer.scene.camera.zoom == zoom


def test_in_the_move_tool_a_double_click_zooms_as_napari_does(desk):
    zoom = desk.viewer.scene.camera.zoom
    desk.workspace.tools.select("move")
    desk.canvas.double_click(ORGAN)
    assert desk.viewer.scene.camera.zoom == pytest.approx(2 * zoom)
    assert not desk.session.state.objects


def test_dragging_with_the_point_tool_pans_and_prompts_nothing(desk):
    centre = desk.viewer.scene.camera.center
    desk.canvas.drag([ORGAN, (6, 24, 26), (6, 24, 34)])
    desk.canvas.picture()
    assert not desk.session.state.objects
    assert not np.allclose(desk.viewer.scene.camera.center, centre)


def test_a_box_takes_in_the_voxels_of_both_corners(desk, small_labels):
    desk.workspace.tools.select("box")
    centre = desk.viewer.scene.camera.center
    desk.canvas.drag([(6, 9, 7), (6, 20, 20), (6, 39, 33)])
    desk.settle()
    assert prompts(desk) == (Box(Plane(0, 6), (9, 7), (40, 34)),)
    assert np.allclose(desk.viewer.scene.camera.center, centre)
    assert dice(desk.session.object_mask(desk.active, Plane(0, 6)), np.isin(small_labels[6], (1, 2))) > 0.8


def test_a_box_drawn_upwards_and_beyond_the_image_is_cut_off_at_its_edge(desk):
    desk.workspace.tools.select("box")
    desk.canvas.drag([(6, 30, 20), (6, 10, 10), (6, -3, -4)])
    desk.settle()
    assert prompts(desk) == (Box(Plane(0, 6), (0, 0), (31, 21)),)


def test_a_box_that_was_not_drawn_is_no_prompt(desk):
    desk.workspace.tools.select("box")
    desk.canvas.click(ORGAN)
    assert not desk.session.state.objects


def test_a_scribble_follows_the_hand(desk):
    desk.workspace.tools.select("scribble")
    path = [(6, 20, 12), (6, 24, 16), (6, 26, 22), (6, 24, 28)]
    desk.canvas.drag(path)
    desk.settle()
    (scribble,) = prompts(desk)
    assert isinstance(scribble, Scribble)
    assert np.allclose(scribble.path[0], path[0][1:], atol=0.6)
    assert np.allclose(scribble.path[-1], path[-1][1:], atol=0.6)
    assert all(desk.session.labels[voxel] == desk.active for voxel in path)


def test_a_lasso_encloses_what_belongs_to_the_object(desk):
    desk.workspace.tools.select("lasso")
    desk.canvas.drag([(6, 16, 10), (6, 16, 30), (6, 34, 30), (6, 34, 10), (6, 18, 10)], SHIFT)
    desk.settle()
    (lasso,) = prompts(desk)
    assert isinstance(lasso, Lasso)
    assert not lasso.positive
    assert len(lasso.path) >= 4


def test_while_drawing_the_outline_is_shown_and_afterwards_the_prompt(desk):
    tools, lines = desk.workspace.tools, desk.layers.prompts.lines
    tools.select("box")
    seen = []
    lines.events.data.connect(lambda event: seen.append(len(lines.data)))
    desk.canvas.drag([(6, 9, 7), (6, 20, 20), (6, 39, 33)])
    desk.settle()
    assert 4 in seen
    assert len(lines.data) == 4
    corners = lines.data[:, 0, 1:]
    assert corners.min(axis=0).tolist() == [8.5, 6.5]
    assert corners.max(axis=0).tolist() == [39.5, 33.5]


def test_a_prompt_can_be_dragged_and_the_mask_follows(desk):
    desk.canvas.click(ORGAN)
    desk.settle()
    assert desk.session.labels[ORGAN] == desk.active
    desk.canvas.drag([ORGAN, (6, 25, 30), OTHER])
    desk.settle()
    (point,) = prompts(desk)
    assert np.allclose(point.position, OTHER[1:], atol=0.6)
    assert desk.session.labels[OTHER] == desk.active
    assert desk.session.labels[ORGAN] == 0
    assert np.allclose(desk.layers.prompts.dots.data[:, 1:], [point.position])


@pytest.mark.parametrize(
    ("modifiers", "button"), [(ALT, Qt.MouseButton.LeftButton), (Qt.KeyboardModifier.NoModifier, RIGHT)]
)
def test_a_prompt_can_be_deleted_and_the_mask_follows(desk, modifiers, button):
    desk.canvas.click(ORGAN)
    desk.canvas.click((6, 20, 12))
    desk.settle()
    desk.canvas.click((6, 20, 12), modifiers, button)
    desk.settle()
    assert len(prompts(desk)) == 1
    desk.canvas.click(ORGAN, modifiers, button)
    desk.settle()
    assert prompts(desk) == ()
    assert desk.session.voxel_count(desk.active) == 0


def test_the_right_button_beside_every_prompt_does_nothing(desk):
    desk.canvas.click(ORGAN, button=RIGHT)
    assert not desk.session.state.objects


def test_clicks_beside_the_image_and_in_3d_display_are_ignored(desk):
    desk.canvas.click((6, -3, 20))
    desk.viewer.dims.ndisplay = 3
    desk.canvas.press_at(desk.canvas.widget.rect().center())
    desk.viewer.dims.ndisplay = 2
    assert not desk.session.state.objects


def test_hovering_previews_a_click_and_leaves_no_trace(desk):
    desk.canvas.click(OTHER)  # embeds the slice
    desk.settle()
    desk.session.set_active(None)
    preview = desk.layers.preview.layer
    desk.canvas.hover((6, 24, 21))
    desk.qtbot.waitUntil(lambda: preview.data.any(), timeout=5000)
    assert preview.data[ORGAN] == 1
    assert desk.session.labels[ORGAN] == 0
    desk.canvas.hover((6, -3, 20))
    desk.qtbot.waitUntil(lambda: not preview.data.any(), timeout=5000)


def test_the_preview_can_be_switched_off(desk):
    desk.canvas.click(OTHER)
    desk.settle()
    desk.workspace.tools.set_hover(False)
    asked = []
    desk.live.events.preview_changed.connect(lambda plane, mask: asked.append(mask))
    desk.canvas.hover((6, 24, 21))
    desk.canvas.hover((6, 24, 24))
    desk.canvas.click(ORGAN)
    desk.settle()
    assert not any(mask is not None for mask in asked)


def test_choosing_a_mode_in_napari_changes_the_tool(desk):
    told = []
    desk.workspace.tools.tool_changed.connect(told.append)
    for mode in ("paint", "erase", "pan_zoom", "fill"):
        desk.objects.mode = mode
    assert told == ["brush", "eraser", "move"]
    desk.workspace.tools.select("brush")
    assert desk.objects.mode == "paint"
    desk.workspace.tools.select("box")
    assert desk.objects.mode == "pan_zoom"
    with pytest.raises(ValueError, match="hammer"):
        desk.workspace.tools.select("hammer")


def test_painting_with_the_brush_on_the_screen_is_journaled(desk):
    desk.workspace.tools.select("brush")
    desk.objects.brush_size = 3
    desk.canvas.drag([(6, 10, 50), (6, 12, 54), (6, 14, 58)])
    assert desk.session.hand[6, 12, 54] == desk.active
    painted = desk.session.labels.copy()
    assert painted.any()
    desk.session.undo()
    assert not desk.session.labels.any()
    desk.objects.undo()  # napari's own history holds nothing
    assert not desk.session.labels.any()
    desk.session.redo()
    assert np.array_equal(desk.session.labels, painted)


def test_prompts_that_are_not_drawn_yet_are_nothing():
    from napari_medfm._napari.tools import drawn, outline_end

    plane = Plane(0, 6)
    assert drawn("lasso", plane, [(1.0, 1.0), (2.0, 2.0)], True) is None
    assert drawn("box", plane, [(1.0, 1.0)], True) is None
    assert drawn("scribble", plane, [(1.0, 1.0)], True) == Scribble(plane, ((1.0, 1.0),))
    assert outline_end(Box(plane, (2, 4), (5, 9))) == (3.0, 6.0)
    assert outline_end(Point(plane, (3, 4))) == (3, 4)
