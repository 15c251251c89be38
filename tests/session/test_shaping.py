"""Editing operations on objects: the rules of the session hold, one undo step each, nothing done out of date."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.editing import DropIslands, FillHoles, Grow, KeepPiece, Shrink, Smooth
from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.session import AnnotationSession, CommitPolicy, Shaping
from napari_medfm.volume import Plane, Volume, array_geometry

from .conftest import FINGERPRINT

BOX = (slice(1, 5), slice(4, 14), slice(5, 15))
SPACING = (3.0, 1.0, 1.0)


def painted(session, region=BOX, class_name=None):
    number = session.add_object(class_name)
    session.write_voxels(number, region, np.ones([part.stop - part.start for part in region], bool))
    return number


def mask_of(session, number):
    planes = session.volume.geometry.planes()
    return np.stack([session.object_mask(number, plane) for plane in planes])


def shape(session, operation, **options):
    return session.carry_out(session.work_out(Shaping(operation, **options)))


@pytest.mark.parametrize("operation", [Grow(3.0), Shrink(1.0), Smooth(1.5)], ids=lambda operation: operation.title)
def test_an_operation_does_what_it_says_and_is_one_undo_step(session, operation):
    number = painted(session)
    before = mask_of(session, number)
    plan = session.work_out(Shaping(operation))
    expected = operation.apply(before, SPACING, (0, 0, 0))
    assert np.array_equal(mask_of(session, number), before)  # worked out only
    assert session.carry_out(plan)
    assert np.array_equal(mask_of(session, number), expected)
    assert (plan.added, plan.removed) == ((expected & ~before).sum(), (before & ~expected).sum())
    assert session.undo() == operation.title
    assert np.array_equal(mask_of(session, number), before)
    session.redo()
    assert np.array_equal(mask_of(session, number), expected)


def test_it_is_in_the_journal(session, reopen):
    painted(session)
    shape(session, KeepPiece((2, 6, 6)))  # changes nothing: it is the only piece
    assert session.undo_name == "brush"
    shape(session, Grow(2.0), inside="organ")
    assert session.undo_name == "brush"  # no organ: nowhere to grow
    shape(session, Grow(2.0))
    labels = session.labels.copy()
    event = session._ledger.journal.event(session._ledger.journal.head[0])
    assert json.loads(event.facts) == {"object": 1, "operation": {"kind": "Grow", "mm": 2.0}, "inside": None}
    again = reopen(session)
    assert np.array_equal(again.labels, labels)
    assert again.undo_name == "grow"


@pytest.mark.parametrize("policy", CommitPolicy)
def test_growing_takes_from_others_what_the_policy_allows_and_never_from_locked_ones(session, policy):
    session.set_policy(policy)
    neighbour = painted(session, (slice(1, 5), slice(4, 14), slice(15, 20)))
    locked = painted(session, (slice(1, 5), slice(14, 18), slice(5, 15)))
    session.set_locked(locked, True)
    number = painted(session)
    others = mask_of(session, neighbour), mask_of(session, locked)
    shape(session, Grow(2.0))
    assert np.array_equal(mask_of(session, locked), others[1])
    taken = others[0] & mask_of(session, number)
    assert taken.any() == (policy is CommitPolicy.REPLACE)
    assert mask_of(session, number).sum() > 400


def test_a_locked_object_is_not_worked_on(session):
    session.set_locked(painted(session), True)
    with pytest.raises(LockedObjectError):
        session.work_out(Shaping(Grow(1.0)))
    with pytest.raises(LockedObjectError):
        session.glance(Shaping(Grow(1.0)), Plane(0, 2))


def test_a_plan_that_is_out_of_date_is_not_carried_out(session):
    number = painted(session)
    plan = session.work_out(Shaping(Shrink(1.0)))
    session.write_voxels(number, (slice(0, 1), slice(0, 2), slice(0, 2)), np.ones((1, 2, 2), bool))
    labels = session.labels.copy()
    assert not session.carry_out(plan)
    assert np.array_equal(session.labels, labels)


def test_an_object_grows_only_inside_a_class_and_stays_where_it_is(session):
    organ = painted(session, (slice(1, 4), slice(2, 18), slice(2, 12)), "organ")
    session.add_object("lesion")
    lesion = session.state.active
    session.write_voxels(lesion, (slice(2, 3), slice(8, 12), slice(8, 14)), np.ones((1, 4, 6), bool))
    before, home = mask_of(session, lesion), mask_of(session, organ)
    shape(session, Grow(3.0), inside="organ")
    grown = mask_of(session, lesion)
    assert (grown & ~before).any()
    assert not (grown & ~before & ~home).any()
    assert (before & ~grown).sum() == 0
    assert np.array_equal(mask_of(session, organ) | before, home | before)  # the lesion is part of it


def test_a_brush_paints_only_inside_a_class(session):
    painted(session, (slice(1, 4), slice(2, 18), slice(2, 12)), "organ")
    number = session.add_object("lesion")
    region = (slice(2, 3), slice(8, 12), slice(8, 14))
    session.write_voxels(number, region, np.ones((1, 4, 6), bool), inside="organ")
    assert session.voxel_count(number) == 16
    session.record_stroke(np.nonzero(np.ones((6, 20, 24), bool)), number, inside="organ")
    assert session.voxel_count(number) == 3 * 16 * 10
    with pytest.raises(SessionError):
        session.write_voxels(number, region, np.ones((1, 4, 6), bool), inside="nothing of the kind")


def test_what_a_person_shaped_stays_when_the_model_answers_again(session, answer, box_mask):
    from napari_medfm.prompts import Point

    plane = Plane(0, 2)
    session.add_prompt(Point(plane, (8.0, 8.0)))
    answer(session, plane, box_mask((4, 14), (4, 14)))
    shape(session, Shrink(1.0))
    shaped = session.object_mask(1, plane)
    session.add_prompt(Point(plane, (9.0, 9.0)))
    answer(session, plane, box_mask((4, 14), (4, 14)))
    assert np.array_equal(session.object_mask(1, plane), shaped)


def test_nothing_comes_of_an_object_without_voxels(session):
    session.add_object()
    assert session.carry_out(session.work_out(Shaping(Grow(3.0))))
    assert session.undo_name == "new object"
    change = session.glance(Shaping(Grow(3.0)), Plane(0, 1))
    assert not (change.added.any())
    assert not (change.removed.any())


@pytest.fixture(scope="module")
def lump(tmp_path_factory):
    volume = Volume(np.zeros((6, 20, 24), np.int16), array_geometry((6, 20, 24), SPACING), name="CT")
    with AnnotationSession.create(volume, FINGERPRINT, folder=tmp_path_factory.mktemp("lump")) as session:
        number = painted(session)
        hole, island = (slice(2, 3), slice(8, 9), slice(8, 9)), (slice(5, 6), slice(18, 19), slice(20, 23))
        session.write_voxels(number, hole, np.ones((1, 1, 1), bool), add=False)
        session.write_voxels(number, island, np.ones((1, 1, 3), bool))
        session.set_locked(painted(session, (slice(2, 4), slice(14, 16), slice(5, 15))), True)
        session.set_active(number)
        yield session


OPERATIONS = (Grow(3.0), Shrink(1.5), Smooth(1.0), FillHoles(0), DropIslands(0.05), KeepPiece((5, 18, 21)))


@settings(max_examples=40, deadline=None)
@given(operation=st.sampled_from(OPERATIONS), axis=st.integers(0, 2), data=st.data())
def test_the_preview_of_a_slice_is_what_is_done_to_it(lump, operation, axis, data):
    plane = Plane(axis, data.draw(st.integers(0, lump.volume.shape[axis] - 1)))
    before = lump.object_mask(1, plane)
    change = lump.glance(Shaping(operation), plane)
    assert shape(lump, operation)
    after = lump.object_mask(1, plane)
    lump.undo()
    assert np.array_equal(change.added, after & ~before)
    assert np.array_equal(change.removed, before & ~after)


def test_a_flat_image_is_shaped_too(tmp_path):
    volume = Volume(np.zeros((20, 24), np.int16), array_geometry((20, 24), (1.0, 2.0)), name="flat")
    with AnnotationSession.create(volume, FINGERPRINT, folder=tmp_path) as session:
        number = painted(session, (slice(5, 9), slice(5, 9)))
        change = session.glance(Shaping(Grow(2.0)), Plane())
        shape(session, Grow(2.0))
        assert change.added.sum() == session.voxel_count(number) - 16 == 4 * (2 * 2 + 2)
