"""What is proposed, what becomes of it, and what it never touches."""

import json

import numpy as np
import pytest

from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.inference import Proposal
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, CommitPolicy, Extent, Origin, Proposals
from napari_medfm.session.proposals import LEVELS
from napari_medfm.volume import Plane, Volume, array_geometry

ORIGIN = Origin("compact", "m" * 8, ("a" * 8,))
SEVERAL = Origin("compact", "m" * 8, ("a" * 8,), several=True)


@pytest.fixture
def proposals(session):
    proposals = Proposals(session)
    yield proposals
    proposals.close()


@pytest.fixture
def box(box_mask):
    """Return a function that proposes a rectangle on an axial slice."""
    return lambda index, rows, columns, sure=0.9: Proposal.of(Plane(0, index), box_mask(rows, columns), sure)


def put(proposals, target, *found, origin=ORIGIN):
    slices = {}
    for each in found:
        slices.setdefault(each.plane, []).append(each)
    proposals.put(target, slices, origin)


def paint(session, object_id, index, mask):
    session.write_voxels(object_id, (slice(index, index + 1), slice(0, 20), slice(0, 24)), mask[None])


def planes_of(proposals, target):
    return [plane.index for plane in proposals.slices(target)]


def test_what_is_proposed_is_shown_by_confidence_and_changes_no_label(session, proposals, box):
    told = []
    proposals.changed.connect(told.append)
    put(proposals, "organ", box(2, (3, 8), (4, 9), 1.0), box(3, (3, 8), (4, 9), 0.1))
    assert told == [(np.s_[2:3, 3:8, 4:9], np.s_[3:4, 3:8, 4:9])]
    shown = proposals.shown(np.s_[0:6, 0:20, 0:24])
    assert shown[2, 3, 4] == LEVELS
    assert shown[3, 7, 8] == 1
    assert np.count_nonzero(shown) == 50
    assert proposals.shown(np.s_[3:4, 7:12, 8:10]).tolist() == [[[1, 0]] + [[0, 0]] * 4]
    assert not session.labels.any()
    assert session.undo_name == ""


def test_a_slice_is_accepted_in_one_step_that_says_who_proposed_it(session, proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(3, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 2))
    thing = session.state.object(1)
    assert (thing.class_name, thing.accepted, session.state.active) == ("organ", True, None)
    assert np.count_nonzero(session.labels == 1) == 25
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.ANNOTATED
    assert planes_of(proposals, "organ") == [3]
    facts = json.loads(session._ledger.journal.event(session.history.last_done.number).facts)
    expected = {"model": "compact", "model_digest": "m" * 8, "adapters": ["a" * 8], "objects": [1], "axis": 0}
    assert facts == {**expected, "confidence": {"2": 0.9}}
    assert session.undo() == "accept proposals"
    assert not session.labels.any()
    assert not session.state.objects
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.UNSEEN


def test_undo_proposes_again_what_was_accepted_and_redo_takes_it(session, proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(3, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 3))
    proposals.accept_above("organ", 0.5)
    session.undo()
    session.undo()
    assert [len(each.proposals) for each in proposals.slices("organ").values()] == [1, 1]
    session.redo()
    assert planes_of(proposals, "organ") == [2]
    session.redo()
    assert [len(each.proposals) for each in proposals.slices("organ").values()] == [0]
    assert session.labels[2:4].any(axis=(1, 2)).all()


def test_the_one_object_of_a_class_grows(session, proposals, box, box_mask):
    number = session.add_object("organ")
    paint(session, number, 1, box_mask((3, 8), (4, 9)))
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(4, (12, 15), (4, 9)))
    proposals.accept_above("organ", 0.5)
    assert list(session.state.objects) == [number]
    assert session.voxel_count(number) == 25 + 25 + 15
    assert session.state.active == number


def test_of_several_each_part_is_an_object_that_goes_on_over_its_slices(session, proposals, box):
    put(
        proposals,
        "organ",
        box(2, (3, 8), (4, 9)),
        box(3, (4, 9), (4, 9)),
        box(3, (12, 16), (15, 20)),
        origin=SEVERAL,
    )
    proposals.accept_object("organ", Plane(0, 3), (5.0, 5.0))
    assert list(session.state.objects) == [1]
    assert session.voxel_count(1) == 50
    assert [len(each.proposals) for each in proposals.slices("organ").values()] == [0, 1]
    put(proposals, "organ", box(4, (5, 8), (5, 8)), box(4, (13, 15), (2, 5)), origin=SEVERAL)
    proposals.accept_slice("organ", Plane(0, 4))
    assert session.labels[4, 6, 6] == 1
    assert session.labels[4, 13, 3] == 2


def test_a_slice_without_proposals_is_confirmed_to_be_without_the_class(session, proposals):
    proposals.put("organ", {Plane(0, 5): ()}, ORIGIN)
    proposals.accept_slice("organ", Plane(0, 5))
    assert session.state.extent_of("organ", Plane(0, 5)) is Extent.NEGATIVE
    assert proposals.targets == ()
    assert not session.state.objects


@pytest.mark.parametrize("policy", CommitPolicy)
def test_neither_other_objects_nor_what_the_hand_erased_is_taken(session, proposals, box, box_mask, policy):
    session.set_policy(policy)
    vessel = session.add_object("vessel")
    paint(session, vessel, 2, box_mask((3, 5), (4, 9)))
    organ = session.add_object("organ")
    session.write_voxels(organ, np.s_[2:3, 7:8, 4:9], np.ones((1, 1, 5), bool), add=False)
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 2))
    np.testing.assert_array_equal(session.object_mask(vessel, Plane(0, 2)), box_mask((3, 5), (4, 9)))
    np.testing.assert_array_equal(session.object_mask(organ, Plane(0, 2)), box_mask((5, 7), (4, 9)))


def test_what_lies_inside_keeps_its_voxels(session, proposals, box, box_mask):
    lesion = session.add_object("lesion")
    paint(session, lesion, 2, box_mask((4, 6), (5, 7)))
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 2))
    assert session.voxel_count(lesion) == 4
    assert session.voxel_count(2) == 25


def test_a_locked_object_does_not_grow(session, proposals, box, box_mask):
    number = session.add_object("organ")
    paint(session, number, 1, box_mask((3, 8), (4, 9)))
    session.set_locked(number, True)
    put(proposals, number, box(2, (3, 8), (4, 9)))
    with pytest.raises(LockedObjectError):
        proposals.accept_above(number, 0.0)
    assert planes_of(proposals, number) == [2]
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 2))
    assert session.voxel_count(number) == 25
    assert session.voxel_count(2) == 25


def test_an_object_that_is_propagated_grows_without_any_word_about_its_class(session, proposals, box):
    number = session.add_object("organ")
    put(proposals, number, box(2, (3, 8), (4, 9)))
    assert proposals.target_at(Plane(0, 2), (3.2, 4.0)) == number
    assert proposals.target_at(Plane(0, 2), (9.0, 4.0)) is None
    proposals.accept_slice(number, Plane(0, 2))
    assert session.voxel_count(number) == 25
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.UNSEEN


def test_what_a_person_corrects_leaves_the_proposals(session, proposals, box, box_mask):
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(3, (3, 8), (4, 9)))
    put(proposals, "vessel", box(2, (12, 15), (4, 9)))
    organ = session.add_object("organ")
    paint(session, organ, 2, box_mask((15, 18), (15, 18)))
    assert planes_of(proposals, "organ") == [3]
    assert planes_of(proposals, "vessel") == [2]


def test_of_several_only_those_leave_that_a_person_draws_over(session, proposals, box, box_mask):
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(2, (12, 16), (15, 20)), origin=SEVERAL)
    paint(session, session.add_object("organ"), 2, box_mask((14, 18), (14, 18)))
    (pending,) = proposals.slices("organ").values()
    assert [each.start for each in pending.proposals] == [(3, 4)]


def test_slices_that_are_marked_take_no_proposals(session, proposals, box):
    session.set_extent("organ", [Plane(0, 2)], Extent.ANNOTATED)
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(3, (3, 8), (4, 9)), box(4, (3, 8), (4, 9)))
    assert planes_of(proposals, "organ") == [3, 4]
    session.set_extent("organ", [Plane(0, 3)], Extent.NEGATIVE)
    assert planes_of(proposals, "organ") == [4]


def test_proposals_for_what_is_gone_go_with_it(session, proposals, box):
    number = session.add_object()
    put(proposals, number, box(2, (3, 8), (4, 9)))
    put(proposals, "nothing of the kind", box(2, (3, 8), (4, 9)))
    assert proposals.targets == (number,)
    session.delete_object(number)
    assert proposals.targets == ()
    assert not proposals.shown(np.s_[0:6, 0:20, 0:24]).any()


def test_a_target_lies_across_one_axis(proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    across = Proposal.of(Plane(1, 7), np.ones((6, 24), bool), 0.9)
    put(proposals, "organ", across)
    assert list(proposals.slices("organ")) == [Plane(1, 7)]
    proposals.clear("organ")
    assert proposals.targets == ()


def test_what_is_not_proposed_cannot_be_accepted(proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9), 0.4))
    with pytest.raises(SessionError):
        proposals.accept_slice("organ", Plane(0, 3))
    with pytest.raises(SessionError):
        proposals.accept_object("organ", Plane(0, 2), (0.0, 0.0))
    with pytest.raises(SessionError):
        proposals.accept_above("organ", 0.5)


def test_a_picture_of_two_dimensions_works_alike(folder):
    picture = Volume(np.zeros((20, 24), np.uint8), array_geometry((20, 24), (1.0, 1.0)))
    with AnnotationSession.create(picture, "cd" * 32, folder=folder) as session:
        number = session.add_object()
        proposals = Proposals(session)
        mask = np.zeros((20, 24), bool)
        mask[3:8, 4:9] = True
        proposals.put(number, {Plane(): [Proposal.of(Plane(), mask, 0.8)]}, ORIGIN)
        np.testing.assert_array_equal(proposals.shown(np.s_[0:20, 0:24]) > 0, mask)
        proposals.accept_object(number, Plane(), (5.0, 5.0))
        np.testing.assert_array_equal(session.labels == number, mask)


def test_a_complete_slice_is_said_so_in_one_step(session, box_mask, answer):
    number = session.add_object("organ")
    session.add_prompt(Point(Plane(0, 2), (5.0, 5.0)))
    answer(session, Plane(0, 2), box_mask((3, 8), (4, 9)))
    session.confirm_slice("organ", Plane(0, 2))
    session.confirm_slice("organ", Plane(0, 4))
    assert session.state.object(number).accepted
    assert session.state.active == number
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.ANNOTATED
    assert session.state.extent_of("organ", Plane(0, 4)) is Extent.NEGATIVE
    session.undo()
    session.undo()
    assert not session.state.object(number).accepted


def test_what_lies_inside_a_class_makes_its_slice_annotated(session, box_mask):
    paint(session, session.add_object("lesion"), 2, box_mask((4, 6), (5, 7)))
    session.confirm_slice("organ", Plane(0, 2))
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.ANNOTATED
    assert not session.state.object(1).accepted


def test_accepted_proposals_survive_reopening(session, proposals, box, reopen):
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    proposals.accept_slice("organ", Plane(0, 2))
    proposals.close()
    again = reopen(session)
    assert np.count_nonzero(again.labels == 1) == 25
    assert again.undo() == "accept proposals"


def test_a_click_on_a_proposal_corrects_it(session, proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    click = Point(Plane(0, 2), (5.0, 5.0), positive=False)
    proposals.take_up(click)
    session.add_prompt(click)
    assert session.state.active == 1
    assert session.voxel_count(1) == 25
    assert [prompt.kind for prompt in session.state.object().prompts] == ["mask", "point"]
    assert session.state.extent_of("organ", Plane(0, 2)) is Extent.UNSEEN
    assert proposals.targets == ()
    session.undo()
    session.undo()
    assert planes_of(proposals, "organ") == [2]


def test_a_click_for_another_object_leaves_proposals_alone(session, proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)))
    session.add_object("vessel")
    proposals.take_up(Point(Plane(0, 2), (5.0, 5.0)))
    session.set_active(None)
    proposals.take_up(Point(Plane(0, 2), (15.0, 15.0)))
    assert planes_of(proposals, "organ") == [2]
    assert not session.labels.any()


def test_of_several_the_one_that_is_clicked_is_taken_up(session, proposals, box):
    put(proposals, "organ", box(2, (3, 8), (4, 9)), box(2, (12, 16), (15, 20)), origin=SEVERAL)
    proposals.take_up(Point(Plane(0, 2), (13.0, 16.0)))
    assert session.voxel_count(session.state.active) == 20
    (pending,) = proposals.slices("organ").values()
    assert [each.start for each in pending.proposals] == [(3, 4)]
