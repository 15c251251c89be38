"""Stored values to real ones: scaling, byte order, colour, and what to say of odd values."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def scaled(stored: NDArray[Any], slope: float = 1.0, intercept: float = 0.0) -> NDArray[Any]:
    """Return real values, C-contiguous and in native byte order.

    Whole-number scales of whole numbers stay whole numbers, in 16 or 32 bits;
    other scales give float32, or float64 where float32 would overflow or lose
    digits. A memory-mapped array is returned as it is. Other memory may be
    reused for the result: `stored` is not to be read again.

    Parameters
    ----------
    stored : ndarray
        Canonical view of the file's array; structured ``R, G, B[, A]`` gets a trailing axis of 3.
    slope, intercept : float
        ``real = stored * slope + intercept``.
    """
    if stored.dtype.names:
        return np.stack([stored[channel] for channel in ("R", "G", "B")], axis=-1)
    if isinstance(stored, np.memmap):
        return stored
    if slope == 1 and intercept == 0:
        return _contiguous(stored)
    work, target = _types(stored, slope, intercept)
    result = np.empty(stored.shape, target)
    factor, offset = work.type(slope), work.type(intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(len(stored)):
            result[index] = stored[index].astype(work) * factor + offset
    return result


def intensity_notes(array: NDArray[Any]) -> tuple[str, ...]:
    """Return a sentence for voxels that are not numbers and for an image of one value.

    A memory-mapped array is not searched: it would be read from end to end.
    """
    if isinstance(array, np.memmap):
        return ()
    if array.dtype.kind == "f":
        bad = sum(block.size - int(np.count_nonzero(np.isfinite(block))) for block in _blocks(array))
        if bad:
            return (f"{bad} of {array.size} voxels are not a number or infinite: statistics leave them out",)
    first = array.flat[0]
    if all(bool((block == first).all()) for block in _blocks(array)):
        return (f"Every voxel has the same value, {first}",)
    return ()


def _contiguous(stored: NDArray[Any]) -> NDArray[Any]:
    """Turn reversed axes round within the same memory: most files differ from canonical by no more."""
    turned = tuple(slice(None, None, -1 if stride < 0 else None) for stride in stored.strides)
    forward = stored[turned]
    if not (forward.flags.c_contiguous and forward.flags.writeable and forward.dtype.isnative):
        return np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
    inner = turned[1:]
    if turned[0].step:
        for index in range((len(forward) + 1) // 2):
            first = forward[index][inner].copy()
            forward[index] = forward[-1 - index][inner]
            forward[-1 - index] = first
    elif any(part.step for part in inner):
        for block in forward:
            block[...] = block[inner]
    return forward


def _types(stored: NDArray[Any], slope: float, intercept: float) -> tuple[np.dtype[Any], np.dtype[Any]]:
    low, high = _extremes(stored)
    ends = (low * slope + intercept, high * slope + intercept)
    largest = max(abs(end) for end in ends)
    if stored.dtype.kind in "iu" and slope == int(slope) and intercept == int(intercept):
        for kind in (np.int16, np.uint16, np.int32):
            if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
                return np.dtype(np.int64), np.dtype(kind)
    narrow = stored.dtype.itemsize <= (4 if stored.dtype.kind == "f" else 2)
    return np.dtype(np.float64), np.dtype(np.float32 if narrow and largest <= _LARGEST_FLOAT32 else np.float64)


def _extremes(stored: NDArray[Any]) -> tuple[float, float]:
    if stored.dtype.kind != "f":
        return float(stored.min()), float(stored.max())
    finite = [part for part in (block[np.isfinite(block)] for block in _blocks(stored)) if part.size]
    if not finite:
        return 0.0, 0.0
    return float(min(part.min() for part in finite)), float(max(part.max() for part in finite))


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    yield from (array[index] for index in range(len(array)))
