"""A plain DICOM series: the single-frame CT or MR slices of one folder.

Whatever is not plain is refused by name. pydicom, an optional extra, is imported
when the first series is read. Nothing that identifies the patient is kept.
"""

import struct
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError
from napari_medfm.volume.choices import choose
from napari_medfm.volume.dicom_series import SliceHeader, arrange, series_name
from napari_medfm.volume.intensities import intensity_notes, scaled
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.orientation import canonical_geometry, source_grid, to_canonical
from napari_medfm.volume.payload import FETCH_AGAIN, in_brief
from napari_medfm.volume.volume import Volume

DICOM_SUFFIXES = (".dcm", ".ima")

_SUBJECT = "DICOM folder"
_PREAMBLE, _MAGIC = 128, b"DICM"
_LOOKED_AT = 32  # files of a folder that `is_dicom_folder` opens
_NAMED = 5  # skipped files that a note lists
_TAGS = (
    "SeriesInstanceUID", "SeriesNumber", "Modality", "PhotometricInterpretation", "FrameOfReferenceUID", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames", "SamplesPerPixel",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence",
)  # fmt: skip
_DERIVED = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG", "DOC"})
_PACKAGES = {"JPEG 2000": "pylibjpeg-openjpeg", "JPEG": "pylibjpeg-libjpeg"}
_PIXEL_FAULTS = (
    *(ValueError, KeyError, AttributeError, TypeError, IndexError),
    *(RuntimeError, NotImplementedError, OSError, EOFError, struct.error),
)
"""What pydicom and its codecs raise on damaged pixels."""


def is_dicom(path: Path) -> bool:
    """Whether a file starts as a DICOM file does."""
    try:
        with path.open("rb") as stream:
            return stream.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC
    except OSError:
        return False


def is_dicom_folder(path: Path) -> bool:
    """Whether one of the first files of a folder is DICOM."""
    try:
        return path.is_dir() and any(is_dicom(file) for file in _files(path)[:_LOOKED_AT])
    except UnreadableFileError:
        return False


def read_dicom(path: Path, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read one series of a folder, or the slice of one file, into canonical axes.

    Parameters
    ----------
    path : Path
        A folder, or one DICOM file.
    choice : int, optional
        Which series, counted from 0 by series number, where there are several.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    UnreadableFileError
        No DICOM images, or damaged pixels.
    UnsupportedDataError
        Not plain, a compression whose decoder is not installed, or pydicom missing.
    GeometryError
        Slices without position, uneven, doubled, missing or tilted.
    TooLargeError
        More memory needed than allowed.
    ChoiceRequiredError
        Several series and no `choice`.
    """
    pydicom = _pydicom()
    files = _files(path) if path.is_dir() else [path]
    found, skipped = _scan(pydicom, files)
    if not found:
        step = "Choose the folder that holds the slices themselves."
        raise UnreadableFileError(_SUBJECT if path.is_dir() else path.name, "holds no DICOM images", step)
    chosen = _choose_series(found, choice)
    headers = [header for _, header in chosen]
    arrangement = arrange(headers)
    slices = [chosen[index] for index in arrangement.order]
    _check_codecs(pydicom, headers)
    stack = _read_stack(pydicom, slices, limit)
    source = source_grid(stack.T.shape, arrangement.affine, {"dicom": {"slices": len(slices)}})
    array = scaled(to_canonical(stack.T, source), headers[0].slope, headers[0].intercept)
    notes = (*_skipped_note(skipped), *intensity_notes(array))
    if not path.is_dir():
        notes = ("One file was opened: open its folder for the whole series", *notes)
    modality = headers[0].modality
    name = f"{modality or 'DICOM'} series {headers[0].number}"
    return Volume(array, canonical_geometry(source, notes=notes), name, modality)


def _pydicom() -> ModuleType:
    try:
        return import_module("pydicom")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[dicom]".'
        raise UnsupportedDataError(_SUBJECT, "needs the package pydicom to be read", step) from error


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        step = "Check that you may read the folder."
        raise UnreadableFileError(_SUBJECT, f"cannot be opened ({in_brief(error)})", step) from error


def _scan(pydicom: ModuleType, files: Sequence[Path]) -> tuple[list[tuple[Path, SliceHeader]], list[str]]:
    found, skipped = [], []
    for file in files:
        header = _read_header(pydicom, file)
        if header is None:
            skipped.append(file.name)
        else:
            found.append((file, header))
    return found, skipped


def _read_header(pydicom: ModuleType, file: Path) -> SliceHeader | None:
    """Return what a file says, or None if it is no DICOM image."""
    if not is_dicom(file):
        return None
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
        modality = str(dataset.get("Modality", ""))
        if "Rows" not in dataset or modality in _DERIVED:
            return None
        return _slice_header(file.name, dataset, modality)
    except (*_PIXEL_FAULTS, pydicom.errors.InvalidDicomError) as error:
        raise UnreadableFileError(file.name, f"has a damaged DICOM header ({in_brief(error)})", FETCH_AGAIN) from error


def _slice_header(name: str, dataset: Any, modality: str) -> SliceHeader:
    return SliceHeader(
        name=name,
        series=str(dataset.get("SeriesInstanceUID", "")),
        number=int(dataset.get("SeriesNumber") or 0),
        modality=modality,
        photometric=str(dataset.get("PhotometricInterpretation", "")),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID", "")),
        transfer_syntax=str(dataset.file_meta.get("TransferSyntaxUID", "")),
        shape=(int(dataset.Rows), int(dataset.Columns)),
        kind=(int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.PixelRepresentation)),
        frames=int(dataset.get("NumberOfFrames") or 1),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        spacing=_numbers(dataset, "PixelSpacing", 2),
        thickness=(_numbers(dataset, "SliceThickness", 1) or (1.0,))[0] or 1.0,
        slope=(_numbers(dataset, "RescaleSlope", 1) or (1.0,))[0] or 1.0,
        intercept=(_numbers(dataset, "RescaleIntercept", 1) or (0.0,))[0],
        has_table="ModalityLUTSequence" in dataset,
    )


def _numbers(dataset: Any, tag: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(tag)
    if value is None or value == "":
        return None
    values = tuple(float(part) for part in (value if count > 1 else [value]))
    return values if len(values) == count and np.isfinite(values).all() else None


def _choose_series(found: Sequence[tuple[Path, SliceHeader]], choice: int | None) -> list[tuple[Path, SliceHeader]]:
    groups: dict[str, list[tuple[Path, SliceHeader]]] = defaultdict(list)
    for file, header in found:
        groups[header.series].append((file, header))
    series = sorted(groups.values(), key=lambda group: (group[0][1].number, group[0][1].series))
    return series[choose(_SUBJECT, "series", [_label(group) for group in series], choice)]


def _label(group: Sequence[tuple[Path, SliceHeader]]) -> str:
    header = group[0][1]
    rows, columns = header.shape
    return f"series {header.number}: {header.modality}, {len(group)} slices of {columns} x {rows}"


def _check_codecs(pydicom: ModuleType, headers: Sequence[SliceHeader]) -> None:
    pixels = import_module("pydicom.pixels")
    for syntax in {header.transfer_syntax for header in headers}:
        uid = pydicom.uid.UID(syntax)
        name = series_name(headers)
        try:
            available = not uid.is_compressed or pixels.get_decoder(uid).is_available
        except (NotImplementedError, ValueError) as error:
            reason = f"is stored in a way that is not read ({uid.name})"
            raise UnsupportedDataError(name, reason, "Export it uncompressed, or as JPEG 2000.") from error
        if not available:
            package = next((package for word, package in _PACKAGES.items() if word in uid.name), "pylibjpeg")
            step = f'Install it with "pip install pylibjpeg {package}", or export the series uncompressed.'
            raise UnsupportedDataError(name, f"needs the package {package} to decode {uid.name}", step)


def _read_stack(pydicom: ModuleType, slices: Sequence[tuple[Path, SliceHeader]], limit: int | None) -> NDArray[Any]:
    """Return stored values, (slices, rows, columns)."""
    _, header = slices[0]
    bits, _, signed = header.kind
    count = len(slices) * header.shape[0] * header.shape[1]
    step = "Open it on a machine with more memory."
    check_memory(series_name([header]), count * (bits // 8 + 4), limit, step)
    stack = np.empty((len(slices), *header.shape), f"{'i' if signed else 'u'}{bits // 8}")
    for index, (file, _) in enumerate(slices):
        stack[index] = _read_pixels(pydicom, file, stack)
    return stack


def _read_pixels(pydicom: ModuleType, file: Path, stack: NDArray[Any]) -> NDArray[Any]:
    try:
        pixels = np.asarray(pydicom.dcmread(file).pixel_array)
    except _PIXEL_FAULTS as error:
        raise UnreadableFileError(file.name, f"has damaged pixels ({in_brief(error)})", FETCH_AGAIN) from error
    if pixels.shape != stack.shape[1:] or not np.can_cast(pixels.dtype, stack.dtype):
        reason = (
            f"has {pixels.shape} {pixels.dtype.name} pixels where {stack.shape[1:]} {stack.dtype.name} are declared"
        )
        raise UnreadableFileError(file.name, reason, FETCH_AGAIN)
    return pixels


def _skipped_note(skipped: Sequence[str]) -> tuple[str, ...]:
    if not skipped:
        return ()
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return (f"Left out, being no DICOM images: {', '.join(skipped[:_NAMED])}{more}",)
