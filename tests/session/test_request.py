import dataclasses

import pytest

from napari_medfm.prompts import MaskPrompt, Point, PromptSet
from napari_medfm.session import SegmentedObject, SessionState, outstanding, resolve, transitions
from napari_medfm.session.request import is_current, prompts_digest
from napari_medfm.volume import Plane

HERE, THERE = Plane(0, 3), Plane(1, 3)
CLICK, OTHER = Point(HERE, (4.0, 5.0)), Point(THERE, (1.0, 1.0))
MASK = MaskPrompt(HERE, (0, 0), (1, 2), (0, 2))


@pytest.fixture
def state():
    thing = SegmentedObject(1, "liver", None, (1, 2, 3), prompts=PromptSet((CLICK, OTHER)))
    return SessionState(objects={1: thing}, active=1, image="f", next_id=2)


def with_object(state, **changes):
    return dataclasses.replace(state, objects={1: dataclasses.replace(state.object(1), **changes)})


def test_a_request_holds_the_prompts_of_its_plane_only(state):
    request = resolve(state, HERE, context="window model")
    assert (request.object_id, request.prompts.prompts, request.image) == (1, (CLICK,), "f")
    assert request.subject == (1, HERE)


def test_there_is_nothing_to_ask_without_prompts_there(state):
    assert resolve(state, Plane(0, 4)) is None
    assert resolve(dataclasses.replace(state, active=None), HERE) is None
    assert resolve(SessionState(), HERE, object_id=5) is None


def test_masks_alone_are_their_own_answer(state):
    assert resolve(with_object(state, prompts=PromptSet((MASK,))), HERE) is None
    assert resolve(with_object(state, prompts=PromptSet((MASK, CLICK))), HERE) is not None


def test_nothing_is_asked_about_a_locked_object(state):
    assert resolve(with_object(state, locked=True), HERE) is None


@pytest.mark.parametrize(
    "later",
    [
        lambda state: transitions.remove_prompt(state, 0),
        lambda state: transitions.add_prompts(state, [Point(HERE, (0.0, 0.0), False)]),
        lambda state: transitions.delete_object(state, 1),
        lambda state: transitions.reset(state, 1),
        lambda state: with_object(state, locked=True),
        lambda state: dataclasses.replace(state, image="another"),
    ],
)
def test_an_answer_is_stale_once_something_it_depends_on_changed(state, later):
    request = resolve(state, HERE)
    assert is_current(state, request)
    assert not is_current(later(state), request)


@pytest.mark.parametrize(
    "later",
    [
        lambda state: transitions.add_prompts(state, [OTHER]),
        lambda state: transitions.add_object(state),
        lambda state: with_object(state, name="spleen", visible=False),
    ],
)
def test_an_answer_stays_right_when_something_else_changed(state, later):
    assert is_current(later(state), resolve(state, HERE))


def test_another_context_is_another_question(state):
    assert resolve(state, HERE, context="lung") != resolve(state, HERE, context="brain")


def test_prompts_without_answer_are_outstanding_until_exactly_they_are_answered(state):
    assert outstanding(state) == ((1, HERE), (1, THERE))
    state = transitions.answered(state, 1, [HERE, THERE])
    assert outstanding(state) == ()
    assert outstanding(transitions.remove_prompt(state, 1)) == ()
    assert outstanding(transitions.add_prompts(state, [CLICK])) == ((1, HERE),)


def test_digests_tell_prompts_apart_and_survive_their_numbers_being_whole():
    assert prompts_digest(PromptSet()) == ""
    assert prompts_digest(PromptSet((CLICK,))) != prompts_digest(
        PromptSet((dataclasses.replace(CLICK, positive=False),))
    )
    assert prompts_digest(PromptSet((CLICK,))) == prompts_digest(PromptSet((Point(HERE, (4, 5)),)))
