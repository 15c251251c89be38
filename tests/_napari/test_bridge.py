"""What happens on the layers reaches the session, and what the session says is shown; nothing is lost between."""

import itertools

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from napari_medfm._napari.bridge import strokes_of
from napari_medfm.prompts import Box, Point
from napari_medfm.session import AnnotationSession, CommitPolicy, verify
from napari_medfm.volume import Plane, Volume, fingerprint

HERE = Plane(0, 6)
DAB = 15
"""Voxels that `paint` paints with the smallest brush."""


def paint(desk, centre, size=3, value=None):
    """Paint as napari's brush does, without a mouse."""
    desk.objects.brush_size = size
    with desk.objects.block_history():
        desk.objects.paint(centre, desk.objects.selected_label if value is None else value)
        desk.objects.paint(
            (centre[0], centre[1] + 2, centre[2]), desk.objects.selected_label if value is None else value
        )


@pytest.fixture
def told(monkeypatch):
    """Return the notices that a person would see."""
    seen = []
    notification_manager.notification_ready.connect(lambda notice: seen.append(str(notice.message)))
    return seen


def test_the_layer_shows_the_sessions_own_voxels(headless):
    headless.live.add_prompt(Point(HERE, (24.0, 20.0)))
    headless.settle()
    assert np.array_equal(headless.objects.data, headless.session.labels)
    assert not np.shares_memory(headless.objects.data, headless.session.labels)
    shown = headless.objects.get_value((18, 24, 20), world=True)
    assert shown == 1
    assert tuple(headless.objects.scale) == tuple(headless.image.scale)


def test_a_stroke_is_one_step_that_survives_and_can_be_undone(headless):
    paint(headless, (6, 10, 50))
    session = headless.session
    assert session.state.active == 1
    assert (session.labels == 1).sum() == session.voxel_count(1) == DAB
    assert (session.hand == 1).sum() == DAB
    assert session.undo_name == "brush"
    session.undo()
    assert not session.labels.any()
    session.redo()
    assert session.voxel_count(1) == DAB


def test_the_eraser_takes_from_the_active_object_only(headless):
    headless.session.add_object()
    paint(headless, (6, 10, 20))
    headless.session.add_object()
    paint(headless, (6, 10, 50))
    paint(headless, (6, 10, 20), size=9, value=0)
    paint(headless, (6, 10, 50), size=9, value=0)
    assert headless.session.voxel_count(1) == DAB
    assert headless.session.voxel_count(2) == 0


def test_whatever_is_journaled_while_the_brush_is_down_finds_the_voxels_as_they_were(headless):
    session = headless.session
    paint(headless, (6, 24, 20), size=5)
    headless.live.add_prompt(Point(HERE, (24.0, 20.0)))
    with headless.objects.block_history():  # as napari does from press to release
        headless.objects.brush_size = 9
        headless.objects.paint((6, 24, 26), 1)
        headless.settle()  # the answer comes
        session.undo()
        session.add_object()
        headless.objects.paint((6, 28, 26), 1)
    assert session.hand[6, 24, 26] == session.hand[6, 28, 26] == 1
    assert session.labels[6, 28, 26] == 1
    assert np.array_equal(headless.objects.data, session.labels)
    report = verify(session.path)
    assert report.intact, report.reason


def test_napari_keeps_no_history_of_its_own(headless):
    paint(headless, (6, 10, 50))
    headless.objects.mode = "paint"
    paint(headless, (6, 30, 50))
    assert headless.objects.mode == "paint"
    before = headless.session.labels.copy()
    headless.objects.undo()
    headless.objects.redo()
    assert np.array_equal(headless.session.labels, before)


def test_painting_over_a_locked_object_leaves_it_as_it_was(headless):
    session = headless.session
    session.add_object()
    paint(headless, (6, 10, 50))
    session.set_locked(1, True)
    session.set_policy(CommitPolicy.REPLACE)
    session.add_object()
    paint(headless, (6, 10, 50), size=9)
    assert session.voxel_count(1) == DAB
    assert session.voxel_count(2) > DAB
    assert (session.labels == 1).sum() == DAB


def test_a_polygon_over_a_locked_object_leaves_it_as_it_was(headless):
    """napari announces a polygon before it writes it."""
    session = headless.session
    session.add_object()
    paint(headless, (6, 10, 50))
    session.set_locked(1, True)
    session.add_object()
    headless.objects.paint_polygon([(6, 2, 40), (6, 2, 60), (6, 20, 60), (6, 20, 40)], 2)
    assert session.voxel_count(1) == (session.labels == 1).sum() == DAB
    assert session.voxel_count(2) == (session.labels == 2).sum() > DAB
    assert np.array_equal(headless.objects.data, session.labels)


def test_painting_a_locked_object_is_refused_and_taken_back(headless, told):
    session = headless.session
    session.add_object()
    session.set_locked(1, True)
    paint(headless, (6, 10, 50))
    assert not session.labels.any()
    assert np.array_equal(headless.objects.data, session.labels)
    assert len(told) == 1
    assert "locked" in told[0]


def test_fill_and_data_setitem_are_journaled_too(headless):
    session = headless.session
    session.add_object()
    headless.objects.fill((6, 10, 50), 1)
    assert session.voxel_count(1) == 48 * 64
    session.undo()
    headless.objects.data_setitem((np.array([6, 6]), np.array([1, 2]), np.array([3, 4])), 1)
    assert session.voxel_count(1) == 2
    assert session.labels[6, 2, 4] == 1


def test_one_stroke_of_several_values_is_split_by_value():
    before = np.array([0, 5, 0], np.uint16)
    indices = (np.array([1, 2, 3]),)
    first, second = strokes_of([(indices, before, np.array([7, 7, 9], np.uint16))])
    assert (first.value, first.indices[0].tolist()) == (7, [1, 2])
    assert (second.value, second.indices[0].tolist()) == (9, [3])


def test_every_shape_of_napari_stroke_is_understood():
    """What napari reports, done to the voxels as they were before, must give what it wrote."""
    rng = np.random.default_rng(3)
    start = rng.integers(0, 3, (5, 12, 14)).astype(np.uint16)
    layer, seen = Labels(start.copy()), []
    layer.events.paint.connect(lambda event: seen.append(strokes_of(event.value)))
    layer.brush_size = 5
    with layer.block_history():
        for column in range(3, 11):
            layer.paint((2, 6, column), 4)
    layer.fill((1, 0, 0), 6)
    layer.paint_polygon([(3, 1, 1), (3, 1, 8), (3, 8, 8)], 2)
    layer.data_setitem((np.array([4, 4]), np.array([0, 1]), np.array([0, 1])), 9)
    for strokes in seen:
        for stroke in strokes:
            start[stroke.indices] = stroke.value
    assert len(seen) == 4
    assert np.array_equal(start, layer.data)


def test_the_brush_follows_the_active_object_and_the_picker_chooses_it(headless):
    session = headless.session
    assert headless.objects.selected_label == 1
    session.add_object()
    session.add_object()
    assert headless.objects.selected_label == 2
    headless.objects.selected_label = 1
    assert session.state.active == 1
    headless.objects.selected_label = 40  # no such object
    assert headless.objects.selected_label == 1
    session.accept()
    assert headless.objects.selected_label == 3  # the next one


def test_objects_are_shown_in_their_colours_hidden_ones_not(headless):
    session = headless.session
    session.add_object()
    session.recolour(1, (255, 0, 0))
    assert headless.objects.get_color(1).tolist() == [1, 0, 0, 1]
    session.set_visible(1, False)
    assert headless.objects.get_color(1)[3] == 0
    session.rename(1, "liver")
    assert list(headless.objects.features["object"]) == ["", "liver"]


def test_prompts_of_the_active_object_are_shown(headless):
    live, dots, lines = headless.live, headless.layers.prompts.dots, headless.layers.prompts.lines
    live.add_prompt(Point(HERE, (24.0, 20.0)))
    live.add_prompt(Point(HERE, (10.0, 40.0), positive=False))
    live.add_prompt(Box(HERE, (5.0, 5.0), (30.0, 40.0)))
    headless.settle()
    assert dots.data.tolist() == [[6, 24, 20], [6, 10, 40]]
    assert dots.face_color[0][1] > dots.face_color[0][0]
    assert dots.face_color[1][0] > dots.face_color[1][1]
    assert len(lines.data) == 4
    headless.session.add_object()
    assert len(dots.data) == len(lines.data) == 0
    headless.session.set_active(1)
    assert len(dots.data) == 2
    headless.session.undo()
    assert len(headless.session.state.objects[1].prompts) == 3


def test_undo_and_redo_show_on_the_layers(headless):
    headless.live.add_prompt(Point(HERE, (24.0, 20.0)))
    headless.settle()
    assert headless.objects.get_value((18, 24, 20), world=True) == 1
    headless.session.undo()
    assert not headless.objects.get_value((18, 24, 20), world=True)
    assert len(headless.layers.prompts.dots.data) == 0
    headless.session.redo()
    assert headless.objects.get_value((18, 24, 20), world=True) == 1


def test_ids_beyond_sixteen_bits_widen_the_layer(headless):
    labels = np.zeros(headless.session.volume.shape, np.uint32)
    labels[6, 1, 1] = 70_000
    headless.session.import_labels(labels)
    assert headless.objects.data.dtype == np.uint32
    assert np.array_equal(headless.objects.data, headless.session.labels)
    headless.session.set_active(70_000)
    assert headless.objects.selected_label == 70_000
    paint(headless, (6, 20, 20))
    assert headless.session.voxel_count(70_000) == DAB + 1
    assert headless.objects.get_color(70_000)[3] == 1


def test_a_read_only_session_cannot_be_painted_and_says_why(headless, open_headless, small_volume, told):
    second = open_headless(small_volume)
    assert second.session.read_only
    assert not second.objects.editable
    second.objects.mode = "paint"
    assert second.objects.mode == "pan_zoom"
    second.objects.data_setitem((np.array([6]), np.array([2]), np.array([4])), 1)
    assert not second.session.labels.any()
    assert len(told) == 1


def test_scrolling_tells_the_plane_and_prepares_it(headless):
    planes = []
    headless.workspace.bridge.plane_changed.connect(planes.append)
    for step in (6, 7, 8, 7):
        headless.viewer.dims.set_current_step(0, step)
    headless.viewer.dims.order = (1, 0, 2)
    headless.viewer.dims.ndisplay = 3
    headless.viewer.dims.ndisplay = 2
    assert planes[:3] == [Plane(0, 7), Plane(0, 8), Plane(0, 7)] or planes[:4] == [
        Plane(0, 6),
        Plane(0, 7),
        Plane(0, 8),
        Plane(0, 7),
    ]
    assert planes[-1].axis == 1


def test_layers_may_be_renamed_hidden_and_removed_without_loss(headless):
    removed = []
    headless.workspace.bridge.layers_removed.connect(lambda: removed.append(True))
    headless.live.add_prompt(Point(HERE, (24.0, 20.0)))
    headless.settle()
    headless.objects.name = headless.image.name
    headless.objects.visible = False
    headless.viewer.layers.remove(headless.objects)
    headless.viewer.layers.remove(headless.image)
    assert len(removed) == 2
    assert not headless.workspace.is_complete()
    headless.live.add_prompt(Point(HERE, (30.0, 22.0)))
    headless.settle()
    headless.viewer.dims.set_current_step(0, 2)
    assert headless.session.voxel_count(1) > 20

    headless.workspace.put_back()
    assert headless.workspace.is_complete()
    assert headless.viewer.layers[0] is headless.image
    assert headless.viewer.layers.selection.active is headless.objects
    headless.objects.visible = True
    headless.viewer.dims.set_current_step(0, 6)
    assert headless.objects.get_value((18, 24, 20), world=True) == 1
    paint(headless, (6, 3, 60))
    assert headless.session.labels[6, 3, 60] == 1


def test_removing_a_layer_of_another_kind_is_nobodys_business(headless):
    removed = []
    headless.workspace.bridge.layers_removed.connect(lambda: removed.append(True))
    other = headless.viewer.add_points()
    headless.viewer.layers.remove(other)
    assert not removed


def test_two_images_in_two_viewers_do_not_touch(headless, open_headless, small_volume):
    changed = small_volume.array.copy()
    changed[0, 0, 0] += 1
    other = open_headless(Volume(changed, small_volume.geometry, name="other"))
    headless.live.add_prompt(Point(HERE, (24.0, 20.0)))
    headless.settle()
    paint(other, (6, 30, 50))
    assert headless.session.labels[6, 30, 50] == 0
    assert other.session.voxel_count(1) == DAB
    assert other.layers.prompts.dots.data.size == 0


def test_what_was_painted_is_there_after_reopening(headless, small_volume):
    paint(headless, (6, 10, 50))
    headless.session.accept()
    expected = headless.session.labels.copy()
    headless.session.close()
    with AnnotationSession.resume(small_volume, fingerprint(small_volume)) as again:
        assert np.array_equal(again.labels, expected)
        assert again.state.objects[1].accepted


def test_teardown_leaves_the_image_and_nothing_of_ours(headless):
    viewer, session, live = headless.viewer, headless.session, headless.live
    headless.workspace.tools.select("brush")
    headless.live.close()
    headless.workspace.teardown()
    headless.proposals.close()
    headless.closed = True
    assert list(viewer.layers) == [headless.image]
    assert not any("medfm" in repr(callback) for callback in every_callback(viewer, headless.objects))
    session.add_object()
    viewer.dims.set_current_step(0, 3)
    for group in (session.events, live.events):
        assert all(len(signal) == 0 for signal in group.signals.values())
    session.close()


def every_callback(viewer, layer):
    kinds = ("drag", "move", "double_click")
    lists = [getattr(owner, f"mouse_{kind}_callbacks") for owner in (viewer, layer) for kind in kinds]
    return [*itertools.chain(*lists), *viewer.keymap.values(), *layer.keymap.values()]
