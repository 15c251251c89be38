"""What identifies an image: a digest of its voxels, independent of file name and format."""

import hashlib
from collections.abc import Callable

import numpy as np

from napari_medfm.volume.lazy import blocks
from napari_medfm.volume.volume import Volume


def fingerprint(volume: Volume, *, progress: Callable[[int, int], None] | None = None) -> str:
    """Return the hexadecimal SHA-256 of shape, type and voxels, in canonical order.

    Works in blocks, never with the whole image in memory, and lets other threads run meanwhile. The same voxels give
    the same fingerprint on every machine and whatever file they came from.

    Parameters
    ----------
    volume : Volume
        The image; read once from end to end.
    progress : callable, optional
        Called with (bytes done, bytes in all); an exception it raises stops the work.
    """
    array = volume.array
    little = np.dtype(array.dtype).newbyteorder("<")
    digest = hashlib.sha256(f"{tuple(array.shape)} {little.str} {volume.ndim}\n".encode())
    done = 0
    for block in blocks(array):
        content = np.ascontiguousarray(block, dtype=little)
        digest.update(content.data)
        done += content.nbytes
        if progress is not None:
            progress(done, array.nbytes)
    return digest.hexdigest()
