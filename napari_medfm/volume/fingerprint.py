"""What identifies an image: a digest of its voxels, independent of file name and format."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume.volume import Volume

_BLOCK = 1 << 22  # bytes hashed between two calls of `progress`


def fingerprint(volume: Volume, *, progress: Callable[[int, int], None] | None = None) -> str:
    """Return the hexadecimal SHA-256 of shape, type and voxels, in canonical order.

    Works in blocks and lets other threads run meanwhile. The same voxels give
    the same fingerprint on every machine and whatever file they came from.

    Parameters
    ----------
    volume : Volume
        The image; read once from end to end.
    progress : callable, optional
        Called with (bytes done, bytes in all); an exception it raises stops the work.
    """
    array = np.asarray(volume.array)
    little = array.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{array.shape} {little.str} {volume.ndim}\n".encode())
    done = 0
    for block in _blocks(array):
        content = np.ascontiguousarray(block, dtype=little)
        digest.update(content.data)
        done += content.nbytes
        if progress is not None:
            progress(done, array.nbytes)
    return digest.hexdigest()


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    per_row = max(1, array.nbytes // max(1, len(array)))
    step = max(1, _BLOCK // per_row)
    for start in range(0, len(array), step):
        yield array[start : start + step]
