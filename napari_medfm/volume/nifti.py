"""NIfTI files: images and label maps in, label maps and images out.

Scaling is applied once, on reading. Whatever is written lies on the grid the
image came from, with the image's own position fields, and is read again and
compared before it replaces anything.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError, VolumeError, WriteError
from napari_medfm.files import atomic_write
from napari_medfm.volume.choices import choose
from napari_medfm.volume.geometry import Geometry, SourceGrid
from napari_medfm.volume.grids import grid_difference
from napari_medfm.volume.intensities import intensity_notes, scaled
from napari_medfm.volume.limits import check_memory, memory_limit
from napari_medfm.volume.nifti_header import HEADER_BYTES, Content, parse_header, read_content, read_position
from napari_medfm.volume.orientation import (
    canonical_geometry,
    default_source,
    plain_grid,
    source_grid,
    to_canonical,
    to_source,
    unplaced_geometry,
)
from napari_medfm.volume.payload import check_length, file_identity, first_bytes, is_gzip, read_payload
from napari_medfm.volume.volume import Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")

_KEY = "nifti"
_MOST_IMAGES = 100_000
_LARGEST_SIDECAR = 1 << 20
_MODALITIES = ("CT", "MR", "PT", "US")
_LARGEST_NIFTI1_AXIS = 32767
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_MAPPED = "The image is larger than the free memory and is read from the disk as needed: keep the file where it is"


def read_nifti(path: Path, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read one image of a NIfTI file into canonical axes.

    Parameters
    ----------
    path : Path
        A ``.nii`` or ``.nii.gz`` file.
    choice : int, optional
        Which image, counted from 0, if the file has more than three axes.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    UnreadableFileError
        Missing, damaged, truncated, or not what its name says.
    UnsupportedDataError
        Complex, CIFTI, Analyze, empty.
    TooLargeError
        More memory needed than allowed. (A plain ``.nii`` is read from the disk as needed instead.)
    ChoiceRequiredError
        Several images and no `choice`.
    """
    _check_name(path)
    header = parse_header(path.name, first_bytes(path, HEADER_BYTES))
    content = read_content(path.name, header)
    check_length(path, content.end)
    shape, index, choice_notes = _select(path.name, content, choice)
    geometry = _geometry(path, header, shape)
    source = _file_grid(geometry)
    stored = _stored(path, content, shape, index, limit)
    array = scaled(to_canonical(stored, source), content.slope, content.intercept)
    notes = (*content.notes, *choice_notes, *geometry.notes, *_memory_notes(array), *intensity_notes(array))
    return Volume(array, replace(geometry, notes=notes), stem(path), _modality(path))


def nifti_grid(path: Path) -> Geometry | None:
    """Return where the voxels of a file lie, from its header alone; None if it cannot be told or there are several."""
    try:
        header = parse_header(path.name, first_bytes(path, HEADER_BYTES))
        shape, _, _ = _select(path.name, read_content(path.name, header), None)
        return _geometry(path, header, shape)
    except VolumeError:
        return None


def write_nifti(path: Path, array: NDArray[Any], geometry: Geometry) -> Path:
    """Write a canonical array on the grid its geometry came from, read it again and compare.

    Parameters
    ----------
    path : Path
        A name ending in ``.nii`` or ``.nii.gz``.
    array : ndarray
        Shape of `geometry`, optionally with a trailing RGB axis; a type NIfTI has.
    geometry : Geometry
        Where the array lies. Affine, codes, units and orientation of its source are restored.

    Raises
    ------
    WriteError
        Not written, or read back different.
    """
    source = _file_grid(geometry)
    stored = to_source(array, source)
    if stored.ndim > len(source.shape):
        stored = np.ascontiguousarray(stored).view(_RGB)[..., 0]
    header = _header(source, geometry, stored.dtype)
    image_type = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = image_type(stored, None, header)
    return atomic_write(path, image.to_filename, lambda temporary: _verify(path, temporary, array, geometry))


def write_nifti_stack(path: Path, arrays: Sequence[NDArray[Any]], geometry: Geometry) -> Path:
    """Write several canonical arrays into one file along a fourth axis, read it again and compare.

    Parameters
    ----------
    path : Path
        A name ending in ``.nii`` or ``.nii.gz``.
    arrays : sequence of ndarray
        Grey, each of the shape of `geometry`; written in the type that holds all of them.
    geometry : Geometry
        Where they lie.

    Raises
    ------
    WriteError
        Not written, or read back different.
    """
    source = _file_grid(geometry)
    dtype = np.result_type(*arrays)
    grids = [to_source(array.astype(dtype, copy=False), source) for array in arrays]
    stored = np.stack([grid.reshape((*grid.shape, 1, 1)[:3]) for grid in grids], axis=3)
    header = _header(source, geometry, dtype)
    header.set_data_shape(stored.shape)
    image = (nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image)(stored, None, header)

    def verify(temporary: Path) -> None:
        for index, array in enumerate(arrays):
            _verify(path, temporary, array.astype(dtype, copy=False), geometry, index if len(arrays) > 1 else None)

    return atomic_write(path, image.to_filename, verify)


def _file_grid(geometry: Geometry) -> SourceGrid:
    source = geometry.source
    return source if source is not None and (geometry.known or _KEY in source.header) else default_source(geometry)


def stem(path: Path) -> str:
    """Return a file's name without its image suffix."""
    name = path.name
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else path.stem


def _modality(path: Path) -> str:
    """Return what a BIDS sidecar beside the file says: NIfTI itself names no modality."""
    sidecar = path.with_name(stem(path) + ".json")
    try:
        if sidecar.stat().st_size > _LARGEST_SIDECAR:
            return ""
        said = json.loads(sidecar.read_bytes())
    except (OSError, ValueError):
        return ""
    modality = said.get("Modality") if isinstance(said, dict) else None
    return modality if modality in _MODALITIES else ""


def _check_name(path: Path) -> None:
    compressed = is_gzip(path)
    if path.name.lower().endswith(".gz") == compressed:
        return
    if compressed:
        raise UnreadableFileError(path.name, "is gzip-compressed, but not named so", "Rename it to end in .nii.gz.")
    parse_header(path.name, first_bytes(path, HEADER_BYTES))  # if it is no NIfTI at all, say that instead
    raise UnreadableFileError(path.name, "is named .gz, but is not compressed", "Rename it to end in .nii.")


def _select(name: str, content: Content, choice: int | None) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    """Return the shape of one image, which one is meant, and what to say of it."""
    extra = content.shape[3:]
    longer = sum(size > 1 for size in extra)
    if longer == 0 or (max(content.shape[:3]) == 1 and longer in (2, 3)):
        choose(name, "images", ["the image"], choice)
        return content.shape, 0, ()
    count = prod(extra)
    if count > _MOST_IMAGES:
        raise UnsupportedDataError(name, f"declares {count} images", "Cut the file into parts first.")
    labels = [f"image {number + 1} of {count}" for number in range(count)]
    index = choose(name, "images", labels, choice)
    return content.shape[:3], index, (f"This is {labels[index]} in the file",)


def _geometry(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...]) -> Geometry:
    position = read_position(header)
    version = 2 if isinstance(header, nib.Nifti2Header) else 1
    record = {_KEY: {"version": version, **position.fields}, "file": file_identity(path)}
    bare = tuple(axis for axis in range(3, len(shape)) if shape[axis] > 1)
    if bare:
        note = "The image lies along axes that have no place in space: its position is not known"
        return unplaced_geometry(plain_grid(shape, bare, record), notes=(note,))
    source = source_grid(shape, position.affine, record)
    return canonical_geometry(source, known=position.known, notes=position.notes)


def _memory_notes(array: NDArray[Any]) -> tuple[str, ...]:
    return (_MAPPED,) if isinstance(array, np.memmap) else ()


def _stored(path: Path, content: Content, shape: tuple[int, ...], index: int, limit: int | None) -> NDArray[Any]:
    """Return one image as the file stores it, (x, y, z), contiguous along x."""
    size = prod(shape) * content.dtype.itemsize
    start = content.offset + index * size
    scales = (content.slope, content.intercept) != (1.0, 0.0)
    needed = size + prod(shape) * (8 if scales else content.dtype.itemsize)
    mappable = not is_gzip(path) and not scales and content.dtype.isnative and not content.dtype.names
    if mappable and needed > (memory_limit() if limit is None else limit):
        return np.memmap(path, content.dtype, "r", start, shape, "F")
    step = "Free some memory, or decompress the file: an unscaled .nii is read from the disk as needed."
    check_memory(path.name, needed, limit, step)
    payload = read_payload(path, start, size, content.end)
    return np.ndarray(shape, content.dtype, payload, order="F")


def _header(source: SourceGrid, geometry: Geometry, dtype: np.dtype[Any]) -> nib.Nifti1Header:
    fields = dict(source.header.get(_KEY, {}))
    version = fields.pop("version", 2 if max(source.shape) > _LARGEST_NIFTI1_AXIS else 1)
    header = nib.Nifti2Header() if version == 2 else nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(source.shape)
    header.set_slope_inter(1, 0)
    if fields:
        sizes = fields.pop("pixdim")
        for field, value in fields.items():
            header[field] = value
        header["pixdim"][:4] = sizes
        return header
    header.set_xyzt_units("mm")
    header["pixdim"][1:4] = np.linalg.norm(source.affine[:3, :3], axis=0)
    if geometry.known:
        header.set_sform(source.affine, code="scanner")
        _set_qform_if_rigid(header, source.affine)
    return header


def _set_qform_if_rigid(header: nib.Nifti1Header, affine: NDArray[np.float64]) -> None:
    """Keep programs that read only the qform in agreement; a sheared grid has none."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() < 1e-6:
        header.set_qform(affine, code="scanner")


def _verify(path: Path, temporary: Path, array: NDArray[Any], geometry: Geometry, choice: int | None = None) -> None:
    step = "Nothing was replaced. Try again, or write to another disk."
    try:
        written = read_nifti(temporary, choice)
    except VolumeError as error:
        raise WriteError(path.name, f"could not be read back: {error.reason}", step) from error
    same = np.array_equal(written.array, array, equal_nan=array.dtype.kind == "f")
    if not same or grid_difference(written.geometry, geometry) is not None:
        raise WriteError(path.name, "read back different from what was written", step)
