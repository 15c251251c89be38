import logging
import os
import shutil
import sqlite3
import stat
from contextlib import contextmanager

import numpy as np
import pytest
from suites.store import KEY, assert_equal, embedding, key

from napari_medfm.inference import DiskStore, Predictor, StoreCheck, StoreInfo, edition
from napari_medfm.models import ImageEmbedding

ENTRIES = 4


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path)
    yield store
    store.close()


def open_store(tmp_path, budget=10**7, reserve=0):
    return DiskStore(tmp_path / "embeddings", budget, reserve_bytes=reserve)


def files(store):
    """Every entry's file, by its key's digest."""
    return {path.stem: path for path in store.folder.glob("v*/*.safetensors")}


def file(store, key):
    return files(store)[key.digest]


def index(store):
    (path,) = store.folder.glob("v*/index.sqlite")
    return path


@contextmanager
def edited(store):
    """Another connection to the index, as another program would have."""
    connection = sqlite3.connect(index(store), isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def test_nothing_is_written_before_the_first_use(tmp_path):
    store = open_store(tmp_path)
    assert not store.folder.exists()


def test_an_entry_outlives_the_store_that_wrote_it(tmp_path, store):
    store.put(KEY, embedding(1))
    store.close()
    assert_equal(open_store(tmp_path).get(KEY), embedding(1))


def test_a_closed_store_opens_again_by_itself(store):
    store.put(KEY, embedding(1))
    store.close()
    assert_equal(store.get(KEY), embedding(1))
    store.close()
    store.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps other people out by other means")
def test_only_the_owner_may_look(store):
    store.put(KEY, embedding(1))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [store.folder, *store.folder.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.rglob("*") if path.is_file()} == {0o600}


def test_an_entry_is_one_file_named_by_its_key(store):
    store.put(KEY, embedding(1))
    store.put(key(1), embedding(2))
    assert files(store).keys() == {KEY.digest, key(1).digest}
    store.evict(KEY)
    assert files(store).keys() == {key(1).digest}


def test_what_it_holds_is_counted(store):
    for number in range(3):
        store.put(key(number), embedding(number))
    store.put(key(0), embedding(5))
    store.get(key(0))
    store.get(key(9))
    held = sum(path.stat().st_size for path in files(store).values())
    assert store.info() == StoreInfo(entries=3, bytes=held, hits=1, misses=1)


def test_the_order_of_use_outlives_the_store(tmp_path):
    store = open_store(tmp_path, budget=7500)
    for number in range(3):
        store.put(key(number), embedding(number))
    store.get(key(0))
    store.close()
    again = open_store(tmp_path, budget=7500)
    again.put(key(3), embedding(3))
    assert [again.contains(key(number)) for number in range(4)] == [True, False, True, True]


def test_what_a_process_only_reads_counts_as_used_even_if_it_never_ends_properly(tmp_path):
    writer, reader = open_store(tmp_path), open_store(tmp_path)
    for number in range(40):
        writer.put(key(number), embedding(number))
    for number in range(edition._USES_NOTED):
        reader.get(key(number))
    writer.prune(writer.info().bytes - 1)
    assert not writer.contains(key(edition._USES_NOTED))
    assert all(writer.contains(key(number)) for number in range(edition._USES_NOTED))


def test_pruning_removes_the_oldest_and_says_how_much(store):
    for number in range(3):
        store.put(key(number), embedding(number))
    before = store.info().bytes
    freed = store.prune(before - 1)
    assert freed == before - store.info().bytes > 0
    assert [store.contains(key(number)) for number in range(3)] == [False, True, True]
    assert store.prune(10**9) == 0


def test_clearing_leaves_no_entry_and_no_file(store):
    store.put(KEY, embedding(1))
    (index(store).parent / f"{'0' * 64}.safetensors").write_bytes(b"stray")
    freed = store.clear()
    assert freed > 2000
    assert not files(store)
    assert store.info().entries == 0
    store.put(KEY, embedding(1))
    assert_equal(store.get(KEY), embedding(1))


def test_verifying_removes_what_is_damaged_or_belongs_to_nothing(store):
    for number in range(4):
        store.put(key(number), embedding(number))
    file(store, key(1)).write_bytes(b"")
    file(store, key(2)).unlink()
    (index(store).parent / f"{'0' * 64}.safetensors").write_bytes(b"stray")
    seen = []
    assert store.verify(lambda done, total: seen.append((done, total))) == StoreCheck(sound=2, removed=2, strays=1)
    assert seen == [(done, 4) for done in range(1, 5)]
    assert store.verify() == StoreCheck(sound=2)
    assert files(store).keys() == {key(0).digest, key(3).digest}


def test_verifying_counts_as_no_use(tmp_path):
    store = open_store(tmp_path, budget=7500)
    for number in (2, 1, 0):
        store.put(key(number), embedding(number))
    store.verify()
    store.put(key(3), embedding(3))
    assert [store.contains(key(number)) for number in range(4)] == [True, True, False, True]


def test_what_a_killed_writer_left_is_swept_away_after_an_hour(tmp_path, store):
    store.put(KEY, embedding(1))
    incoming = index(store).parent / "incoming"
    old, new = incoming / "old", incoming / "new"
    for path in (old, new):
        path.write_bytes(b"half an embedding")
    os.utime(old, (0, 0))
    store.close()
    assert_equal(open_store(tmp_path).get(KEY), embedding(1))
    assert not old.exists()
    assert new.exists()


def test_the_disk_is_never_filled_to_the_brim(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    store = open_store(tmp_path, reserve=free + 10**12)
    store.put(KEY, embedding(1))
    assert store.get(KEY) is None
    assert not files(store)


def flip_a_bit(store, damaged, chance):
    path = file(store, damaged)
    content = bytearray(path.read_bytes())
    content[chance.integers(len(content))] ^= 1 << chance.integers(8)
    path.write_bytes(content)


def truncate(store, damaged, chance):
    path = file(store, damaged)
    os.truncate(path, chance.integers(path.stat().st_size))


def blank_a_block(store, damaged, chance):
    """What a power loss leaves of content that never reached the disk."""
    path = file(store, damaged)
    content = bytearray(path.read_bytes())
    start = chance.integers(len(content) - 600)
    content[start : start + 600] = bytes(600)
    path.write_bytes(content)


def append(store, damaged, chance):
    with file(store, damaged).open("ab") as stream:
        stream.write(chance.bytes(1 + chance.integers(50)))


def delete(store, damaged, chance):
    file(store, damaged).unlink()


def put_a_folder_in_its_place(store, damaged, chance):
    path = file(store, damaged)
    path.unlink()
    path.mkdir()


def copy_another_over_it(store, damaged, chance):
    shutil.copyfile(file(store, other(damaged, chance)), file(store, damaged))


def swap_files_and_rows_with_another(store, damaged, chance):
    """File and row agree perfectly, but are another key's."""
    second = other(damaged, chance)
    here, there = file(store, damaged), file(store, second)
    content = here.read_bytes()
    here.write_bytes(there.read_bytes())
    there.write_bytes(content)
    with edited(store) as connection:
        rows = dict(connection.execute("SELECT name, sha256 FROM entries"))
        for name, source in ((damaged.digest, second.digest), (second.digest, damaged.digest)):
            connection.execute("UPDATE entries SET sha256 = ? WHERE name = ?", (rows[source], name))


def edit_the_digest(store, damaged, chance):
    with edited(store) as connection:
        connection.execute("UPDATE entries SET sha256 = ? WHERE name = ?", (chance.bytes(32).hex(), damaged.digest))


def edit_the_size(store, damaged, chance):
    with edited(store) as connection:
        size = int(chance.integers(10**6, 10**9))
        connection.execute("UPDATE entries SET size = ? WHERE name = ?", (size, damaged.digest))


def rename_the_row(store, damaged, chance):
    with edited(store) as connection:
        connection.execute("DELETE FROM entries WHERE name = ?", (other(damaged, chance).digest,))
        name = other(damaged, chance).digest
        connection.execute("UPDATE OR REPLACE entries SET name = ? WHERE name = ?", (name, damaged.digest))


def delete_the_row(store, damaged, chance):
    with edited(store) as connection:
        connection.execute("DELETE FROM entries WHERE name = ?", (damaged.digest,))


def other(damaged, chance):
    return key((damaged.index + 1 + int(chance.integers(ENTRIES - 1))) % ENTRIES)


DAMAGES = [
    flip_a_bit,
    truncate,
    blank_a_block,
    append,
    delete,
    put_a_folder_in_its_place,
    copy_another_over_it,
    swap_files_and_rows_with_another,
    edit_the_digest,
    edit_the_size,
    rename_the_row,
    delete_the_row,
]


def test_of_five_hundred_random_corruptions_none_is_ever_served(store):
    chance = np.random.default_rng(500)
    for number in range(ENTRIES):
        store.put(key(number), embedding(number))
    for case in range(500):
        damaged = key(int(chance.integers(ENTRIES)))
        DAMAGES[case % len(DAMAGES)](store, damaged, chance)
        assert store.get(damaged) is None
        assert not store.contains(damaged)
        for number in range(ENTRIES):  # a bystander is whole or gone
            found = store.get(key(number))
            if found is None:
                store.put(key(number), embedding(number))
            else:
                assert_equal(found, embedding(number))
        if (folder := index(store).parent / f"{damaged.digest}.safetensors").is_dir():
            folder.rmdir()
            store.put(damaged, embedding(damaged.index))
        assert_equal(store.get(damaged), embedding(damaged.index))


def flip_bits(content, chance):
    for _ in range(30):
        content[chance.integers(len(content))] ^= 1 << chance.integers(8)


def cut_short(content, chance):
    del content[chance.integers(len(content)) :]


def scramble_a_page(content, chance):
    start = 4096 * chance.integers(-(-len(content) // 4096))
    content[start : start + 4096] = chance.bytes(4096)


@pytest.mark.parametrize("damage", [flip_bits, cut_short, scramble_a_page])
@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_damaged_index_serves_nothing_wrong_and_recovers(tmp_path, killed, damage):
    chance = np.random.default_rng(20)
    for _ in range(20):
        store = open_store(tmp_path)
        for number in range(ENTRIES):
            store.put(key(number), embedding(number))
        path = index(store)
        left = {file: file.read_bytes() for file in path.parent.glob("index.sqlite*")}
        store.close()  # which tidies up; a killed process leaves its write-ahead log, with all its rows in it
        if killed:
            for file_left, content in left.items():
                file_left.write_bytes(content)
            path = path.with_name("index.sqlite-wal")
        content = bytearray(path.read_bytes())
        damage(content, chance)
        path.write_bytes(content)
        again = open_store(tmp_path)
        for number in range(ENTRIES):
            found = again.get(key(number))
            if found is not None:
                assert_equal(found, embedding(number))
        again.verify()
        for _ in range(2):  # the first may still be what finds the damage
            again.put(key(0), embedding(0))
        assert_equal(again.get(key(0)), embedding(0))
        again.close()


def test_an_index_that_is_none_is_replaced_and_its_files_are_removed(tmp_path, store, caplog):
    store.put(KEY, embedding(1))
    store.close()
    index(store).write_bytes(b"no database at all" * 100)
    again = open_store(tmp_path)
    assert again.get(KEY) is None
    again.put(KEY, embedding(2))
    assert_equal(again.get(KEY), embedding(2))
    assert len(list(again.folder.iterdir())) == 1
    again.close()


def test_an_index_whose_damage_makes_it_look_read_only_is_replaced(tmp_path, store):
    store.put(KEY, embedding(1))
    store.close()
    content = bytearray(index(store).read_bytes())
    content[18] = 200  # "written by a later version: do not write"
    index(store).write_bytes(content)
    again = open_store(tmp_path)
    assert again.get(KEY) is None
    again.put(KEY, embedding(2))
    assert_equal(again.get(KEY), embedding(2))
    again.close()


def test_an_index_damaged_while_in_use_is_replaced(store, caplog):
    store.put(KEY, embedding(1))
    with edited(store) as connection:
        connection.execute("DROP TABLE entries")
    assert store.get(KEY) is None
    store.put(KEY, embedding(2))
    assert_equal(store.get(KEY), embedding(2))
    assert len(caplog.records) == 1


def test_two_stores_that_meet_the_same_damage_go_on_together(tmp_path):
    first, second = open_store(tmp_path), open_store(tmp_path)
    for store in (first, second):
        store.put(KEY, embedding(1))
    with edited(first) as connection:
        connection.execute("DROP TABLE entries")
    for store in (first, second):
        assert store.get(KEY) is None
    first.put(KEY, embedding(2))
    assert_equal(second.get(KEY), embedding(2))
    second.put(key(1), embedding(3))
    assert_equal(first.get(key(1)), embedding(3))


def test_an_older_layout_is_removed_and_a_newer_one_left_alone(tmp_path, store):
    for name in ("v0-7", "v999-0", "not ours"):
        (store.folder / name).mkdir(parents=True)
    store.put(KEY, embedding(1))
    assert {path.name for path in store.folder.iterdir()} == {"v1-0", "v999-0", "not ours"}


def test_a_folder_that_vanishes_while_in_use_is_made_again(store):
    store.put(KEY, embedding(1))
    shutil.rmtree(store.folder)
    assert store.get(KEY) is None
    for _ in range(2):
        store.put(KEY, embedding(2))
    assert_equal(store.get(KEY), embedding(2))


def test_a_folder_that_cannot_be_used_costs_one_line_in_the_log_and_nothing_else(tmp_path, model, image, key, caplog):
    (tmp_path / "jane doe").write_text("a file where the folder should be")
    store = DiskStore(tmp_path / "jane doe" / "embeddings", 10**6)
    predictor = Predictor(model, store)
    for _ in range(3):
        assert predictor.predict(predictor.embed(image, key), points=[(15, 20)]).mask[15, 20]
    assert model.encoded == 3
    store.evict(key)
    store.close()
    assert (store.info().entries, store.prune(0), store.clear(), store.verify()) == (0, 0, 0, StoreCheck())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "jane" not in caplog.text


@contextmanager
def without_permission(folder):
    """Take away the right to write to a folder; from root, who may always, by acting as nobody."""
    folder.chmod(0o500)
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o700)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_folder_without_permission_is_no_cache(tmp_path, caplog):
    store = open_store(tmp_path)
    with without_permission(tmp_path):
        store.put(KEY, embedding(1))
        assert store.get(KEY) is None
        assert not store.contains(KEY)
    assert len(caplog.records) == 1
    assert not store.folder.exists()
    store.put(KEY, embedding(1))
    assert_equal(store.get(KEY), embedding(1))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_folder_that_loses_its_permission_keeps_nothing_more(store):
    store.put(KEY, embedding(1))
    with without_permission(index(store).parent / "incoming"):
        store.put(key(1), embedding(2))
    assert store.get(key(1)) is None
    store.put(key(1), embedding(2))
    assert_equal(store.get(key(1)), embedding(2))


@contextmanager
def no_file_beyond(size):
    """Let every write fail that would make a file larger than `size` bytes, as a full disk does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_nothing_new_and_loses_nothing_old(store, caplog):
    store.put(KEY, embedding(1))
    big = embedding(2, 10**6)
    with no_file_beyond(300_000):
        for number in range(1, 4):
            store.put(key(number), big)
            assert store.get(key(number)) is None
        assert_equal(store.get(KEY), embedding(1))
    assert len(caplog.records) == 1
    assert not list((index(store).parent / "incoming").iterdir())
    store.put(key(1), big)
    assert_equal(store.get(key(1)), big)


def test_an_index_that_cannot_grow_keeps_nothing_new(tmp_path, store):
    store.put(KEY, embedding(1))
    grown = max(path.stat().st_size for path in index(store).parent.glob("index.sqlite*"))
    with no_file_beyond(grown + 1):
        for number in range(1, 200):
            store.put(key(number), embedding(number))
    for number in range(200):
        found = store.get(key(number))
        if found is not None:
            assert_equal(found, embedding(max(number, 1)))
    store.put(key(300), embedding(300))
    assert_equal(store.get(key(300)), embedding(300))


def test_while_another_process_holds_the_index_reading_goes_on_and_writing_is_given_up(store, monkeypatch, caplog):
    monkeypatch.setattr(edition, "_PATIENCE_SECONDS", 0.01)
    store.put(KEY, embedding(1))
    with edited(store) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert_equal(store.get(KEY), embedding(1))
        store.put(key(1), embedding(2))
        assert store.get(key(1)) is None
    assert len(caplog.records) == 1
    store.put(key(1), embedding(2))
    assert_equal(store.get(key(1)), embedding(2))


def test_an_embedding_that_cannot_be_written_is_not_kept(store, caplog):
    store.put(KEY, ImageEmbedding({"a": np.zeros(3, np.complex128)}, (4, 4), "e"))
    assert store.get(KEY) is None
    assert len(caplog.records) == 1


def test_neither_files_nor_index_say_whose_image_it_was(store):
    store.put(key(1), embedding(1))
    store.close()
    content = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    assert KEY.fingerprint.encode() not in content
    assert KEY.window.encode() not in content
