"""State, voxels and history of a session, and the one way they change: journal first, memory second."""

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from napari_medfm.errors import SessionError
from napari_medfm.session import changes as state_changes
from napari_medfm.session import checkpoints, transitions
from napari_medfm.session.changes import Changes
from napari_medfm.session.checkpoints import CheckpointQueue
from napari_medfm.session.history import Entry, History, Step, Subject
from napari_medfm.session.journal import Checkpoint, Event, Journal
from napari_medfm.session.patches import Patch, bounds
from napari_medfm.session.state import SessionState
from napari_medfm.session.voxels import Edit, VoxelStore
from napari_medfm.volume import Plane, Region

NEW_STEP = -1
"""The event begins an undo step."""
NO_STEP = 0
"""The event is journaled, but undo passes it by."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An event before it is written.

    Attributes
    ----------
    kind : str
        What is done.
    title : str
        What a person calls it.
    state : SessionState
        The state afterwards.
    edits : tuple of Edit
        The changes of the voxels.
    step : int
        Number of the undo step it joins, `NEW_STEP` or `NO_STEP`.
    subject : (int, Plane) or None
        The object and plane of a prompt.
    facts : mapping
        JSON values that are worth knowing later.
    """

    kind: str
    title: str
    state: SessionState
    edits: tuple[Edit, ...] = ()
    step: int = NEW_STEP
    subject: Subject | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a commit changed.

    Attributes
    ----------
    before, after : SessionState
        The states.
    region : Region or None
        The box in which `labels` changed.
    replaced : bool
        Whether `labels` is another array now.
    """

    before: SessionState
    after: SessionState
    region: Region | None
    replaced: bool


class Ledger:
    """The only place where a session changes.

    Parameters
    ----------
    journal : Journal
        Where events are written.
    voxels : VoxelStore
        As the journal has them.
    state : SessionState
        As the journal has it.
    history : History
        As the journal has it.
    queue : CheckpointQueue
        Parts that have to be replayed as yet.
    annotator : str
        Written to every event.
    """

    def __init__(
        self,
        journal: Journal,
        voxels: VoxelStore,
        state: SessionState | None = None,
        history: History | None = None,
        queue: CheckpointQueue | None = None,
        annotator: str = "",
    ) -> None:
        self.journal = journal
        self.voxels = voxels
        self.state = state or SessionState()
        self.history = history or History()
        self.annotator = annotator
        self._queue = queue or CheckpointQueue()
        self._torn = False
        self._revision = 0

    @property
    def revision(self) -> int:
        """Changes as a change begins and again as it ends: what was read while it stood is of one piece."""
        return self._revision

    def commit(self, draft: Draft) -> Outcome | None:
        """Write an event and make its changes; None if it changes nothing.

        Raises
        ------
        JournalError
            It could not be written; nothing was changed.
        """
        changes = state_changes.diff(self.state, draft.state)
        if not changes and not draft.edits and not draft.facts:
            return None
        patch = Patch(tuple(edit.piece for edit in draft.edits))
        step = self.journal.head[0] + 1 if draft.step == NEW_STEP else draft.step
        event = self._event(draft.kind, draft.title, step, (changes, patch), _facts(draft))
        return self._write([(event, changes, patch)], draft.state, draft.edits)

    def undo(self) -> Outcome | None:
        """Take the last step back; None if there is none."""
        step = self.history.last_done
        return None if step is None else self._move(step, "undo", reversed(step.events))

    def redo(self) -> Outcome | None:
        """Do the step again that was taken back last; None if there is none."""
        step = self.history.last_undone
        return None if step is None else self._move(step, "redo", step.events)

    def tidy(self, kind: str = "close") -> None:
        """Write every checkpoint that is outstanding, so that reopening replays nothing."""
        parts = self._queue.waiting()
        if parts and not self._torn:
            event = self._event(kind, kind, NO_STEP, ((), Patch()), {})
            self._write([(event, (), Patch())], self.state, (), parts)

    def _move(self, step: Step, kind: str, events: Iterable[int]) -> Outcome:
        state, written = self.state, []
        for seq in events:
            changes, patch = self._recall(seq, back=kind == "undo")
            moved = transitions.drop_missing_active(state_changes.apply(state, changes))
            changes, state = state_changes.diff(state, moved), moved
            event = self._event(kind, step.title, step.number, (changes, patch), {"of": seq})
            written.append((event, changes, patch))
        return self._write(written, state, None)

    def _recall(self, seq: int, back: bool) -> tuple[Changes, Patch]:
        event = self.journal.event(seq)
        changes, patch = state_changes.decode(event.changes), read_patch(event)
        return (state_changes.invert(changes), patch.inverse) if back else (changes, patch)

    def _event(
        self, kind: str, title: str, step: int, content: tuple[Changes, Patch], facts: Mapping[str, Any]
    ) -> Event:
        changes, patch = content
        return Event(
            seq=0,
            step=step,
            kind=kind,
            title=title,
            changes=state_changes.encode(changes),
            region=_encode_region(patch.region),
            patch=patch.encode() if patch else b"",
            facts=state_changes.canonical(dict(facts)),
            covered=0,
            checkpoints="{}",
            time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            annotator=self.annotator,
        )

    def _write(
        self,
        written: Sequence[tuple[Event, Changes, Patch]],
        state: SessionState,
        edits: Sequence[Edit] | None,
        parts: Sequence[str] | None = None,
    ) -> Outcome:
        if self._torn:
            step = "Open the image again; what was done is in the journal."
            raise SessionError("session", "was interrupted in the middle of a change", step)
        before = self.state
        kept = self._checkpoints(parts)
        events = self._with_checkpoints([event for event, _, _ in written], kept)
        self._revision += 1
        sealed = self.journal.append(events, kept)
        self._torn = True  # until memory holds what the journal does
        self._queue.remove([part.part for part in kept])
        replaced = self.voxels.make_room(state.next_id)
        self._apply(edits, [patch for _, _, patch in written])
        self.state = state
        for event, (_, changes, patch) in zip(sealed, written, strict=True):
            self.history.record(entry_of(event))
            self._queue.touch(checkpoints.parts_touched(changes, patch), event.seq)
        self._torn = False
        self._revision += 1
        visible = [piece.region for _, _, patch in written for piece in patch.pieces if 0 in piece.levels]
        return Outcome(before, state, bounds(visible), replaced)

    def _apply(self, edits: Sequence[Edit] | None, patches: Iterable[Patch]) -> None:
        for edit in edits if edits is not None else self._replays(patches):
            self.voxels.write(edit)

    def _replays(self, patches: Iterable[Patch]) -> Iterator[Edit]:
        for patch in patches:
            for piece in patch.pieces:
                edit = self.voxels.replay(piece, strict=False)
                if edit is not None:
                    yield edit

    def _checkpoints(self, parts: Sequence[str] | None) -> list[Checkpoint]:
        seq = self.journal.head[0]
        chosen = self._queue.due(seq + 1) if parts is None else parts
        return [checkpoints.take(part, seq, self.state, self.voxels) for part in chosen]

    def _with_checkpoints(self, events: list[Event], kept: Sequence[Checkpoint]) -> list[Event]:
        digests = state_changes.canonical({part.part: part.digest for part in kept})
        covered = self._queue.covered(self.journal.head[0] + 1, [part.part for part in kept])
        first, *rest = events
        return [replace(first, checkpoints=digests, covered=covered), *(replace(e, covered=covered) for e in rest)]


def read_patch(event: Event) -> Patch:
    """Return the voxels that an event changed."""
    return Patch.decode(event.patch) if event.patch else Patch()


def entry_of(event: Event) -> Entry:
    """Return what the history needs to know of an event."""
    region = tuple(slice(*corner) for corner in json.loads(event.region)) if event.region else None
    subject = json.loads(event.facts).get("subject")
    about = (subject[0], Plane(subject[1], subject[2])) if subject else None
    return Entry(event.seq, event.step, event.kind, event.title, region, about)


def _facts(draft: Draft) -> dict[str, Any]:
    facts = dict(draft.facts)
    if draft.subject is not None:
        number, plane = draft.subject
        facts["subject"] = [number, plane.axis, plane.index]
    return facts


def _encode_region(region: Region | None) -> str:
    if region is None:
        return ""
    return state_changes.canonical([[int(part.start), int(part.stop)] for part in region])
