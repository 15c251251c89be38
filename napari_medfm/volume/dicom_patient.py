"""Whose DICOM file it is, as something to make a pseudonym of; it is never shown or kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medfm.errors import UnreadableFileError
from napari_medfm.volume.dicom import is_dicom
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.dicom_pixels import PIXEL_FAULTS

_TAGS = ("PatientID", "IssuerOfPatientID", "StudyInstanceUID")


def identity(dataset: Mapping[str, Any] | Any) -> str:
    """Return what is equal for one person and differs between persons: the id with its issuer, else the study."""
    own = str(dataset.get("PatientID", "") or "").strip()
    if own:
        return f"{own}\n{dataset.get('IssuerOfPatientID', '') or ''}"
    return f"study {dataset.get('StudyInstanceUID', '')}"


def read_identity(path: Path) -> str | None:
    """Return the identity in the first DICOM file of a folder, or in one file; None if that says nothing.

    Parameters
    ----------
    path : Path
        A folder or a file.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    file = next((file for file in files if is_dicom(file)), None)
    if file is None:
        return None
    with quiet_pydicom() as pydicom:
        try:
            return identity(pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS)))
        except (*PIXEL_FAULTS, pydicom.errors.InvalidDicomError, UnreadableFileError):
            return None
