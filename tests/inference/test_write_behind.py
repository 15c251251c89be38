"""What was put is there at once and on the disk soon after; nothing waits for the disk but what has to."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suites.store import KEY, StoreSuite, assert_equal, embedding, key

from napari_medfm.inference import DiskStore, MemoryStore, TieredStore, WriteBehind
from napari_medfm.inference.stores import volatile


class Gate(MemoryStore):
    """A store that keeps nothing until it is opened, as a slow disk would."""

    persistent = True

    def __init__(self):
        super().__init__(10**8)
        self.open = threading.Event()
        self.reached = threading.Semaphore(0)
        self.order = []

    def put(self, key, embedding):
        self.reached.release()
        assert self.open.wait(20)
        self.order.append(key.index)
        super().put(key, embedding)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


class Prompt(WriteBehind):
    """One that writes before it goes on, so that the slow store's budget is seen."""

    def put(self, key, embedding):
        super().put(key, embedding)
        self.flush()


class TestWriteBehind(StoreSuite):
    @pytest.fixture
    def open_store(self, tmp_path):
        numbers, opened = itertools.count(), []

        def open_one(budget):
            opened.append(Prompt(DiskStore(tmp_path / str(next(numbers)), budget, reserve_bytes=0)))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()


def test_what_waits_to_be_written_is_there_already(gate):
    with WriteBehind(gate) as store:
        store.put(KEY, embedding(1))
        assert gate.reached.acquire(timeout=20)
        assert not gate.contains(KEY)
        assert store.contains(KEY)
        assert_equal(store.get(KEY), embedding(1))
        gate.open.set()
        store.flush()
        assert gate.contains(KEY)
        assert_equal(store.get(KEY), embedding(1))


def test_the_newer_of_two_that_wait_is_written_and_the_older_is_not(gate):
    with WriteBehind(gate) as store:
        store.put(key(0), embedding(0))  # holds up the others
        store.put(key(1), embedding(1))
        store.put(key(1), embedding(2))
        assert_equal(store.get(key(1)), embedding(2))
        gate.open.set()
        store.flush()
        assert gate.order == [0, 1]
        assert_equal(gate.get(key(1)), embedding(2))


def test_what_was_evicted_while_it_waited_never_comes_back(gate):
    with WriteBehind(gate) as store:
        store.put(key(0), embedding(0))
        store.put(key(1), embedding(1))
        opener = threading.Timer(0.05, gate.open.set)
        opener.start()
        store.evict(key(1))
        assert not store.contains(key(1))
        store.flush()
        opener.join()
        assert gate.order == [0]


def test_too_much_that_waits_makes_the_caller_wait(gate):
    with WriteBehind(gate, pending_bytes=4000) as store:
        store.put(key(0), embedding(0))
        store.put(key(1), embedding(1))
        third = threading.Thread(target=lambda: store.put(key(2), embedding(2)))
        third.start()
        third.join(0.1)
        assert third.is_alive()
        gate.open.set()
        third.join(20)
        assert not third.is_alive()
        store.flush()
        assert gate.order == [0, 1, 2]


def test_one_larger_than_all_that_may_wait_is_kept(gate):
    gate.open.set()
    with WriteBehind(gate, pending_bytes=100) as store:
        store.put(KEY, embedding(1))
        assert_equal(store.get(KEY), embedding(1))


def test_closing_writes_what_waits_and_a_closed_one_still_keeps(gate):
    gate.open.set()
    store = WriteBehind(gate)
    for index in range(5):
        store.put(key(index), embedding(index))
    store.close()
    store.put(key(5), embedding(5))
    store.evict(key(0))
    assert [gate.contains(key(index)) for index in range(6)] == [False, True, True, True, True, True]
    store.close()


def test_it_is_as_persistent_as_what_it_writes_to(tmp_path):
    with WriteBehind(DiskStore(tmp_path / "cache", 10**6)) as disk, WriteBehind(MemoryStore(10)) as memory:
        assert (disk.persistent, memory.persistent) == (True, False)
        assert volatile(TieredStore([disk])).tiers == ()


@settings(max_examples=20, deadline=None)
@given(operations=st.lists(st.tuples(st.sampled_from(["put", "get", "evict"]), st.integers(0, 3)), max_size=30))
def test_it_is_a_mapping_at_every_moment(operations):
    mapping, seeds = {}, itertools.count()
    with WriteBehind(MemoryStore(10**8)) as store:
        for name, index in operations:
            match name:
                case "put":
                    mapping[index] = embedding(next(seeds))
                    store.put(key(index), mapping[index])
                case "evict":
                    mapping.pop(index, None)
                    store.evict(key(index))
            found = store.get(key(index))
            assert store.contains(key(index)) == (index in mapping)
            if index in mapping:
                assert_equal(found, mapping[index])
            else:
                assert found is None
