"""DICOM-SEG, and F49 to F52 of the fault list; the second reader is dcmqi, which stands on DCMTK and ITK."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import dcmqi
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from highdicom.seg import segread
from volume.dicom_files import enhanced_dataset, write_slices

from napari_medfm.errors import ExportError, UnreadableFileError
from napari_medfm.export.dicom_seg import export_segmentation
from napari_medfm.export.segmentation import read_masks
from napari_medfm.volume import open_volume
from napari_medfm.volume.dicom import dicom_slices

from .dicom_cases import PATIENT, STUDY, annotated, write_complete_series

CONVERTER = Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage"
PAGE = Path(__file__).parents[2] / "docs" / "dicom.md"
FAULTS = {
    "F49": ("objects 3, 10, 556 and 557", "segments 1 to 4; their Tracking IDs tell the ids"),
    "F50": ("an object without voxels; a case without objects", "no segment; one empty segment of the first class"),
    "F51": ("an object with empty slices between its own", "frames for its slices only, places by their positions"),
    "F52": ("a series without a frame of reference", "one is made from the UID of the series"),
}
"""The table that docs/dicom.md shows; a test below is named after each."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a case and its segmentation."""
    folder = tmp_path_factory.mktemp("series")
    case = annotated(write_complete_series(folder / "scan"))
    export_segmentation(case, folder / "labels.dcm")
    return case, folder / "labels.dcm"


def by_dcmqi(path, folder):
    """Return what dcmqi makes of a file: label, property type and image of each segment."""
    folder.mkdir()
    command = [CONVERTER, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd", "-p", "s"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    meta = json.loads((folder / "s-meta.json").read_text())
    return {
        part["labelID"]: (part, sitk.ReadImage(folder / f"s-{part['labelID']}.nrrd"))
        for group in meta["segmentAttributes"]
        for part in group
    }


def on_the_grid_of(geometry, image):
    """Return the mask of an ITK image on a grid of ours, found by where its voxels lie in the patient."""
    voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1]
    direction = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    places = geometry.to_voxel((voxels @ direction.T + image.GetOrigin()) * (-1, -1, 1))
    mask = np.zeros(geometry.shape, bool)
    mask[tuple(np.rint(places).astype(int).T)] = True
    assert np.abs(places - np.rint(places)).max(initial=0) < 1e-3
    assert mask.sum() == len(voxels)
    return mask


def masks(case, path):
    return read_masks(path, case.geometry, dicom_slices(case.source, case.geometry))


def test_every_object_is_a_segment_that_holds_its_voxels_and_what_lies_inside_it(written):
    case, path = written
    found = masks(case, path)
    assert len(found) == 4
    for number, mask in zip((3, 10, 556, 557), found, strict=True):
        assert np.array_equal(mask, case.object_mask(number))
    assert (found[1] & found[2]).sum() == found[2].sum() == 6, "the tumour is part of the liver"


def test_f49_segments_are_numbered_from_one_and_remember_the_ids(written):
    _, path = written
    segments = segread(path).SegmentSequence
    assert [segment.SegmentNumber for segment in segments] == [1, 2, 3, 4]
    assert [segment.TrackingID for segment in segments] == ["object 3", "object 10", "object 556", "object 557"]


def test_f50_an_object_without_voxels_is_no_segment(written):
    case, path = written
    assert 900 in {thing.id for thing in case.objects}
    assert [segment.SegmentLabel for segment in segread(path).SegmentSequence] == [
        "gadget 1", "liver", "liver tumour 1", "liver tumour 2",
    ]  # fmt: skip


def test_f50_a_case_without_objects_is_one_empty_segment(tmp_path):
    case = annotated(write_complete_series(tmp_path / "scan"), empty=True)
    export_segmentation(case, tmp_path / "labels.dcm")
    (mask,) = masks(case, tmp_path / "labels.dcm")
    assert not mask.any()
    ((_, image),) = by_dcmqi(tmp_path / "labels.dcm", tmp_path / "out").values()
    assert not sitk.GetArrayFromImage(image).any()


def test_f51_gaps_and_all_else_are_the_same_to_a_second_reader(written, tmp_path):
    case, path = written
    theirs = by_dcmqi(path, tmp_path / "out")
    for label, number in enumerate((3, 10, 556, 557), start=1):
        assert np.array_equal(on_the_grid_of(case.geometry, theirs[label][1]), case.object_mask(number))
    spacing = theirs[2][1].GetSpacing()
    assert spacing == pytest.approx((0.7, 0.8, 2.5), abs=1e-6)


def test_f52_a_series_without_a_frame_of_reference_gets_one(tmp_path):
    case = annotated(write_complete_series(tmp_path / "scan", FrameOfReferenceUID=None))
    export_segmentation(case, tmp_path / "labels.dcm")
    assert pydicom.dcmread(tmp_path / "labels.dcm").FrameOfReferenceUID.is_valid
    assert np.array_equal(masks(case, tmp_path / "labels.dcm")[1], case.object_mask(10))


def test_classes_are_coded_where_the_standard_knows_them(written, tmp_path):
    _, path = written
    theirs = by_dcmqi(path, tmp_path / "out")
    kinds = {label: part["SegmentedPropertyTypeCodeSequence"] for label, (part, _) in theirs.items()}
    assert kinds[2]["CodeValue"] == "10200004"
    assert kinds[3]["CodeMeaning"] == "Neoplasm"
    assert (kinds[1]["CodingSchemeDesignator"], kinds[1]["CodeMeaning"]) == ("99MEDFM", "gadget")


@pytest.mark.parametrize("tilt", [0.0, 0.2], ids=["upright", "tilted gantry"])
def test_any_stack_is_written_on_its_own_slices(tmp_path, tilt):
    case = annotated(write_complete_series(tmp_path / "scan", tilt=tilt))
    export_segmentation(case, tmp_path / "labels.dcm")
    assert all(np.array_equal(mask, case.object_mask(number)) for mask, number in
               zip(masks(case, tmp_path / "labels.dcm"), (3, 10, 556, 557), strict=True))  # fmt: skip


def test_a_multi_frame_series_is_referred_to_by_its_frames(tmp_path):
    image = enhanced_dataset([2, 0, 3, 1, 5, 4], rows=12, columns=10, **STUDY, **PATIENT)
    case = annotated(write_slices(tmp_path / "scan", [image]))
    export_segmentation(case, tmp_path / "labels.dcm")
    assert np.array_equal(masks(case, tmp_path / "labels.dcm")[1], case.object_mask(10))
    theirs = by_dcmqi(tmp_path / "labels.dcm", tmp_path / "out")[2][1]
    assert np.array_equal(on_the_grid_of(case.geometry, theirs), case.object_mask(10))


def test_it_belongs_to_the_patient_and_study_of_its_series(written):
    case, path = written
    image, source = pydicom.dcmread(path), pydicom.dcmread(next(case.source.iterdir()))
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert image[name].value == source[name].value
    assert image.SeriesInstanceUID != source.SeriesInstanceUID


def test_an_image_that_is_no_series_is_refused(written, tmp_path):
    case, _ = written
    for lacking in ({"source": None}, {"images": {"CT": case.images["CT"], "PT": case.images["CT"]}}):
        with pytest.raises(ExportError, match="DICOM"):
            export_segmentation(replace(case, **lacking), tmp_path / "labels.dcm")
    assert not (tmp_path / "labels.dcm").exists()


def test_a_segmentation_of_another_series_is_refused(written, tmp_path):
    _, path = written
    other = open_volume(write_complete_series(tmp_path / "other"))
    with pytest.raises(UnreadableFileError, match="cannot be read as a segmentation of its series"):
        read_masks(path, other.geometry, dicom_slices(tmp_path / "other", other.geometry))


@pytest.mark.shared_data
def test_segmentations_that_dcmqi_wrote_are_read_as_dcmqi_reads_them(shared_data):
    folder = shared_data / "dicom" / "dcmqi_ct_seg"
    volume = open_volume(folder / "ct-3slice")
    (mask,) = read_masks(folder / "liver.dcm", volume.geometry, dicom_slices(folder / "ct-3slice", volume.geometry))
    image = sitk.ReadImage(folder / "liver_seg.nrrd")
    assert mask.any()
    assert np.array_equal(mask, on_the_grid_of(volume.geometry, image))


def test_the_page_tells_what_is_written_of_every_case():
    page = PAGE.read_text(encoding="utf-8")
    for fault, (holds, written) in FAULTS.items():
        assert f"| {fault} | {holds} | {written} |" in page
        assert any(name.startswith(f"test_{fault.lower()}_") for name in globals())
