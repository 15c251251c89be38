"""What every store of embeddings must do: inherit `StoreSuite` and say how to open one."""

import itertools
import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_medfm.inference import EmbeddingKey, EmbeddingStore
from napari_medfm.models import ImageEmbedding

KEY = EmbeddingKey("f" * 64, 0, 0, "-160.0:240.0", "e" * 64, "float16")


def key(index):
    """Return the key of one slice of the same volume."""
    return replace(KEY, index=index)


def embedding(seed, size=2000):
    """Return an embedding of `size` bytes of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return ImageEmbedding({"features": noise.view(np.float16).reshape(2, -1)}, (48, 64), "e" * 64)


def assert_equal(found, expected):
    """Assert that two embeddings are equal, bit for bit."""
    assert found is not None
    assert (found.image_shape, found.encoder_digest) == (expected.image_shape, expected.encoder_digest)
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


class StoreSuite:
    """Conformance of an `EmbeddingStore`.

    A subclass provides the fixture ``open_store``: a callable that takes a budget in
    bytes and returns a new, empty store. An embedding of 2000 bytes may take up to
    2500 in the store.
    """

    @pytest.fixture
    def store(self, open_store):
        """An empty store with room for whatever a test puts in."""
        return open_store(10**8)

    @pytest.fixture
    def room_for_three(self, open_store):
        """An empty store in which three embeddings of 2000 bytes fit, and not four."""
        return open_store(7500)

    def test_follows_the_protocol(self, store):
        assert isinstance(store, EmbeddingStore)
        assert isinstance(store.persistent, bool)

    def test_returns_what_was_put_in(self, store):
        store.put(KEY, embedding(1))
        assert_equal(store.get(KEY), embedding(1))

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(24, dtype=np.float16).reshape(2, 3, 4),
            np.arange(24, dtype=np.float32).reshape(4, 6).T,
            np.arange(40, dtype=np.int16).reshape(4, 10)[::2, ::3],
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.array(1.5, np.float16),
            np.zeros((0, 4), np.float32),
            np.array([np.nan, -np.nan, np.inf, -0.0], np.float32),
            np.array([[True, False]]),
            np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
        ],
        ids=["3-d", "transposed", "strided", "fortran", "0-d", "empty", "not finite", "bool", "uint8"],
    )
    def test_returns_every_kind_of_array_bit_for_bit(self, store, array):
        whole = ImageEmbedding({"a": array, "second": np.ones(3, np.float32)}, (7, 9), "d")
        store.put(KEY, whole)
        assert_equal(store.get(KEY), whole)

    def test_what_it_returns_can_be_handed_to_torch(self, store):
        torch = pytest.importorskip("torch")
        store.put(KEY, embedding(1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of arrays that it may not write to
            tensor = torch.from_numpy(store.get(KEY).arrays["features"])
        assert tensor.shape == (2, 500)

    def test_has_nothing_under_a_key_that_was_never_put(self, store):
        store.put(KEY, embedding(1))
        assert store.get(key(1)) is None
        assert not store.contains(key(1))

    @pytest.mark.parametrize(
        "change",
        [
            {"fingerprint": "0" * 64},
            {"axis": 1},
            {"index": 1},
            {"window": "0.0:1.0"},
            {"encoder_digest": "0" * 64},
            {"precision": "float32"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_keeps_keys_apart_that_differ_in_one_field(self, store, change):
        store.put(KEY, embedding(1))
        store.put(replace(KEY, **change), embedding(2))
        assert_equal(store.get(KEY), embedding(1))
        assert_equal(store.get(replace(KEY, **change)), embedding(2))

    def test_the_newer_of_two_embeddings_of_a_key_counts(self, store):
        store.put(KEY, embedding(1))
        store.put(KEY, embedding(2, 3000))
        assert_equal(store.get(KEY), embedding(2, 3000))

    def test_contains_what_was_put_until_it_is_evicted(self, store):
        assert not store.contains(KEY)
        store.put(KEY, embedding(1))
        assert store.contains(KEY)
        store.evict(KEY)
        assert not store.contains(KEY)
        assert store.get(KEY) is None

    def test_evicting_what_is_not_there_does_nothing(self, store):
        store.put(KEY, embedding(1))
        store.evict(key(1))
        assert_equal(store.get(KEY), embedding(1))

    def test_the_oldest_makes_room(self, room_for_three):
        for index in range(4):
            room_for_three.put(key(index), embedding(index))
        assert [room_for_three.contains(key(index)) for index in range(4)] == [False, True, True, True]

    def test_what_was_read_lately_stays(self, room_for_three):
        for index in range(3):
            room_for_three.put(key(index), embedding(index))
        assert_equal(room_for_three.get(key(0)), embedding(0))
        room_for_three.put(key(3), embedding(3))
        assert [room_for_three.contains(key(index)) for index in range(4)] == [True, False, True, True]

    def test_asking_whether_it_is_there_is_no_use(self, room_for_three):
        for index in range(3):
            room_for_three.put(key(index), embedding(index))
        assert room_for_three.contains(key(0))
        room_for_three.put(key(3), embedding(3))
        assert not room_for_three.contains(key(0))

    def test_putting_a_key_again_takes_no_second_room(self, room_for_three):
        for index in (0, 1, 2, 2, 2, 2):
            room_for_three.put(key(index), embedding(index))
        assert all(room_for_three.contains(key(index)) for index in range(3))

    def test_an_embedding_beyond_the_budget_is_not_kept_and_drives_nothing_out(self, room_for_three):
        room_for_three.put(key(0), embedding(0))
        room_for_three.put(key(1), embedding(1))
        room_for_three.put(key(1), embedding(2, 9000))
        assert room_for_three.get(key(1)) is None
        assert_equal(room_for_three.get(key(0)), embedding(0))

    def test_threads_share_it(self, open_store):
        store = open_store(10_000)

        def use(seed):
            chance = random.Random(seed)
            for _ in range(40):
                index = chance.randrange(6)
                match chance.randrange(4):
                    case 0 | 1:
                        store.put(key(index), embedding(index))
                    case 2:
                        found = store.get(key(index))
                        if found is not None:
                            assert_equal(found, embedding(index))
                    case _:
                        store.evict(key(index))
            return True

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(use, range(4)))

    # Every example opens a store of its own, and every subclass is meant to run the same examples.
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(operations=st.lists(st.tuples(st.sampled_from(["put", "get", "evict"]), st.integers(0, 3)), max_size=20))
    def test_behaves_like_a_mapping(self, open_store, operations):
        store, mapping, seeds = open_store(10**8), {}, itertools.count()
        for name, index in operations:
            match name:
                case "put":
                    mapping[index] = embedding(next(seeds))
                    store.put(key(index), mapping[index])
                case "evict":
                    mapping.pop(index, None)
                    store.evict(key(index))
            assert store.contains(key(index)) == (index in mapping)
            found = store.get(key(index))
            if index in mapping:
                assert_equal(found, mapping[index])
            else:
                assert found is None
