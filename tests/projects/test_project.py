import multiprocessing
import os
import shutil
import sqlite3
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from napari_medfm.errors import ProjectError
from napari_medfm.projects import CaseStatus, Found, Project
from napari_medfm.session import ObjectClass

from .workers import take_all, toggle

CLASSES = (ObjectClass("liver", (1, 2, 3)), ObjectClass("lesion", (4, 5, 6), "liver"))
TO_DO, IN_PROGRESS, DONE, REVIEWED = CaseStatus


def found(number, folder, **fields):
    return Found(
        folder / f"{number}.nii.gz", None, f"P{number // 2}", f"f{number}", "CT", (3, 4, 5), (2.5, 1, 1), **fields
    )


@pytest.fixture
def project(tmp_path):
    """Return a project of six cases of three patients."""
    made = Project.create(tmp_path / "project", CLASSES)
    made.add(found(number, tmp_path / "data") for number in range(6))
    return made


def test_classes_and_cases_are_there_when_it_is_opened_again(project):
    again = Project(project.folder)
    assert again.classes == CLASSES
    assert [case.id for case in again.cases()] == [1, 2, 3, 4, 5, 6]
    case = again.case(3)
    assert (case.patient, case.shape, case.spacing, case.status) == ("P1", (3, 4, 5), (2.5, 1, 1), TO_DO)
    assert case.path == project.folder.parent / "data" / "2.nii.gz"


def test_it_is_for_its_owner_only(project):
    assert stat.S_IMODE(project.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((project.folder / "project.medfm").stat().st_mode) == 0o600


def test_images_inside_it_move_with_it(tmp_path):
    project = Project.create(tmp_path / "here")
    project.add([found(1, tmp_path / "here" / "images")])
    (tmp_path / "here").rename(tmp_path / "there")
    (case,) = Project(tmp_path / "there").cases()
    assert case.path == tmp_path / "there" / "images" / "1.nii.gz"


def test_an_image_is_added_once_and_one_with_a_problem_not_at_all(project, tmp_path):
    same, new = found(2, tmp_path / "elsewhere"), found(9, tmp_path)
    bad = Found(tmp_path / "bad.nii.gz", problem="is damaged")
    assert [case.fingerprint for case in project.add([same, bad, new])] == ["f9"]
    assert len(project.cases()) == 7


def test_cases_are_filtered(project):
    project.take_next("ann")
    assert [case.id for case in project.cases(patient="P1")] == [3, 4]
    assert [case.id for case in project.cases(status=IN_PROGRESS)] == [1]
    assert [case.id for case in project.cases(annotator="ann", status=TO_DO)] == []


def test_a_case_goes_from_hand_to_hand(project):
    case = project.take_next("ann")
    assert project.take_next("ann") == case, "what was begun comes first"
    assert project.take_next("bob").id == 2
    done = project.change(case, DONE, "ann", "vessels left out")
    with pytest.raises(ProjectError, match="annotated by the same person"):
        project.change(done, REVIEWED, "ann")
    reviewed = project.change(done, REVIEWED, "bob")
    assert (reviewed.annotator, reviewed.reviewer, reviewed.note) == ("ann", "bob", "vessels left out")
    assert project.progress().counts == {TO_DO: 4, IN_PROGRESS: 1, DONE: 0, REVIEWED: 1}
    assert project.progress().share == pytest.approx(1 / 6)


def test_a_second_reader_can_send_a_case_back(project):
    done = project.change(project.take_next("ann"), DONE, "ann")
    back = project.change(done, TO_DO, "bob", "the tail is missing")
    assert (back.status, back.reviewer, back.note) == (TO_DO, "bob", "the tail is missing")
    assert project.take_next("cleo").id == 1
    assert [(step.person, step.status) for step in project.history(1)] == [
        ("ann", IN_PROGRESS), ("ann", DONE), ("bob", TO_DO), ("cleo", IN_PROGRESS),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "person", "words"),
    [(DONE, "ann", "cannot become done"), (REVIEWED, "ann", "cannot become reviewed"), (IN_PROGRESS, " ", "by nobody")],
)
def test_a_step_that_no_work_stands_behind_is_refused(project, status, person, words):
    with pytest.raises(ProjectError, match=words):
        project.change(project.case(1), status, person)
    assert project.case(1).version == 1
    assert project.history() == ()


def test_what_is_in_progress_with_one_is_not_finished_by_another(project):
    case = project.take_next("ann")
    with pytest.raises(ProjectError, match="in progress with ann"):
        project.change(case, DONE, "bob")
    assert project.change(case, TO_DO, "bob").status is TO_DO


def test_a_change_decided_on_an_old_reading_is_refused(project):
    stale = project.case(1)
    project.take_next("ann")
    with pytest.raises(ProjectError, match=r"case 1: was changed meanwhile: it is in progress now \(ann\)"):
        project.change(stale, IN_PROGRESS, "bob")
    assert project.case(1).annotator == "ann"


@pytest.fixture(scope="module")
def processes():
    """Return four processes, which take long to start."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        yield pool


def test_no_case_is_given_to_two_of_four_processes(tmp_path, processes):
    project = Project.create(tmp_path / "project")
    project.add(found(number, tmp_path) for number in range(40))
    taken = processes.starmap(take_all, [(project.folder, name) for name in "abcd"], chunksize=1)
    assert sorted(np.concatenate(taken).tolist()) == list(range(1, 41))
    assert project.progress().counts[DONE] == 40
    assert len(project.history()) == 80


def test_no_update_of_four_processes_is_lost(project, processes):
    made = processes.starmap(toggle, [(project.folder, name, 15) for name in "abcd"], chunksize=1)
    assert made == [15] * 4
    assert project.case(1).version == 61
    assert len(project.history(1)) == 60


def test_a_folder_holds_one_project(project, tmp_path):
    with pytest.raises(ProjectError, match="holds a project already"):
        Project.create(project.folder)
    assert len(project.cases()) == 6
    with pytest.raises(ProjectError, match="holds no project"):
        Project(tmp_path)


def test_a_damaged_or_foreign_database_is_refused_and_kept(project, tmp_path):
    file = project.folder / "project.medfm"
    content = b"SQLite format 3\0" + b"garbage" * 500
    for part in file.parent.glob("project.medfm-*"):
        part.unlink()
    file.write_bytes(content)
    with pytest.raises(ProjectError, match=r"project\.medfm: is damaged"):
        Project(project.folder)
    assert file.read_bytes() == content
    other = tmp_path / "other"
    other.mkdir()
    with sqlite3.connect(other / "project.medfm") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    with pytest.raises(ProjectError, match="is no project"):
        Project(other)
    with pytest.raises(ProjectError, match="holds a project already"):
        Project.create(other)


def test_a_case_that_is_not_there_is_named(project):
    with pytest.raises(ProjectError, match="case 99: is not in the project"):
        project.case(99)


@pytest.fixture
def nobody():
    """Be somebody whom permissions bind, where the tests are run by root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def closed_folder(nobody):
    """Return a folder with a project in which nothing can be written any more."""
    home = Path(tempfile.mkdtemp())
    Project.create(home / "project")
    for path in (*(home / "project").iterdir(), home / "project", home):
        path.chmod(0o444 if path.is_file() else 0o555)
    yield home
    for path in (home, home / "project"):
        path.chmod(0o755)
    shutil.rmtree(home)


def test_a_folder_that_nothing_can_be_written_to_is_told(closed_folder):
    with pytest.raises(ProjectError, match="lies where nothing can be written"):
        Project(closed_folder / "project").add([found(1, closed_folder)])
    with pytest.raises(ProjectError, match="cannot be made"):
        Project.create(closed_folder / "another")
