import numpy as np
import pytest
from volume.dicom_files import CANARY, slice_dataset, write_series, write_slices

from napari_medfm.projects import Project, find_cases
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume import Volume, array_geometry, fingerprint, open_volume, write_volume

PSEUDONYMS = Pseudonyms(bytes(32))


def nifti(path, seed):
    values = np.random.default_rng(seed).integers(0, 9, (3, 4, 5)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(path, Volume(values, array_geometry(values.shape)))


@pytest.fixture
def found(tmp_path):
    """Return what is found in a folder of NIfTI, DICOM, and what cannot be read, by path."""
    data = tmp_path / "data"
    nifti(data / "sub-01_ct.nii.gz", 1)
    nifti(data / "sub-01_mr.nii.gz", 2)
    nifti(data / "a" / "x.nii.gz", 3)
    nifti(data / "b" / "x.nii.gz", 3)
    (data / "broken.nii.gz").write_bytes(b"no")
    write_series(data / "series")
    write_slices(data / "two", [slice_dataset(index, series=uid) for uid in ("1.1", "1.2") for index in range(3)])
    return {str(one.path.relative_to(data)) + str(one.choice or ""): one for one in find_cases(data, PSEUDONYMS)}


def test_every_image_is_found_with_its_voxels(found, tmp_path):
    assert sorted(found) == [
        "a/x.nii.gz", "b/x.nii.gz", "broken.nii.gz", "series", "sub-01_ct.nii.gz", "sub-01_mr.nii.gz", "two", "two1",
    ]  # fmt: skip
    series = found["series"]
    assert series.fingerprint == fingerprint(open_volume(series.path))
    assert (series.modality, series.shape, series.spacing) == ("CT", (4, 6, 5), pytest.approx((2.5, 0.8, 0.7)))


def test_a_patient_is_known_by_id_or_by_name_of_the_file(found):
    assert found["sub-01_ct.nii.gz"].patient == found["sub-01_mr.nii.gz"].patient
    assert found["series"].patient == found["two"].patient == PSEUDONYMS.patient(f"{CANARY}\n")
    assert len({one.patient for one in found.values() if not one.problem}) == 3
    assert not any("sub" in one.patient or CANARY in one.patient for one in found.values())


def test_one_bad_image_does_not_stop_the_others(found, tmp_path):
    assert "is" in found["broken.nii.gz"].problem
    project = Project.create(tmp_path / "project")
    assert len(project.add(found.values())) == 5, "b/x is the image a/x again, two holds the same slices twice"


def test_one_file_is_one_case(tmp_path):
    (one,) = find_cases(nifti(tmp_path / "scan.nii.gz", 1), PSEUDONYMS)
    assert one.shape == (3, 4, 5)
