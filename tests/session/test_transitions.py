import itertools
import math

import pytest

from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.prompts import Point
from napari_medfm.session import Extent, ObjectClass, SessionState, transitions
from napari_medfm.volume import Plane

CLASSES = (ObjectClass("organ", (9, 8, 7)), ObjectClass("lesion", parent="organ"))


@pytest.fixture
def state():
    return transitions.add_object(SessionState(classes=CLASSES), "organ")


def test_an_object_takes_name_and_colour_from_its_class(state):
    assert state.object().name == "organ 1"
    assert state.object().colour == (9, 8, 7)


def test_an_object_without_class_is_numbered_and_gets_a_colour_of_its_own(state):
    state = transitions.add_object(state)
    assert state.object().name == "Object 2"
    assert state.object().class_name is None


def test_default_colours_of_a_hundred_objects_are_all_different_and_neighbours_clearly_so():
    colours = [transitions.default_colour(number) for number in range(1, 101)]
    assert len(set(colours)) == 100
    steps = [sum(abs(a - b) for a, b in zip(one, two, strict=True)) for one, two in itertools.pairwise(colours)]
    assert min(steps) > 100


def test_a_new_class_gets_a_colour_that_nothing_else_comes_near(state):
    yellow = (255, 230, 80)  # of proposals
    for number in range(8):
        *known, new = transitions.with_class(state, f"class {number}")
        others = [yellow, *(each.colour for each in (*known, *state.objects.values()))]
        assert min(math.dist(new.colour, other) for other in others) > 60
        state = transitions.define_classes(state, (*known, new))
    assert [known.name for known in state.classes[-8:-6]] == ["class 0", "class 1"]


def test_ids_are_never_given_twice(state):
    state = transitions.delete_object(transitions.add_object(state), 2)
    assert transitions.add_object(state).active == 3


def test_the_first_prompt_makes_an_object_of_the_last_ones_class(state):
    state = transitions.ensure_active(transitions.accept(state))
    assert (state.active, state.object().class_name) == (2, "organ")
    assert transitions.ensure_active(state) is state


def test_the_next_object_is_of_the_class_worked_on_last_and_the_first_of_the_first_class(state):
    assert SessionState().next_class is None
    assert SessionState(classes=CLASSES).next_class == "organ"
    state = transitions.add_object(state, "lesion")
    assert state.next_class == "lesion"
    assert transitions.set_active(state, 1).next_class == "organ"
    assert transitions.accept(state, 2).next_class == "lesion", "none is active: the newest counts"
    assert transitions.add_object(state).next_class == "organ", "one without class tells nothing"


def test_accepting_the_active_object_leaves_none_active(state):
    after = transitions.accept(state)
    assert after.objects[1].accepted
    assert after.active is None


def test_accepting_another_object_leaves_the_active_one(state):
    after = transitions.accept(transitions.add_object(state), 1)
    assert (after.objects[1].accepted, after.active) == (True, 2)


def test_an_empty_name_is_refused(state):
    with pytest.raises(SessionError, match="empty name"):
        transitions.rename(state, 1, "  ")


def test_colours_are_kept_in_range(state):
    assert transitions.recolour(state, 1, (-5, 300, 12)).object(1).colour == (0, 255, 12)


def test_a_new_class_brings_its_colour(state):
    assert transitions.set_class(state, 1, "lesion").object(1).colour == (255, 255, 255)
    assert transitions.set_class(state, 1, None).object(1).colour == (9, 8, 7)


def test_a_new_class_brings_its_name_unless_somebody_gave_one(state):
    assert transitions.set_class(state, 1, "lesion").object(1).name == "lesion 1"
    assert transitions.set_class(state, 1, None).object(1).name == "Object 1"
    named = transitions.rename(state, 1, "left lobe")
    assert transitions.set_class(named, 1, "lesion").object(1).name == "left lobe"


@pytest.mark.parametrize(
    "act",
    [
        lambda state: transitions.delete_object(state, 1),
        lambda state: transitions.reset(state, 1),
        lambda state: transitions.add_prompts(state, [Point(Plane(0, 0), (1, 1))]),
        lambda state: transitions.remove_prompt(state, 0),
        lambda state: transitions.move_prompt(state, 0, Point(Plane(0, 0), (1, 1))),
    ],
)
def test_a_locked_object_refuses_every_edit(state, act):
    locked = transitions.alter(state, transitions.replace(state.object(1), locked=True))
    with pytest.raises(LockedObjectError, match="organ 1"):
        act(locked)


def test_a_prompt_that_is_not_there_is_refused(state):
    with pytest.raises(SessionError, match="prompt number 0"):
        transitions.remove_prompt(state, 0)


def test_deleting_forgets_what_was_answered(state):
    state = transitions.add_prompts(state, [Point(Plane(0, 0), (1, 1))])
    state = transitions.answered(state, 1, [Plane(0, 0)])
    assert list(state.answers) == [(1, Plane(0, 0))]
    assert not transitions.delete_object(state, 1).answers
    assert not transitions.reset(state, 1).answers


def test_a_plane_without_prompts_is_answered_by_nothing(state):
    assert not transitions.answered(state, 1, [Plane(0, 0)]).answers


def test_a_class_in_use_cannot_be_left_out(state):
    with pytest.raises(SessionError, match="class organ"):
        transitions.define_classes(state, [ObjectClass("vessel")])


def test_extent_of_a_class_that_is_gone_is_forgotten(state):
    state = transitions.set_extent(state, "lesion", [Plane(0, 1)], Extent.NEGATIVE)
    state = transitions.set_extent(state, "organ", [Plane(0, 1)], Extent.ANNOTATED)
    after = transitions.define_classes(state, [ObjectClass("organ")])
    assert dict(after.extent) == {("organ", Plane(0, 1)): Extent.ANNOTATED}


def test_marking_as_unseen_leaves_no_trace(state):
    marked = transitions.set_extent(state, "organ", [Plane(0, 1), Plane(0, 2)], Extent.NEGATIVE)
    assert len(marked.extent) == 2
    assert transitions.set_extent(marked, "organ", [Plane(0, 1)], Extent.UNSEEN).extent == {
        ("organ", Plane(0, 2)): Extent.NEGATIVE
    }
    assert transitions.set_extent(state, "organ", [Plane(0, 1)], Extent.UNSEEN) == state


@pytest.mark.parametrize(
    "classes",
    [
        [ObjectClass("a"), ObjectClass("a")],
        [ObjectClass("")],
        [ObjectClass("a", parent="b")],
        [ObjectClass("a", parent="a")],
        [ObjectClass("a", parent="b"), ObjectClass("b", parent="a")],
    ],
)
def test_class_lists_without_sense_are_refused(classes):
    with pytest.raises(SessionError):
        transitions.check_classes(classes)
