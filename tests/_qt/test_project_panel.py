"""The dock of a project: what it lists, what it offers to whom, and how it looks."""

from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QLabel, QPushButton, QScrollArea, QWidget

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.cases_model import CaseColumn, neighbour
from napari_medfm._qt.images_dialog import ImagesDialog
from napari_medfm._qt.project_panel import ProjectPanel
from napari_medfm._qt.section import Line, Paragraph
from napari_medfm.errors import ProjectError
from napari_medfm.projects import Case, CaseStatus, Found, Progress, Step
from napari_medfm.projects.finding import PATIENT_IN_NAME

from .test_look import look, settle, sticks_out, themes  # noqa: F401 - a fixture

pytestmark = pytest.mark.qt
TO_DO, IN_PROGRESS, DONE, REVIEWED = CaseStatus
STATES = (
    (REVIEWED, "ann", "bob"),
    (DONE, "ann", ""),
    (IN_PROGRESS, "bob", ""),
    (TO_DO, "", ""),
    (TO_DO, "ann", "bob"),
    (DONE, "bob", ""),
)
CASES = tuple(
    Case(number, Path(f"{number}.nii.gz"), None, f"f{number}", f"P{number // 2:016x}", "CT", (26, 9, 9), (5, 1.5, 1.5),
         status, annotator, reviewer, "the tail of the pancreas is missing" if number == 5 else "")
    for number, (status, annotator, reviewer) in enumerate(STATES, start=1)
)  # fmt: skip
PROGRESS = Progress({TO_DO: 2, IN_PROGRESS: 1, DONE: 2, REVIEWED: 1})


@pytest.fixture
def panel(qtbot):
    panel = ProjectPanel()
    qtbot.addWidget(panel)
    panel.name.setText("ann")
    panel.set_project("livers")
    panel.set_cases(CASES, PROGRESS)
    return panel


def offered(panel, number):
    """Return the steps whose buttons are there while a case is chosen."""
    panel.table.selectRow(panel.selected.row_of(number))
    return {step for step, button in panel.steps.items() if not button.isHidden()}


def test_everybody_is_offered_what_is_theirs_to_do(panel):
    assert offered(panel, 1) == {Step.REOPEN}
    assert offered(panel, 2) == {Step.REOPEN}
    assert offered(panel, 3) == {Step.PUT_BACK}
    assert offered(panel, 4) == {Step.START}
    assert offered(panel, 6) == {Step.ACCEPT, Step.REJECT, Step.REDO}
    panel.name.setText("bob")
    panel.name.editingFinished.emit()
    assert offered(panel, 2) == {Step.ACCEPT, Step.REJECT, Step.REDO}
    assert offered(panel, 3) == {Step.DONE, Step.PUT_BACK}
    panel.name.clear()
    panel.name.editingFinished.emit()
    assert offered(panel, 3) == set()


def test_a_step_leaves_with_the_case_as_it_was_read_and_the_note(panel, qtbot):
    panel.table.selectRow(5)
    panel.note.setText(" vessels left out ")
    with qtbot.waitSignal(panel.step_requested) as sent:
        panel.steps[Step.REJECT].click()
    assert sent.args == [CASES[5], Step.REJECT, "vessels left out"]
    assert panel.note.text() == ""


def test_the_list_shows_what_was_asked_for_in_the_order_that_was_asked_for(panel):
    panel.status.setCurrentIndex(panel.status.findData(TO_DO))
    assert panel.shown == [4, 5]
    panel.text.setText("pancreas ANN")
    assert panel.shown == [5]
    panel.text.clear()
    panel.status.setCurrentIndex(0)
    panel.annotator.setCurrentIndex(panel.annotator.findData("bob"))
    assert panel.shown == [3, 6]
    panel.annotator.setCurrentIndex(0)
    panel.patient.setCurrentIndex(panel.patient.findData(CASES[1].patient))
    assert panel.shown == [2, 3]
    panel.patient.setCurrentIndex(0)
    panel.table.sortByColumn(CaseColumn.STATUS, Qt.SortOrder.DescendingOrder)
    assert [CASES[number - 1].status for number in panel.shown] == [REVIEWED, DONE, DONE, IN_PROGRESS, TO_DO, TO_DO]


def test_next_and_previous_follow_the_list(panel, qtbot):
    panel.set_open(3)
    with qtbot.waitSignal(panel.case_requested) as sent:
        panel.next.click()
    assert sent.args == [4]
    panel.table.sortByColumn(CaseColumn.NUMBER, Qt.SortOrder.DescendingOrder)
    with qtbot.waitSignal(panel.case_requested) as sent:
        panel.next.click()
    assert sent.args == [2]
    panel.status.setCurrentIndex(panel.status.findData(TO_DO))
    assert panel.chosen == CASES[2], "the open case can be finished though it is not listed"
    assert [neighbour([4, 5], number, 1) for number in (4, 5, 9, None)] == [5, None, 4, 4]


def test_what_changes_meanwhile_leaves_choice_and_filters_as_they_are(panel):
    panel.table.selectRow(1)
    panel.annotator.setCurrentIndex(panel.annotator.findData("ann"))
    panel.set_cases((*CASES, Case(7, Path("7"), None, "f7", "P9", "MR", (3, 4, 5), (1, 1, 1))), PROGRESS)
    assert panel.chosen == CASES[1]
    assert panel.annotator.currentData() == "ann"
    assert panel.patient.findData("P9") > 0


def test_a_new_project_is_put_beside_its_images_unless_the_person_says_where(qtbot):
    dialog = ImagesDialog(new=True)
    qtbot.addWidget(dialog)
    assert not dialog.ok.isEnabled()
    dialog.images.setText("/data/livers")
    assert dialog.choice.project == Path("/data/livers_project")
    dialog.project.setModified(True)
    dialog.images.setText("/data/spleens")
    assert (dialog.choice.project, dialog.choice.classes) == (Path("/data/livers_project"), None)
    with qtbot.waitSignal(dialog.chosen) as sent:
        dialog.accept()
    assert sent.args[0].pattern == PATIENT_IN_NAME


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_of_it_is_cut_off(qtbot, panel, themes, theme, tmp_path):  # noqa: F811
    for number in range(6):
        panel.show_problem(Found(Path(f"scan_{number}.nii.gz"), problem="is damaged"))
    panel.show_error(ProjectError("case 3", "is in progress with bob now, and shown only", "Talk to each other."))
    panel.adding.begin("Reading scans", "Stop")
    panel.adding.move_to(12, 40)
    panel.set_open(6)
    picture = picture_of(qtbot, panel, themes[theme], tmp_path / f"project_{theme}.png", (300, 900))
    assert panel.details.text().startswith("Case 6, patient P0000000000000003\nCT, 9 \N{MULTIPLICATION SIGN} 9")
    assert not picture.isNull()
    fits(panel)
    assert [child for child in panel.findChildren(QWidget) if child.isVisible() and sticks_out(child, panel)] == []


@pytest.mark.parametrize("height", [200, 500])
def test_what_can_be_done_with_a_case_stays_in_view_however_low_the_dock_is(qtbot, panel, themes, height, tmp_path):  # noqa: F811
    picture_of(qtbot, panel, themes["dark"], tmp_path / f"project_{height}.png", (300, height))
    assert panel.height() == height
    for number in (1, 3, 6):
        panel.table.selectRow(panel.selected.row_of(number))
        settle(panel)
        fits(panel)
        steps = [button for button in panel.steps.values() if button.isVisible()]
        assert steps
        for button in (*steps, panel.show_case):
            assert button.visibleRegion().boundingRect() == button.rect(), button.text()
        scroll = panel.findChild(QScrollArea)
        assert scroll.widget().width() <= scroll.viewport().width(), "nothing lies beneath the scroll bar"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_of_its_questions_is_cut_off(qtbot, themes, theme, tmp_path):  # noqa: F811
    dialog = ImagesDialog(new=True)
    qtbot.addWidget(dialog)
    dialog.images.setText("/data/livers")
    picture_of(qtbot, dialog, themes[theme], tmp_path / f"new_project_{theme}.png", (440, 260))
    fits(dialog)


def picture_of(qtbot, widget, style, path, size):
    widget.setStyleSheet(style)
    widget.resize(*size)
    widget.show()
    qtbot.waitExposed(widget)
    settle(widget)
    assert look(widget).save(str(path))
    return QImage(str(path))


def fits(widget):
    """Check that every text has the room it needs."""
    for label in (label for label in widget.findChildren(QLabel) if label.isVisible()):
        if isinstance(label, Paragraph):
            assert label.height() >= label.heightForWidth(label.width()), label.text()
        elif not isinstance(label, Line):
            assert label.width() >= label.sizeHint().width(), label.text()
    for button in (button for button in widget.findChildren(QPushButton) if button.isVisible()):
        least = button.sizeHint() if isinstance(button, CompactButton) else button.minimumSizeHint()
        assert button.width() >= least.width(), button.text()
