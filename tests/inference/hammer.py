"""What a process does to a shared cache until it is killed."""

import random
from dataclasses import replace

import numpy as np

from napari_medfm.inference import DiskStore, EmbeddingKey
from napari_medfm.models import ImageEmbedding

KEYS = 10
BUDGET = 200_000
_SIZE = 30_000  # bytes; the budget holds six of them
_KEY = EmbeddingKey("f" * 64, 0, 0, "0.0:1.0", "e" * 64, "uint8")


def key(index):
    return replace(_KEY, index=index)


def embedding(index, version):
    """One of several embeddings of a key, as two machines may compute them: each whole, none mixed."""
    noise = np.random.default_rng((index, version)).integers(0, 256, _SIZE, dtype=np.uint8)
    return ImageEmbedding({"noise": noise, "version": np.array(version)}, (index + 1, 1), "e" * 64)


def is_whole(found, index):
    expected = embedding(index, int(found.arrays["version"]))
    return found.image_shape == (index + 1, 1) and np.array_equal(found.arrays["noise"], expected.arrays["noise"])


def hammer(folder, seed, connection):
    """Use the cache at random for ever; send, after each use, whether all was well."""
    chance = random.Random(seed)
    store = DiskStore(folder, BUDGET, reserve_bytes=0)
    while True:
        index, well = chance.randrange(KEYS), True
        match chance.choices(["put", "get", "evict", "prune", "verify"], [8, 8, 2, 1, 0.2])[0]:
            case "put":
                store.put(key(index), embedding(index, chance.randrange(3)))
            case "get":
                found = store.get(key(index))
                well = found is None or is_whole(found, index)
            case "evict":
                store.evict(key(index))
            case "prune":
                store.prune(chance.randrange(BUDGET))
            case "verify":
                store.verify()
        connection.send(well)
