"""DICOM files in which every place that can hold a text holds a mark of its own."""

import numpy as np
import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from volume.dicom_files import slice_dataset

from napari_medfm.volume.dicom_library import quiet_pydicom

MARK = "CANARY"
_TEXTS = {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE", "CS"}
_NEEDED = {"PhotometricInterpretation", "SpecificCharacterSet", "Modality"}
_OTHER = {"DA": "19470131", "TM": "131331", "DT": "19470131131331", "AS": "076Y"}
DATES = (b"19470131", b"131331", b"076Y")


def fill(dataset):
    """Give a dataset every element of the dictionary that can hold a text, dates, bytes and an odd UID."""
    with pydicom.config.disable_value_validation():
        for number, (kind, _, _, _, keyword) in DicomDictionary.items():
            tag = Tag(number)
            if (tag in dataset and keyword in _NEEDED) or tag.group in (0, 2, 4) or tag.group >> 8 in (0xFF, 0x7F):
                continue
            if kind in _TEXTS:
                dataset.add_new(tag, kind, f"{MARK}{number:08X}")
            elif kind in _OTHER:
                dataset.add_new(tag, kind, _OTHER[kind])
            elif kind in ("OB", "UN", "OB or OW", "OW"):
                dataset.add_new(tag, kind[:2], f"{MARK}{number:08X}".encode() + b" " * 6)
    dataset.add_new(0x00081140, "SQ", [])
    return dataset


def marked_slice(index, **fields):
    """Return a CT slice with marks in every text, nested, private, in overlays, padding and preamble."""
    dataset = slice_dataset(index, spacing=2.5, rows=24, columns=20)
    pixel = np.random.default_rng(index).integers(0, 2000, (24, 20)).astype(np.uint16)
    technical = {name: dataset[name] for name in dataset.dir() if dataset[name].VR in ("DS", "IS", "US", "UI", "OW")}
    fill(dataset)
    for name in (
        "BurnedInAnnotation",
        "PhotometricInterpretation",
        "PixelPresentation",
        "BitsMappedToColorLookupTable",
    ):
        if name in dataset:
            del dataset[name]
    for element in technical.values():
        dataset.add(element)
    dataset.PhotometricInterpretation, dataset.Modality = "MONOCHROME2", "CT"
    dataset.PixelData = pixel.tobytes()
    dataset.PatientID = f"{MARK}-ID"
    nested = fill(Dataset())
    nested.ReferencedImageSequence = [fill(Dataset())]
    dataset.ReferencedImageSequence = [nested]
    dataset.RequestAttributesSequence = [fill(Dataset())]
    dataset.AnatomicRegionSequence = [fill(Dataset())]
    block = dataset.private_block(0x0029, f"{MARK} CREATOR", create=True)
    block.add_new(0x10, "LO", f"{MARK} PRIVATE")
    block.add_new(0x11, "UN", f"{MARK} PRIVATE".encode())
    dataset.add_new(0x60000010, "US", 24)
    dataset.add_new(0x60003000, "OW", f"{MARK}OVERLAY!".encode())
    dataset.add_new(0x60004000, "LT", f"{MARK} OVERLAY")
    with pydicom.config.disable_value_validation():
        dataset.StudyInstanceUID = f"1.2.{MARK}"
        dataset.add(pydicom.DataElement(0x00180050, "DS", "5"))
    dataset.preamble = (MARK * 30).encode()[:128]
    dataset.file_meta.SourceApplicationEntityTitle = MARK
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.4"
    dataset.file_meta.PrivateInformation = MARK.encode()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def write_marked_series(folder, count=6):
    """Write a series under marked names of folders and files."""
    place = folder / f"{MARK}^FOLDER" / "series"
    place.mkdir(parents=True)
    with quiet_pydicom():
        for index in range(count):
            marked_slice(index).save_as(place / f"{MARK}_{index}.dcm", enforce_file_format=True)
    return place
