"""Arrays that are read piece by piece: memory-mapped files, and what slices and converts as dask and zarr do."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22  # bytes


def is_lazy(array: Any) -> bool:
    """Whether reading a voxel may take long: the array is neither in memory nor a memory-mapped file."""
    return not isinstance(array, np.ndarray)


def blocks(array: Any) -> Iterator[NDArray[Any]]:
    """Read an array from end to end, along its first axis, some megabytes at a time.

    Parameters
    ----------
    array : array_like
        At least one axis. Of one that is stored in chunks, each chunk is read once.
    """
    rows = int(array.shape[0])  # zarr's have no len
    per_row = max(1, array.nbytes // max(1, rows))
    chunk = _rows_of_a_chunk(array)
    step = chunk * max(1, _BLOCK // (per_row * chunk))
    for start in range(0, rows, step):
        yield _read(array[start : start + step])


def _read(piece: Any) -> NDArray[Any]:
    if hasattr(piece, "__dask_graph__"):
        # past the cache that napari registers with dask: it would keep a quarter of the machine's memory
        piece = piece.compute(callbacks=())
    return np.asarray(piece)


def _rows_of_a_chunk(array: Any) -> int:
    # dask says `chunksize`, zarr and h5py say `chunks`, which is something else in dask
    chunk = getattr(array, "chunksize", None) or getattr(array, "chunks", None)
    return int(chunk[0]) if chunk and isinstance(chunk[0], int) else 1
