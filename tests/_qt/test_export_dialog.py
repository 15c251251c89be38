import pytest
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QLabel, QPushButton

from napari_medfm._qt.export_dialog import LABEL_FILE, ExportChoice, ExportDialog, describe_looked_at
from napari_medfm._qt.section import Paragraph
from napari_medfm.export import exporters
from napari_medfm.session import Extent, ObjectClass, SessionState
from napari_medfm.volume import Plane

from .test_look import look, settle, themes  # noqa: F401 - a fixture

pytestmark = pytest.mark.qt


@pytest.fixture
def dialog(qtbot):
    forms = {name: exporter.title for name, exporter in exporters().items()}
    dialog = ExportDialog(forms, "3 of 12 slices are marked as looked at for all classes.")
    qtbot.addWidget(dialog)
    return dialog


def test_a_label_file_needs_no_further_question(qtbot, dialog):
    assert dialog.form.currentData() == LABEL_FILE
    assert dialog.details.isHidden()
    with qtbot.waitSignal(dialog.chosen) as sent:
        dialog.accept()
    assert sent.args == [ExportChoice(LABEL_FILE, "Dataset001_Annotated", False)]


def test_a_training_set_has_a_name_and_somebody_who_looked(qtbot, dialog):
    dialog.form.setCurrentIndex(dialog.form.findData("decathlon"))
    assert not dialog.details.isHidden()
    dialog.name.setText(" Task01_Liver ")
    dialog.complete.setChecked(True)
    with qtbot.waitSignal(dialog.chosen) as sent:
        dialog.accept()
    assert sent.args == [ExportChoice("decathlon", "Task01_Liver", True)]


def test_cancelling_is_no_answer(qtbot, dialog):
    with qtbot.assertNotEmitted(dialog.chosen):
        dialog.reject()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_in_it_is_cut_off(qtbot, dialog, themes, theme, tmp_path):  # noqa: F811
    dialog.setStyleSheet(themes[theme])
    dialog.form.setCurrentIndex(dialog.form.findData("nnunet"))
    dialog.show()
    qtbot.waitExposed(dialog)
    settle(dialog)
    path = tmp_path / f"export_{theme}.png"
    assert look(dialog).save(str(path))
    assert QImage(str(path)).width() == dialog.width()
    for text in dialog.findChildren(Paragraph):
        assert text.height() >= text.heightForWidth(text.width()), text.text()
    for label in (label for label in dialog.findChildren(QLabel) if not isinstance(label, Paragraph)):
        assert label.width() >= label.sizeHint().width(), label.text()
    for button in dialog.findChildren(QPushButton):
        assert button.width() >= button.minimumSizeHint().width(), button.text()
    assert dialog.form.width() >= dialog.form.minimumSizeHint().width()


def test_what_was_looked_at_is_what_all_classes_were_looked_for_on():
    classes = (ObjectClass("organ"), ObjectClass("lesion"))
    extent = {
        ("organ", Plane(0, 1)): Extent.ANNOTATED,
        ("organ", Plane(0, 2)): Extent.NEGATIVE,
        ("lesion", Plane(0, 2)): Extent.ANNOTATED,
        ("lesion", Plane(1, 1)): Extent.ANNOTATED,
    }
    assert describe_looked_at(SessionState(classes=classes, extent=extent), 9).startswith("1 of 9 slices are")
    assert describe_looked_at(SessionState(), 9) == "No slice is marked as looked at for all classes."
