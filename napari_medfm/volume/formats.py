"""Opening and writing by format: which reader a path belongs to."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, UnsupportedDataError, WriteError
from napari_medfm.volume.geometry import Geometry
from napari_medfm.volume.grids import grid_difference
from napari_medfm.volume.labels import as_labels
from napari_medfm.volume.nifti import NIFTI_SUFFIXES, read_nifti, write_nifti
from napari_medfm.volume.volume import Volume

readable_suffixes: tuple[str, ...] = NIFTI_SUFFIXES
"""Endings of the file names that `open_volume` reads, in lower case."""


def can_read(path: str | PathLike[str]) -> bool:
    """Whether `open_volume` would try this path; looks at its name, not into it."""
    return Path(path).name.lower().endswith(readable_suffixes)


def open_volume(path: str | PathLike[str], *, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read an image into canonical axes.

    Parameters
    ----------
    path : path
        A NIfTI file.
    choice : int, optional
        Which image, counted from 0, where there are several.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    VolumeError
        One of its kinds, naming the file, the reason and the next step.
    """
    path = Path(path)
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return read_nifti(path, choice, limit)
    endings = ", ".join(readable_suffixes)
    raise UnsupportedDataError(path.name, "is of no format that can be read", f"Use a file ending in {endings}.")


def open_labels(path: str | PathLike[str], like: Volume, *, choice: int | None = None) -> NDArray[Any]:
    """Read a label map that lies on the grid of an image.

    Parameters
    ----------
    path : path
        A label file; its axes may run differently from the image file's.
    like : Volume
        The image.
    choice : int, optional
        Which map, counted from 0, where the file holds several.

    Returns
    -------
    ndarray of uint16 or uint32
        Canonical axes, shape ``like.shape``.

    Raises
    ------
    GeometryError
        The grids differ by more than 0.001 voxel.
    UnsupportedDataError
        The values are no labels.
    """
    path = Path(path)
    volume = open_volume(path, choice=choice)
    difference = grid_difference(like.geometry, volume.geometry)
    if difference is not None:
        step = "Resample the labels onto the image (nearest neighbour), or choose the labels made on this image."
        raise GeometryError(path.name, f"does not lie on the image: {difference}", step)
    return as_labels(path.name, np.asarray(volume.array))


def write_labels(path: str | PathLike[str], labels: NDArray[Any], geometry: Geometry) -> Path:
    """Write a label map exactly on the grid of the image file, through a verified atomic write.

    Parameters
    ----------
    path : path
        A name ending in ``.nii`` or ``.nii.gz``.
    labels : ndarray of integers or booleans
        Canonical axes, shape ``geometry.shape``.
    geometry : Geometry
        The image's.

    Raises
    ------
    GeometryError
        The labels have another shape.
    UnsupportedDataError
        The values are no labels.
    WriteError
        Not written, or read back different.
    """
    path = Path(path)
    _check_target(path, labels.shape, geometry)
    return write_nifti(path, as_labels(path.name, labels, np.uint8), geometry)


def write_volume(path: str | PathLike[str], volume: Volume) -> Path:
    """Write an image on the grid it came from, through a verified atomic write.

    Parameters
    ----------
    path : path
        A name ending in ``.nii`` or ``.nii.gz``.
    volume : Volume
        Booleans are written as uint8, float16 as float32; other types as they are.

    Raises
    ------
    WriteError
        Not written, or read back different.
    """
    path = Path(path)
    _check_target(path, volume.shape, volume.geometry)
    array = np.asarray(volume.array)
    stand_in = {"bool": np.uint8, "float16": np.float32}.get(array.dtype.name, array.dtype)
    return write_nifti(path, array.astype(stand_in, copy=False), volume.geometry)


def _check_target(path: Path, shape: tuple[int, ...], geometry: Geometry) -> None:
    if shape != geometry.shape:
        raise GeometryError(path.name, f"the labels are {shape}, the image is {geometry.shape}", "Use its own labels.")
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        raise WriteError(path.name, "is of no format that can be written", "Use a name ending in .nii.gz or .nii.")
