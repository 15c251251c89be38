"""Proof that a journal is what was written, and rescue of what still is."""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medfm.errors import JournalDamagedError, JournalError
from napari_medfm.session import checkpoints
from napari_medfm.session.history import History
from napari_medfm.session.journal import Checkpoint, Event, Journal, move_aside
from napari_medfm.session.ledger import Ledger
from napari_medfm.session.opening import journal_path, require_lock
from napari_medfm.session.restore import Replay, survey


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found.

    Attributes
    ----------
    events : int
        Events that are intact, from the first on.
    checkpoints : int
        Checkpoints that are intact.
    broken_event : int or None
        The first event that is not what was written; None if all are.
    reason : str
        What is wrong, empty if nothing.
    head : str
        Digest of the last intact event, hexadecimal. Who keeps a copy of it can prove
        later that none was left out since.
    """

    events: int
    checkpoints: int
    broken_event: int | None
    reason: str
    head: str

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` saved.

    Attributes
    ----------
    events : int
        Events that were saved.
    reason : str
        Why no more were.
    aside : Path
        The damaged journal, kept under another name.
    """

    events: int
    reason: str
    aside: Path


def verify(path: Path) -> VerifyReport:
    """Check a journal from the first event to the last, and every checkpoint.

    Recomputes the chain of digests, replays all events on empty voxels, and compares
    the checkpoints with what comes out. Reads only.

    Parameters
    ----------
    path : Path
        The journal.

    Raises
    ------
    JournalError
        There is none, or it was written by another version.
    """
    try:
        journal = Journal.open(Path(path), writable=False)
    except JournalDamagedError as error:
        return VerifyReport(0, 0, 1, error.reason, "")
    try:
        return _verify(journal)
    finally:
        journal.close()


def recover(fingerprint: str, folder: Path | None = None) -> Recovery:
    """Save what is intact of a damaged journal into a new one; the damaged one is kept aside.

    Parameters
    ----------
    fingerprint : str
        Of the image.
    folder : Path, optional
        The sessions folder.

    Raises
    ------
    JournalDamagedError
        Not even the first event is intact; nothing was changed.
    JournalBusyError
        A session holds the journal.
    JournalError
        There is none.
    """
    path = journal_path(fingerprint, folder)
    if not path.is_file():
        raise JournalError(path.name, "does not exist", "There is nothing to recover.")
    with require_lock(path):
        damaged = Journal.open(path, writable=False)
        try:
            course = _Course(damaged)
            with Journal.draft(path) as draft:
                replay, history = _copy(course, draft)
                Ledger(draft, replay.voxels, replay.state, history, replay.queue).tidy("recover")
        finally:
            damaged.close()
        aside = move_aside(path)
        Journal.publish(path)
    return Recovery(course.last, course.reason, aside)


class _Course:
    """The intact events of a journal, in order; afterwards, why there were no more.

    Attributes
    ----------
    last : int
        The last intact event so far.
    reason : str
        Why it was the last; empty at the end of an intact journal.
    head : str
        Its digest.
    replay : Replay
        State and voxels after it.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.last = 0
        self.reason = ""
        self.head = ""
        self.replay = Replay(_shape(journal))

    def __iter__(self) -> Iterator[Event]:
        try:
            for event in self._journal.events():
                self.replay.take(event)
                self.last, self.head = event.seq, event.digest.hex()
                yield event
        except JournalDamagedError as error:
            self.reason = error.reason


def _shape(journal: Journal) -> tuple[int, ...]:
    return tuple(json.loads(journal.event(1).facts)["shape"])


def _copy(course: _Course, draft: Journal) -> tuple[Replay, History]:
    found = survey(event for kept in course for event in draft.append([kept]))
    return course.replay, found.history


def _verify(journal: Journal) -> VerifyReport:
    try:
        course = _Course(journal)
        kept = _Kept(journal.checkpoints())
    except JournalDamagedError as error:
        return VerifyReport(0, 0, 1, error.reason, "")
    found = survey(kept.compared(course))
    if course.reason:
        return VerifyReport(course.last, kept.good, course.last + 1, course.reason, course.head)
    wrong = kept.wrong or kept.strays(found.digests)
    reason = f"checkpoint {wrong[0]} is not what was written" if wrong else ""
    return VerifyReport(course.last, kept.good, None, reason, course.head)


class _Kept:
    """The checkpoints of a journal, compared with a replay on the way."""

    def __init__(self, kept: Iterable[Checkpoint]) -> None:
        self._digests: dict[str, str] = {}
        self._by_event: defaultdict[int, list[Checkpoint]] = defaultdict(list)
        self.good = 0
        self.wrong: list[str] = []
        for part in kept:
            self._digests[part.part] = part.digest
            self._by_event[part.seq].append(part)

    def compared(self, course: _Course) -> Iterator[Event]:
        """Yield the events of a course, comparing checkpoints as soon as their event is reached."""
        for event in course:
            yield event
            for part in self._by_event[event.seq]:
                self._compare(part, course.replay)

    def strays(self, digests: dict[str, str]) -> list[str]:
        """Return the parts whose checkpoints are missing, or not those that the events name."""
        names = {*digests, *self._digests}
        return sorted(name for name in names if digests.get(name) != self._digests.get(name))

    def _compare(self, part: Checkpoint, replay: Replay) -> None:
        try:
            expected = checkpoints.take(part.part, part.seq, replay.state, replay.voxels)
            same = zlib.decompress(part.content) == zlib.decompress(expected.content)
        except (ValueError, LookupError, zlib.error):
            same = False
        self.good += same
        if not same:
            self.wrong.append(part.part)
