"""Embeddings in a folder: one safetensors file each, and an SQLite index that vouches for them.

An entry counts only when its row, the size and SHA-256 of its file, and the key
written inside the file agree. Files appear and vanish only while the index's
write lock is held, so that row and file change together for every process that
shares the folder; nothing is computed and no content is written under that lock.

Nothing is flushed to the disk: the folder is a cache, and after a power loss
whatever did not arrive whole disagrees with its digest and is made again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.numpy
from filelock import FileLock
from safetensors import SafetensorError

from napari_medfm.files import private_folder
from napari_medfm.models import ImageEmbedding

_SUFFIX = ".safetensors"
_PATIENCE_SECONDS = 1.0
_ABANDONED_SECONDS = 3600.0
_USES_NOTED = 32
_TABLES = """
    CREATE TABLE IF NOT EXISTS entries (
        name TEXT PRIMARY KEY CHECK (typeof(name) = 'text'),
        sha256 TEXT NOT NULL CHECK (typeof(sha256) = 'text'),
        size INTEGER NOT NULL CHECK (typeof(size) = 'integer' AND size >= 0),
        used INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS by_use ON entries (used);
    CREATE TABLE IF NOT EXISTS totals (id INTEGER PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT OR IGNORE INTO totals VALUES (0, 0, 0);
    CREATE TABLE IF NOT EXISTS served (id INTEGER PRIMARY KEY, hits INTEGER NOT NULL, misses INTEGER NOT NULL);
    INSERT OR IGNORE INTO served VALUES (0, 0, 0);
    CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries
        BEGIN UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END;
    CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON entries
        BEGIN UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END;
    CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE OF size ON entries
        BEGIN UPDATE totals SET bytes = bytes + new.size - old.size; END;
"""
_TOTALS = "SELECT coalesce(sum(entries), 0), coalesce(sum(bytes), 0) FROM totals"
_SERVED = "SELECT coalesce(sum(hits), 0), coalesce(sum(misses), 0) FROM served"
_SERVE = "UPDATE served SET hits = hits + ?, misses = misses + ?"
_RECOUNT = "UPDATE totals SET (entries, bytes) = (SELECT count(*), coalesce(sum(size), 0) FROM entries)"
_DELETE = "DELETE FROM entries WHERE name = ?"
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM entries))"
_USE = "UPDATE entries SET used = (SELECT max(used) + 1 FROM entries) WHERE name = ?"

_Row = tuple[str, int]  # SHA-256 and size of the file


class Edition:
    """The entries of one folder, by name: one edition of the cache, valid as long as its index is.

    Safe to use from several threads and, each with an object of its own, from
    several processes; not across a fork. Every method may raise OSError (the
    folder cannot be used), sqlite3.Error (the index cannot be used) or
    UnicodeDecodeError (the index is so damaged that even SQLite's message is).

    Parameters
    ----------
    folder : Path
        Created with mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        self._incoming = private_folder(folder / "incoming")
        self._used: dict[str, None] = {}  # read since the index was last written, oldest first
        self._hits = self._misses = 0  # since then
        self._lock = threading.RLock()
        self._index = _open_index(folder / "index.sqlite")
        self._close_index = weakref.finalize(self, self._index.close)
        self._sweep_incoming()

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            if self._close_index.alive:
                with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
                    self._write_down_use()
            self._close_index()

    def read(self, name: str) -> ImageEmbedding | None:
        """Return an entry, or None; one that does not agree with its row is removed."""
        embedding = self._load(name)
        self._note_use(name, found=embedding is not None)
        return embedding

    def check(self, name: str) -> bool:
        """Whether `read` would return the entry; removes it if not. Does not count as use."""
        return self._load(name) is not None

    def write(self, name: str, embedding: ImageEmbedding, budget: int, reserve: int) -> None:
        """Add or replace an entry, then remove the least recently used beyond the budget.

        Parameters
        ----------
        name : str
            SHA-256 of the key, in hexadecimal.
        embedding : ImageEmbedding
            The content.
        budget : int
            Bytes the folder may hold; an entry larger than that is not kept.
        reserve : int
            Bytes to leave free on the disk, whatever the budget says.

        Raises
        ------
        SafetensorError
            An array of a type that cannot be stored.
        """
        content = pack(name, embedding)
        digest = hashlib.sha256(content).hexdigest()
        if len(content) > self._allowed(budget, reserve):
            self.remove(name)
            return
        with self._written(content) as temporary, self._changing():
            os.replace(temporary, self._path(name))
            self._index.execute(_DELETE, (name,))  # not REPLACE, which no trigger sees
            self._index.execute(_INSERT, (name, digest, len(content)))
            self._shrink(self._allowed(budget, reserve))

    def holds(self, name: str) -> bool:
        """Whether there is a row, and a file of the size it says."""
        row = self._row(name)
        try:
            return row is not None and self._path(name).stat().st_size == row[1]
        except FileNotFoundError:
            return False

    def remove(self, name: str) -> None:
        """Remove an entry, if there is one."""
        with self._changing():
            self._remove(name)

    def names(self) -> list[str]:
        """Return the names of all entries."""
        with self._lock:
            return [str(name) for (name,) in self._index.execute("SELECT name FROM entries")]

    def totals(self) -> tuple[int, int]:
        """Return the number of entries and their bytes."""
        with self._lock:
            totals: tuple[int, int] = self._index.execute(_TOTALS).fetchone()
        return totals

    def served(self) -> tuple[int, int]:
        """Return how often `read` found an entry and did not, in all processes that wrote it down, and in this one."""
        with self._lock:
            hits, misses = self._index.execute(_SERVED).fetchone()
            return hits + self._hits, misses + self._misses

    def shrink(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most `max_bytes` are left; return the bytes freed."""
        with self._changing():
            return self._shrink(max_bytes)

    def tidy(self) -> int:
        """Count again, and remove files without a row, which killed processes leave behind; return how many."""
        with self._changing():
            self._index.execute(_RECOUNT)
        strays = [path for path in self.folder.glob("*" + _SUFFIX) if self._row(path.stem) is None]
        return sum(self._remove_stray(path) for path in strays)

    def _remove_stray(self, path: Path) -> bool:
        with self._changing():
            stray = self._row(path.stem) is None  # or was it just being added?
            if stray:
                path.unlink(missing_ok=True)
        return stray

    def _path(self, name: str) -> Path:
        return self.folder / (Path(name).name + _SUFFIX)

    def _row(self, name: str) -> _Row | None:
        with self._lock:
            found = self._index.execute("SELECT sha256, size FROM entries WHERE name = ?", (name,))
            row: _Row | None = found.fetchone()
        return row

    def _note_use(self, name: str, *, found: bool) -> None:
        # Written down now and then, for a reader should not have to wait for other processes each time.
        with self._lock:
            self._hits += found
            self._misses += not found
            self._used.pop(name, None)
            if found:
                self._used[name] = None
            if len(self._used) >= _USES_NOTED:
                self._write_down_use()

    def _write_down_use(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError), self._changing():
            pass
        self._used.clear()

    def _load(self, name: str) -> ImageEmbedding | None:
        row = self._row(name)
        if row is None:
            return None
        # Looked at again under the write lock, because another process may be replacing it just now.
        return self._sound(name, row) or self._load_or_remove(name)

    def _sound(self, name: str, row: _Row) -> ImageEmbedding | None:
        try:
            content = self._path(name).read_bytes()
            if (hashlib.sha256(content).hexdigest(), len(content)) != row:
                return None
            return unpack(name, content)
        except (OSError, ValueError):
            return None

    def _load_or_remove(self, name: str) -> ImageEmbedding | None:
        with self._changing():
            row = self._row(name)
            embedding = None if row is None else self._sound(name, row)
            if embedding is None:
                self._remove(name)
        return embedding

    def _remove(self, name: str) -> None:
        self._index.execute(_DELETE, (name,))
        with contextlib.suppress(OSError):  # without a row the file counts for nothing
            self._path(name).unlink()

    def _shrink(self, max_bytes: int) -> int:
        before = self.totals()[1]
        for name in self._oldest(before - max_bytes):
            self._remove(name)
        return before - self.totals()[1]

    def _oldest(self, excess: int) -> list[str]:
        """Names of the least recently used entries that together have at least `excess` bytes."""
        names: list[str] = []
        rows = self._index.execute("SELECT name, CAST(size AS INTEGER) FROM entries ORDER BY used")
        while excess > 0 and (row := rows.fetchone()) is not None:
            names.append(str(row[0]))
            excess -= row[1] or 0
        rows.close()
        return names

    def _allowed(self, budget: int, reserve: int) -> int:
        # A cache that fills the disk would keep the journals from being written.
        return min(budget, self.totals()[1] + shutil.disk_usage(self.folder).free - reserve)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the index's write lock; everything inside happens for other processes at once, or not at all."""
        with self._lock:
            with self._index:
                self._index.execute("BEGIN IMMEDIATE")
                self._index.executemany(_USE, [(name,) for name in self._used])
                self._index.execute(_SERVE, (self._hits, self._misses))
                yield
            self._used.clear()
            self._hits = self._misses = 0

    @contextlib.contextmanager
    def _written(self, content: bytes) -> Iterator[Path]:
        descriptor, name = tempfile.mkstemp(dir=self._incoming)  # mode 0600
        temporary = Path(name)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(content)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep_incoming(self) -> None:
        for path in self._incoming.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:  # its writer was killed
                    path.unlink()


def pack(name: str, embedding: ImageEmbedding) -> bytes:
    """Return an embedding as the content of a safetensors file that knows its own name.

    Raises
    ------
    SafetensorError
        An array of a type that cannot be stored.
    """
    # safetensors writes the memory as it lies: another order would come back scrambled.
    arrays = {key: np.asarray(array, order="C") for key, array in embedding.arrays.items()}
    shape = [int(size) for size in embedding.shape]
    metadata = {"name": name, "image_shape": json.dumps(shape), "encoder_digest": embedding.encoder_digest}
    if embedding.aspect != 1:
        metadata["aspect"] = repr(float(embedding.aspect))
    return safetensors.numpy.save(arrays, metadata)


def unpack(name: str, content: bytes) -> ImageEmbedding:
    """Return what `pack` made a file of.

    Raises
    ------
    ValueError
        Not such a file, or one of another name.
    """
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header["__metadata__"]
        its_name, encoder_digest = metadata["name"], metadata["encoder_digest"]
        shape = tuple(int(size) for size in json.loads(metadata["image_shape"]))
        aspect = float(metadata.get("aspect", 1.0))
    except (SafetensorError, KeyError, TypeError) as error:
        msg = "not an embedding"
        raise ValueError(msg) from error
    if its_name != name:
        msg = "the embedding of another key"
        raise ValueError(msg)
    return ImageEmbedding(arrays, shape, encoder_digest, aspect=aspect)


def _open_index(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode
    index = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        # One after the other: SQLite does not wait for its turn when the mode of a new file is being changed.
        with FileLock(f"{path}.lock", timeout=_PATIENCE_SECONDS, mode=0o600):
            index.execute("PRAGMA journal_mode = WAL")
            index.execute("PRAGMA synchronous = OFF")
            index.executescript(_TABLES)
    except BaseException:
        index.close()
        raise
    return index
