"""What differs between two states, as JSON values: the part of an event that is not voxels.

A change is ``[path, before, after]``; null stands for something that is not there.
Paths: ``["objects", id]`` (made or deleted), ``["objects", id, field]``,
``["prompts", id, index]`` (a run of prompts replaced by another at that index),
``["extent", class, axis, index]``, ``["answers", id, axis, index]``, and
``["classes"]``, ``["active"]``, ``["policy"]``, ``["image"]``, ``["next_id"]``.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from napari_medfm.prompts import PromptSet, from_json, to_json
from napari_medfm.session.state import CommitPolicy, Extent, ObjectClass, SegmentedObject, SessionState, thaw
from napari_medfm.volume import Plane

K = TypeVar("K")
V = TypeVar("V")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One part of the state, before and after, as JSON values.

    Attributes
    ----------
    path : tuple of str and int
        Which part.
    before, after : Any
        Its values; None where it is not there.
    """

    path: Path
    before: Any
    after: Any

    @property
    def inverse(self) -> "Change":
        """The change that takes this one back."""
        return Change(self.path, self.after, self.before)


Changes = tuple[Change, ...]


def diff(old: SessionState, new: SessionState) -> Changes:
    """Return the changes that lead from one state to another."""
    return (*_diff_objects(old, new), *_diff_maps(old, new), *_diff_choices(old, new))


def apply(state: SessionState, changes: Iterable[Change]) -> SessionState:
    """Return the state after the changes; what they say was before is not looked at."""
    draft = _Draft(state)
    for change in changes:
        draft.take(change)
    return draft.finish()


def invert(changes: Changes) -> Changes:
    """Return the changes that take these back."""
    return tuple(change.inverse for change in reversed(changes))


def encode(changes: Changes) -> str:
    """Return the changes as canonical JSON."""
    return canonical([[change.path, change.before, change.after] for change in changes])


def decode(text: str) -> Changes:
    """Return the changes that `encode` wrote."""
    return tuple(Change(tuple(path), before, after) for path, before, after in json.loads(text))


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, plain ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode_object(thing: SegmentedObject) -> dict[str, Any]:
    """Return an object as JSON values, prompts included."""
    fields = {name: read(thing) for name, read in _FIELDS.items()}
    return {"id": thing.id, "prompts": to_json(thing.prompts), **fields}


def decode_object(values: Mapping[str, Any]) -> SegmentedObject:
    """Return the object that `encode_object` wrote."""
    return SegmentedObject(
        values["id"],
        values["name"],
        values["class_name"],
        _colour(values["colour"]),
        locked=values["locked"],
        visible=values["visible"],
        accepted=values["accepted"],
        prompts=from_json(values["prompts"]),
    )


def encode_choices(state: SessionState) -> dict[str, Any]:
    """Return everything but objects, extent and answers as JSON values."""
    return {name: write(state) for name, (write, _) in _CHOICES.items()}


def decode_choices(state: SessionState, values: Mapping[str, Any]) -> SessionState:
    """Return the state with what `encode_choices` wrote."""
    return replace(state, **{name: read(values[name]) for name, (_, read) in _CHOICES.items()})


_FIELDS: dict[str, Callable[[SegmentedObject], Any]] = {
    "name": lambda thing: thing.name,
    "class_name": lambda thing: thing.class_name,
    "colour": lambda thing: list(thing.colour),
    "locked": lambda thing: thing.locked,
    "visible": lambda thing: thing.visible,
    "accepted": lambda thing: thing.accepted,
}


def _colour(values: Iterable[int]) -> tuple[int, int, int]:
    red, green, blue = values
    return red, green, blue


def _encode_classes(state: SessionState) -> list[list[Any]]:
    return [[known.name, list(known.colour), known.parent] for known in state.classes]


def _decode_classes(values: Iterable[tuple[str, Iterable[int], str | None]]) -> tuple[ObjectClass, ...]:
    return tuple(ObjectClass(name, _colour(colour), parent) for name, colour, parent in values)


_CHOICES: dict[str, tuple[Callable[[SessionState], Any], Callable[[Any], Any]]] = {
    "classes": (_encode_classes, _decode_classes),
    "active": (lambda state: state.active, lambda value: value),
    "policy": (lambda state: state.policy.value, CommitPolicy),
    "image": (lambda state: state.image, str),
    "next_id": (lambda state: state.next_id, int),
}


def _diff_objects(old: SessionState, new: SessionState) -> Iterator[Change]:
    if old.objects is new.objects:
        return
    for number in _differing(old.objects, new.objects):
        before, after = old.objects.get(number), new.objects.get(number)
        if before is not None and after is not None:
            yield from _diff_object(before, after)
        else:
            values = [None if thing is None else encode_object(thing) for thing in (before, after)]
            yield Change(("objects", number), *values)


def _diff_object(before: SegmentedObject, after: SegmentedObject) -> Iterator[Change]:
    for name, read in _FIELDS.items():
        if read(before) != read(after):
            yield Change(("objects", before.id, name), read(before), read(after))
    if before.prompts != after.prompts:
        yield _diff_prompts(before.id, before.prompts, after.prompts)


def _diff_prompts(number: int, before: PromptSet, after: PromptSet) -> Change:
    old, new = before.prompts, after.prompts
    shorter = min(len(old), len(new))
    head = next((k for k in range(shorter) if old[k] != new[k]), shorter)
    tail = next((k for k in range(shorter - head) if old[-1 - k] != new[-1 - k]), shorter - head)
    removed, inserted = PromptSet(old[head : len(old) - tail]), PromptSet(new[head : len(new) - tail])
    return Change(("prompts", number, head), to_json(removed), to_json(inserted))


def _diff_maps(old: SessionState, new: SessionState) -> Iterator[Change]:
    if old.extent is not new.extent:
        for name, plane in _differing(old.extent, new.extent):
            values = [None if mark is None else mark.value for mark in _pair(old.extent, new.extent, (name, plane))]
            yield Change(("extent", name, plane.axis, plane.index), *values)
    if old.answers is not new.answers:
        for number, plane in _differing(old.answers, new.answers):
            before, after = _pair(old.answers, new.answers, (number, plane))
            yield Change(("answers", number, plane.axis, plane.index), before, after)


def _diff_choices(old: SessionState, new: SessionState) -> Iterator[Change]:
    for name in _CHOICES:
        if getattr(old, name) != getattr(new, name):
            write = _CHOICES[name][0]
            yield Change((name,), write(old), write(new))


def _differing(old: Mapping[K, V], new: Mapping[K, V]) -> list[K]:
    """Return the keys whose values differ; what both hold in the same place costs next to nothing."""
    suspects: dict[K, None] = {}
    for (one, before), (two, after) in itertools.zip_longest(old.items(), new.items(), fillvalue=_NOTHING):
        if one is not two or before is not after:
            suspects |= {one: None, two: None}
    suspects.pop(_NOTHING[0], None)
    return [key for key in suspects if old.get(key) != new.get(key)]


def _pair(old: Mapping[K, V], new: Mapping[K, V], key: K) -> tuple[V | None, V | None]:
    return old.get(key), new.get(key)


_NOTHING: Any = (object(), object())


class _Draft:
    """A state that is being changed, copied part by part when first touched."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._maps: dict[str, dict[Any, Any]] = {}
        self._choices: dict[str, Any] = {}

    def take(self, change: Change) -> None:
        head, *rest = change.path
        if head in _CHOICES:
            self._choices[str(head)] = _CHOICES[str(head)][1](change.after)
        elif head == "prompts":
            self._splice(change)
        elif head == "objects":
            self._take_object(change.after, *rest)
        else:
            key, axis, index = rest
            value = Extent(change.after) if head == "extent" and change.after is not None else change.after
            self._put(str(head), (key, Plane(int(axis), int(index))), value)

    def finish(self) -> SessionState:
        objects = self._maps.get("objects")
        if objects is not None:  # in the order they were made, also after a deletion was taken back
            self._maps["objects"] = dict(sorted(objects.items()))
        maps: dict[str, Any] = {name: MappingProxyType(values) for name, values in self._maps.items()}
        return replace(self._state, **maps, **self._choices)

    def _put(self, name: str, key: Any, value: Any) -> None:
        values = self._map(name)
        values[key] = value
        if value is None:
            del values[key]

    def _take_object(self, after: Any, number: str | int, field: str | int | None = None) -> None:
        if field is None:
            self._put("objects", number, None if after is None else decode_object(after))
        else:
            value = _colour(after) if field == "colour" else after
            changed = {str(field): value}
            self._put("objects", number, replace(self._map("objects")[number], **changed))

    def _splice(self, change: Change) -> None:
        _, number, start = change.path
        thing = self._map("objects")[number]
        head, rest = thing.prompts.prompts[: int(start)], thing.prompts.prompts[int(start) :]
        prompts = (*head, *from_json(change.after), *rest[len(change.before) :])
        self._put("objects", number, replace(thing, prompts=PromptSet(prompts)))

    def _map(self, name: str) -> dict[Any, Any]:
        if name not in self._maps:
            self._maps[name] = thaw(getattr(self._state, name))
        return self._maps[name]
