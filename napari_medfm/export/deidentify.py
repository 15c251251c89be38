"""DICOM images without their patients: folders in, folders out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import ExportError, UnreadableFileError, UnsupportedDataError, WriteError
from napari_medfm.export.profile import deidentify
from napari_medfm.files import atomic_write
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume.dicom import NO_IMAGES, is_dicom
from napari_medfm.volume.dicom_headers import slice_headers
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.dicom_pixels import PIXEL_FAULTS, check_codecs
from napari_medfm.volume.payload import FETCH_AGAIN

FACES = "The shape of the face can be recognised in CT and MR of a head: whoever gets them must not try"
"""What to tell whoever passes images on."""

_UNTOUCHED = "Try again, or write to another disk."
_NO_IMAGE = "no DICOM image: not copied"


@dataclass
class DeidentifiedFolder:
    """What became of a folder.

    Attributes
    ----------
    series : dict of (str, str) to int
        Number of files by pseudonyms of patient and series, which name the folders.
    left_out : dict of str to str
        Why a file was not copied, by its number in the order of paths: names of files may be names of patients.
    refused : int
        How many of them are images that could not be de-identified.
    """

    series: dict[tuple[str, str], int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    refused: int = 0


def deidentify_folder(
    source: Path, target: Path, pseudonyms: Pseudonyms, *, progress: Callable[[int, int], None] | None = None
) -> DeidentifiedFolder:
    """Write de-identified copies of all DICOM images in a folder and in those inside it.

    Files and folders get new names. What is no image (reports, plans, contours, segmentations, other files) is not
    copied. One bad file does not stop the others.

    Parameters
    ----------
    source : Path
        Only read.
    target : Path
        A new or empty folder, not inside the source.
    pseudonyms : Pseudonyms
        For patients and UIDs.
    progress : callable, optional
        Given (done, all) after each file.

    Raises
    ------
    ExportError
        The target cannot be used.
    UnsupportedDataError
        A package is missing.
    """
    _check_target(source, target)
    done = DeidentifiedFolder()
    files = sorted(path for path in source.rglob("*") if path.is_file())
    for number, file in enumerate(files, start=1):
        title = f"file {number}"
        try:
            _copy(file, title, target, pseudonyms, done)
        except (ExportError, UnreadableFileError, UnsupportedDataError) as error:
            done.left_out[title] = error.reason
            done.refused += 1
        if progress is not None:
            progress(number, len(files))
    return done


def read_complete(file: Path, title: str) -> Any:
    """Return a whole DICOM dataset.

    Raises
    ------
    UnreadableFileError
        It cannot be read.
    """
    with quiet_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(file)
            for keyword in ("SOPClassUID", "SOPInstanceUID"):
                if not dataset.get(keyword):  # anonymisers have emptied it; the header of the file says it again
                    setattr(dataset, keyword, dataset.file_meta.get(f"MediaStorage{keyword}", ""))
            return dataset
        except (*PIXEL_FAULTS, pydicom.errors.InvalidDicomError) as error:
            reason = f"cannot be read as DICOM ({type(error).__name__})"
            raise UnreadableFileError(title, reason, FETCH_AGAIN) from None  # it may quote a name


def remove_patient(dataset: Any, pseudonyms: Pseudonyms, patient: str | None = None) -> NDArray[Any]:
    """Take the patient out of a complete dataset, in place, and return its pixels.

    Parameters
    ----------
    dataset : pydicom.Dataset
        As `read_complete` returns it.
    pseudonyms : Pseudonyms
        For patient and UIDs.
    patient : str, optional
        Another pseudonym for the patient.

    Raises
    ------
    ExportError, UnreadableFileError
        It cannot be de-identified, or its pixels are damaged.
    UnsupportedDataError
        Its pixels are compressed in a way that cannot be read here.
    """
    with quiet_pydicom() as pydicom:
        try:
            check_codecs(list(slice_headers(Path("image"), dataset)))
            pixels = np.array(pydicom.pixels.pixel_array(dataset))
            named = deidentify(dataset, pseudonyms)
        except PIXEL_FAULTS as error:
            reason = f"has pixels or elements that cannot be read ({type(error).__name__})"
            raise UnreadableFileError("DICOM image", reason, FETCH_AGAIN) from None
        dataset.PatientName = dataset.PatientID = patient or named
    return pixels


def write_image(target: Path, dataset: Any, pixels: NDArray[Any]) -> None:
    """Write a dataset, read it again and compare its pixels.

    Raises
    ------
    WriteError
        Not written, or read back different.
    """
    with quiet_pydicom() as pydicom:

        def verify(temporary: Path) -> None:
            if not np.array_equal(pydicom.pixels.pixel_array(pydicom.dcmread(temporary)), pixels):
                raise WriteError(target.name, "read back different from what was written", _UNTOUCHED)

        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, lambda temporary: dataset.save_as(temporary, enforce_file_format=True), verify)


def _check_target(source: Path, target: Path) -> None:
    inner, outer = target.resolve(), source.resolve()
    if not source.is_dir():
        raise ExportError(source.name, "is no folder", "Choose the folder with the DICOM files.")
    if inner == outer or outer in inner.parents:
        raise ExportError(target.name, "lies inside the folder that is read", "Choose a folder beside it.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(target.name, "is not an empty folder", "Choose a new one.")


def _copy(file: Path, title: str, target: Path, pseudonyms: Pseudonyms, done: DeidentifiedFolder) -> None:
    if not is_dicom(file):
        done.left_out[title] = _NO_IMAGE
        return
    dataset = read_complete(file, title)
    if not _is_image(dataset):
        done.left_out[title] = _NO_IMAGE
        return
    pixels = remove_patient(dataset, pseudonyms)
    key = (str(dataset.PatientID), f"S{str(dataset.SeriesInstanceUID)[-16:]}")
    number = done.series.get(key, 0) + 1
    write_image(target / key[0] / key[1] / f"{number:05d}.dcm", dataset, pixels)
    done.series[key] = number


def _is_image(dataset: Any) -> bool:
    return "PixelData" in dataset and str(dataset.get("Modality", "")) not in NO_IMAGES
