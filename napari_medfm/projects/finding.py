"""Cases out of a folder of images, each identified by its voxels and its patient's pseudonym."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medfm.errors import ChoiceRequiredError, MedfmError, ProjectError
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume import Volume, find_images, fingerprint, open_volume
from napari_medfm.volume.dicom_patient import read_identity

PATIENT_IN_NAME = r"sub-([A-Za-z0-9]+)"
"""What finds a patient in a file's name, as BIDS writes it."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image, or why it cannot be used.

    Attributes
    ----------
    path : Path
        File or folder.
    choice : int or None
        Which image in it.
    patient : str
        Pseudonym; empty if it cannot be used.
    fingerprint, modality, shape, spacing
        As in `Case`; empty if it cannot be used.
    problem : str
        Why it cannot be used; empty if it can.
    """

    path: Path
    choice: int | None = None
    patient: str = ""
    fingerprint: str = ""
    modality: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    problem: str = ""


def find_cases(folder: Path, pseudonyms: Pseudonyms, pattern: str = PATIENT_IN_NAME) -> Iterator[Found]:
    """Yield every image of a folder and of those inside it, or of one file; each is read once.

    A file or folder with several images gives several. One bad image does not stop the others.

    Parameters
    ----------
    folder : Path
        Folder or file.
    pseudonyms : Pseudonyms
        For the patients. Of DICOM they are known by the patient's id, of other files by what `pattern` finds in
        the name; where nothing tells, every file counts as a patient of its own.
    pattern : str
        Regular expression; its first group, if it has one, is the patient.
    """
    for path in find_images(folder) if folder.is_dir() else [folder]:
        yield from look_into(path, pseudonyms, pattern)


def look_into(path: Path, pseudonyms: Pseudonyms, pattern: str = PATIENT_IN_NAME) -> Iterator[Found]:
    """Yield the images of one file or one folder of DICOM files; parameters as in `find_cases`."""
    try:
        patient = pseudonyms.patient(_identity(path, pattern))
    except OSError as error:
        yield Found(path, problem=f"cannot be read ({error.strerror or type(error).__name__})")
    else:
        yield from _images(path, patient)


def check_pattern(pattern: str) -> str:
    """Return an expression that finds patients.

    Raises
    ------
    ProjectError
        It is none.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ProjectError(pattern, f"is no regular expression ({error})", "Write one such as '^([^_]+)_'.") from error
    return pattern


def _images(path: Path, patient: str) -> Iterator[Found]:
    try:
        yield _found(path, None, patient, open_volume(path))
    except ChoiceRequiredError as several:
        for choice in range(len(several.choices)):
            try:
                yield _found(path, choice, patient, open_volume(path, choice=choice))
            except MedfmError as error:
                yield Found(path, choice, problem=error.reason)
    except MedfmError as error:
        yield Found(path, problem=error.reason)


def _found(path: Path, choice: int | None, patient: str, volume: Volume) -> Found:
    return Found(path, choice, patient, fingerprint(volume), volume.modality, volume.shape, volume.spacing)


def _identity(path: Path, pattern: str) -> str:
    said = read_identity(path)
    if said is not None:
        return said
    match = re.search(pattern, path.name)
    return f"file {path.name}" if match is None else f"name {match[1] if match.re.groups else match[0]}"
