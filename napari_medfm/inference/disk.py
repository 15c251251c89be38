"""Embeddings on disk: never a wrong one, and never an error."""

import contextlib
import logging
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from napari_medfm.files import private_folder
from napari_medfm.inference.edition import Edition
from napari_medfm.inference.keys import EmbeddingKey
from napari_medfm.inference.stores import StoreInfo
from napari_medfm.models import ImageEmbedding
from napari_medfm.settings import Settings, load_settings

T = TypeVar("T")

_LAYOUT = 1  # of files and index; the folders of other layouts are never read
# Not at fault is the index, but its surroundings. "Read-only" is not among them: damaged headers look like that.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """What `DiskStore.verify` found.

    Attributes
    ----------
    sound : int
        Entries that are what was put in.
    removed : int
        Damaged entries, now removed.
    strays : int
        Files that belonged to no entry, now removed.
    """

    sound: int = 0
    removed: int = 0
    strays: int = 0


class DiskStore:
    """Embeddings in a private folder, which several processes may share.

    An entry that is damaged in any way is removed and counts as missing. Where the
    folder cannot be used (no permission, disk full, index locked) everything is
    missing and nothing is kept, which is logged once. A damaged index, or one of an
    older layout, is given up with its files and a new one begun beside it.

    The folder has mode 0700, its files 0600, for embeddings are patient data; file
    names and index hold digests only.

    Parameters
    ----------
    folder : Path
        Created on first use.
    budget_bytes : int
        Bytes of files to keep at most; the least recently used make room for new ones.
    reserve_bytes : int
        Bytes of the disk to leave free for more important files.
    """

    persistent = True

    def __init__(self, folder: Path, budget_bytes: int, *, reserve_bytes: int = 10**9) -> None:
        self.folder = Path(folder)
        self.budget_bytes = budget_bytes
        self.reserve_bytes = reserve_bytes
        self._edition: Edition | None = None
        self._complained = False
        self._lock = threading.Lock()

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """See `EmbeddingStore.get`."""
        return self._try(lambda edition: edition.read(key.digest), None)

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """See `EmbeddingStore.put`."""
        budget, reserve = self.budget_bytes, self.reserve_bytes
        self._try(lambda edition: edition.write(key.digest, embedding, budget, reserve), None)

    def contains(self, key: EmbeddingKey) -> bool:
        """See `EmbeddingStore.contains`."""
        return self._try(lambda edition: edition.holds(key.digest), False)

    def evict(self, key: EmbeddingKey) -> None:
        """See `EmbeddingStore.evict`."""
        self._try(lambda edition: edition.remove(key.digest), None)

    def info(self) -> StoreInfo:
        """Return what the folder holds, and how well it served all processes so far."""
        return StoreInfo(*self._try(Edition.totals, (0, 0)), *self._try(Edition.served, (0, 0)))

    def verify(self, progress: Callable[[int, int], None] | None = None) -> StoreCheck:
        """Read every entry again, and remove damaged ones and stray files.

        Parameters
        ----------
        progress : callable, optional
            Given the number of entries checked and of all, after each.
        """
        return self._try(lambda edition: _check(edition, progress), StoreCheck())

    def prune(self, max_bytes: int) -> int:
        """Remove the least recently used entries until at most `max_bytes` are left; return the bytes freed."""
        return self._try(lambda edition: edition.shrink(max_bytes), 0)

    def clear(self) -> int:
        """Remove every entry; return the bytes freed."""
        freed = self.prune(0)
        self._try(Edition.tidy, 0)
        return freed

    def close(self) -> None:
        """Let go of the folder; the next use opens it again."""
        with self._lock:
            self._forget()

    def _try(self, action: Callable[[Edition], T], otherwise: T) -> T:
        edition = None
        try:
            edition = self._opened()
            return action(edition)
        except (OSError, sqlite3.Error, UnicodeDecodeError, SafetensorError) as error:
            self._complain(error)
            self._recover(error, edition)
            return otherwise

    def _opened(self) -> Edition:
        with self._lock:
            if self._edition is None:
                self._edition = _open_newest(private_folder(self.folder))
            return self._edition

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            reason = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
            _log.warning("embedding cache: %s; embeddings may have to be computed again", reason)

    def _recover(self, error: Exception, edition: Edition | None) -> None:
        """Make the next use open the folder anew, where that can help."""
        damaged = _is_damage(error)
        gone = isinstance(error, FileNotFoundError | sqlite3.ProgrammingError)  # removed, or closed meanwhile
        with self._lock:
            if edition is None or edition is not self._edition or not (damaged or gone):
                return
            self._forget()
        if damaged:
            with contextlib.suppress(OSError):
                _begin_successor(edition.folder)

    def _forget(self) -> None:
        if self._edition is not None:
            self._edition.close()
            self._edition = None


def open_disk_store(settings: Settings | None = None) -> DiskStore:
    """Return the cache of embeddings that all programs of this user share.

    Parameters
    ----------
    settings : Settings, optional
        By default those of the environment.
    """
    settings = settings or load_settings()
    return DiskStore(settings.embeddings_dir, settings.cache_bytes)


def _check(edition: Edition, progress: Callable[[int, int], None] | None) -> StoreCheck:
    names = edition.names()
    sound = 0
    for done, name in enumerate(names, start=1):
        sound += edition.check(name)
        if progress is not None:
            progress(done, len(names))
    return StoreCheck(sound, len(names) - sound, edition.tidy())


def _is_damage(error: Exception) -> bool:
    """Whether the index itself is at fault, not its surroundings or its use."""
    if isinstance(error, sqlite3.ProgrammingError) or not isinstance(error, sqlite3.Error):
        return isinstance(error, UnicodeDecodeError)
    extended: int = getattr(error, "sqlite_errorcode", 0)
    return extended & 0xFF not in _PASSING


# An edition lies in "v<layout>-<number>". One that is damaged is succeeded by the next number: every process that meets
# the damage names the same successor, and nothing of the old one is used again. So nobody waits for anybody, and the
# write-ahead log of a damaged index never meets a new one.


def _open_newest(folder: Path) -> Edition:
    numbers = [number for path in folder.iterdir() for layout, number in _parse(path) if layout == _LAYOUT]
    newest = folder / f"v{_LAYOUT}-{max(numbers, default=0)}"
    try:
        edition = Edition(newest)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        edition = Edition(_begin_successor(newest))
    _remove_older(edition.folder)
    return edition


def _parse(path: Path) -> list[tuple[int, int]]:
    """Layout and number of an edition's folder; empty for any other."""
    match = re.fullmatch(r"v(\d+)-(\d+)", path.name)
    return [] if match is None else [(int(match[1]), int(match[2]))]


def _begin_successor(folder: Path) -> Path:
    ((layout, number),) = _parse(folder)
    return private_folder(folder.with_name(f"v{layout}-{number + 1}"))


def _remove_older(current: Path) -> None:
    (mine,) = _parse(current)
    for path in current.parent.iterdir():
        if any(edition < mine for edition in _parse(path)):
            shutil.rmtree(path, ignore_errors=True)
