"""DICOM without its patients: what goes, what stays, what is refused."""

import numpy as np
import pydicom
import pytest
from volume.dicom_files import enhanced_dataset, pixels, slice_dataset, write_slices

from napari_medfm.errors import ExportError
from napari_medfm.export.deidentify import deidentify_folder
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume import open_volume

from .marked import DATES, MARK, write_marked_series

PSEUDONYMS = Pseudonyms(bytes(32))


def copied(source, target):
    return deidentify_folder(source, target, PSEUDONYMS)


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Return a folder with marked files and its copy."""
    folder = tmp_path_factory.mktemp("marked")
    source = write_marked_series(folder)
    (folder / f"{MARK} letter.txt").write_text(MARK)
    done = copied(folder, tmp_path_factory.mktemp("copy"))
    target = tmp_path_factory.mktemp("again") / "copy"
    return source, target, copied(folder, target), done


def test_nothing_that_was_marked_is_in_the_copy_or_its_names(marked):
    _, target, done, _ = marked
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 6
    assert done.left_out == {"file 1": "no DICOM image: not copied"}
    for path in files:
        content = path.read_bytes()
        assert MARK not in str(path.relative_to(target))
        assert MARK.encode() not in content
        assert not any(date in content for date in DATES)


def test_voxels_and_positions_stay(marked):
    source, target, _, _ = marked
    (series,) = (path for path in target.glob("*/*") if path.is_dir())
    before, after = open_volume(source), open_volume(series)
    assert np.array_equal(after.array, before.array)
    assert np.array_equal(after.geometry.affine, before.geometry.affine)


def test_the_copy_says_what_was_done(marked):
    _, target, _, _ = marked
    dataset = pydicom.dcmread(next(target.rglob("*.dcm")))
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert "PS3.15" in str(dataset.DeidentificationMethod)
    assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
    assert not any(element.tag.is_private for element in dataset)
    assert all(part.is_valid for part in (dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID))
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_the_same_patient_gets_the_same_names_every_time(marked):
    _, _, done, again = marked
    assert done.series == again.series


def test_patients_with_one_id_of_two_issuers_and_without_any_are_told_apart(tmp_path):
    changes = [{}, {"IssuerOfPatientID": "elsewhere"}, {"PatientID": "", "StudyInstanceUID": "1.2.5"},
               {"PatientID": "", "StudyInstanceUID": "1.2.6"}]  # fmt: skip
    write_slices(tmp_path / "scan", [slice_dataset(index, **change) for index, change in enumerate(changes)])
    done = copied(tmp_path / "scan", tmp_path / "out")
    assert len({patient for patient, _ in done.series}) == 4


def test_frames_keep_their_places_and_lose_their_texts(tmp_path):
    frames = enhanced_dataset([2, 0, 1])
    frames.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].FrameComments = MARK
    frames.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].PatientComments = MARK
    write_slices(tmp_path / "scan", [frames])
    copied(tmp_path / "scan", tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.dcm")
    assert MARK.encode() not in file.read_bytes()
    before, after = open_volume(tmp_path / "scan"), open_volume(file)
    assert np.array_equal(after.array, before.array)
    assert np.array_equal(after.geometry.affine, before.geometry.affine)


def test_compressed_pixels_are_written_out_and_unused_bits_are_cleared(tmp_path):
    datasets = [slice_dataset(0, PixelData=(pixels(0) | 0xA000).tobytes()), slice_dataset(1)]
    datasets[1].compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    write_slices(tmp_path / "scan", datasets)
    copied(tmp_path / "scan", tmp_path / "out")
    found = sorted(pydicom.dcmread(file).pixel_array.sum() for file in (tmp_path / "out").rglob("*.dcm"))
    assert found == [pixels(0).sum(), pixels(1).sum()]
    for file in (tmp_path / "out").rglob("*.dcm"):
        dataset = pydicom.dcmread(file)
        assert not dataset.file_meta.TransferSyntaxUID.is_compressed
        assert np.frombuffer(dataset.PixelData, np.uint16).max() < 4096


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"BurnedInAnnotation": "YES"}, "writing in its pixels"),
        ({"PixelData": b"12"}, "cannot be read"),
        ({"Rows": None}, "cannot be read"),
    ],
    ids=["writing", "damaged pixels", "no size"],
)
def test_what_cannot_be_made_safe_is_left_out_and_does_not_stop_the_others(tmp_path, change, words):
    write_slices(tmp_path / "scan", [slice_dataset(0), slice_dataset(1)])
    dataset = pydicom.dcmread(tmp_path / "scan" / "IM0000")
    for name, value in change.items():
        delattr(dataset, name) if value is None else setattr(dataset, name, value)
    dataset.save_as(tmp_path / "scan" / "IM0000")
    done = copied(tmp_path / "scan", tmp_path / "out")
    assert done.refused == 1
    assert words in done.left_out["file 1"]
    assert sum(done.series.values()) == len(list((tmp_path / "out").rglob("*.dcm"))) == 1


@pytest.mark.parametrize("target", ["scan", "scan/inside", "full"])
def test_a_folder_that_is_read_or_not_empty_is_no_target(tmp_path, target):
    write_slices(tmp_path / "scan", [slice_dataset(0)])
    write_slices(tmp_path / "full", [slice_dataset(0)])
    with pytest.raises(ExportError):
        copied(tmp_path / "scan", tmp_path / target)
    assert [path.name for path in (tmp_path / "scan").iterdir()] == ["IM0000"]
