"""NRRD and MetaImage by SimpleITK, an optional extra.

ITK returns wrong voxels for most flipped bits of a compressed MetaImage, with a word on the standard error stream at
best: compressed data are read to their checksum here before ITK sees them. Data files beside a header are taken from
its own folder only.
"""

import zlib
from dataclasses import replace
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError
from napari_medfm.volume.choices import choose
from napari_medfm.volume.geometry import Geometry
from napari_medfm.volume.intensities import intensity_notes, scaled
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.orientation import (
    canonical_geometry,
    plain_grid,
    source_grid,
    to_canonical,
    unplaced_geometry,
)
from napari_medfm.volume.payload import FETCH_AGAIN, check_readable, drain_gzip, file_identity
from napari_medfm.volume.volume import Volume

NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
ITK_SUFFIXES = (*NRRD_SUFFIXES, *META_SUFFIXES)

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LONGEST_HEADER = 1 << 20
_PIECE = 1 << 20
_COLOUR = 3
_LARGEST_DIMENSION = 4
_PLACED = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")
_MODALITIES = {"met_mod_ct": "CT", "met_mod_mr": "MR", "met_mod_us": "US"}
_UNKNOWN = "The file does not say how it lies in the patient: its axes are taken as they come"
_CONVERT = "Convert it to NIfTI first."


class _Header(NamedTuple):
    """Fields by name in lower case, where voxels begin, and in which file."""

    fields: dict[str, str]
    start: int
    data: Path


def read_itk(path: Path, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read an NRRD or MetaImage file into canonical axes.

    Parameters
    ----------
    path : Path
        A name ending in ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.
    choice : int, optional
        Which image, counted from 0, of a file with a fourth axis.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    UnreadableFileError
        Damaged, truncated, or not what its name says.
    UnsupportedDataError
        Values that are no grey or RGB ones, or SimpleITK missing.
    TooLargeError
        More memory needed than allowed.
    ChoiceRequiredError
        Several images and no `choice`.
    """
    library = _simpleitk()
    header = _read_header(path)
    _check_data(path, header)
    array, image = _read(library, path, limit)
    colour = image.GetNumberOfComponentsPerPixel() == _COLOUR
    if image.GetDimension() == _LARGEST_DIMENSION:
        labels = [f"image {number + 1} of {len(array)}" for number in range(len(array))]
        array = array[choose(path.name, "images", labels, choice)]
    geometry = _geometry(path, image, header)
    assert geometry.source is not None
    spatial = array.ndim - colour
    stored = np.transpose(array, (*range(spatial)[::-1], *range(spatial, array.ndim)))
    values = scaled(to_canonical(stored, geometry.source))
    notes = (*(() if geometry.known else (_UNKNOWN,)), *intensity_notes(values))
    return Volume(
        values,
        replace(geometry, notes=notes),
        path.stem,
        _MODALITIES.get(header.fields.get("modality", "").lower(), ""),
    )


def _simpleitk() -> ModuleType:
    try:
        library = import_module("SimpleITK")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[itk]".'
        raise UnsupportedDataError("NRRD or MetaImage", "needs the package SimpleITK to be read", step) from error
    library.ProcessObject.SetGlobalWarningDisplay(False)  # they quote paths
    return library


def _read_header(path: Path) -> _Header:
    check_readable(path)
    nrrd = path.name.lower().endswith(NRRD_SUFFIXES)
    with path.open("rb") as stream:
        fields = _nrrd_fields(stream) if nrrd else _meta_fields(stream)
        start = stream.tell()
    if fields is None:
        kind = "NRRD" if nrrd else "MetaImage"
        raise UnreadableFileError(path.name, f"is no {kind} file", "Choose another file.")
    beside = (fields.get("data file") or fields.get("datafile")) if nrrd else fields.get("elementdatafile")
    if beside is None or (not nrrd and beside.upper() == "LOCAL"):
        return _Header(fields, start, path)
    if Path(beside).name != beside or beside.upper().startswith("LIST") or "%" in beside:
        reason = "keeps its voxels in several files, or in another folder"
        raise UnsupportedDataError(path.name, reason, "Save it as one file, .nrrd or .mha.")
    return _Header(fields, 0, path.with_name(beside))


def _nrrd_fields(stream: BufferedReader) -> dict[str, str] | None:
    if not stream.readline(16).startswith(b"NRRD000"):
        return None
    return _fields(stream, ":", "")


def _meta_fields(stream: BufferedReader) -> dict[str, str] | None:
    fields = _fields(stream, "=", "elementdatafile")
    return fields if "elementdatafile" in fields and "ndims" in fields else None


def _fields(stream: BufferedReader, between: str, last: str) -> dict[str, str]:
    """Return lines as fields, up to an empty one or that of a name; the stream stands behind it then."""
    fields: dict[str, str] = {}
    while stream.tell() < _LONGEST_HEADER:
        line = stream.readline(_LONGEST_HEADER).decode("utf-8", "replace").strip()
        name, found, value = line.partition(between)
        if not line:
            break
        if found and not line.startswith("#"):
            fields[name.strip().lower()] = value.lstrip("=").strip()
            if name.strip().lower() == last:
                break
    return fields


def _check_data(path: Path, header: _Header) -> None:
    """Read compressed voxels to their checksum."""
    check_readable(header.data)
    encoding = header.fields.get("encoding", "").lower()
    with header.data.open("rb") as stream:
        stream.seek(header.start)
        if encoding in ("gzip", "gz"):
            drain_gzip(path.name, stream)
        elif header.fields.get("compresseddata", "").lower() == "true":
            _drain_zlib(path.name, stream)


def _drain_zlib(name: str, stream: BufferedReader) -> None:
    inflater = zlib.decompressobj()
    try:
        while not inflater.eof:
            pending = inflater.unconsumed_tail or stream.read(_PIECE)
            if not pending:
                raise UnreadableFileError(name, "is cut short: its compressed voxels have no end", FETCH_AGAIN)
            inflater.decompress(pending, _PIECE)
    except zlib.error as error:
        raise UnreadableFileError(name, "is damaged (its compressed voxels are not intact)", FETCH_AGAIN) from error


def _read(library: ModuleType, path: Path, limit: int | None) -> tuple[NDArray[Any], Any]:
    reader = library.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_kind(library, path, reader)
        components = int(reader.GetNumberOfComponents())
        size = int(np.prod([int(size) for size in reader.GetSize()])) * components
        check_memory(path.name, size * 16, limit, "Open it on a machine with more memory.")
        image = reader.Execute()
        return np.asarray(library.GetArrayFromImage(image)), image
    except RuntimeError as error:
        raise UnreadableFileError(
            path.name, "cannot be read by ITK: it is damaged or cut short", FETCH_AGAIN
        ) from error


def _check_kind(library: ModuleType, path: Path, reader: Any) -> None:
    kind = library.GetPixelIDValueAsString(reader.GetPixelID())
    components, dimension = reader.GetNumberOfComponents(), reader.GetDimension()
    if "complex" in kind or components not in (1, _COLOUR) or (components == _COLOUR and "8-bit unsigned" not in kind):
        reason = f"holds values of a kind that is not read ({components} x {kind})"
        raise UnsupportedDataError(path.name, reason, _CONVERT)
    if not 2 <= dimension <= _LARGEST_DIMENSION or min(reader.GetSize()) < 1:
        raise UnsupportedDataError(path.name, f"has {dimension} axes", _CONVERT)


def _geometry(path: Path, image: Any, header: _Header) -> Geometry:
    """Return the grid of a file; of its first three axes if there are four."""
    size = tuple(int(size) for size in image.GetSize())[:3]
    record = {"file": file_identity(path)}
    spacing = tuple(float(step) for step in image.GetSpacing())[: len(size)]
    if len(size) == 2 or not _is_placed(path, header):
        return unplaced_geometry(plain_grid(size, tuple(range(len(size)))[::-1], record), spacing=spacing[::-1])
    rank = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(rank, rank)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = direction * spacing, image.GetOrigin()[:3]
    return canonical_geometry(source_grid(size, _LPS_TO_RAS @ affine + 0.0, record))


def _is_placed(path: Path, header: _Header) -> bool:
    if path.name.lower().endswith(NRRD_SUFFIXES):
        return header.fields.get("space", "").lower() in _PLACED
    return any(name in header.fields for name in ("transformmatrix", "rotation", "orientation"))
