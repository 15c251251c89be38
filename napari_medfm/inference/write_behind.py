"""A slow store whose writing happens elsewhere: the device's lane goes on at once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from napari_medfm.inference.keys import EmbeddingKey
from napari_medfm.inference.stores import EmbeddingStore
from napari_medfm.models import ImageEmbedding
from napari_medfm.workers import Lane

_PENDING_BYTES = 128_000_000


class WriteBehind:
    """A store in front of a slow one: what was put is there at once, and written by a thread of its own.

    Reading asks what waits to be written first, then the slow store, on the caller's thread. Where more waits than
    `pending_bytes`, `put` waits for the slow store to catch up.

    Parameters
    ----------
    store : EmbeddingStore
        The slow one.
    pending_bytes : int
        Bytes of arrays that may wait.
    """

    def __init__(self, store: EmbeddingStore, pending_bytes: int = _PENDING_BYTES) -> None:
        self._store = store
        self._pending_bytes = pending_bytes
        self._pending: dict[EmbeddingKey, ImageEmbedding] = {}
        self._bytes = 0
        self._changed = threading.Condition()
        self._lane = Lane("cache")

    @property
    def persistent(self) -> bool:
        """See `EmbeddingStore.persistent`."""
        return self._store.persistent

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """See `EmbeddingStore.get`."""
        with self._changed:
            waiting = self._pending.get(key)
        return waiting if waiting is not None else self._store.get(key)

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """See `EmbeddingStore.put`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending or self._bytes + embedding.nbytes <= self._pending_bytes)
            self._forget(key)
            self._pending[key] = embedding
            self._bytes += embedding.nbytes
        self._behind(lambda: self._write(key, embedding)).add_done_callback(lambda _: self._done(key, embedding))

    def contains(self, key: EmbeddingKey) -> bool:
        """See `EmbeddingStore.contains`."""
        with self._changed:
            waiting = key in self._pending
        return waiting or self._store.contains(key)

    def evict(self, key: EmbeddingKey) -> None:
        """See `EmbeddingStore.evict`."""
        with self._changed:
            self._forget(key)
        self._behind(lambda: self._store.evict(key)).result()  # after a write of the key that runs just now

    def flush(self) -> None:
        """Wait until everything is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending)

    def close(self) -> None:
        """Write what waits and end the thread; the slow store stays open."""
        self.flush()
        self._lane.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _behind(self, task: Callable[[], None]) -> Future[None]:
        try:
            return self._lane.submit(task)
        except RuntimeError:  # closed: the program ends, and nobody waits for anything but this
            task()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _write(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        if self._pending.get(key) is embedding:  # or a newer one waits behind it, or it was evicted
            self._store.put(key, embedding)

    def _done(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """Written, or cancelled because the program ends."""
        with self._changed:
            if self._pending.get(key) is embedding:
                self._forget(key)

    def _forget(self, key: EmbeddingKey) -> None:
        embedding = self._pending.pop(key, None)
        if embedding is not None:
            self._bytes -= embedding.nbytes
            self._changed.notify_all()
