"""The question in what form the labels shall leave: a file on the image, or a training set."""

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_medfm._qt.section import Paragraph
from napari_medfm.session import Extent, SessionState

LABEL_FILE = ""
"""Form of a label file that lies on the image."""

_SPACING = 8
_LEAST = 380
_COMPLETE = "What is not labelled is background then. Otherwise slices that nobody marked are ignored in training."


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What a person wants.

    Attributes
    ----------
    form : str
        Name of an exporter, or `LABEL_FILE`.
    name : str
        Of the data set.
    complete : bool
        Whether they looked at every slice.
    reviewed : bool
        Of a project: whether cases without a second reader are left out.
    test : float
        Of a project: share of the cases that is held out for the end.
    """

    form: str
    name: str
    complete: bool
    reviewed: bool = False
    test: float = 0.0


@dataclass(frozen=True, slots=True)
class FinishedCases:
    """How many cases of a project can be exported.

    Attributes
    ----------
    done : int
        That are done or reviewed.
    reviewed : int
        That are reviewed.
    """

    done: int
    reviewed: int


class ExportDialog(QDialog):
    """Asks for a form; it deletes itself when it is closed.

    Parameters
    ----------
    forms : mapping of str to str
        What people call each exporter, by its name.
    looked_at : str
        What was looked at, in a sentence.
    parent : QWidget
        Owner.
    finished : FinishedCases, optional
        Of a project, whose cases become one training set; else it is about the image that is open.

    Attributes
    ----------
    chosen : Signal(ExportChoice)
        The answer; not sent if it was cancelled.
    """

    chosen = Signal(object)

    def __init__(
        self,
        forms: Mapping[str, str],
        looked_at: str,
        parent: QWidget | None = None,
        *,
        finished: FinishedCases | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self._of_project = finished is not None
        self.form = QComboBox()
        if not self._of_project:
            self.form.addItem("Label file on the image (NIfTI)", LABEL_FILE)
        for name, title in forms.items():
            self.form.addItem(f"Training set: {title}", name)
        self.name = QLineEdit("Dataset001_Annotated")
        self.cases, self.test = _cases_box(finished or FinishedCases(0, 0)), _share_box()
        self.complete = QCheckBox("All of every case was looked at" if self._of_project else "I looked at every slice")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.addButton("Choose where\N{HORIZONTAL ELLIPSIS}", QDialogButtonBox.ButtonRole.AcceptRole)
        self._lay_out(looked_at)
        self.form.currentIndexChanged.connect(self._show_form)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self.deleteLater)
        self._show_form()

    @property
    def choice(self) -> ExportChoice:
        """What is chosen at the moment."""
        form, name, complete = self.form.currentData(), self.name.text().strip(), self.complete.isChecked()
        return ExportChoice(form, name, complete, bool(self.cases.currentData()), self.test.value() / 100)

    def accept(self) -> None:
        """Close with an answer."""
        choice = self.choice
        super().accept()
        self.chosen.emit(choice)

    def _lay_out(self, looked_at: str) -> None:
        self.details = QWidget()
        rows = QVBoxLayout(self.details)
        rows.setContentsMargins(0, 0, 0, 0)
        named = QFormLayout()
        named.addRow("Name", self.name)
        named.addRow("Cases", self.cases)
        named.addRow("Hold out", self.test)
        for asked in (self.cases, self.test):
            named.setRowVisible(asked, self._of_project)
        rows.addLayout(named)
        rows.addWidget(Paragraph(looked_at))
        rows.addWidget(self.complete)
        rows.addWidget(Paragraph(_COMPLETE))
        layout = QVBoxLayout(self)
        layout.setSpacing(_SPACING)
        for part in (self.form, self.details, self.buttons):
            layout.addWidget(part)
        layout.addStretch(1)
        self.setMinimumWidth(_LEAST)

    def _show_form(self) -> None:
        self.details.setVisible(self.form.currentData() != LABEL_FILE)
        self.adjustSize()


def _cases_box(finished: FinishedCases) -> QComboBox:
    box = QComboBox()
    box.addItem(f"All that are done ({finished.done})", False)
    if finished.reviewed:
        box.addItem(f"Only reviewed ones ({finished.reviewed})", True)
    return box


def _share_box() -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 90)
    box.setSingleStep(5)
    box.setSuffix(" % of the cases, for the test")
    box.setToolTip("Whole patients are held out; the others are divided into five folds")
    return box


def describe_looked_at(state: SessionState, slices: int) -> str:
    """Return on how many axial slices all classes were looked for.

    Parameters
    ----------
    state : SessionState
        Of the session.
    slices : int
        Axial slices of the image.
    """
    seen = [
        {plane.index for (name, plane), mark in state.extent.items() if name == kind.name and _counts(mark, plane.axis)}
        for kind in state.classes
    ]
    count = len(set.intersection(*seen)) if seen else 0
    if not count:
        return "No slice is marked as looked at for all classes."
    return f"{count} of {slices} slices are marked as looked at for all classes."


def _counts(mark: Extent, axis: int) -> bool:
    return mark is not Extent.UNSEEN and axis == 0
