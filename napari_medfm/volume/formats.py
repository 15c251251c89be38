"""Opening and writing by format: which reader a path belongs to."""

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, UnsupportedDataError, WriteError
from napari_medfm.volume.dicom import DICOM_SUFFIXES, is_dicom, is_dicom_folder, read_dicom
from napari_medfm.volume.dicom_labels import is_segmentation, read_segmentation_labels
from napari_medfm.volume.geometry import Geometry
from napari_medfm.volume.grids import grid_difference
from napari_medfm.volume.images import IMAGE_SUFFIXES, read_image, read_label_image, write_image
from napari_medfm.volume.itk import ITK_SUFFIXES, read_itk
from napari_medfm.volume.labels import as_labels
from napari_medfm.volume.nifti import NIFTI_SUFFIXES, read_nifti, write_nifti, write_nifti_stack
from napari_medfm.volume.payload import check_readable, file_identity
from napari_medfm.volume.volume import Volume

readable_suffixes: tuple[str, ...] = (*NIFTI_SUFFIXES, *IMAGE_SUFFIXES, *ITK_SUFFIXES, *DICOM_SUFFIXES)
"""Endings of the file names that `open_volume` reads, in lower case; it reads DICOM folders too."""


def can_read(path: str | PathLike[str]) -> bool:
    """Whether `open_volume` would try this path: by its ending, or by a look at the first files of a folder."""
    path = Path(path)
    return path.name.lower().endswith(readable_suffixes) or is_dicom_folder(path) or is_dicom(path)


def find_images(folder: str | PathLike[str]) -> list[Path]:
    """Return the image files and the DICOM folders in a folder and in those inside it, in order of their paths.

    A folder with DICOM files counts as one, whatever else lies in it; hidden files and folders are left out.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place)
        if is_dicom_folder(here):
            found.append(here)
            continue
        endings = (*NIFTI_SUFFIXES, *IMAGE_SUFFIXES, *ITK_SUFFIXES)
        found += [here / name for name in names if name.lower().endswith(endings) and not name.startswith(".")]
    return sorted(found)


def open_volume(path: str | PathLike[str], *, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read an image into canonical axes.

    Parameters
    ----------
    path : path
        A NIfTI, NRRD or MetaImage file, a PNG, JPEG or TIFF picture, a DICOM file, or a folder with DICOM slices.
    choice : int, optional
        Which image, page or series, counted from 0, where there are several.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    VolumeError
        One of its kinds, naming the file, the reason and the next step. In
        particular `ChoiceRequiredError` where there are several and no `choice`.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.is_dir():
        check_readable(path)
    if path.is_dir() or name.endswith(DICOM_SUFFIXES) or is_dicom(path):
        return read_dicom(path, choice, limit)
    if name.endswith(NIFTI_SUFFIXES):
        return read_nifti(path, choice, limit)
    if name.endswith(IMAGE_SUFFIXES):
        return read_image(path, choice, limit)
    if name.endswith(ITK_SUFFIXES):
        return read_itk(path, choice, limit)
    endings = ", ".join(readable_suffixes)
    raise UnsupportedDataError(path.name, "is of no format that can be read", f"Use a file ending in {endings}.")


def open_labels(path: str | PathLike[str], like: Volume, *, choice: int | None = None) -> NDArray[Any]:
    """Read a label map that lies on the grid of an image.

    Parameters
    ----------
    path : path
        A NIfTI, NRRD or MetaImage file, whose axes may run differently from the image file's; a DICOM-SEG file of
        the series, whose segment k becomes label k; or for a picture a PNG or TIFF with its pixels in the same order.
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
    if path.name.lower().endswith(IMAGE_SUFFIXES):
        check_readable(path)
        return as_labels(path.name, read_label_image(path, like.geometry))
    if path.is_file() and is_dicom(path) and is_segmentation(path):
        return read_segmentation_labels(path, like.geometry)
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
        A name ending in ``.nii.gz`` or ``.nii``; for a 2-D image also ``.png`` or ``.tif``.
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
        The image file itself, another format, not written, or read back different.
    """
    path = Path(path)
    _check_target(path, labels.shape, geometry)
    return _write(path, as_labels(path.name, labels, np.uint8), geometry)


def write_volume(path: str | PathLike[str], volume: Volume) -> Path:
    """Write an image on the grid it came from, through a verified atomic write.

    Parameters
    ----------
    path : path
        A name ending in ``.nii.gz`` or ``.nii``; for a 2-D image also ``.png`` or ``.tif``.
    volume : Volume
        Booleans are written as uint8, float16 as float32; other types as they are.

    Raises
    ------
    WriteError
        The image file itself, another format, not written, or read back different.
    """
    path = Path(path)
    _check_target(path, volume.shape, volume.geometry)
    return _write(path, _writable(np.asarray(volume.array)), volume.geometry)


def write_stack(path: str | PathLike[str], volumes: Sequence[Volume]) -> Path:
    """Write grey images on one grid into a NIfTI file with a fourth axis, as `write_volume` does one.

    Raises
    ------
    GeometryError
        One has another shape than the first.
    WriteError
        One of the image files itself, another format, not written, or read back different.
    """
    path, geometry = Path(path), volumes[0].geometry
    for volume in volumes:
        _check_target(path, volume.array.shape, volume.geometry)
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        raise WriteError(path.name, "is of no format that can be written", "Use a name ending in .nii.gz.")
    return write_nifti_stack(path, [_writable(np.asarray(volume.array)) for volume in volumes], geometry)


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    stand_in = {"bool": np.uint8, "float16": np.float32}.get(array.dtype.name, array.dtype)
    return array.astype(stand_in, copy=False)


def _check_target(path: Path, shape: tuple[int, ...], geometry: Geometry) -> None:
    if shape != geometry.shape:
        raise GeometryError(path.name, f"the labels are {shape}, the image is {geometry.shape}", "Use its own labels.")
    origin = geometry.source.header.get("file") if geometry.source else None
    if origin is not None and path.exists() and file_identity(path) == origin:
        raise WriteError(path.name, "is the image itself, which is never written", "Choose another name.")


def _write(path: Path, array: NDArray[Any], geometry: Geometry) -> Path:
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return write_nifti(path, array, geometry)
    if name.endswith(IMAGE_SUFFIXES):
        return write_image(path, array, geometry)
    raise WriteError(path.name, "is of no format that can be written", "Use a name ending in .nii.gz.")
