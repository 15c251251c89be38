import itertools

import pytest
from suites.store import KEY, StoreSuite, assert_equal, embedding, key

from napari_medfm.inference import DiskStore, MemoryStore, StoreInfo, TieredStore
from napari_medfm.inference.stores import volatile


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def open_store(self):
        return MemoryStore


class TestDiskStore(StoreSuite):
    @pytest.fixture
    def open_store(self, tmp_path):
        numbers = itertools.count()
        return lambda budget: DiskStore(tmp_path / str(next(numbers)), budget, reserve_bytes=0)


class TestTieredStore(StoreSuite):
    """Memory for one small embedding in front of the disk."""

    @pytest.fixture
    def open_store(self, tmp_path):
        numbers = itertools.count()

        def open_tiers(budget):
            disk = DiskStore(tmp_path / str(next(numbers)), budget, reserve_bytes=0)
            return TieredStore([MemoryStore(min(budget, 2500)), disk])

        return open_tiers


@pytest.fixture
def disk(tmp_path):
    return DiskStore(tmp_path / "embeddings", 10**6, reserve_bytes=0)


def test_memory_counts_what_it_holds_and_how_it_served():
    store = MemoryStore(5000)
    for index in range(3):
        store.put(key(index), embedding(index))
    store.get(key(0))
    store.get(key(1))
    store.get(key(2))
    assert store.info() == StoreInfo(entries=2, bytes=4000, hits=2, misses=1)


def test_what_a_slow_tier_finds_moves_into_the_fast_ones(disk):
    disk.put(KEY, embedding(1))
    fast, faster = MemoryStore(10**6), MemoryStore(10**6)
    store = TieredStore([faster, fast, disk])
    assert_equal(store.get(KEY), embedding(1))
    assert fast.contains(KEY)
    assert faster.contains(KEY)
    disk.evict(KEY)
    assert_equal(store.get(KEY), embedding(1))


def test_only_the_disk_outlives_the_process(disk):
    memory = MemoryStore(1000)
    assert (memory.persistent, disk.persistent) == (False, True)
    assert TieredStore([memory, disk]).persistent
    assert not TieredStore([memory]).persistent


def test_the_volatile_part_of_a_store_leaves_the_disk_out(disk):
    memory = MemoryStore(10**6)
    assert volatile(memory) is memory
    assert volatile(disk) is None
    part = volatile(TieredStore([memory, TieredStore([disk])]))
    part.put(KEY, embedding(1))
    assert memory.contains(KEY)
    assert not disk.contains(KEY)
