"""From the Export button to a training set, while the viewer goes on."""

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_medfm._qt.export_dialog import ExportDialog
from napari_medfm.export import open_dataset

from .conftest import ORGAN

pytestmark = pytest.mark.qt


def ask(room):
    """Press the button and return the dialog that came; one that was closed lives on for a moment."""
    room.panel.progress.save.click()
    return next(dialog for dialog in room.panel.findChildren(ExportDialog) if dialog.isVisible())


def test_the_open_image_becomes_a_training_set_by_two_questions(used_room, tmp_path, monkeypatch):
    room = used_room
    room.click(ORGAN)
    expected = room.session.labels.copy()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path))
    dialog = ask(room)
    dialog.form.setCurrentIndex(dialog.form.findData("nifti"))
    dialog.name.setText("Dataset007_Organ")
    dialog.complete.setChecked(True)
    dialog.accept()
    room.wait(lambda: any("Dataset007_Organ: exported as plain NIfTI" in notice for notice in room.told))
    (source,) = open_dataset(tmp_path / "Dataset007_Organ", verify=True).cases
    case = source()
    assert np.array_equal(case.labels > 0, expected > 0)
    assert case.ignored is None
    assert case.provenance["models"][0]["name"] == room.case.live.predictor.spec.name


def test_a_place_that_is_taken_is_told_and_left_alone(used_room, tmp_path, monkeypatch):
    room = used_room
    room.click(ORGAN)
    (tmp_path / "Dataset001_Annotated").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path))
    dialog = ask(room)
    dialog.form.setCurrentIndex(dialog.form.findData("nnunet"))
    dialog.accept()
    room.wait(lambda: any("is there already" in notice for notice in room.told))
    assert [path.name for path in tmp_path.iterdir()] == ["Dataset001_Annotated"]


def test_who_cancels_gets_nothing(used_room, tmp_path, monkeypatch):
    room = used_room
    room.click(ORGAN)
    asked = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: asked.append(1) or "")
    ask(room).reject()
    dialog = ask(room)
    dialog.form.setCurrentIndex(1)
    dialog.accept()
    assert asked == [1]
    assert not room.told
