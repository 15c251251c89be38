"""Cases on small DICOM series."""

from types import MappingProxyType

import numpy as np
from volume.dicom_files import slice_dataset, write_slices

from napari_medfm.export import Case, CaseObject
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Plane, open_volume

CLASSES = (ObjectClass("liver"), ObjectClass("liver tumour", parent="liver"), ObjectClass("gadget"))
STUDY = {"StudyInstanceUID": "1.2.7", "StudyDate": "", "StudyTime": "", "AccessionNumber": "", "StudyID": ""}
PATIENT = {"PatientSex": "", "ReferringPhysicianName": "", "Manufacturer": ""}


def write_complete_series(folder, count=6, **fields):
    """Write a series with all that a derived object has to repeat."""
    made = [slice_dataset(index, rows=12, columns=10, **STUDY, **PATIENT, **fields) for index in range(count)]
    return write_slices(folder, made)


def as_series(folder, volume):
    """Write a volume of int16 as a series, slices along its first axis, and return its folder."""
    lps = volume.geometry.affine[:3] * np.array([[-1], [-1], [1]])
    step, down, across = lps[:, :3].T
    sizes = np.linalg.norm(down), np.linalg.norm(across)
    made = [
        slice_dataset(
            index, **STUDY, **PATIENT, RescaleIntercept=0, PixelRepresentation=1, BitsStored=16, HighBit=15,
            rows=plane.shape[0], columns=plane.shape[1], PixelData=plane.tobytes(), PixelSpacing=_numbers(sizes),
            ImageOrientationPatient=_numbers([*(across / sizes[1]), *(down / sizes[0])]),
            ImagePositionPatient=_numbers(lps[:, 3] + index * step),
        )
        for index, plane in enumerate(np.asarray(volume.array))
    ]  # fmt: skip
    return write_slices(folder, made)


def _numbers(values):
    return [float(f"{value:.10f}") for value in values]


def annotated(folder, *, empty=False, seen=True):
    """Return a case: a liver with two tumours in it, and a gadget with empty slices between its own."""
    volume = open_volume(folder)
    labels, beneath = np.zeros(volume.shape, np.uint16), np.zeros(volume.shape, np.uint16)
    if not empty:
        labels[1:4, 2:9, 1:7] = 10
        for number, region in [(556, np.s_[2:3, 3:5, 2:5]), (557, np.s_[3:4, 6:8, 2:4])]:
            beneath[region] = labels[region]
            labels[region] = number
        labels[0, 11, 9] = labels[5, 0, 8] = 3
    objects = [(10, "liver"), (556, "liver tumour"), (557, "liver tumour"), (3, "gadget"), (900, "gadget")]
    held = [] if empty else objects
    planes = [Plane(0, index) for index in range(volume.shape[0] - (0 if seen else 1))]
    return Case(
        patient="anybody",
        images={"CT": volume},
        labels=labels,
        objects=tuple(CaseObject(number, name) for number, name in sorted(held)),
        classes=CLASSES,
        extent=MappingProxyType({(kind.name, plane): Extent.ANNOTATED for kind in CLASSES for plane in planes}),
        beneath=() if empty else (beneath,),
        source=folder,
    )
