"""DICOM-SEG files opened as labels of an image."""

import numpy as np
import pytest
from export.dicom_cases import annotated, write_complete_series

from napari_medfm.errors import GeometryError, UnsupportedDataError
from napari_medfm.export.dicom_seg import export_segmentation
from napari_medfm.volume import open_labels, open_volume, write_volume


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a series, a segmentation with tumours inside a liver, and the case it holds."""
    folder = tmp_path_factory.mktemp("seg")
    case = annotated(write_complete_series(folder / "scan"))
    export_segmentation(case, folder / "labels.dcm")
    return folder, case


def test_segments_become_labels_and_what_lies_inside_is_on_top(made):
    folder, case = made
    labels = open_labels(folder / "labels.dcm", open_volume(folder / "scan"))
    ids = [thing.id for thing in case.objects if case.object_mask(thing.id).any()]
    expected = np.zeros(labels.shape, int)
    for number, thing in enumerate(ids, start=1):
        expected[case.labels == thing] = number
    assert np.array_equal(labels, expected)


def test_it_lies_on_the_image_though_that_was_made_nifti_meanwhile(made, tmp_path):
    folder, _ = made
    series = open_volume(folder / "scan")
    nifti = open_volume(write_volume(tmp_path / "scan.nii.gz", series))
    labels = [open_labels(folder / "labels.dcm", image) for image in (series, nifti)]
    assert np.array_equal(*labels)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"spacing": 3.0}, "does not lie on the image"), ({"count": 3}, "parts are outside of it")],
)
def test_that_of_another_series_is_refused(made, tmp_path, fields, reason):
    folder, _ = made
    other = open_volume(write_complete_series(tmp_path / "other", **fields))
    with pytest.raises(GeometryError, match=reason):
        open_labels(folder / "labels.dcm", other)


@pytest.mark.shared_data
def test_segments_of_another_program_that_overlap_in_part_are_refused(shared_data):
    folder = shared_data / "dicom" / "dcmqi_ct_seg"
    image = open_volume(folder / "ct-3slice")
    liver = open_labels(folder / "liver.dcm", image)
    expected = open_labels(folder / "liver_seg.nrrd", image)
    assert np.array_equal(liver > 0, expected > 0)
    with pytest.raises(UnsupportedDataError, match="overlap, neither inside the other"):
        open_labels(folder / "partial_overlaps.dcm", image)
