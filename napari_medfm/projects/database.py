"""The database of a project: SQLite, so that several processes change it without losing what another did.

Every change is one transaction that takes the write lock before it reads (BEGIN IMMEDIATE); a change that was decided
on what somebody read earlier names the version it read, and is refused if there is a newer one. Each operation has a
connection of its own: any thread may call.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_medfm.errors import ProjectError

FILE = "project.medfm"
"""Name of the database in the folder of a project."""

_APPLICATION = 0x4D444650  # "MDFP"
_LAYOUT = 1
_MARKS = ("application_id", "user_version")
_PATIENCE = 30.0  # seconds that a change waits for another's
_STEP = "Restore it from a copy; it was not changed."
_PRIMARY = 0xFF  # SQLite adds details to its codes above these bits
_PLACE = (
    "lies where nothing can be written",
    "Ask for the right to write to the folder and its files, or copy the project to a folder of yours.",
)
_REFUSALS = {
    sqlite3.SQLITE_BUSY: ("is kept by another process", "Try again in a moment."),
    sqlite3.SQLITE_LOCKED: ("is kept by another process", "Try again in a moment."),
    sqlite3.SQLITE_READONLY: _PLACE,
    sqlite3.SQLITE_CANTOPEN: _PLACE,
    sqlite3.SQLITE_PERM: _PLACE,
    sqlite3.SQLITE_FULL: ("has no room left on its disk", "Make room, then try again."),
}

_TABLES = (
    "CREATE TABLE classes (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, colour TEXT NOT NULL, parent TEXT)",
    "CREATE TABLE cases (id INTEGER PRIMARY KEY, path TEXT NOT NULL, choice INTEGER, fingerprint TEXT NOT NULL UNIQUE, "
    "patient TEXT NOT NULL, modality TEXT NOT NULL, shape TEXT NOT NULL, spacing TEXT NOT NULL, status TEXT NOT NULL, "
    "annotator TEXT NOT NULL, reviewer TEXT NOT NULL, note TEXT NOT NULL, version INTEGER NOT NULL)",
    "CREATE TABLE changes (number INTEGER PRIMARY KEY, case_id INTEGER NOT NULL REFERENCES cases (id), "
    "time TEXT NOT NULL, person TEXT NOT NULL, status TEXT NOT NULL, note TEXT NOT NULL)",
    f"PRAGMA application_id={_APPLICATION}",
    f"PRAGMA user_version={_LAYOUT}",
)


def create(path: Path, classes: Sequence[tuple[str, str, str | None]]) -> None:
    """Make a database; one transaction, so that of two processes one makes it, and a crash leaves nothing.

    Parameters
    ----------
    path : Path
        Of the database.
    classes : sequence of (str, str, str or None)
        Name, colour and parent of each class, in order.

    Raises
    ------
    ProjectError
        There is one already, or it cannot be written.
    """
    with _worded(path), contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as database:
        with _transaction(database):
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise ProjectError(path.parent.name, "holds a project already", "Open it, or choose another folder.")
            for statement in _TABLES:
                database.execute(statement)
            database.executemany("INSERT INTO classes (name, colour, parent) VALUES (?, ?, ?)", classes)
        path.chmod(0o600)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to look at it.

    Raises
    ------
    ProjectError
        There is none, or it is damaged or of a later version.
    """
    with _worded(path), contextlib.closing(_connect(path)) as connection:
        yield connection


@contextlib.contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to change it: all that the block does happens together, or nothing of it.

    Raises
    ------
    ProjectError
        As for `reading`, or another process kept it for too long.
    """
    with _worded(path), contextlib.closing(_connect(path)) as connection, _transaction(connection):
        yield connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise ProjectError(path.parent.name, "holds no project", "Make one: napari-medfm project new FOLDER.")
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        (application,), (layout,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in _MARKS)
        if application != _APPLICATION:
            raise ProjectError(path.name, "is no project", "Choose another folder.")
        if layout != _LAYOUT:
            raise ProjectError(path.name, "was written by another version", "Open it with that version.")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _worded(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        reason, step = _REFUSALS.get(
            error.sqlite_errorcode & _PRIMARY,
            (f"cannot be used ({error.sqlite_errorname})", "Try again; check free space and permissions."),
        )
        raise ProjectError(path.parent.name, reason, step) from error
    except sqlite3.DatabaseError as error:
        raise ProjectError(path.name, "is damaged", _STEP) from error
    except OSError as error:
        raise ProjectError(path.parent.name, *_PLACE) from error
