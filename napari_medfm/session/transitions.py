"""The changes of a session's state, each a pure function from one state to the next."""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.prompts import Prompt, PromptSet
from napari_medfm.session.request import prompts_digest
from napari_medfm.session.state import Colour, Extent, ObjectClass, SegmentedObject, SessionState, thaw
from napari_medfm.volume import WHOLE, Plane, Region

K = TypeVar("K")
V = TypeVar("V")

_GOLDEN = 0.6180339887498949
"""Hues this far apart around the circle never come close to each other."""
_PROPOSED = ((255, 204, 51), (255, 247, 102))  # the shades in which sure proposals are shown
_MORE = 64  # colours to choose from, besides one for each that is taken


def default_colour(number: int) -> Colour:
    """Return a colour for an object by its id: strong, and far from those of its neighbours."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.7, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def distinct_colour(taken: Iterable[Colour]) -> Colour:
    """Return the default colour that is farthest from all that are taken."""
    known = tuple(taken)

    def room(colour: Colour) -> int:
        return min((sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)) for other in known), default=0)

    return max(map(default_colour, range(1, len(known) + _MORE)), key=room)


def default_name(number: int, class_name: str | None) -> str:
    """Return what an object is called that nobody gave a name."""
    return f"{class_name or 'Object'} {number}"


def add_object(state: SessionState, class_name: str | None = None, name: str | None = None) -> SessionState:
    """Return the state with one more object, which is active."""
    number = state.next_id
    kind = state.object_class(class_name) if class_name is not None else None
    colour = kind.colour if kind is not None else default_colour(number)
    thing = SegmentedObject(number, name or default_name(number, class_name), class_name, colour)
    return replace(state, objects=_with(state.objects, {number: thing}), active=number, next_id=number + 1)


def add_imported(state: SessionState, names: Mapping[int, str]) -> SessionState:
    """Return the state with accepted objects of the given ids, which no object has yet."""
    things = {
        number: SegmentedObject(number, name, None, default_colour(number), accepted=True)
        for number, name in names.items()
    }
    next_id = max((state.next_id, *(number + 1 for number in names)))
    return replace(state, objects=_with(state.objects, things), next_id=next_id)


def ensure_active(state: SessionState) -> SessionState:
    """Return the state with an active object: if there is none, a new one of the class that is next."""
    return state if state.active is not None else add_object(state, state.next_class)


def set_active(state: SessionState, object_id: int | None) -> SessionState:
    """Return the state with another active object, or none."""
    return replace(state, active=None if object_id is None else state.object(object_id).id)


def drop_missing_active(state: SessionState) -> SessionState:
    """Return the state without an active object that is not there: choosing is no step, making and deleting are."""
    return state if state.active in state.objects else replace(state, active=None)


def alter(state: SessionState, thing: SegmentedObject) -> SessionState:
    """Return the state with an object's properties replaced."""
    return replace(state, objects=_with(state.objects, {thing.id: thing}))


def rename(state: SessionState, object_id: int, name: str) -> SessionState:
    """Return the state with an object renamed."""
    if not name.strip():
        raise SessionError(f"object {object_id}", "cannot have an empty name", "Type a name.")
    return alter(state, replace(state.object(object_id), name=name.strip()))


def recolour(state: SessionState, object_id: int, colour: Sequence[int]) -> SessionState:
    """Return the state with an object in another colour."""
    red, green, blue = (min(max(int(part), 0), 255) for part in colour)
    return alter(state, replace(state.object(object_id), colour=(red, green, blue)))


def set_class(state: SessionState, object_id: int, class_name: str | None) -> SessionState:
    """Return the state with an object of another class, in its colour, and named by it unless somebody named it."""
    thing = state.object(object_id)
    colour = state.object_class(class_name).colour if class_name is not None else thing.colour
    is_named = thing.name != default_name(object_id, thing.class_name)
    name = thing.name if is_named else default_name(object_id, class_name)
    return alter(state, replace(thing, name=name, class_name=class_name, colour=colour))


def accept(state: SessionState, object_id: int | None = None) -> SessionState:
    """Return the state with an object accepted; if it was active, none is: the next prompt starts the next object."""
    thing = state.object(object_id)
    active = None if thing.id == state.active else state.active
    return replace(alter(state, replace(thing, accepted=True)), active=active)


def delete_object(state: SessionState, object_id: int) -> SessionState:
    """Return the state without an object."""
    thing = unlocked(state, object_id)
    kept = {number: other for number, other in state.objects.items() if number != thing.id}
    active = None if state.active == thing.id else state.active
    return replace(forget_answers(state, thing.id), objects=MappingProxyType(kept), active=active)


def reset(state: SessionState, object_id: int | None = None) -> SessionState:
    """Return the state with an object's prompts gone and nobody's acceptance."""
    thing = unlocked(state, object_id)
    return alter(forget_answers(state, thing.id), replace(thing, prompts=PromptSet(), accepted=False))


def set_prompts(state: SessionState, object_id: int, prompts: PromptSet) -> SessionState:
    """Return the state with an object's prompts replaced."""
    return alter(state, replace(state.objects[object_id], prompts=prompts))


def add_prompts(state: SessionState, prompts: Iterable[Prompt]) -> SessionState:
    """Return the state with prompts added to the active object."""
    thing = unlocked(state)
    return set_prompts(state, thing.id, PromptSet((*thing.prompts, *prompts)))


def remove_prompt(state: SessionState, index: int) -> SessionState:
    """Return the state without one of the active object's prompts."""
    thing = unlocked(state)
    return set_prompts(state, thing.id, thing.prompts.remove(check_index(thing, index)))


def move_prompt(state: SessionState, index: int, prompt: Prompt) -> SessionState:
    """Return the state with one of the active object's prompts replaced."""
    thing = unlocked(state)
    return set_prompts(state, thing.id, thing.prompts.move(check_index(thing, index), prompt))


def answered(state: SessionState, object_id: int, planes: Iterable[Plane]) -> SessionState:
    """Return the state in which an object's voxels on some planes answer the prompts it has there now."""
    prompts = state.objects[object_id].prompts
    digests = {(object_id, plane): prompts_digest(prompts.in_plane(plane)) for plane in planes}
    if all(state.answers.get(key, "") == digest for key, digest in digests.items()):
        return state
    answers = thaw(state.answers)
    for key, digest in digests.items():
        answers[key] = digest
        if not digest:
            del answers[key]
    return replace(state, answers=MappingProxyType(answers))


def answered_whole(state: SessionState, object_id: int, box: Region | None) -> SessionState:
    """Return the state in which an object's voxels answer all of its prompts, as a model of volumes did in a box."""
    known = {plane for number, plane in state.answers if number == object_id and plane != WHOLE}
    after = answered(state, object_id, known.union(state.objects[object_id].prompts.planes))
    if box is None:
        return replace(after, answers=_without(after.answers, (object_id, WHOLE)))
    text = ",".join(f"{part.start}:{part.stop}" for part in box)
    return replace(after, answers=_with(after.answers, {(object_id, WHOLE): text}))


def unanswered(state: SessionState, object_id: int) -> SessionState:
    """Return the state in which a model of volumes has to answer all prompts of an object anew."""
    box = {(object_id, WHOLE): state.answers[object_id, WHOLE]}
    return replace(state, answers=_with(forget_answers(state, object_id).answers, box))


def forget_answers(state: SessionState, object_id: int) -> SessionState:
    """Return the state in which nothing of an object answers any prompt."""
    answers = {key: digest for key, digest in state.answers.items() if key[0] != object_id}
    return state if len(answers) == len(state.answers) else replace(state, answers=MappingProxyType(answers))


def define_classes(state: SessionState, classes: Sequence[ObjectClass]) -> SessionState:
    """Return the state with another class list; extent of classes that are gone is forgotten."""
    check_classes(classes)
    names = {known.name for known in classes}
    for thing in state.objects.values():
        if thing.class_name is not None and thing.class_name not in names:
            reason = f"is missing from the list but {thing.name} belongs to it"
            raise SessionError(f"class {thing.class_name}", reason, "Keep it, or give the object another class first.")
    extent = {key: value for key, value in state.extent.items() if key[0] in names}
    return replace(state, classes=tuple(classes), extent=MappingProxyType(extent))


def with_class(state: SessionState, name: str) -> tuple[ObjectClass, ...]:
    """Return the class list with one more class, in a colour far from those of classes, objects and proposals."""
    taken = (*(kind.colour for kind in state.classes), *(thing.colour for thing in state.objects.values()))
    return (*state.classes, ObjectClass(name, distinct_colour((*_PROPOSED, *taken))))


def check_classes(classes: Sequence[ObjectClass]) -> None:
    """Check that names are unique and that every parent is there and leads to a root.

    Raises
    ------
    SessionError
        They are not.
    """
    parents = {known.name: known.parent for known in classes}
    if len(parents) != len(classes) or "" in parents:
        raise SessionError("class list", "has a name twice or an empty one", "Give each class its own name.")
    for known in classes:
        seen = {known.name}
        parent = known.parent
        while parent is not None:
            if parent not in parents or parent in seen:
                reason = "has a parent that is not in the list or that lies in it"
                raise SessionError(f"class {known.name}", reason, "Correct its parent.")
            seen.add(parent)
            parent = parents[parent]


def set_extent(state: SessionState, class_name: str, planes: Iterable[Plane], extent: Extent) -> SessionState:
    """Return the state with a class marked on some planes."""
    state.object_class(class_name)
    marks = thaw(state.extent)
    for plane in planes:
        marks[class_name, plane] = extent
        if extent is Extent.UNSEEN:
            del marks[class_name, plane]
    return replace(state, extent=MappingProxyType(marks))


def unlocked(state: SessionState, object_id: int | None = None) -> SegmentedObject:
    """Return an object that may be edited, the active one if no id is given.

    Raises
    ------
    LockedObjectError
        It is locked.
    SessionError
        There is no such object.
    """
    thing = state.object(object_id)
    if thing.locked:
        raise LockedObjectError(thing.name, "is locked", "Unlock it in the table first.")
    return thing


def check_index(thing: SegmentedObject, index: int) -> int:
    """Return the index of one of an object's prompts.

    Raises
    ------
    SessionError
        It has no such prompt.
    """
    if not 0 <= index < len(thing.prompts):
        raise SessionError(thing.name, f"has no prompt number {index}", "Choose one that is shown.")
    return index


def _with(mapping: Mapping[K, V], changed: dict[K, V]) -> Mapping[K, V]:
    return MappingProxyType(thaw(mapping) | changed)


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return MappingProxyType({known: value for known, value in mapping.items() if known != key})
