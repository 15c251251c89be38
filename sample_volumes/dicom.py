"""A phantom CT as DICOM series of invented patients, to try a whole project on."""

from pathlib import Path

import numpy as np
from phantom import Phantom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_medfm.files import atomic_write

_INTERCEPT = -1024
_TO_LPS = np.array([-1.0, -1.0, 1.0])  # DICOM's axes point to the left and to the back


def write_series(folder: Path, phantom: Phantom, patient: str) -> Path:
    """Write one slice per file, as a scanner would, and return the folder.

    Parameters
    ----------
    folder : Path
        Is made; the folder around it must be there.
    phantom : Phantom
        A CT.
    patient : str
        Id and name of the invented patient; the same one gets the same identifiers every time.
    """
    folder.mkdir()
    for index in range(phantom.count):
        dataset = _slice(phantom, index, patient)
        atomic_write(folder / f"{index:04d}.dcm", lambda path, it=dataset: it.save_as(path, enforce_file_format=True))
    return folder


def _slice(phantom: Phantom, index: int, patient: str) -> Dataset:
    values, _ = phantom.draw(index)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _uid(patient, f"slice {index}")
    dataset.PatientID = dataset.PatientName = patient
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = dataset.PositionReferenceIndicator = ""
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(patient, "study"), _uid(patient, "series")
    dataset.FrameOfReferenceUID = _uid(patient, "frame")
    dataset.Modality, dataset.SeriesDescription = "CT", "phantom, portal venous"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = "napari-medfm phantom", 1, index + 1
    _place(dataset, phantom, index)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, _INTERCEPT, "HU"
    dataset.PixelData = np.clip(values.astype(np.int32) - _INTERCEPT, 0, 4095).astype("<u2").tobytes()
    return dataset


def _place(dataset: Dataset, phantom: Phantom, index: int) -> None:
    """Say where a slice lies in the patient."""
    affine = phantom.geometry.affine
    down, right = (affine[:3, axis] * _TO_LPS for axis in (1, 2))
    spacing = [float(np.linalg.norm(step)) for step in (down, right)]
    dataset.Rows, dataset.Columns = phantom.geometry.shape[1:]
    dataset.PixelSpacing = [round(step, 6) for step in spacing]
    dataset.SliceThickness = round(float(np.linalg.norm(affine[:3, 0])), 6)
    dataset.ImageOrientationPatient = [*(right / spacing[1]).round(9).tolist(), *(down / spacing[0]).round(9).tolist()]
    position = (affine @ (index, 0, 0, 1))[:3] * _TO_LPS
    dataset.ImagePositionPatient = position.round(6).tolist()


def _uid(patient: str, what: str) -> str:
    return generate_uid(entropy_srcs=["napari-medfm phantom", patient, what])
