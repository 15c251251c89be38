"""Cases on small DICOM series."""

from types import MappingProxyType

import numpy as np

from napari_medfm.export import Case, CaseObject
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Plane, open_volume
from tests.volume.dicom_files import slice_dataset, write_slices

CLASSES = (ObjectClass("liver"), ObjectClass("liver tumour", parent="liver"), ObjectClass("gadget"))
STUDY = {"StudyInstanceUID": "1.2.7", "StudyDate": "", "StudyTime": "", "AccessionNumber": "", "StudyID": ""}
PATIENT = {"PatientSex": "", "ReferringPhysicianName": "", "Manufacturer": ""}


def write_complete_series(folder, count=6, **fields):
    """Write a series with all that a derived object has to repeat."""
    made = [slice_dataset(index, rows=12, columns=10, **STUDY, **PATIENT, **fields) for index in range(count)]
    return write_slices(folder, made)


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
