"""The questions before a project: which images, where it is kept, which classes, and who is the same patient."""

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Paragraph, row
from napari_medfm.projects.finding import PATIENT_IN_NAME

_CLASS_LISTS = "Class lists (*.json *.csv *.txt);;All files (*)"
_LEAST = 420
_HINT = (
    "Every NIfTI, NRRD and MetaImage file, picture and DICOM series in the folder and in those inside it becomes a "
    "case. Nothing is copied, and no image is ever written."
)


@dataclass(frozen=True, slots=True)
class ImagesChoice:
    """What a person wants.

    Attributes
    ----------
    images : Path or None
        Folder whose images become cases; None for none yet.
    project : Path or None
        Folder of the new project; None to add to the one that is open.
    classes : Path or None
        Class list.
    pattern : str
        Finds the patient in the name of a file.
    """

    images: Path | None
    project: Path | None
    classes: Path | None
    pattern: str


class ImagesDialog(QDialog):
    """Asks for images, and for what a new project needs; it deletes itself when it is closed.

    Parameters
    ----------
    new : bool
        Whether a project is to be made.
    parent : QWidget, optional
        Owner.

    Attributes
    ----------
    chosen : Signal(ImagesChoice)
        The answer; not sent if it was cancelled.
    """

    chosen = Signal(object)

    def __init__(self, *, new: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New project" if new else "Add images")
        self._new = new
        self.images, self.project, self.classes = QLineEdit(), QLineEdit(), QLineEdit()
        self.images.setPlaceholderText("none yet" if new else "")
        self.classes.setPlaceholderText("none: name them as you go")
        self.pattern = QLineEdit(PATIENT_IN_NAME)
        self.pattern.setToolTip("Finds the patient in the name of a file; of DICOM files the patient's id counts")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.ok = self.buttons.addButton("Make" if new else "Add", QDialogButtonBox.ButtonRole.AcceptRole)
        self._lay_out()
        self.images.textChanged.connect(self._suggest)
        self.project.textChanged.connect(self._enable)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self.deleteLater)
        self._enable()

    @property
    def choice(self) -> ImagesChoice:
        """What is chosen at the moment."""
        project = _path(self.project) if self._new else None
        return ImagesChoice(_path(self.images), project, _path(self.classes), self.pattern.text() or PATIENT_IN_NAME)

    def accept(self) -> None:
        """Close with an answer."""
        choice = self.choice
        super().accept()
        self.chosen.emit(choice)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Images", self._with_button(self.images, self._ask_for_images))
        if self._new:
            form.addRow("Project", self._with_button(self.project, self._ask_for_project))
            form.addRow("Classes", self._with_button(self.classes, self._ask_for_classes))
        form.addRow("Patient in name", self.pattern)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(Paragraph(_HINT))
        layout.addWidget(self.buttons)
        self.setMinimumWidth(_LEAST)

    def _with_button(self, field: QLineEdit, ask: object) -> QWidget:
        button = CompactButton("Choose\N{HORIZONTAL ELLIPSIS}", "Choose it")
        button.clicked.connect(ask)
        both = QWidget()
        both.setLayout(row(field, button, stretch=0))
        return both

    def _suggest(self, text: str) -> None:
        """Put the project beside its images until the person says where."""
        if self._new and text and not self.project.isModified():
            images = Path(text)
            self.project.setText(str(images.with_name(f"{images.name}_project")) if images.name else "")
        self._enable()

    def _enable(self) -> None:
        self.ok.setEnabled(bool((self.project if self._new else self.images).text().strip()))

    def _ask_for_images(self) -> None:
        self._fill(self.images, QFileDialog.getExistingDirectory(self, "Folder of images"))

    def _ask_for_project(self) -> None:
        self._fill(self.project, QFileDialog.getExistingDirectory(self, "Folder of the project, without one so far"))
        self.project.setModified(True)

    def _ask_for_classes(self) -> None:
        self._fill(self.classes, QFileDialog.getOpenFileName(self, "Class list", "", _CLASS_LISTS)[0])

    def _fill(self, field: QLineEdit, path: str) -> None:
        if path:
            field.setText(path)


def _path(field: QLineEdit) -> Path | None:
    text = field.text().strip()
    return Path(text).expanduser() if text else None
