"""Images that are not in memory are read piece by piece, and seen as if they were."""

import tracemalloc

import dask.array as da
import numpy as np
import pytest
import zarr
from dask.cache import Cache

from napari_medfm.volume import Plane, Volume, array_geometry, automatic_window, fingerprint
from napari_medfm.volume.lazy import blocks, is_lazy

from .nifti_files import numbered

ARRAY = numbered((37, 30, 20))


def as_zarr(folder, array, chunks):
    stored = zarr.create_array(str(folder / "image.zarr"), shape=array.shape, chunks=chunks, dtype=array.dtype)
    stored[:] = array
    return stored


def as_mapped(folder, array):
    np.save(folder / "image.npy", array)
    return np.load(folder / "image.npy", mmap_mode="r")


KINDS = {
    "dask, a slice a chunk": lambda folder, array: da.from_array(array, chunks=(1, -1, -1)),
    "dask, thick chunks": lambda folder, array: da.from_array(array, chunks=(8, 16, 7)),
    "dask, uneven chunks": lambda folder, array: da.from_array(array, chunks=((30, 7), -1, -1)),
    "zarr": lambda folder, array: as_zarr(folder, array, (5, 30, 20)),
    "memory-mapped": as_mapped,
}


def volume(array):
    return Volume(array, array_geometry(array.shape[:3], (2.0, 1.0, 1.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprint_window_and_planes_are_those_of_the_image_in_memory(kind, tmp_path):
    there, here = volume(KINDS[kind](tmp_path, ARRAY)), volume(ARRAY)
    assert fingerprint(there) == fingerprint(here)
    assert automatic_window(there) == automatic_window(here)
    for plane in (Plane(0, 5), Plane(1, 29), Plane(2, 0)):
        taken = there.plane(plane)
        assert isinstance(taken, np.ndarray)
        assert np.array_equal(taken, here.plane(plane))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_follow_one_another_and_are_the_whole(kind, tmp_path):
    assert np.array_equal(np.concatenate(list(blocks(KINDS[kind](tmp_path, ARRAY)))), ARRAY)


def test_colour_is_read_lazily_too(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), dtype=np.uint8)
    assert fingerprint(volume(da.from_array(colours, chunks=2))) == fingerprint(volume(colours))
    assert automatic_window(volume(da.from_array(colours, chunks=2))).name == "colour"


def test_each_chunk_is_read_once_and_a_plane_reads_its_own_only():
    read = []

    def make(block_info=None):
        read.append(block_info[None]["chunk-location"][0])
        return np.zeros((4, 64, 64), np.int16)

    array = da.map_blocks(make, dtype=np.int16, chunks=((4,) * 10, (64,), (64,)), meta=np.empty((0, 0, 0), np.int16))
    fingerprint(volume(array))
    assert sorted(read) == list(range(10))
    read.clear()
    volume(array).plane(Plane(0, 22))
    assert read == [5]


@pytest.fixture
def cache_of_dask():
    """What napari registers with the first dask layer of a session: results of dask are kept, whoever asks."""
    with Cache(1 << 30, 0):
        yield


@pytest.mark.usefixtures("cache_of_dask")
def test_memory_does_not_grow_with_the_image():
    peaks = []
    for slices in (40, 160):
        array = da.zeros((slices, 512, 512), chunks=(1, 512, 512), dtype=np.uint8)
        tracemalloc.start()
        fingerprint(volume(array))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 160 * 512 * 512 / 2


def test_what_is_in_memory_or_mapped_is_read_at_once(tmp_path):
    assert not is_lazy(ARRAY)
    assert not is_lazy(as_mapped(tmp_path, ARRAY))
    assert is_lazy(da.from_array(ARRAY))
    assert is_lazy(as_zarr(tmp_path, ARRAY, (5, 30, 20)))
