import os

import numpy as np
import pytest

from napari_medfm.errors import GeometryError, UnreadableFileError, UnsupportedDataError, VolumeError, WriteError
from napari_medfm.volume import (
    Geometry,
    Volume,
    can_read,
    find_images,
    open_labels,
    open_volume,
    readable_suffixes,
    write_stack,
)

from .dicom_files import write_series
from .nifti_files import numbered, write_nifti_file

CUBE = numbered((4, 5, 6))


@pytest.mark.parametrize(
    "name", ["scan.nii", "scan.NII.GZ", "a.b.nii.gz", "photo.PNG", "x.jpeg", "x.tiff", "x.dcm", "x.NRRD", "x.mha"]
)
def test_readable_names_are_known_without_opening(name):
    assert can_read(name)


@pytest.mark.parametrize("name", ["scan.mgz", "scan.gz", "nii", "notes.txt", "folder.zarr", ""])
def test_other_names_are_left_to_other_readers(name):
    assert not can_read(name)
    assert not name.endswith(readable_suffixes)


def test_the_images_of_a_folder_are_found_and_a_series_counts_once(tmp_path):
    for name in ("b/scan.nii.gz", "a/photo.PNG", "a/notes.txt", ".hidden/scan.nii", "a/.scan.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c").mkdir()
    write_series(tmp_path / "c" / "series")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a/photo.PNG", "b/scan.nii.gz", "c/series"]
    assert find_images(tmp_path / "c" / "series") == [tmp_path / "c" / "series"]


def test_a_format_that_is_not_read_names_those_that_are(tmp_path):
    (tmp_path / "scan.mgz").write_text("MGH")
    with pytest.raises(UnsupportedDataError, match=r"\.nii\.gz, \.png"):
        open_volume(tmp_path / "scan.mgz")


@pytest.mark.parametrize("suffix", readable_suffixes)
def test_missing_and_empty_files_are_named_in_every_format(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    with pytest.raises(UnreadableFileError, match=f"^scan{suffix}: is not there"):
        open_volume(path)
    path.touch()
    with pytest.raises(UnreadableFileError, match=f"^scan{suffix}: is empty"):
        open_volume(path)


@pytest.mark.parametrize("suffix", readable_suffixes)
def test_noise_under_any_name_is_refused_by_name(tmp_path, suffix):
    rng = np.random.default_rng(0)
    for _ in range(20):
        path = tmp_path / f"scan{suffix}"
        path.write_bytes(rng.bytes(int(rng.integers(1, 2000))))
        with pytest.raises(VolumeError) as caught:
            open_volume(path)
        assert caught.value.subject == path.name
        assert str(tmp_path) not in str(caught.value)


def test_a_folder_named_like_a_file_is_read_as_a_folder(tmp_path):
    folder = write_series(tmp_path / "scan.nii")
    assert open_volume(folder).modality == "CT"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_that_may_not_be_read_are_named(tmp_path):
    path = write_nifti_file(tmp_path / "scan.nii", CUBE)
    path.chmod(0)
    with pytest.raises(UnreadableFileError, match="cannot be opened"):
        open_volume(path)


def test_paths_may_be_text(tmp_path):
    path = write_nifti_file(tmp_path / "scan.nii.gz", CUBE)
    volume = open_volume(str(path))
    assert np.array_equal(open_labels(str(path), volume), volume.array)


def test_images_on_one_grid_are_written_into_one_file_and_read_one_by_one(tmp_path):
    geometry = Geometry((4, 5, 6), np.array([[0, 0, -0.8, 9.0], [0, -0.8, 0, 7.0], [3.0, 0, 0, -5.0], [0, 0, 0, 1.0]]))
    arrays = [np.arange(120, dtype=kind).reshape(4, 5, 6) for kind in (np.int16, np.float32)]
    path = write_stack(tmp_path / "two.nii.gz", [Volume(array, geometry) for array in arrays])
    for choice, array in enumerate(arrays):
        found = open_volume(path, choice=choice)
        np.testing.assert_array_equal(found.array, array)
        np.testing.assert_allclose(found.geometry.affine, geometry.affine, rtol=0, atol=1e-5)
    with pytest.raises(WriteError, match="no format"):
        write_stack(tmp_path / "two.png", [Volume(array, geometry) for array in arrays])
    with pytest.raises(GeometryError):
        write_stack(tmp_path / "two.nii.gz", [Volume(arrays[0], geometry), Volume(arrays[1][:3], geometry)])
