"""The training set `dicom_seg`: series without patients and their segmentations, written and read again."""

import itertools
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from suites.exporter import ExporterSuite
from volume.dicom_files import CANARY

from napari_medfm.errors import ExportError
from napari_medfm.export import Case, CaseObject, Facts, Options, class_map, export_dataset, find_exporter, open_dataset
from napari_medfm.session import ObjectClass
from napari_medfm.volume import open_labels, open_volume

from .dicom_cases import annotated, as_series, write_complete_series

OPTIONS = Options(name="livers", facts=Facts(complete=False))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the folder of a data set of two cases, the second with a slice that nobody saw, and the cases."""
    folder = tmp_path_factory.mktemp("sets")
    cases = [annotated(write_complete_series(folder / "scan")),
             annotated(write_complete_series(folder / "other", RescaleIntercept=-1000), seen=False)]  # fmt: skip
    export_dataset(cases, find_exporter("dicom_seg"), folder / "livers", OPTIONS)
    return folder / "livers", cases


def test_cases_come_back_with_every_voxel_of_every_object(exported):
    folder, cases = exported
    read = [source() for source in open_dataset(folder, verify=True).cases]
    assert len(read) == len(cases) == 2
    for ours, theirs in zip(cases, read, strict=True):
        assert np.array_equal(theirs.labels, ours.labels)
        assert np.array_equal(theirs.images["CT"].array, ours.images["CT"].array)
        assert np.abs(theirs.geometry.affine - ours.geometry.affine).max() < 1e-5
        assert [(thing.id, thing.class_name) for thing in theirs.objects] == [
            (thing.id, thing.class_name) for thing in ours.objects if ours.object_mask(thing.id).any()
        ]
        for thing in theirs.objects:
            assert np.array_equal(theirs.object_mask(thing.id), ours.object_mask(thing.id))


def test_what_nobody_saw_stays_undecided(exported):
    folder, cases = exported
    first, second = (source() for source in open_dataset(folder).cases)
    plan = open_dataset(folder).manifest.plan
    assert first.ignored is None
    assert np.array_equal(class_map(second, plan) == plan.ignore, class_map(cases[1], plan) == plan.ignore)
    assert second.ignored[5].any()
    assert not second.ignored[:5].any()


def test_classes_keep_their_parents_and_the_set_is_known_without_its_manifest(exported, tmp_path):
    folder, cases = exported
    (folder / "medfm.json").rename(tmp_path / "aside")
    try:
        found = open_dataset(folder)
        assert found.form == "dicom_seg"
        assert found.cases[0]().classes == cases[0].classes
    finally:
        (tmp_path / "aside").rename(folder / "medfm.json")


def test_neither_images_nor_segmentations_name_the_patient(exported):
    folder, _ = exported
    files = sorted(folder.rglob("*.dcm"))
    assert len(files) == 14
    for file in files:
        dataset = pydicom.dcmread(file)
        assert str(dataset.PatientID).startswith("patient_")
        assert CANARY.encode() not in file.read_bytes()


def test_a_segmentation_refers_to_the_series_beside_it(exported):
    folder, _ = exported
    image = pydicom.dcmread(next((folder / "segmentations").iterdir()))
    series = [pydicom.dcmread(file) for file in (folder / "images" / "case_0001").iterdir()]
    assert {dataset.StudyInstanceUID for dataset in series} == {image.StudyInstanceUID}
    assert {dataset.SeriesInstanceUID for dataset in series} == {
        item.SeriesInstanceUID for item in image.ReferencedSeriesSequence
    }


def test_a_damaged_meaning_is_named(exported, tmp_path):
    folder, _ = exported
    legend = folder / "segments.json"
    content = legend.read_text()
    try:
        legend.write_text(content.replace("segments", "parts"))
        with pytest.raises(ExportError, match=r"segments\.json: is damaged"):
            open_dataset(folder).cases[0]()
    finally:
        legend.write_text(content)


class TestDicomSeg(ExporterSuite):
    """The suite of all forms; an image is written as a DICOM series first."""

    keeps_channels = False
    takes_pictures = False

    @pytest.fixture
    def exporter(self):
        """Return it by its name."""
        return find_exporter("dicom_seg")

    @pytest.fixture
    def prepare(self, tmp_path):
        """Return the case on a series with its voxels, at its place."""
        numbers = itertools.count()

        def on_a_series(case):
            folder = as_series(tmp_path / f"series{next(numbers)}", case.images["CT"])
            return replace(case, images={"CT": open_volume(folder)}, source=folder)

        return on_a_series


@pytest.mark.shared_data
def test_a_real_compressed_series_goes_out_and_comes_back(shared_data, tmp_path):
    folder = shared_data / "dicom" / "totalseg_ct"
    volume = open_volume(folder / "series")
    labels = open_labels(folder / "example_seg_dicom.nii.gz", volume)
    labels = np.where(np.isin(labels, (1, 5, 52)), labels, 0)
    names = {1: "spleen", 5: "liver", 52: "aorta"}
    classes = tuple(ObjectClass(name) for name in names.values())
    objects = tuple(CaseObject(number, name) for number, name in names.items())
    case = Case("anybody", {"CT": volume}, labels, objects, classes, source=folder / "series")
    export_dataset([case], find_exporter("dicom_seg"), tmp_path / "real", replace(OPTIONS, facts=Facts(complete=True)))
    (read,) = (source() for source in open_dataset(tmp_path / "real").cases)
    assert np.array_equal(read.labels, case.labels)
    assert np.array_equal(read.images["CT"].array, volume.array)
    assert np.abs(read.geometry.affine - volume.geometry.affine).max() < 1e-5
