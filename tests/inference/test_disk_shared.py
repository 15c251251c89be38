import multiprocessing
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_medfm.inference import DiskStore

from .hammer import BUDGET, KEYS, embedding, hammer, is_whole, key

SOON = 30


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "embeddings"


def open_store(folder):
    return DiskStore(folder, BUDGET, reserve_bytes=0)


def together(count, action):
    """Run an action in several threads that all begin at the same moment."""
    barrier = threading.Barrier(count)

    def begin(number):
        barrier.wait(SOON)
        return action(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_one_process_reads_what_another_wrote(folder):
    first, second = open_store(folder), open_store(folder)
    first.put(key(0), embedding(0, 1))
    assert is_whole(second.get(key(0)), 0)
    second.evict(key(0))
    assert first.get(key(0)) is None


def test_many_may_open_a_new_cache_at_once(folder, caplog):
    for round_ in range(5):
        stores = together(8, lambda _, path=folder / str(round_): put_one(open_store(path)))
        assert all(is_whole(store.get(key(0)), 0) for store in stores)
    assert not caplog.records


def test_many_may_find_the_same_damage_at_once(folder):
    put_one(open_store(folder)).close()
    (index,) = folder.glob("v*/index.sqlite")
    index.write_bytes(b"no database" * 1000)
    stores = together(8, lambda _: put_one(open_store(folder)))
    stores[0].put(key(1), embedding(1, 0))
    assert all(is_whole(store.get(key(1)), 1) for store in stores)


def put_one(store):
    store.put(key(0), embedding(0, 0))
    return store


def test_writers_of_the_same_key_converge(folder):
    def write(version):
        store = open_store(folder)
        for _ in range(20):
            store.put(key(0), embedding(0, version))
            found = store.get(key(0))
            assert found is not None
            assert is_whole(found, 0)

    together(4, write)
    assert is_whole(open_store(folder).get(key(0)), 0)
    assert len(list(folder.glob("v*/*.safetensors"))) == 1


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="processes start too slowly")
def test_processes_share_a_cache_while_they_are_killed(folder):
    """Three processes use it, forty are killed; what is served is whole and the index survives."""
    context, chance = multiprocessing.get_context("forkserver"), random.Random(9)
    context.set_forkserver_preload(["napari_medfm.inference", "pytest"])  # so that a process starts in a moment
    pause, used = threading.Event(), 0

    def start(seed):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=hammer, args=(folder, seed, sender), daemon=True)
        process.start()
        sender.close()
        return process, receiver

    running = [start(seed) for seed in range(3)]
    for seed in range(3, 43):
        process, receiver = running.pop(0)
        for _ in range(chance.randrange(1, 25)):
            assert receiver.poll(SOON)
            assert receiver.recv(), "an embedding was served that nobody had written"
            used += 1
        pause.wait(chance.uniform(0, 0.003))  # so that it is struck at any point of its work
        kill(process, receiver)
        running.append(start(seed))
    for process, receiver in running:
        kill(process, receiver)
    assert used > 300
    store = open_store(folder)
    store.verify()
    assert store.verify().removed == 0
    assert [path.name for path in folder.iterdir()] == ["v1-0"]
    assert store.info().bytes <= BUDGET
    for index in range(KEYS):
        found = store.get(key(index))
        assert found is None or is_whole(found, index)
        store.put(key(index), embedding(index, 0))
        assert is_whole(store.get(key(index)), index)


def kill(process, receiver):
    process.kill()
    process.join(SOON)
    receiver.close()
    process.close()
