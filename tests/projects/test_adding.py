"""A folder into a project: one after the other, whatever lies in it."""

import numpy as np
import pytest

from napari_medfm.errors import ProjectError
from napari_medfm.projects import Project, add_folder
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume import Volume, array_geometry, write_volume

PSEUDONYMS = Pseudonyms(bytes(32))


@pytest.fixture
def images(tmp_path):
    """Three images, the second of which is damaged."""
    (tmp_path / "images").mkdir()
    for number in (1, 3):
        values = np.random.default_rng(number).integers(0, 9, (3, 4, 5)).astype(np.int16)
        write_volume(tmp_path / "images" / f"{number}.nii.gz", Volume(values, array_geometry(values.shape)))
    (tmp_path / "images" / "2.nii.gz").write_bytes(b"no")
    return tmp_path / "images"


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "project")


def test_each_image_is_a_case_once_it_is_told_and_a_bad_one_stops_no_other(project, images):
    told = []
    for added in add_folder(project, images, PSEUDONYMS):
        told.append((added.done, added.total, bool(added.found.problem), added.case is not None))
        assert len(project.cases()) == sum(is_new for *_, is_new in told)
    assert told == [(1, 3, False, True), (2, 3, True, False), (3, 3, False, True)]


def test_who_stops_keeps_what_was_read(project, images):
    steps = add_folder(project, images, PSEUDONYMS)
    next(steps)
    steps.close()
    assert len(project.cases()) == 1


def test_images_that_were_moved_are_followed_and_copies_are_not(project, images, tmp_path):
    list(add_folder(project, images, PSEUDONYMS))
    images.rename(tmp_path / "moved")
    assert [added.case for added in add_folder(project, tmp_path / "moved", PSEUDONYMS)] == [None] * 3
    assert [case.path.parent.name for case in project.cases()] == ["moved", "moved"]
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "1.nii.gz").write_bytes((tmp_path / "moved" / "1.nii.gz").read_bytes())
    list(add_folder(project, tmp_path / "copies", PSEUDONYMS))
    assert project.cases()[0].path.parent.name == "moved"


def test_a_folder_that_is_not_there_is_told(project, tmp_path):
    with pytest.raises(ProjectError, match="nowhere: is not there"):
        next(add_folder(project, tmp_path / "nowhere", PSEUDONYMS))
