"""Where embeddings are kept: the protocol, memory, and several stores as one."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from napari_medfm.inference.keys import EmbeddingKey
from napari_medfm.models import ImageEmbedding


@runtime_checkable
class EmbeddingStore(Protocol):
    """A place for embeddings, safe to use from several threads.

    A store never fails: what it cannot keep or read is simply not there. What it
    returns is equal, bit for bit, to what was put in. Nobody writes into the
    arrays after they went in or came out.
    """

    @property
    def persistent(self) -> bool:
        """Whether the entries outlive the process."""

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """Return the embedding, or None if it is not there."""

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """Keep the embedding, in place of an older one of the same key."""

    def contains(self, key: EmbeddingKey) -> bool:
        """Whether `get` would probably find the key; cheap, and does not count as use."""

    def evict(self, key: EmbeddingKey) -> None:
        """Drop the entry, if there is one."""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store holds, and how well it served.

    Attributes
    ----------
    entries : int
        Number of embeddings.
    bytes : int
        Bytes they take.
    hits, misses : int
        How often `get` found an entry or not: in memory since the store was opened, on disk since its folder was made.
    """

    entries: int
    bytes: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Share of the reads that found an entry; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)


class MemoryStore:
    """Embeddings in memory; the least recently used make room for new ones.

    Parameters
    ----------
    budget_bytes : int
        Bytes of arrays to keep at most; an embedding larger than that is not kept.
    """

    persistent = False

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._entries: OrderedDict[EmbeddingKey, ImageEmbedding] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """See `EmbeddingStore.get`."""
        with self._lock:
            embedding = self._entries.get(key)
            if embedding is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return embedding

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """See `EmbeddingStore.put`."""
        with self._lock:
            self._drop(key)
            if embedding.nbytes > self.budget_bytes:
                return
            self._entries[key] = embedding
            self._bytes += embedding.nbytes
            while self._bytes > self.budget_bytes:
                self._drop(next(iter(self._entries)))

    def contains(self, key: EmbeddingKey) -> bool:
        """See `EmbeddingStore.contains`."""
        with self._lock:
            return key in self._entries

    def evict(self, key: EmbeddingKey) -> None:
        """See `EmbeddingStore.evict`."""
        with self._lock:
            self._drop(key)

    def info(self) -> StoreInfo:
        """Return what the store holds."""
        with self._lock:
            return StoreInfo(len(self._entries), self._bytes, self._hits, self._misses)

    def _drop(self, key: EmbeddingKey) -> None:
        embedding = self._entries.pop(key, None)
        if embedding is not None:
            self._bytes -= embedding.nbytes


class TieredStore:
    """Several stores as one, the fastest first.

    Reading asks one after the other and copies what it finds into the faster
    ones; writing goes to all.

    Parameters
    ----------
    tiers : iterable of EmbeddingStore
        From fast and small to slow and large.
    """

    def __init__(self, tiers: Iterable[EmbeddingStore]) -> None:
        self.tiers = tuple(tiers)

    @property
    def persistent(self) -> bool:
        """Whether any tier outlives the process."""
        return any(tier.persistent for tier in self.tiers)

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """See `EmbeddingStore.get`."""
        for depth, tier in enumerate(self.tiers):
            embedding = tier.get(key)
            if embedding is not None:
                for faster in self.tiers[:depth]:
                    faster.put(key, embedding)
                return embedding
        return None

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """See `EmbeddingStore.put`."""
        for tier in self.tiers:
            tier.put(key, embedding)

    def contains(self, key: EmbeddingKey) -> bool:
        """See `EmbeddingStore.contains`."""
        return any(tier.contains(key) for tier in self.tiers)

    def evict(self, key: EmbeddingKey) -> None:
        """See `EmbeddingStore.evict`."""
        for tier in self.tiers:
            tier.evict(key)


def volatile(store: EmbeddingStore) -> EmbeddingStore | None:
    """Return the part of a store that forgets when the process ends, or None if there is none."""
    if isinstance(store, TieredStore):
        return TieredStore(part for tier in store.tiers if (part := volatile(tier)) is not None)
    return None if store.persistent else store
