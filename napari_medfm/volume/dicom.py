"""DICOM: the slices of a folder, sorted into stacks of which one is read.

Nothing that identifies the patient is kept: names, folders and free texts of a
header go nowhere.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from napari_medfm.errors import GeometryError, UnreadableFileError, UnsupportedDataError, VolumeError
from napari_medfm.volume.choices import choose
from napari_medfm.volume.dicom_headers import TAGS, SliceHeader, slice_headers
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.dicom_pixels import (
    PIXEL_FAULTS,
    check_codecs,
    check_copies,
    read_rescaled,
    read_slice,
    read_stack,
    rescale_notes,
    rescales,
    upright_greys,
)
from napari_medfm.volume.dicom_series import Arrangement, arrange, check_grey
from napari_medfm.volume.dicom_stacks import Stack, labels, split
from napari_medfm.volume.geometry import Geometry
from napari_medfm.volume.grids import grid_difference
from napari_medfm.volume.intensities import intensity_notes, scaled
from napari_medfm.volume.orientation import (
    canonical_geometry,
    plain_grid,
    source_grid,
    to_canonical,
    unplaced_geometry,
)
from napari_medfm.volume.payload import FETCH_AGAIN, in_brief
from napari_medfm.volume.volume import Volume

DICOM_SUFFIXES = (".dcm", ".ima")

_SUBJECT = "DICOM folder"
_PREAMBLE, _MAGIC = 128, b"DICM"
_LOOKED_AT = 32  # files of a folder that `is_dicom_folder` opens
_NAMED = 5  # skipped files that a note lists
NO_IMAGES = {
    "SEG": "a segmentation",
    "RTSTRUCT": "contours",
    "RTDOSE": "a dose grid",
    "RTPLAN": "a treatment plan",
    "SR": "a report",
    "PR": "a presentation state",
    "KO": "a selection",
    "REG": "a registration",
    "DOC": "a document",
}
"""Modalities of objects derived from images, which are not images themselves."""
_INDEX = "1.2.840.10008.1.3.10"  # the SOP class of a DICOMDIR
_JUNK = "no DICOM image"
_COLOUR = 3  # values per pixel
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


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
    """Read one stack of slices of a folder, or of one file, into canonical axes.

    Slices of a multi-frame file count like files of their own. A picture that does not say where it lies is read
    as a 2-D image of unknown position.

    Parameters
    ----------
    path : Path
        A folder, or one DICOM file.
    choice : int, optional
        Which stack, counted from 0 by series number, where there are several.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    UnreadableFileError
        No DICOM images, or damaged headers or pixels.
    UnsupportedDataError
        Not an image of grey values, a compression whose decoder is not installed, or pydicom missing.
    GeometryError
        Slices without position, uneven, doubled, missing or shifted.
    TooLargeError
        More memory needed than allowed.
    ChoiceRequiredError
        Several stacks and no `choice`.
    """
    with quiet_pydicom() as pydicom:
        stacks, skipped = _find(pydicom, path)
        stack = stacks[choose(_SUBJECT, "series", labels(stacks), choice)]
        volume = _read(stack, limit)
    notes = (*_one_file_note(path, stack), *_skipped_note(skipped), *volume.geometry.notes)
    return replace(volume, geometry=replace(volume.geometry, notes=notes))


def dicom_slices(path: Path, like: Geometry) -> tuple[SliceHeader, ...]:
    """Return the headers of the slices that an image was read from, in the order of its source grid.

    Parameters
    ----------
    path : Path
        The folder or file.
    like : Geometry
        Of the image.

    Raises
    ------
    GeometryError
        No stack in the folder lies on that grid, or several do.
    UnreadableFileError, UnsupportedDataError
        As for `read_dicom`.
    """
    with quiet_pydicom() as pydicom:
        stacks, _ = _find(pydicom, path)
    found = [arrangement for stack in stacks if (arrangement := _arranged_like(stack, like)) is not None]
    if len(found) == 1:
        return found[0].slices
    reason = "no series lies on the grid of the image" if not found else f"{len(found)} series lie on the same grid"
    raise GeometryError(_SUBJECT, reason, "Choose the folder of the series that the image was read from.")


def _arranged_like(stack: Stack, like: Geometry) -> Arrangement | None:
    try:
        arrangement = arrange(stack)
    except VolumeError:
        return None
    return arrangement if grid_difference(like, _geometry(arrangement)) is None else None


def _read(stack: Stack, limit: int | None) -> Volume:
    check_codecs(stack)
    header = stack[0]
    name = f"{header.modality or 'DICOM'} series {header.number}"
    if _is_picture(stack):
        return _read_picture(header, name)
    arrangement = arrange(stack)
    slices = arrangement.slices
    copied = check_copies(stack)
    geometry = _geometry(arrangement)
    assert geometry.source is not None
    if len(rescales(slices)) == 1:
        stored = to_canonical(read_stack(slices, limit).T, geometry.source)
        array = scaled(stored, header.slope, header.intercept)
    else:
        array = scaled(to_canonical(read_rescaled(slices, limit).T, geometry.source))
    array, turned = upright_greys(array, header)
    notes = (*copied, *arrangement.notes, *rescale_notes(slices), *turned, *intensity_notes(array))
    return Volume(array, replace(geometry, notes=notes), name, header.modality)


def _geometry(arrangement: Arrangement) -> Geometry:
    slices = arrangement.slices
    shape = (*slices[0].shape[::-1], len(slices))
    return canonical_geometry(source_grid(shape, arrangement.affine, {"dicom": {"slices": len(slices)}}))


def _is_picture(stack: Stack) -> bool:
    """Whether this is a single image that does not say where it lies: a radiograph, a photograph, a screenshot."""
    header = stack[0]
    placed = header.position is not None and header.orientation is not None and header.spacing is not None
    return len(stack) == 1 and header.frames == 1 and (not placed or header.samples == _COLOUR)


def _read_picture(header: SliceHeader, name: str) -> Volume:
    if header.samples == _COLOUR and header.photometric in _COLOURS:
        array = read_slice(header)
        turned: tuple[str, ...] = ()
    else:
        check_grey(header)
        array, turned = upright_greys(scaled(read_slice(header), header.slope, header.intercept), header)
    spacing = header.spacing or header.at_detector
    geometry = unplaced_geometry(plain_grid(header.shape, (0, 1)), spacing=spacing)
    notes = (_calibration(header), *turned, *intensity_notes(array))
    return Volume(np.ascontiguousarray(array), replace(geometry, notes=notes), name, header.modality)


def _calibration(header: SliceHeader) -> str:
    unplaced = "The image does not say where it lies in the patient"
    if header.spacing is not None:
        return unplaced
    if header.at_detector is not None:
        return f"{unplaced}; sizes in mm are those at the detector, larger than in the patient"
    return f"{unplaced}, nor how large its pixels are (uncalibrated): 1 mm is assumed"


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        step = "Check that you may read the folder."
        raise UnreadableFileError(_SUBJECT, f"cannot be opened ({in_brief(error)})", step) from error


def _find(pydicom: ModuleType, path: Path) -> tuple[list[Stack], dict[str, str]]:
    """Return the stacks of a folder or file, and what its other files are, by name."""
    found: list[SliceHeader] = []
    skipped: dict[str, str] = {}
    for file in _files(path) if path.is_dir() else [path]:
        headers = _read_headers(pydicom, file)
        if isinstance(headers, str):
            skipped[file.name] = headers
        else:
            found += headers
    if not found:
        raise _nothing(path, skipped)
    return split(found), skipped


def _nothing(path: Path, skipped: dict[str, str]) -> VolumeError:
    subject = _SUBJECT if path.is_dir() else path.name
    kinds = sorted(set(skipped.values()) - {_JUNK})
    if not kinds:
        step = "Choose the folder that holds the slices themselves."
        return UnreadableFileError(subject, "holds no DICOM images", step)
    reason = f"holds no image, but {' and '.join(kinds)}"
    return UnsupportedDataError(subject, reason, "Choose the folder of the CT or MR series that it belongs to.")


def _read_headers(pydicom: ModuleType, file: Path) -> list[SliceHeader] | str:
    """Return what a file says of its slices, or in words what it is if it is no DICOM image."""
    if not is_dicom(file):
        return _JUNK
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
        if _class(dataset) == _INDEX:
            return "the index of a medium (DICOMDIR)"
        modality = str(dataset.get("Modality", ""))
        if modality in NO_IMAGES:
            return f"{NO_IMAGES[modality]} ({modality})"
        if "Rows" in dataset:
            return list(slice_headers(file, dataset))
    except (*PIXEL_FAULTS, pydicom.errors.InvalidDicomError) as error:
        raise UnreadableFileError(file.name, f"has a damaged DICOM header ({_kind(error)})", FETCH_AGAIN) from None
    if pydicom.uid.UID(_class(dataset)).name.endswith("Image Storage"):
        raise UnreadableFileError(file.name, "has a damaged DICOM header (it ends too early)", FETCH_AGAIN)
    return _JUNK


def _class(dataset: Any) -> str:
    return str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))


def _kind(error: BaseException) -> str:
    """Return what went wrong without the values that a library quotes; its own error is not passed on either."""
    return in_brief(error) if isinstance(error, OSError | EOFError) else type(error).__name__


def _one_file_note(path: Path, stack: Stack) -> tuple[str, ...]:
    if path.is_dir() or stack[0].frame is not None or _is_picture(stack):
        return ()
    return ("One file was opened: open its folder for the whole series",)


def _skipped_note(skipped: dict[str, str]) -> tuple[str, ...]:
    if not skipped:
        return ()
    listed = [name if what == _JUNK else f"{name}, {what}" for name, what in list(skipped.items())[:_NAMED]]
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return (f"Left out, being no DICOM images: {'; '.join(listed)}{more}",)
