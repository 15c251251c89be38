"""A project in the viewer: from a folder of images to cases that are annotated, handed on and reviewed."""

import dataclasses
import threading

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_medfm._plugin import adding, dock_project, export_run
from napari_medfm._qt.export_dialog import ExportDialog
from napari_medfm._qt.images_dialog import ImagesChoice, ImagesDialog
from napari_medfm.errors import ProjectError
from napari_medfm.export import export_dataset, open_dataset
from napari_medfm.projects import CaseStatus, Project, Step, add_folder
from napari_medfm.projects.finding import PATIENT_IN_NAME
from napari_medfm.session import AnnotationSession, ObjectClass
from napari_medfm.volume import open_volume, write_volume

from .conftest import ORGAN, Room

pytestmark = pytest.mark.qt
TO_DO, IN_PROGRESS, DONE, REVIEWED = CaseStatus
CLASSES = (ObjectClass("organ", (200, 60, 60)), ObjectClass("lesion", (240, 220, 60), "organ"))


class ProjectRoom(Room):
    """A viewer with both docks."""

    def dock_project(self):
        self.project_dock = dock_project(self.viewer)
        return self.project_dock

    @property
    def list(self):
        return self.project_dock.panel

    @property
    def control(self):
        return self.project_dock.control

    @property
    def annotator(self):
        widget = self.viewer.window.dock_widgets.get("Annotate (napari-medfm)")
        return widget.annotator if widget is not None else None

    @property
    def panel(self):
        return self.viewer.window.dock_widgets["Annotate (napari-medfm)"].panel

    def statuses(self):
        return [case.status for case in self.list.model.cases]

    def open_case(self, number):
        self.list.case_requested.emit(number)
        self.in_case(number)

    def in_case(self, number):
        case = self.control.project.case(number)
        self.wait(lambda: self.annotator is not None and self.annotator.case is not None)
        self.wait(lambda: self.case is not None and self.session.fingerprint == case.fingerprint)
        self.opened()

    def become(self, person):
        self.list.name.setText(person)
        self.list.name.editingFinished.emit()

    def press(self, step):
        """Press the button of a step, and wait until it is done."""
        before = self.list.chosen
        assert not self.list.steps[step].isHidden()
        self.list.steps[step].click()
        self.wait(lambda: self.list.model.case(before.id).version > before.version)


@pytest.fixture
def images(tmp_path, small_volume):
    """A folder of four images of three patients on the same grid, one file that is none, and one that is known."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(("sub-01_a", "sub-01_b", "sub-02", "sub-03")):
        array = small_volume.array + np.int16(number)
        write_volume(folder / f"{name}.nii.gz", dataclasses.replace(small_volume, array=array))
    (folder / "broken.nii.gz").write_bytes(b"no image")
    return folder


@pytest.fixture
def desk(window, images, tmp_path):
    """A viewer with the project of these images open, and nobody at work yet."""
    room = ProjectRoom(window)
    room.dock_project()
    (tmp_path / "classes.json").write_text('["organ", {"name": "lesion", "parent": "organ"}]')
    room.list.name.setText("ann")
    choice = ImagesChoice(images, tmp_path / "project", tmp_path / "classes.json", PATIENT_IN_NAME)
    room.control.make(choice)
    room.wait(lambda: any("are read" in notice for notice in room.told))
    room.wait(lambda: room.list.progress.isVisible())
    yield room
    room.leave()


def test_a_folder_of_images_becomes_a_list_of_cases_and_of_what_cannot_be_used(desk):
    assert desk.statuses() == [TO_DO] * 4
    assert "broken.nii.gz" in desk.list.problems.text
    assert len({case.patient for case in desk.list.model.cases}) == 3


def test_a_case_goes_through_the_hands_of_two_people(desk, tmp_path, monkeypatch):
    room = desk
    room.list.table.selectRow(0)
    room.list.steps[Step.START].click()
    room.in_case(1)
    assert [kind.name for kind in room.session.state.classes] == ["organ", "lesion"]
    assert room.statuses()[0] is IN_PROGRESS
    room.click(ORGAN)
    labels = room.session.labels.copy()
    assert room.session.state.object().class_name == "organ", "the first of the project"

    room.canvas.key(Qt.Key.Key_PageDown)  # nothing has to be saved
    room.in_case(2)
    assert not room.session.labels.any()
    assert [layer.name for layer in room.viewer.layers if isinstance(layer, Image)] == ["case 2"]
    room.canvas.key(Qt.Key.Key_PageUp)
    room.in_case(1)
    assert room.statuses()[:2] == [IN_PROGRESS, TO_DO], "what was only looked at is left to others"
    assert np.array_equal(room.session.labels, labels)
    assert not room.session.read_only

    room.press(Step.DONE)
    room.wait(lambda: room.case is not None and room.session.read_only)
    assert "shown only" in room.panel.resume.read_only.text
    room.become("bob")
    room.list.note.setText("well done")
    room.press(Step.ACCEPT)
    assert room.list.model.case(1).note == "well done"
    assert room.list.progress.text() == "1 of 4 done, 1 reviewed"
    export(room, tmp_path, monkeypatch)
    (source,) = open_dataset(tmp_path / "Dataset001_Annotated", verify=True).cases
    assert np.array_equal(source().labels > 0, labels > 0)


def export(room, folder, monkeypatch):
    """Have the reviewed cases written."""
    ask_for_export(room, folder, monkeypatch, reviewed=True)
    room.wait(lambda: any("exported as plain NIfTI (1 case)" in notice for notice in room.told))


def ask_for_export(room, folder, monkeypatch, *, reviewed=False):
    """Ask for the finished cases in a folder."""
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(folder))
    room.list.export.click()
    dialog = next(each for each in room.list.findChildren(ExportDialog) if each.isVisible())
    dialog.form.setCurrentIndex(dialog.form.findData("nifti"))
    dialog.cases.setCurrentIndex(int(reviewed))
    dialog.complete.setChecked(True)
    dialog.accept()


def test_an_export_that_is_stopped_halfway_leaves_nothing_and_says_so(desk, tmp_path, monkeypatch):
    room, begun, stopped, out = desk, threading.Event(), threading.Event(), tmp_path / "out"
    out.mkdir()
    finish_by_hand(room.control.project, (1, 2))

    def held(*what, progress):
        def report(done, total):
            if done == 3:  # both were read, the first is written
                begun.set()
                assert stopped.wait(60)
            progress(done, total)

        return export_dataset(*what, progress=report)

    monkeypatch.setattr(export_run, "export_dataset", held)
    room.list.refresh_requested.emit()
    room.wait(lambda: room.statuses().count(DONE) == 2)
    ask_for_export(room, out, monkeypatch)
    room.wait(begun.is_set)
    assert list(out.rglob("*.nii.gz"))
    room.list.exporting.stop.click()
    stopped.set()
    room.wait(lambda: any("was stopped, and nothing of it was left behind" in notice for notice in room.told))
    assert list(out.iterdir()) == []
    assert room.list.exporting.isHidden()
    ask_for_export(room, out, monkeypatch)
    room.wait(lambda: any("exported as plain NIfTI (2 cases)" in notice for notice in room.told))


def finish_by_hand(project, numbers):
    """Have cases annotated by somebody elsewhere."""
    for number in numbers:
        case = project.change(project.case(number), IN_PROGRESS, "ann")
        volume = open_volume(case.path)
        with AnnotationSession.create(volume, case.fingerprint, classes=project.classes) as session:
            session.write_voxels(session.add_object("organ"), (slice(0, 2),) * 3, np.ones((2, 2, 2), bool))
        project.change(case, DONE, "ann")


def test_a_case_that_somebody_else_took_meanwhile_is_refused_and_shown_so(desk):
    room = desk
    elsewhere = Project(room.control.project.folder)
    elsewhere.take_next("bob")
    room.list.case_requested.emit(1)
    room.wait(lambda: "in progress now (bob)" in room.list.error.text)
    room.wait(lambda: room.statuses()[0] is IN_PROGRESS)
    assert room.control.current is None

    room.open_case(2)
    mine = elsewhere.case(2)
    elsewhere.change(elsewhere.change(mine, TO_DO, "bob"), IN_PROGRESS, "bob")
    room.list.refresh_requested.emit()
    room.wait(lambda: "in progress with bob now" in room.list.error.text)
    room.wait(lambda: room.case is not None and room.session.read_only)
    with pytest.raises(ProjectError, match="in progress with bob"):
        elsewhere.change(elsewhere.case(2), DONE, "ann")


def test_what_cannot_be_opened_is_told_and_left_to_others(desk, images, small_volume):
    room = desk
    (images / "sub-02.nii.gz").unlink()
    room.list.case_requested.emit(3)
    room.wait(lambda: "case 3: its image sub-02.nii.gz is not there any more" in room.list.error.text)
    (images / "sub-03.nii.gz").write_bytes(b"damaged")
    room.list.case_requested.emit(4)
    room.wait(lambda: "case 4: sub-03.nii.gz" in room.list.error.text)
    room.wait(lambda: room.control.project.case(4).status is TO_DO)
    write_volume(images / "sub-01_a.nii.gz", dataclasses.replace(small_volume, array=small_volume.array[::-1].copy()))
    room.list.case_requested.emit(1)
    room.wait(lambda: any("other voxels than when it was added" in notice for notice in room.told))
    room.list.name.clear()
    room.list.case_requested.emit(2)
    room.wait(lambda: "does not know who you are" in room.list.error.text)


def test_a_folder_that_is_no_project_is_told_and_the_open_one_stays(desk, tmp_path):
    room = desk
    room.project_dock.open(tmp_path)
    room.wait(lambda: "holds no project" in room.list.error.text)
    (tmp_path / "project.medfm").write_bytes(b"SQLite format 3\0" + b"garbage" * 500)
    room.project_dock.open(tmp_path)
    room.wait(lambda: "is damaged" in room.list.error.text)
    assert len(room.list.shown) == 4


def test_reading_a_folder_is_stopped_and_what_was_read_stays(desk, images, small_volume, monkeypatch):
    room, stopped = desk, threading.Event()

    def held_after_two(*where):
        for number, added in enumerate(add_folder(*where), start=1):
            yield added
            assert number != 2 or stopped.wait(60)

    monkeypatch.setattr(adding, "add_folder", held_after_two)
    more = images.parent / "more"
    more.mkdir()
    for number in range(6):
        array = small_volume.array + np.int16(100 + number)
        write_volume(more / f"sub-{number + 10}.nii.gz", dataclasses.replace(small_volume, array=array))
    room.list.add.click()
    dialog = next(each for each in room.list.findChildren(ImagesDialog) if each.isVisible())
    dialog.images.setText(str(more))
    dialog.accept()
    room.wait(lambda: len(room.list.model.cases) > 4)
    room.list.adding.stop.click()
    stopped.set()
    room.wait(lambda: any("Stopped" in notice for notice in room.told))
    assert 4 < len(room.control.project.cases()) < 10
    assert room.list.adding.isHidden()
