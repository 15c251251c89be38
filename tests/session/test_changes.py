import dataclasses
import json
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.session import CommitPolicy, Extent, ObjectClass, SegmentedObject, SessionState
from napari_medfm.session.changes import Change, apply, decode, diff, encode, invert
from napari_medfm.volume import Plane

names = st.sampled_from(["liver", "a lesion", "ü"])
colours = st.tuples(*[st.integers(0, 255)] * 3)
planes = st.builds(Plane, st.integers(0, 2), st.integers(0, 9))
positions = st.tuples(*[st.floats(-9, 99, allow_nan=False)] * 2)
any_prompt = st.one_of(
    st.builds(Point, planes, positions, st.booleans()),
    st.builds(Box, planes, positions, positions),
    st.builds(Scribble, planes, st.lists(positions, min_size=1, max_size=4).map(tuple), st.booleans()),
    st.builds(MaskPrompt, planes, st.just((1, 2)), st.just((2, 3)), st.just((1, 5))),
)
prompt_sets = st.lists(any_prompt, max_size=4).map(lambda found: PromptSet(tuple(found)))
properties = st.fixed_dictionaries(
    {
        "name": names,
        "class_name": st.none() | names,
        "colour": colours,
        "locked": st.booleans(),
        "visible": st.booleans(),
        "accepted": st.booleans(),
        "prompts": prompt_sets,
    }
)


@st.composite
def states(draw):
    things = draw(st.dictionaries(st.integers(1, 6), properties, max_size=4))
    return SessionState(
        objects=MappingProxyType({k: SegmentedObject(id=k, **values) for k, values in sorted(things.items())}),
        classes=tuple(draw(st.lists(st.builds(ObjectClass, names, colours, st.none() | names), max_size=3))),
        extent=MappingProxyType(draw(st.dictionaries(st.tuples(names, planes), st.sampled_from(Extent), max_size=4))),
        active=draw(st.none() | st.integers(1, 6)),
        policy=draw(st.sampled_from(CommitPolicy)),
        image=draw(st.sampled_from(["", "f1", "f2"])),
        answers=MappingProxyType(draw(st.dictionaries(st.tuples(st.integers(1, 6), planes), names, max_size=4))),
        next_id=draw(st.integers(1, 99)),
    )


@given(states(), states())
@settings(max_examples=60, deadline=None)
def test_changes_lead_from_one_state_to_another_and_back(old, new):
    changes = diff(old, new)
    assert apply(old, changes) == new
    assert apply(new, invert(changes)) == old


@given(states(), states())
@settings(max_examples=60, deadline=None)
def test_changes_survive_json_unaltered_and_canonical(old, new):
    changes = diff(old, new)
    text = encode(changes)
    assert apply(old, decode(text)) == new
    assert encode(decode(text)) == text
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text


@given(states())
@settings(max_examples=20, deadline=None)
def test_nothing_changed_is_nothing_written(state):
    assert diff(state, dataclasses.replace(state)) == ()


def test_only_what_changed_is_written():
    thing = SegmentedObject(1, "liver", None, (1, 2, 3))
    old = SessionState(objects={1: thing, 2: dataclasses.replace(thing, id=2)})
    new = dataclasses.replace(old, objects={**old.objects, 1: dataclasses.replace(thing, locked=True)}, active=2)
    assert diff(old, new) == (Change(("objects", 1, "locked"), False, True), Change(("active",), None, 2))


@given(st.lists(any_prompt, min_size=3, max_size=6), any_prompt, st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_one_more_prompt_among_many_is_written_alone(prompts, added, place):
    thing = SegmentedObject(1, "liver", None, (1, 2, 3), prompts=PromptSet(tuple(prompts)))
    more = dataclasses.replace(thing, prompts=PromptSet((*prompts[:place], added, *prompts[place:])))
    (change,) = diff(SessionState(objects={1: thing}), SessionState(objects={1: more}))
    assert (len(change.before), len(change.after)) == (0, 1)


def test_objects_come_back_in_the_order_of_their_ids():
    things = {k: SegmentedObject(k, f"{k}", None, (1, 2, 3)) for k in (1, 2, 3)}
    all_three = SessionState(objects=things)
    without = dataclasses.replace(all_three, objects={k: things[k] for k in (1, 3)})
    back = apply(without, invert(diff(all_three, without)))
    assert list(back.objects) == [1, 2, 3]
