import dataclasses
import json
import threading

import numpy as np
import pytest

from napari_medfm.errors import (
    GeometryError,
    JournalError,
    LockedObjectError,
    PromptError,
    SessionError,
    UnsupportedDataError,
)
from napari_medfm.prompts import Box, MaskPrompt, Point, Scribble
from napari_medfm.session import AnnotationSession, CommitPolicy, Extent, ObjectClass, outstanding, resolve, verify
from napari_medfm.session.journal import Journal
from napari_medfm.volume import Plane, Volume, array_geometry, open_labels, write_volume

from .conftest import FINGERPRINT


@pytest.fixture
def heard(session):
    """Return what the session signalled: (signal, arguments) in order."""
    heard = []
    for name in session.events.signals:
        session.events[name].connect(lambda *args, name=name: heard.append((name, *args)), check_nargs=False)
    return heard


def names(heard):
    return [name for name, *_ in heard]


def click(session, plane, row=4.0, column=5.0, positive=True):
    session.add_prompt(Point(plane, (row, column), positive))


def stroke(session, region, value):
    """Tell the session of a stroke of napari's brush."""
    inside = np.zeros(session.labels.shape, bool)
    inside[region] = True
    session.record_stroke(np.nonzero(inside), value)


# the round of a day: click, correct, accept, next object, close, resume


def test_clicks_and_answers_make_objects_that_come_back(session, plane, box_mask, answer, reopen):
    click(session, plane)
    assert answer(session, plane, box_mask((2, 8), (3, 9)))
    click(session, plane, 7.0, 8.0, positive=False)
    assert answer(session, plane, box_mask((2, 6), (3, 9)))
    session.accept()
    click(session, plane, 15.0, 15.0)
    assert answer(session, plane, box_mask((12, 18), (12, 18)))
    before = session.state, session.labels.copy(), session.history.done

    session = reopen(session)
    assert (session.state, session.history.done) == (before[0], before[2])
    np.testing.assert_array_equal(session.labels, before[1])
    assert [session.voxel_count(number) for number in (1, 2)] == [24, 36]
    assert [session.undo() for _ in range(4)] == ["click", "accept", "click", "click"]
    assert not session.labels.any()
    assert session.redo() == "click"
    assert session.voxel_count(1) == 36


def test_a_click_and_its_mask_are_one_step(session, plane, box_mask, answer):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    assert session.undo_name == "click"
    session.undo()
    assert not session.state.objects
    assert not session.can_undo
    assert session.undo() == ""
    session.redo()
    assert len(session.state.object(1).prompts) == 1
    assert (session.labels > 0).sum() == 36
    assert session.redo() == ""


def test_undo_crosses_objects_and_planes(session, box_mask, answer):
    planes = [Plane(0, 1), Plane(0, 4), Plane(1, 7)]
    shots = []
    for plane in planes:
        shots.append(session.labels.copy())
        session.add_object()
        click(session, plane, 2.0, 2.0)
        rows, columns = plane.shape(session.volume.shape)
        answer(session, plane, np.ones((rows, columns), bool))
    for shot in reversed(shots):
        session.undo()
        session.undo()
        np.testing.assert_array_equal(session.labels, shot)


def test_a_change_after_undo_drops_what_was_undone_but_the_journal_keeps_it(session):
    session.add_object(name="first")
    session.add_object(name="second")
    session.undo()
    session.add_object(name="third")
    assert not session.can_redo
    session.close()
    journal = Journal.open(session.path, writable=False)
    kinds = [event.kind for event in journal.events()]
    journal.close()
    assert kinds[:5] == ["create", "add_object", "add_object", "undo", "add_object"]


def test_choosing_and_hiding_are_no_steps_and_cost_no_redo(session):
    one, two = session.add_object(), session.add_object()
    session.undo()
    session.set_active(one)
    session.set_visible(one, False)
    session.set_policy(CommitPolicy.REPLACE)
    assert session.can_redo
    session.redo()
    assert session.state.active == two
    assert not session.state.object(one).visible


def test_undo_never_leaves_an_object_active_that_is_not_there(session):
    session.import_labels(np.full(session.volume.shape, 4, np.uint8))
    session.set_active(4)
    session.undo()
    assert session.state.active is None
    session.redo()
    session.delete_object(4)
    session.undo()
    session.set_active(4)
    session.redo()
    assert session.state.active is None


def test_what_changes_nothing_is_not_journaled(session, heard):
    session.add_object(name="liver")
    head = verify(session.path).events
    heard.clear()
    session.rename(1, "liver")
    session.set_active(1)
    session.set_locked(1, False)
    session.set_extent("organ", [Plane(0, 1)], Extent.UNSEEN)
    session.import_labels(np.zeros(session.volume.shape, np.uint8))
    assert verify(session.path).events == head
    assert heard == []


# prompts


def test_corrections_of_what_no_prompt_explains_begin_with_a_mask_of_it(session, plane, box_mask, answer):
    session.add_object()
    session.write_voxels(1, (slice(0, 6), slice(3, 6), slice(4, 8)), np.ones((6, 3, 4), bool))
    click(session, plane)
    mask, point = session.state.object().prompts
    assert isinstance(mask, MaskPrompt)
    np.testing.assert_array_equal(mask.to_mask((20, 24)), box_mask((3, 6), (4, 8)))
    assert point.kind == "point"
    session.undo()
    assert len(session.state.object().prompts) == 0


def test_a_plane_with_prompts_gets_no_second_mask(session, plane, box_mask, answer):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    click(session, plane)
    assert [prompt.kind for prompt in session.state.object().prompts] == ["point", "point"]


def test_deleting_the_last_prompt_of_a_plane_takes_the_models_part_and_leaves_the_hands(
    session, plane, box_mask, answer
):
    click(session, plane)
    click(session, Plane(0, 4))
    answer(session, plane, box_mask((2, 8), (3, 9)))
    answer(session, Plane(0, 4), box_mask((2, 8), (3, 9)))
    stroke(session, (slice(2, 3), slice(2, 4), slice(3, 5)), 1)
    stroke(session, (slice(2, 3), slice(12, 13), slice(0, 4)), 1)
    session.remove_prompt(0)
    assert session.object_mask(1, plane).sum() == 4 + 4
    assert session.object_mask(1, Plane(0, 4)).sum() == 36
    session.undo()
    assert session.object_mask(1, plane).sum() == 40


def test_when_only_masks_are_left_they_are_the_answer(session, plane, box_mask, answer):
    session.add_prompt(MaskPrompt.from_mask(plane, box_mask((0, 4), (0, 4))))
    assert session.voxel_count(1) == 16
    assert outstanding(session.state) == ()
    click(session, plane)
    answer(session, plane, box_mask((0, 9), (0, 9)))
    assert session.voxel_count(1) == 81
    session.remove_prompt(1)
    assert session.voxel_count(1) == 16


def test_moving_a_prompt_to_another_plane_gives_up_the_first(session, plane, box_mask, answer):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    session.move_prompt(0, Point(Plane(0, 4), (4.0, 5.0)))
    assert session.voxel_count(1) == 0
    assert outstanding(session.state) == ((1, Plane(0, 4)),)
    session.undo()
    assert session.voxel_count(1) == 36


@pytest.mark.parametrize(
    "prompt",
    [
        Point(Plane(0, 6), (1.0, 1.0)),
        Point(Plane(0, -1), (1.0, 1.0)),
        Point(Plane(3, 0), (1.0, 1.0)),
        Point(Plane(0, 0), (-5.0, 1.0)),
        Point(Plane(1, 3), (7.0, 1.0)),
        Box(Plane(0, 0), (30.0, 30.0), (40.0, 40.0)),
    ],
)
def test_a_prompt_beside_the_image_is_refused_and_nothing_happens(session, prompt):
    before = session.state
    with pytest.raises(PromptError):
        session.add_prompt(prompt)
    assert session.state is before


# answers


@pytest.mark.parametrize(
    ("region", "shape", "dtype"),
    [
        ((slice(0, 2), slice(0, 2), slice(0, 2)), (2, 2, 3), bool),
        ((slice(4, 8), slice(0, 2), slice(0, 2)), (4, 2, 2), bool),
        ((slice(0, 2), slice(0, 2), slice(0, 2)), (2, 2, 2), np.uint8),
    ],
    ids=["larger than the box", "beyond the image", "numbers"],
)
def test_a_mask_that_does_not_fit_its_box_is_refused(session, region, shape, dtype):
    session.add_object()
    with pytest.raises(SessionError, match="Give a mask of bool for a box within the image"):
        session.write_voxels(1, region, np.ones(shape, dtype))
    assert not session.labels.any()


def test_a_model_that_does_not_know_how_good_it_is_is_answered_for_all_the_same(session, plane, box_mask):
    click(session, plane)
    request = resolve(session.state, plane)
    assert session.apply_mask(request, box_mask((2, 5), (3, 6)), model="unsure", quality=float("nan"))
    assert session.voxel_count(1) == 9


def test_a_late_answer_changes_nothing(session, plane, box_mask):
    click(session, plane)
    late = resolve(session.state, plane)
    click(session, plane, 6.0, 6.0)
    assert not session.apply_mask(late, box_mask((2, 8), (3, 9)), model="plain")
    assert not session.labels.any()


def test_an_answer_to_an_undone_and_redone_click_still_counts(session, plane, box_mask):
    click(session, plane)
    request = resolve(session.state, plane)
    session.undo()
    assert not session.apply_mask(request, box_mask((2, 8), (3, 9)), model="plain")
    session.redo()
    assert session.apply_mask(request, box_mask((2, 8), (3, 9)), model="plain")
    session.undo()
    assert not session.labels.any()


def test_answers_out_of_order_join_the_steps_that_asked(session, box_mask, answer):
    here, there = Plane(0, 1), Plane(0, 4)
    click(session, here)
    click(session, there)
    answer(session, there, box_mask((2, 8), (3, 9)))
    answer(session, here, box_mask((2, 8), (3, 9)))
    assert len(session.history.done) == 2
    session.undo()
    assert (session.object_mask(1, here).sum(), session.object_mask(1, there).sum()) == (36, 0)
    session.undo()
    assert not session.labels.any()


def test_a_mask_of_the_wrong_shape_is_refused(session, plane):
    click(session, plane)
    request = resolve(session.state, plane)
    for mask in (np.zeros((20, 23), bool), np.zeros((20, 24), np.uint8)):
        with pytest.raises(SessionError, match="mask"):
            session.apply_mask(request, mask, model="plain")


def test_another_models_answer_to_the_same_prompts_is_a_step_of_its_own(session, plane, box_mask, answer):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    answer(session, plane, box_mask((2, 9), (3, 9)))
    assert session.undo() == "refresh"
    assert session.voxel_count(1) == 36
    events = verify(session.path).events
    assert answer(session, plane, box_mask((2, 8), (3, 9)))  # as it was: nothing to journal
    assert verify(session.path).events == events


def test_the_journal_says_who_answered(session, plane, box_mask):
    click(session, plane)
    request = resolve(session.state, plane)
    mask = box_mask((2, 8), (3, 9))
    session.apply_mask(request, mask, model="sam", model_digest="d1", quality=0.875, adapters=["a1"])
    event = session._ledger.journal.event(3)
    facts = json.loads(event.facts)
    assert facts == {
        "adapters": ["a1"],
        "model": "sam",
        "model_digest": "d1",
        "object": 1,
        "plane": [0, 2],
        "quality": 0.875,
    }
    assert (event.kind, event.annotator) == ("mask", "A. Nobody")
    assert event.time.endswith("+00:00")


# the hand


def test_a_stroke_sticks_through_later_answers_and_reopening(session, plane, box_mask, answer, reopen):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    stroke(session, (slice(2, 3), slice(10, 12), slice(3, 9)), 1)
    stroke(session, (slice(2, 3), slice(2, 4), slice(3, 9)), 0)
    session = reopen(session)
    click(session, plane)
    answer(session, plane, box_mask((2, 9), (3, 9)))
    expected = box_mask((4, 9), (3, 9)) | box_mask((10, 12), (3, 9))
    np.testing.assert_array_equal(session.labels[2] == 1, expected)
    session.reset()
    assert not session.labels.any()
    assert not session.hand.any()


def test_a_stroke_puts_back_what_is_locked_and_tells_where(session, heard):
    session.add_object()
    stroke(session, (slice(0, 1), slice(0, 2), slice(0, 2)), 1)
    session.set_locked(1, True)
    session.add_object()
    heard.clear()
    stroke(session, (slice(0, 1), slice(0, 4), slice(0, 2)), 2)
    assert session.labels[0, :4, 0].tolist() == [1, 1, 2, 2]
    assert ("voxels_changed", (slice(0, 1), slice(0, 4), slice(0, 2))) in heard


@pytest.mark.parametrize(("value", "error"), [(1, LockedObjectError), (0, LockedObjectError), (9, SessionError)])
def test_a_stroke_that_is_refused_is_taken_back_whole(session, heard, value, error):
    session.add_object()
    stroke(session, (slice(0, 1), slice(0, 2), slice(0, 2)), 1)
    session.set_locked(1, True)
    before = session.labels.copy()
    heard.clear()
    with pytest.raises(error):
        stroke(session, (slice(0, 1), slice(0, 4), slice(0, 2)), value)
    np.testing.assert_array_equal(session.labels, before)
    assert names(heard) == ["voxels_changed"]


def test_nobody_else_can_write_what_the_session_owns(session):
    for array in (session.labels, session.beneath, session.hand):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1


def test_the_eraser_needs_an_active_object(session):
    session.add_object()
    stroke(session, (slice(0, 1), slice(0, 2), slice(0, 2)), 1)
    session.accept()
    with pytest.raises(SessionError, match="none is active"):
        stroke(session, (slice(0, 1), slice(0, 4), slice(0, 2)), 0)
    assert session.voxel_count(1) == 4


def test_painting_with_the_next_id_makes_the_object_in_the_same_step(session):
    stroke(session, (slice(0, 1), slice(0, 2), slice(0, 2)), 1)
    assert (session.state.active, session.voxel_count(1)) == (1, 4)
    assert session.undo() == "brush"
    assert not session.state.objects


def test_a_stroke_survives_an_undo_of_the_click_before_it(session, plane, box_mask, answer):
    session.add_object()
    stroke(session, (slice(2, 3), slice(0, 2), slice(0, 2)), 1)
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    session.undo()
    assert session.voxel_count(1) == 4


# objects


def test_sizes_follow_without_scanning(session, plane, box_mask, answer):
    session.add_object("organ")
    session.write_voxels(1, (slice(0, 4), slice(0, 10), slice(0, 10)), np.ones((4, 10, 10), bool))
    session.add_object("lesion")
    session.write_voxels(2, (slice(1, 2), slice(0, 5), slice(5, 15)), np.ones((1, 5, 10), bool))
    assert (session.voxel_count(1), session.voxel_count(2)) == (400, 50)
    assert session.volume_ml(1) == pytest.approx(400 * 3.0 / 1000)
    assert session.bounding_box(1) == (slice(0, 4), slice(0, 10), slice(0, 10))
    assert session.bounding_box(2) == (slice(1, 2), slice(0, 5), slice(5, 15))
    session.set_class(2, "vessel")
    assert session.voxel_count(1) == 375  # what a stranger covers is not one's own
    session.delete_object(2)
    assert (session.voxel_count(1), int((session.labels == 1).sum())) == (400, 400)


def test_an_object_without_voxels_has_no_box(session):
    session.add_object()
    assert session.bounding_box(1) is None
    session.write_voxels(1, (slice(0, 1), slice(0, 1), slice(0, 1)), np.ones((1, 1, 1), bool))
    session.undo()
    assert session.bounding_box(1) is None
    assert session.voxel_count(1) == 0


def test_questions_about_missing_objects_are_answered_with_their_name(session):
    for ask in (session.voxel_count, session.volume_ml, lambda number: session.object_mask(number, Plane(0, 0))):
        with pytest.raises(SessionError, match="object 7"):
            ask(7)


def test_deleting_and_resetting_take_hand_marks_with_them(session, reopen):
    session.add_object()
    stroke(session, (slice(0, 6), slice(0, 2), slice(0, 2)), 1)
    session.delete_object(1)
    assert not session.hand.any()
    session = reopen(session)
    session.undo()
    assert (session.hand == 1).sum() == 24


# importing


def test_a_label_file_opens_as_accepted_objects_with_their_ids(session, reopen):
    labels = np.zeros(session.volume.shape, np.int32)
    labels[0, :4], labels[2, 5], labels[3] = 7, 300, 2
    session.import_labels(labels, names={7: "aorta"})
    assert {number: thing.name for number, thing in session.state.objects.items()} == {
        2: "Object 2",
        7: "aorta",
        300: "Object 300",
    }
    assert all(thing.accepted for thing in session.state.objects.values())
    session = reopen(session)
    np.testing.assert_array_equal(session.labels, labels)
    assert session.add_object() == 301
    session.undo()
    session.undo()
    assert not session.labels.any()


def test_ids_beyond_16_bits_widen_the_labels_and_say_so(session, heard, reopen):
    session.add_object()
    narrow = session.labels
    labels = np.zeros(session.volume.shape, np.uint32)
    labels[1, 2, 3] = 70_000
    session.import_labels(labels)
    assert session.labels.dtype == np.uint32
    assert not np.shares_memory(session.labels, narrow)
    (swapped,) = [args[0] for name, *args in heard if name == "labels_replaced"]
    assert np.shares_memory(swapped, session.labels)
    session = reopen(session)
    assert session.labels.dtype == np.uint32
    assert session.labels[1, 2, 3] == 70_000


def test_labels_are_widened_before_the_65536th_object_is_made(session, heard):
    labels = np.zeros(session.volume.shape, np.uint16)
    labels[0, 0, 0] = 65_534
    session.import_labels(labels)
    assert session.labels.dtype == np.uint16
    assert session.add_object() == 65_535
    assert session.labels.dtype == np.uint32  # the brush makes the next object by painting with its id
    assert "labels_replaced" in names(heard)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((6, 20, 24), np.float32), UnsupportedDataError),
        (np.full((6, 20, 24), -1, np.int16), UnsupportedDataError),
        (np.full((6, 20, 24), 2**31 - 1, np.uint32), UnsupportedDataError),
        (np.zeros((6, 20, 23), np.uint8), GeometryError),
    ],
)
def test_what_are_no_labels_of_the_image_is_refused_by_name(session, array, error):
    with pytest.raises(error, match="label file"):
        session.import_labels(array)
    assert not session.state.objects


def test_an_id_that_is_taken_is_not_imported_over(session):
    session.add_object()
    with pytest.raises(SessionError, match="label 1"):
        session.import_labels(np.ones(session.volume.shape, np.uint8))


# classes and extent


def test_class_lists_load_from_a_file(session, tmp_path, heard):
    path = tmp_path / "classes.txt"
    path.write_text("bone\nmuscle\n")
    session.load_classes(path)
    assert [known.name for known in session.state.classes] == ["bone", "muscle"]
    assert "classes_changed" in names(heard)


def test_extent_is_kept_per_class_and_plane(session, heard, reopen):
    session.set_extent("organ", [Plane(0, 1), Plane(0, 2)], Extent.ANNOTATED)
    session.set_extent("organ", [Plane(0, 2)], Extent.NEGATIVE)
    assert names(heard).count("extent_changed") == 2
    session = reopen(session)
    assert session.state.extent_of("organ", Plane(0, 1)) is Extent.ANNOTATED
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.NEGATIVE
    session.undo()
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.ANNOTATED


# images


def test_several_images_lie_over_one_label_volume(session, heard, volume):
    other = dataclasses.replace(volume, name="T2")
    session.add_image("T2", other, "second")
    assert list(session.images) == ["CT", "T2"]
    assert (session.image_name, session.image) == ("CT", volume)
    heard.clear()
    session.set_image("T2")
    assert (session.image_name, session.image, session.state.image) == ("T2", other, "second")
    assert ("image_changed", "T2") in heard


def test_an_image_that_is_not_open_any_more_is_not_guessed(session, volume, reopen):
    session.add_image("T2", volume, "second")
    session.set_image("T2")
    session = reopen(session)
    assert (session.image_name, session.image) == (None, None)
    session.add_image("T2 again", volume, "second")
    assert session.image_name == "T2 again"


def test_an_image_on_another_grid_is_refused(session):
    shifted = Volume(np.zeros((6, 20, 24)), array_geometry((6, 20, 24), (3.0, 1.0, 1.1)), name="T2")
    with pytest.raises(GeometryError, match="T2"):
        session.add_image("T2", shifted, "second")
    with pytest.raises(SessionError, match="CT"):
        session.add_image("CT", session.volume, "second")
    with pytest.raises(SessionError, match="T3"):
        session.set_image("T3")


# what is promised


def test_signals_come_after_the_change_and_the_history_last(session, plane, box_mask, answer, heard):
    seen = []
    session.events.voxels_changed.connect(lambda _: seen.append(int(session.labels.sum())))
    click(session, plane)
    assert names(heard) == ["prompts_changed", "objects_changed", "active_changed", "history_changed"]
    heard.clear()
    answer(session, plane, box_mask((2, 8), (3, 9)))
    assert heard == [("voxels_changed", (slice(2, 3), slice(2, 8), slice(3, 9))), ("history_changed",)]
    assert seen == [36]
    heard.clear()
    session.rename(1, "liver")
    assert heard == [("objects_changed", frozenset({1})), ("history_changed",)]
    heard.clear()
    session.set_policy(CommitPolicy.REPLACE)
    assert heard == [("policy_changed", CommitPolicy.REPLACE), ("history_changed",)]


@pytest.mark.parametrize(
    "act",
    [
        lambda s: s.add_object(),
        lambda s: s.add_prompt(Point(Plane(0, 3), (1.0, 1.0))),
        lambda s: s.delete_object(1),
        lambda s: s.write_voxels(1, (slice(0, 1),) * 3, np.ones((1, 1, 1), bool)),
        lambda s: stroke(s, (slice(0, 1), slice(0, 2), slice(5, 7)), 1),
        lambda s: s.import_labels(np.full(s.volume.shape, 9, np.uint8)),
        lambda s: s.undo(),
        lambda s: s.redo(),
    ],
)
def test_what_cannot_be_journaled_does_not_happen(session, plane, box_mask, answer, act, heard):
    click(session, plane)
    answer(session, plane, box_mask((2, 8), (3, 9)))
    session.rename(1, "liver")
    session.undo()
    before = session.state, session.labels.copy(), session.hand.copy(), session.history.done, session.history.undone
    connection = session._ledger.journal._connection
    connection.execute("PRAGMA query_only = ON")  # the disk became read-only
    heard.clear()
    with pytest.raises(JournalError):
        act(session)
    assert "history_changed" not in names(heard)
    assert session.state is before[0]
    np.testing.assert_array_equal(session.labels, before[1])
    np.testing.assert_array_equal(session.hand, before[2])
    assert (session.history.done, session.history.undone) == before[3:]
    connection.execute("PRAGMA query_only = OFF")
    act(session)
    assert verify(session.path).intact


def test_another_thread_is_turned_away(session):
    found = []

    def call():
        try:
            session.add_object()
        except RuntimeError as error:
            found.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "thread" in found[0]
    assert not session.state.objects


def test_a_closed_session_can_be_read_but_not_changed(session):
    session.add_object()
    session.close()
    session.close()
    assert list(session.state.objects) == [1]
    with pytest.raises(SessionError, match="closed"):
        session.add_object()


def test_the_block_form_closes(volume, folder):
    with AnnotationSession.create(volume, FINGERPRINT, folder=folder) as session:
        session.add_object()
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as session:
        assert not session.read_only


def test_neither_path_nor_image_name_reaches_the_journal(tmp_path, answer, box_mask):
    array = np.zeros((6, 20, 24), np.int16)
    volume = Volume(array, array_geometry(array.shape), name="JANE_DOE_1957")
    folder = tmp_path / "patients of dr who"
    with AnnotationSession.create(volume, FINGERPRINT, folder=folder) as session:
        session.add_image("JANE_DOE_T2", volume, "second")
        session.set_image("JANE_DOE_T2")
        click(session, Plane(0, 0))
        answer(session, Plane(0, 0), box_mask((2, 8), (3, 9)))
        session.save_labels(folder / "JANE_DOE_seg.nii.gz")
    content = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".gz")
    assert b"JANE" not in content
    assert b"dr who" not in content


def test_saved_labels_lie_on_the_image_and_the_journal_knows_which_file(session, tmp_path, volume):
    labels = np.zeros(volume.shape, np.uint8)
    labels[1, 2:5] = 3
    session.import_labels(labels)
    image = write_volume(tmp_path / "ct.nii.gz", volume)
    path = session.save_labels(tmp_path / "seg.nii.gz")
    np.testing.assert_array_equal(open_labels(path, volume), labels)
    event = session._ledger.journal.event(session._ledger.journal.head[0])
    assert event.kind == "save"
    assert len(json.loads(event.facts)["sha256"]) == 64
    assert session.undo_name == "import labels"
    assert image.exists()


def test_labels_can_be_saved_where_nothing_can_be_noted(session, folder, volume, tmp_path):
    session.import_labels(np.full(volume.shape, 3, np.uint8))
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as reader:
        assert reader.read_only
        np.testing.assert_array_equal(open_labels(reader.save_labels(tmp_path / "a.nii.gz"), volume), 3)
    session.close()
    np.testing.assert_array_equal(open_labels(session.save_labels(tmp_path / "b.nii.gz"), volume), 3)


def test_two_dimensional_images_work_the_same(tmp_path, answer, box_mask):
    volume = Volume(np.zeros((20, 24), np.uint8), array_geometry((20, 24), (0.5, 0.5)), name="US")
    plane = Plane(0, 0)
    with AnnotationSession.create(volume, FINGERPRINT, folder=tmp_path) as session:
        session.add_prompt(Scribble(plane, ((2.0, 2.0), (5.0, 5.0))))
        answer(session, plane, box_mask((2, 8), (3, 9)))
        stroke(session, (slice(10, 12), slice(3, 9)), 1)
        assert session.bounding_box(1) == (slice(2, 12), slice(3, 9))
        assert session.volume_ml(1) == pytest.approx(48 * 0.25 / 1000)
    with AnnotationSession.resume(volume, FINGERPRINT, tmp_path) as session:
        assert session.voxel_count(1) == 48
        session.undo()
        session.undo()
        assert not session.labels.any()


def test_classes_given_at_the_start_are_checked(volume, folder):
    with pytest.raises(SessionError):
        AnnotationSession.create(volume, FINGERPRINT, folder=folder, classes=[ObjectClass("a", parent="b")])
    assert not AnnotationSession.exists(FINGERPRINT, folder)
