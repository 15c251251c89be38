"""Label maps: which values they may hold, and in which type they are kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import UnsupportedDataError

LABEL_ENDINGS = ("_labels", "_label", "_seg", "_mask")
"""What the names of label files add to those of their images."""

_LARGEST = int(np.iinfo(np.uint32).max)
_MOST_VALUES = 255  # what is called labels without being asked
_PLATEAU = 0.6  # share of voxels in structures whose neighbour has the same value


def as_labels(name: str, array: NDArray[Any], narrowest: type[np.unsignedinteger[Any]] = np.uint16) -> NDArray[Any]:
    """Return whole non-negative numbers in the narrowest unsigned type that holds them.

    Parameters
    ----------
    name : str
        File or object name for messages.
    array : ndarray
        Label values of any real type.
    narrowest : type
        ``uint8`` for files, ``uint16`` for work.

    Raises
    ------
    UnsupportedDataError
        Fractions, negative values, NaN, or values beyond 32 bits.
    """
    step = "Open it as an image, or convert it to whole numbers from 0 upwards."
    if array.dtype.kind not in "buif":
        raise UnsupportedDataError(name, f"is no label map: it holds {array.dtype.name} values", step)
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not (low >= 0 and high <= _LARGEST):
        reason = f"is no label map: its values run from {low} to {high}"
        raise UnsupportedDataError(name, reason, step)
    wide = np.promote_types(np.min_scalar_type(int(high)), narrowest)
    labels = np.ascontiguousarray(array).astype(wide, copy=False)
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise UnsupportedDataError(name, "is no label map: it holds fractions", step)
    return labels


def looks_like_labels(array: NDArray[Any]) -> bool:
    """Whether voxels look like labels: whole numbers from 0 to 255 that stay the same from one voxel to the next.

    Parameters
    ----------
    array : ndarray
        Real values. Of an image, noise changes nearly every voxel that is not background; of labels, nearly none.
    """
    if array.dtype.kind not in "buif" or not array.size:
        return False
    if not (array.min() == 0 and 0 < array.max() <= _MOST_VALUES and np.array_equal(array, np.trunc(array))):
        return False
    if array.max() == 1:
        return True
    before, after = array[..., :-1], array[..., 1:]
    drawn = (before > 0) | (after > 0)
    same = np.count_nonzero(drawn & (before == after))
    return bool(same > _PLATEAU * np.count_nonzero(drawn))
