"""The journal: every event of a session in one SQLite file, chained by digests, written before it counts.

Table ``events`` only ever grows. Each row holds the digest of the row before it
together with its own content, so that no row can be altered, moved or left out
unnoticed. Table ``checkpoints`` holds the content of single parts of the session at
some event; it only makes reopening fast, and can be thrown away.

The file names neither patient nor path: the image is known by its fingerprint.
"""

import contextlib
import datetime
import hashlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from napari_medfm.errors import JournalBusyError, JournalDamagedError, JournalError
from napari_medfm.files import flush_file, flush_folder

SCHEMA = 1
"""Version of the tables; a journal of another version is not opened."""

_COMPANIONS = ("", "-wal", "-shm")
"""What is added to a journal's name for the files that belong to it."""

_APPLICATION = 0x6D66_6D31
_CREATE = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
    changes TEXT NOT NULL, region TEXT NOT NULL, patch BLOB NOT NULL, facts TEXT NOT NULL,
    covered INTEGER NOT NULL, checkpoints TEXT NOT NULL,
    time TEXT NOT NULL, annotator TEXT NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
    part TEXT PRIMARY KEY, seq INTEGER NOT NULL, content BLOB NOT NULL
) STRICT;
"""
_COLUMNS = "seq, step, kind, title, changes, region, patch, facts, covered, checkpoints, time, annotator, digest"
_INSERT = f"INSERT INTO events ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"
_KEEP = "INSERT OR REPLACE INTO checkpoints (part, seq, content) VALUES (?, ?, ?)"
_VERIFY = "Verify the journal, and recover what is intact."
_WAIT = 1.0
"""Seconds to wait for another process that looks into the file, such as a backup."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the journal.

    Attributes
    ----------
    seq : int
        Number of the event, from 1 without gaps.
    step : int
        Number of the undo step it belongs to; 0 if it is no step.
    kind : str
        What was done.
    title : str
        What a person calls it.
    changes : str
        What changed in the state, see `napari_medfm.session.changes`.
    region : str
        JSON of the box that changed, ``[[start, stop], ...]``, or empty.
    patch : bytes
        The voxels that changed, see `napari_medfm.session.patches`, or empty.
    facts : str
        JSON of what else is worth knowing: model, digests, quality, subject.
    covered : int
        Every event up to this one is contained in the checkpoints of the parts it touched.
    checkpoints : str
        JSON of the checkpoints written along with it, part to digest; each contains every
        event before this one.
    time : str
        UTC, ISO 8601.
    annotator : str
        Who did it, if they said so.
    digest : bytes
        SHA-256 over the digest of the event before and everything above.
    """

    seq: int
    step: int
    kind: str
    title: str
    changes: str
    region: str
    patch: bytes
    facts: str
    covered: int
    checkpoints: str
    time: str
    annotator: str
    digest: bytes = b""

    def sealed(self, previous: bytes) -> "Event":
        """Return the event with its digest."""
        return replace(self, digest=self.expected(previous))

    def expected(self, previous: bytes) -> bytes:
        """Return the digest the event must have after an event with the digest `previous`."""
        return chain(previous, *self.row[:-1])

    @property
    def row(self) -> tuple[int | str | bytes, ...]:
        """The event as the columns of its table."""
        return (
            self.seq,
            self.step,
            self.kind,
            self.title,
            self.changes,
            self.region,
            self.patch,
            self.facts,
            self.covered,
            self.checkpoints,
            self.time,
            self.annotator,
            self.digest,
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of one part of the session at some event.

    Attributes
    ----------
    part : str
        Which part.
    seq : int
        The last event it contains.
    content : bytes
        The content.
    """

    part: str
    seq: int
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 over everything above; the event it is written along with names it."""
        return chain(b"checkpoint", self.part, self.seq, self.content).hex()


def chain(previous: bytes, *fields: int | str | bytes) -> bytes:
    """Return the SHA-256 of some values, each with its type and length, after a former digest."""
    digest = hashlib.sha256(previous)
    for value in fields:
        coded = value if isinstance(value, bytes) else str(value).encode()
        digest.update(struct.pack("<cQ", type(value).__name__[:1].encode(), len(coded)))
        digest.update(coded)
    return digest.digest()


class Journal:
    """An open journal. To be used from the thread that opened it.

    Parameters
    ----------
    path : Path
        The file.
    connection : sqlite3.Connection
        To it.
    head : (int, bytes)
        Number and digest of the last event.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, head: tuple[int, bytes]) -> None:
        self.path = path
        self._connection = connection
        self._head = head

    @classmethod
    @contextlib.contextmanager
    def draft(cls, path: Path) -> Iterator[Self]:
        """Make a new journal beside a path; `publish` gives it the path, complete from its first moment.

        Raises
        ------
        JournalError
            It cannot be written.
        """
        draft = _draft_of(path)
        with worded(path):
            _remove(draft)
            connection = _connect(draft, "rwc")
            _make_durable(connection)
            connection.executescript(
                f"PRAGMA application_id={_APPLICATION}; PRAGMA user_version={SCHEMA}; BEGIN; {_CREATE} COMMIT;"
            )
        journal = cls(path, connection, (0, b""))
        try:
            yield journal
        finally:
            journal.close()

    @staticmethod
    def publish(path: Path) -> None:
        """Give a draft its name.

        Raises
        ------
        JournalError
            A journal of that name exists already.
        """
        if path.exists():
            raise JournalError(path.name, "exists already", "Resume it, or set it aside first.")
        draft = _draft_of(path)
        with worded(path):
            move_aside(path)  # what a deleted journal left behind must never be taken for this one's
            flush_file(draft)
            draft.rename(path)
            flush_folder(path.parent)

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> Self:
        """Open an existing journal; its events are checked when they are read.

        Raises
        ------
        JournalError
            There is none, or it was written by another version.
        JournalDamagedError
            The file is not a journal, or its tables are broken.
        """
        if not path.is_file():
            raise JournalError(path.name, "does not exist", "Start a new session.")
        with worded(path):
            connection = _connect(path, "rw" if writable else "ro")
            try:
                _check_format(connection, path.name)
                if writable:
                    _make_durable(connection)
                last = connection.execute("SELECT seq, digest FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, last or (0, b""))

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last event."""
        return self._head

    def append(self, events: Sequence[Event], checkpoints: Iterable[Checkpoint] = ()) -> tuple[Event, ...]:
        """Write events, all or none; when this returns, they survive a power loss.

        Parameters
        ----------
        events : sequence of Event
            Numbered on from the head; their digests are filled in.
        checkpoints : iterable of Checkpoint
            Written along with them.

        Returns
        -------
        tuple of Event
            The events with their digests.

        Raises
        ------
        JournalError
            The disk is full, or the file cannot be written; nothing was.
        JournalBusyError
            Another process holds the file.
        """
        sealed: list[Event] = []
        number, digest = self._head
        for event in events:
            sealed.append(replace(event, seq=number + 1).sealed(digest))
            number, digest = sealed[-1].seq, sealed[-1].digest
        with worded(self.path), _transaction(self._connection):
            self._connection.executemany(_INSERT, [event.row for event in sealed])
            self._connection.executemany(_KEEP, [(kept.part, kept.seq, kept.content) for kept in checkpoints])
        self._head = number, digest
        return tuple(sealed)

    def events(self, after: int = 0) -> Iterator[Event]:
        """Yield the events after one, in order, each checked against the one before it.

        Raises
        ------
        JournalDamagedError
            One was altered, is missing, or cannot be read.
        """
        number, previous = after, self._digest(after)
        with worded(self.path):
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq", (after,)):
                event = Event(*row)
                number += 1
                if event.seq != number or event.expected(previous) != event.digest:
                    raise JournalDamagedError(self.path.name, f"event {number} was altered or is missing", _VERIFY)
                previous = event.digest
                yield event

    def event(self, seq: int) -> Event:
        """Return one event, checked against the one before it.

        Raises
        ------
        JournalDamagedError
            It was altered, is missing, or cannot be read.
        """
        return next(self.events(seq - 1))

    def facts_of(self, kind: str) -> list[str]:
        """Return the facts of all events of a kind, in order; the chain is not checked."""
        with worded(self.path):
            rows = self._connection.execute("SELECT facts FROM events WHERE kind = ? ORDER BY seq", (kind,))
            return [str(facts) for (facts,) in rows]

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield every checkpoint; it is the caller who compares their digests with what the events say."""
        with worded(self.path):
            for row in self._connection.execute("SELECT part, seq, content FROM checkpoints"):
                yield Checkpoint(*row)

    def close(self) -> None:
        """Close the file."""
        with worded(self.path):
            self._connection.close()

    def _digest(self, seq: int) -> bytes:
        if seq == 0:
            return b""
        with worded(self.path):
            row = self._connection.execute("SELECT digest FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise JournalDamagedError(self.path.name, f"event {seq} is missing", _VERIFY)
        return bytes(row[0])


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_WAIT, isolation_level=None
    )
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _check_format(connection: sqlite3.Connection, name: str) -> None:
    """Check whose file it is before anything is written to it."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise JournalDamagedError(name, "is not a session journal", "Set it aside and start a new one.")
    if version != SCHEMA:
        reason = f"was written by another version (format {version}, here {SCHEMA})"
        raise JournalError(name, reason, "Open it with that version.")


def _make_durable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def move_aside(path: Path) -> Path:
    """Rename a journal and what belongs to it, as far as it is there, and return the new name."""
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.stem}.{moment}.aside")
    for companion in _COMPANIONS:
        part = path.with_name(path.name + companion)
        if part.exists():
            part.rename(aside.with_name(aside.name + companion))
    flush_folder(path.parent)
    return aside


def _remove(path: Path) -> None:
    for companion in _COMPANIONS:
        path.with_name(path.name + companion).unlink(missing_ok=True)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def worded(path: Path) -> Iterator[None]:
    """Turn the errors of database and disk into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            step = "Close that program and try again; nothing was changed."
            raise JournalBusyError(path.name, "another program holds it", step) from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise JournalDamagedError(path.name, f"the file is damaged ({error})", _VERIFY) from error
        step = "Check free space and permissions, then try again; nothing was changed."
        raise JournalError(path.name, f"cannot be read or written ({error})", step) from error
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        raise JournalError(path.name, reason, "Check free space and permissions, then try again.") from error
    except sqlite3.DatabaseError as error:
        raise JournalDamagedError(path.name, f"the file is damaged ({error})", _VERIFY) from error
