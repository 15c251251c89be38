"""Which files of a folder are images to work on."""

import numpy as np
import pytest
from volume.dicom_files import write_series

from napari_medfm.projects import Project, find_cases
from napari_medfm.projects.sources import find_sources, work_through
from napari_medfm.pseudonyms import load_pseudonyms
from napari_medfm.volume import Volume, array_geometry, looks_like_labels, write_volume


def image(path, seed=0, shape=(3, 8, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(np.int16)
    write_volume(path, Volume(values, array_geometry(shape)))


def look(volume, name):
    return {"shape": volume.shape, "name": name}


def test_label_files_and_folders_are_known_by_their_names(tmp_path):
    images = ("imagesTr/a_0000", "b", "more/label_free")
    labels = ("labelsTr/a", "b_labels", "more/masks/c", "more/d_Seg")
    for name in (*images, *labels):
        image(tmp_path / f"{name}.nii.gz")
    found = find_sources(tmp_path)
    assert {each.name for each in found if not each.labels} == set(images)
    assert {each.name: each.labels.split()[-1] for each in found if each.labels} == {
        "labelsTr/a": "folder", "b_labels": "name", "more/masks/c": "folder", "more/d_Seg": "name"
    }  # fmt: skip


def test_a_folder_that_is_asked_for_by_name_is_taken_as_it_is(tmp_path):
    image(tmp_path / "masks" / "a.nii.gz")
    assert not find_sources(tmp_path / "masks")[0].labels


def test_results_of_files_that_differ_in_their_ending_do_not_meet(tmp_path):
    image(tmp_path / "a.nii.gz")
    image(tmp_path / "a.nii")
    assert {each.name for each in find_sources(tmp_path)} == {"a.nii", "a.nii.gz"}


def test_a_series_folder_is_named_as_it_is(tmp_path):
    write_series(tmp_path / "scans" / "one.two")
    assert [each.name for each in find_sources(tmp_path)] == ["scans/one.two"]
    assert [each.name for each in find_sources(tmp_path / "scans" / "one.two")] == ["one.two"]


def test_cases_of_a_project_are_named_by_their_numbers(tmp_path):
    image(tmp_path / "data" / "somebody.nii.gz")
    image(tmp_path / "data" / "somebody_else.nii.gz", seed=1)
    project = Project.create(tmp_path / "project")
    project.add(find_cases(tmp_path / "data", load_pseudonyms()))
    found = find_sources(tmp_path / "project")
    assert [(each.name, each.title) for each in found] == [("case_0001", "case 1"), ("case_0002", "case 2")]
    rows = [row for each in found for row in work_through(each, {"name": ""}, look)]
    assert [row["image"] for row in rows] == ["case 1", "case 2"]
    found[0].path.unlink()
    (row,) = work_through(found[0], {"name": ""}, look)
    assert row["problem"]
    assert row["name"] == ""


def test_of_a_file_with_several_images_each_is_worked_on(tmp_path):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)), tmp_path / "two.nii.gz")
    (source,) = find_sources(tmp_path)
    assert [row["name"] for row in work_through(source, {}, look)] == ["two_0", "two_1"]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.pad(np.full((6, 6), 3), 4), True),
        (np.pad(np.full((6, 6), 1.0), 4), True),
        (np.pad(np.arange(36).reshape(6, 6), 4), False),
        (np.pad(np.full((6, 6), 0.5), 4), False),
        (np.pad(np.full((6, 6), 300), 4), False),
        (np.pad(np.full((6, 6), -3), 4), False),
        (np.zeros((5, 5)), False),
        (np.full((5, 5), 7), False),
        (np.zeros((0, 5)), False),
        (np.zeros((5, 5), complex), False),
    ],
)
def test_labels_are_whole_numbers_that_stay_the_same_from_voxel_to_voxel(array, expected):
    assert looks_like_labels(array) is expected
