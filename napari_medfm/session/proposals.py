"""What is proposed but not accepted: shown beside the labels, never journaled, gone when the session ends."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_medfm.errors import SessionError
from napari_medfm.inference import Proposal
from napari_medfm.prompts import Point, Position, Prompt, voxel_at
from napari_medfm.session.growth import Origin, Target, grower, parts_of
from napari_medfm.session.patches import overlap, within
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.state import Extent
from napari_medfm.volume import Plane, Region

LEVELS = 4
"""Shades of confidence that `Proposals.shown` tells apart."""

_FILL = "Propose something first."


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """What is proposed on one slice.

    Attributes
    ----------
    origin : Origin
        Who proposes.
    proposals : tuple of Proposal
        Objects, or one object; none if the slice was looked at and nothing found, or if all was accepted.
    """

    origin: Origin
    proposals: tuple[Proposal, ...] = ()


_Slices = dict[Plane, Pending]


@dataclass(slots=True)
class _Taken:
    """What a step took, so that it comes back when the step is undone."""

    target: Target
    before: _Slices
    after: _Slices = field(default_factory=dict)
    undone: bool = False


class Proposals:
    """The session's proposals: of classes that are filled, and of objects that are propagated.

    Derived, hence not journaled: only what is accepted becomes part of the session, in one undo step, with the digests
    of model and adapter. Slices on which the class was marked, or that a person corrects, leave the proposals.
    To be used from the thread that owns the session.

    Parameters
    ----------
    session : AnnotationSession
        Gets what is accepted.

    Attributes
    ----------
    changed : Signal(tuple of Region)
        Boxes in which something else is proposed now.
    """

    changed = Signal(tuple)

    def __init__(self, session: AnnotationSession) -> None:
        self._session = session
        self._slices: dict[Target, _Slices] = {}
        self._taken: dict[int, _Taken] = {}
        self._accepting = False
        events = session.events
        self._links: tuple[tuple[Any, Callable[..., None]], ...] = (
            (events.voxels_changed, self._correct),
            (events.extent_changed, self._drop_settled),
            (events.objects_changed, self._drop_settled),
            (events.classes_changed, self._drop_settled),
            (events.history_changed, self._follow_history),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is proposed."""
        return tuple(self._slices)

    def slices(self, target: Target) -> Mapping[Plane, Pending]:
        """Return what is proposed of a target, by slice, in their order."""
        return {plane: self._slices[target][plane] for plane in sorted(self._slices.get(target, ()))}

    def target_at(self, plane: Plane, position: Position) -> Target | None:
        """Return what is proposed at a (row, column) of a slice; None if nothing is."""
        return next((target for target in self._slices if self._at(target, plane, position) is not None), None)

    def shown(self, region: Region) -> NDArray[np.uint8]:
        """Return what is proposed in a box: 0 where nothing is, else 1 to `LEVELS` by confidence."""
        values = np.zeros([part.stop - part.start for part in region], np.uint8)
        for slices in self._slices.values():
            for plane, pending in slices.items():
                if len(region) == 2 or region[plane.axis].start <= plane.index < region[plane.axis].stop:
                    for proposal in pending.proposals:
                        _draw(values, region, proposal)
        return values

    def put(self, target: Target, found: Mapping[Plane, Sequence[Proposal]], origin: Origin) -> None:
        """Propose something for slices, instead of what was proposed there before.

        Slices on which the class was marked as annotated, or as without it, take nothing. All slices of a target lie
        across one axis: those across another one go.

        Parameters
        ----------
        target : str or int
            What is proposed.
        found : mapping of Plane to sequence of Proposal
            An empty one says that there is nothing.
        origin : Origin
            Who proposes.
        """
        wanted = {plane: Pending(origin, tuple(each)) for plane, each in found.items() if self._is_open(target, plane)}
        axes = {plane.axis for plane in wanted}
        kept = {plane: None for plane in self._slices.get(target, ()) if axes and plane.axis not in axes}
        self._set(target, {**kept, **wanted})

    def clear(self, target: Target, planes: Iterable[Plane] | None = None) -> None:
        """Propose nothing of a target any more, at all or on some slices."""
        held = self._slices.get(target, {})
        self._set(target, {plane: None for plane in (held if planes is None else planes) if plane in held})

    def accept_slice(self, target: Target, plane: Plane) -> None:
        """Accept what is proposed on a slice; a class counts as fully annotated there, or as not there at all.

        Raises
        ------
        SessionError
            Nothing was proposed for the slice, or the session refuses the change.
        """
        pending = self._slices.get(target, {}).get(plane)
        if pending is None:
            raise SessionError(f"slice {plane.index + 1}", "has no proposal", _FILL)
        self._accept(target, {plane: pending}, confirmed=(plane,), rest={})

    def accept_object(self, target: Target, plane: Plane, position: Position) -> None:
        """Accept the part that holds a (row, column) of a slice, on all slices that it hangs together over.

        Raises
        ------
        SessionError
            Nothing is proposed there, or the session refuses the change.
        """
        found = self._at(target, plane, position)
        if found is None:
            raise SessionError(f"slice {plane.index + 1}", "has no proposal there", "Point at one.")
        every = [each for pending in self._slices[target].values() for each in pending.proposals]
        part = next(frozenset(part) for part in parts_of(every) if found in part)
        self._accept_some(target, part.__contains__)

    def accept_above(self, target: Target, confidence: float) -> None:
        """Accept everything that is at least so sure, 0..1.

        Raises
        ------
        SessionError
            Nothing is so sure, or the session refuses the change.
        """
        self._accept_some(target, lambda proposal: proposal.confidence >= confidence)

    def take_up(self, prompt: Prompt) -> None:
        """Accept what a prompt is about to correct: what is proposed on its slice of the object that it goes to.

        While no object is active, that is the one a click points at. The object becomes the active one. A click
        against the heart of what is proposed takes that away instead, see `napari_medfm.propagation.without_denied`.

        Raises
        ------
        MedfmError
            The session refuses the change.
        """
        target = self._meant(prompt)
        pending = self._slices[target][prompt.plane] if target is not None else None
        if target is None or pending is None:
            return
        if isinstance(prompt, Point) and not pending.origin.several and self._deny(target, pending, prompt):
            return
        found = self._at(target, prompt.plane, prompt.position) if isinstance(prompt, Point) else None
        chosen = pending.proposals if found is None or not pending.origin.several else (found,)
        rest = tuple(each for each in pending.proposals if each not in chosen)
        before = set(self._session.state.objects)
        left = {prompt.plane: replace(pending, proposals=rest)} if rest else {}
        self._accept(target, {prompt.plane: replace(pending, proposals=chosen)}, confirmed=(), rest=left)
        state = self._session.state
        made = set(state.objects) - before
        self._session.set_active(max(made) if made else grower(state, target))

    def _deny(self, target: Target, pending: Pending, click: Point) -> bool:
        """Let go of the part of a slice's proposal that a click denies; True if nothing is left to take up."""
        from napari_medfm.propagation import without_denied

        shape = click.plane.shape(self._session.volume.shape)
        rests = [(each, without_denied(each.to_mask(shape), click)) for each in pending.proposals]
        if all(rest is None for _, rest in rests):
            return False
        kept = [each if rest is None else Proposal.of(each.plane, rest, each.confidence) for each, rest in rests]
        left = tuple(each for each in kept if not each.is_empty)
        self._set(target, {click.plane: replace(pending, proposals=left) if left else None})
        if left:
            self._accept(target, {click.plane: replace(pending, proposals=left)}, confirmed=(), rest={})
        self._session.set_active(grower(self._session.state, target))
        return True

    def _meant(self, prompt: Prompt) -> Target | None:
        """What a prompt corrects: proposals for the object that is active, or those that a click points at."""
        state = self._session.state
        if state.active is None:
            return self.target_at(prompt.plane, prompt.position) if isinstance(prompt, Point) else None
        for target, slices in self._slices.items():
            pending = slices.get(prompt.plane)
            growing = grower(state, target, several=pending.origin.several) if pending is not None else None
            if pending is not None and pending.proposals and growing == state.active:
                return target
        return None

    def close(self) -> None:
        """Let go of the session."""
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()

    def _accept_some(self, target: Target, wanted: Callable[[Proposal], bool]) -> None:
        chosen: _Slices = {}
        rest: _Slices = {}
        for plane, pending in self._slices.get(target, {}).items():
            taken = tuple(each for each in pending.proposals if wanted(each))
            if taken:
                chosen[plane] = replace(pending, proposals=taken)
                rest[plane] = replace(pending, proposals=tuple(each for each in pending.proposals if each not in taken))
        if not chosen:
            raise SessionError("proposals", "hold nothing so sure", _FILL)
        self._accept(target, chosen, confirmed=(), rest=rest)

    def _accept(self, target: Target, chosen: _Slices, confirmed: tuple[Plane, ...], rest: _Slices) -> None:
        taken = _Taken(target, {plane: self._slices[target][plane] for plane in chosen}, rest)
        proposals = [each for pending in chosen.values() for each in pending.proposals]
        origin = next(iter(chosen.values())).origin
        self._accepting = True
        try:
            self._session.accept_proposals(target, proposals, origin, confirmed)
        finally:
            self._accepting = False
        step = self._session.history.last_done
        if step is not None:
            self._taken[step.number] = taken
        self._replace(target, taken.before, taken.after)

    def _at(self, target: Target, plane: Plane, position: Position) -> Proposal | None:
        pending = self._slices.get(target, {}).get(plane)
        return next((each for each in pending.proposals if _holds(each, position)), None) if pending else None

    def _is_open(self, target: Target, plane: Plane) -> bool:
        """Whether there is such a class or object, and nobody said yet that all of it is labelled on a slice."""
        state = self._session.state
        if isinstance(target, int):
            thing = state.objects.get(target)
            return thing is not None and self._is_open(thing.class_name or "", plane)
        known = not target or any(each.name == target for each in state.classes)
        return known and state.extent_of(target, plane) is Extent.UNSEEN

    def _drop_settled(self, _what: object = None) -> None:
        for target, slices in list(self._slices.items()):
            self._set(target, {plane: None for plane in slices if not self._is_open(target, plane)})

    def _correct(self, region: Region) -> None:
        """Let go of what a person labels by hand now: the slice, or of several objects those that lie there."""
        if self._accepting:
            return
        for target, slices in list(self._slices.items()):
            mine = self._ids(target)
            changed = {}
            for plane, pending in slices.items():
                box = overlap(plane.region(self._session.volume.shape), region)
                held = np.isin(self._session.labels[box], mine) if box is not None else None
                if box is not None and held is not None and held.any():
                    changed[plane] = _without(pending, held, box) if pending.origin.several else None
            self._set(target, changed)

    def _ids(self, target: Target) -> list[int]:
        objects = self._session.state.objects.values()
        return [target] if isinstance(target, int) else [each.id for each in objects if each.class_name == target]

    def _follow_history(self) -> None:
        """Bring back what a step took when it is undone, and take it again when it is redone."""
        history = self._session.history
        undone, done = history.last_undone, history.last_done
        back = self._taken.get(undone.number) if undone is not None else None
        again = self._taken.get(done.number) if done is not None else None
        if back is not None and not back.undone:
            back.undone = True
            self._set(back.target, {p: each for p, each in back.before.items() if self._is_open(back.target, p)})
        if again is not None and again.undone:
            again.undone = False
            self._replace(again.target, again.before, again.after)

    def _replace(self, target: Target, before: _Slices, after: _Slices) -> None:
        self._set(target, {plane: after.get(plane) for plane in before})

    def _set(self, target: Target, changes: Mapping[Plane, Pending | None]) -> None:
        slices = self._slices.setdefault(target, {})
        regions = []
        for plane, pending in changes.items():
            before = slices.pop(plane, None)
            if pending is not None:
                slices[plane] = pending
            ndim = self._session.volume.ndim
            shown = [each for side in (before, pending) if side is not None for each in side.proposals]
            regions += [each.region(ndim) for each in shown if not each.is_empty]
        if not slices:
            del self._slices[target]
        if regions:
            self.changed.emit(tuple(regions))


def _holds(proposal: Proposal, position: Position) -> bool:
    places = [at - start for at, start in zip(voxel_at(position), proposal.start, strict=True)]
    inside = all(0 <= place < size for place, size in zip(places, proposal.inside.shape, strict=True))
    return inside and bool(proposal.inside[places[0], places[1]])


def _draw(values: NDArray[np.uint8], region: Region, proposal: Proposal) -> None:
    box = proposal.region(len(region))
    shared = overlap(box, region) if not proposal.is_empty else None
    if shared is not None:
        inside = proposal.inside.reshape([part.stop - part.start for part in box])[within(shared, box)]
        level = 1 + min(LEVELS - 1, int(proposal.confidence * LEVELS))
        values[within(shared, region)][inside] = level


def _without(pending: Pending, held: NDArray[np.bool_], box: Region) -> Pending:
    """What is left where objects took the place of some proposals."""
    taken = []
    for proposal in pending.proposals:
        values = np.zeros(held.shape, np.uint8)
        _draw(values, box, proposal)
        taken.append(bool((values[held] > 0).any()))
    kept = (proposal for proposal, gone in zip(pending.proposals, taken, strict=True) if not gone)
    return replace(pending, proposals=tuple(kept))
