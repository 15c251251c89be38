"""A project in a dock: its cases, how far they are, and what can be done with the chosen one."""

from collections.abc import Sequence

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.cases_model import CaseColumn, CasesModel, SelectedCases, describe_case, neighbour
from napari_medfm._qt.section import READER, READER_TIP, Banner, Line, Paragraph, caption, choice, row, scrolled
from napari_medfm._qt.tables import make_compact
from napari_medfm._qt.task_bar import TaskBar
from napari_medfm.errors import MedfmError
from napari_medfm.projects import Case, CaseStatus, Found, Progress, Selection, Step, steps

_NARROWEST = 300
_EVERY_MS = 5000
_FEWEST_ROWS = 5
_FILTERS = (4, 5, 3)  # shares of the width
_WIDTHS = {CaseColumn.NUMBER: 28, CaseColumn.STATUS: 88, CaseColumn.PEOPLE: 64}
_STEPS = {
    Step.START: ("Start", "Take this case and open it"),
    Step.DONE: ("Done", "All of it is annotated: a second reader may look at it"),
    Step.PUT_BACK: ("Put back", "Leave it to somebody; what was drawn stays"),
    Step.REOPEN: ("Reopen", "Go on annotating it"),
    Step.ACCEPT: ("Accept", "You looked at it, and it is right"),
    Step.REJECT: ("Reject", "Send it back to be corrected; say in the note what is wrong"),
    Step.REDO: ("Redo", "Correct it yourself: it is yours from then on"),
}


class ProjectPanel(QWidget):
    """Cases of a project. It decides nothing: what the person wants leaves as a signal.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.

    Attributes
    ----------
    new_requested, open_requested, add_requested, export_requested : Signal()
        Make a project, open one, add images to it, make a training set of it.
    case_requested : Signal(int)
        Open the case of that id.
    step_requested : Signal(Case, Step, str)
        Take the case a step further, with a note.
    reader_changed : Signal(str)
        Who is at work.
    refresh_requested : Signal()
        Look what others did meanwhile; sent now and then while the panel can be seen.
    """

    new_requested = Signal()
    open_requested = Signal()
    add_requested = Signal()
    export_requested = Signal()
    case_requested = Signal(int)
    step_requested = Signal(object, object, str)
    reader_changed = Signal(str)
    refresh_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._problems: list[str] = []
        self._open: int | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._build_head()
        self._build_filters()
        self._build_table()
        self._build_case()
        self._lay_out()
        self._wire()
        self.set_project("")

    @property
    def reader(self) -> str:
        """Who is at work; empty if nobody said so."""
        return str(self.name.text()).strip()

    @property
    def shown(self) -> list[int]:
        """Ids of the cases in the list, from top to bottom."""
        return self.selected.ids()

    @property
    def chosen(self) -> Case | None:
        """The case that is chosen in the list, else the open one."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.case(self.shown[rows[0].row()] if rows else self._open)

    def set_project(self, name: str) -> None:
        """Show the name of the project that is open, empty if none is; nothing is known of its cases yet."""
        self.title.setText(name or "No project is open")
        self.error.say("")
        self.forget_problems()
        self.model.set_cases(())
        self.show_progress(None)
        self.set_open(None)
        for part in (self.cases, self.acting, self.add, self.export):
            part.setVisible(bool(name))

    def set_cases(self, cases: Sequence[Case], progress: Progress) -> None:
        """Show the cases as they are now."""
        kept = self.chosen
        self.model.set_cases(cases)
        self._list_people()
        self._choose(kept.id if kept is not None else self._open)
        self.show_progress(progress)
        self._show_chosen()

    def add_case(self, case: Case) -> None:
        """Show one more case; `set_cases` tells the progress when all are there."""
        self.model.add(case)
        self._list_people()

    def set_open(self, number: int | None) -> None:
        """Show which case is open in the viewer."""
        self._open = number
        self.model.set_open(number)
        self._choose(number)
        self._show_chosen()

    def step_to(self, step: int) -> None:
        """Ask for the case before (-1) or after (1) the open one in the list."""
        number = neighbour(self.shown, self._open, step)
        if number is not None:
            self.case_requested.emit(number)

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far the project is."""
        total = progress.total if progress is not None else 0
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(round(progress.share * total) if progress is not None else 0)
        self.progress.setFormat(describe_progress(progress))
        self.progress.setVisible(bool(total))

    def show_problem(self, found: Found) -> None:
        """List an image that cannot be used."""
        self._problems.append(f"{found.path.name}: {found.problem}")
        count = len(self._problems)
        head = "1 image cannot be used:" if count == 1 else f"{count} images cannot be used:"
        shown = self._problems if count <= 4 else [*self._problems[:3], f"and {count - 3} more"]
        self.problems.say("\n".join((head, *shown)))
        self.problems.setToolTip("\n".join(self._problems))

    def forget_problems(self) -> None:
        """Take the list of images that cannot be used away."""
        self._problems.clear()
        self.problems.say("")

    def show_error(self, error: MedfmError) -> None:
        """Show a failure with its reason and next step until it is dismissed."""
        self.error.say(str(error))

    def showEvent(self, event: QShowEvent) -> None:
        """Follow what others do while it can be seen."""
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Rest while nobody looks."""
        super().hideEvent(event)
        self._timer.stop()

    def _build_head(self) -> None:
        self.title = Line(tip="The project that is open")
        self.title.setStyleSheet("font-weight: bold")
        self.new = CompactButton("New\N{HORIZONTAL ELLIPSIS}", "Make a project of a folder of images")
        self.open = CompactButton("Open\N{HORIZONTAL ELLIPSIS}", "Open the folder of a project")
        self.add = CompactButton("Add\N{HORIZONTAL ELLIPSIS}", "Add all images of a folder")
        self.name = QLineEdit()
        self.name.setPlaceholderText(READER)
        self.name.setToolTip(READER_TIP)
        self.progress = QProgressBar()
        self.progress.setAccessibleName("Progress of the project")
        self.progress.setToolTip("Cases that are done or reviewed")
        self.adding, self.exporting = TaskBar(), TaskBar()
        self.problems, self.error = Banner("warning", dismissable=True), Banner("warning", dismissable=True)

    def _build_filters(self) -> None:
        self.status, self.patient, self.annotator = choice(), choice(), choice()
        for box, words in ((self.status, "Status"), (self.patient, "Patient"), (self.annotator, "By")):
            box.addItem(words, None)
            box.setMinimumContentsLength(2)  # three stand side by side
            box.setToolTip(f"{words}: only the one that is chosen here; all at the top")
            box.setAccessibleName(f"{words} to show")
        for status in CaseStatus:
            self.status.addItem(status.capitalize(), status)
        self.text = QLineEdit()
        self.text.setPlaceholderText("Search in patients, people and notes")
        self.text.setAccessibleName("Search")
        self.text.setClearButtonEnabled(True)

    def _build_table(self) -> None:
        self.model = CasesModel(self)
        self.selected = SelectedCases(self)
        self.selected.setSourceModel(self.model)
        self.table = QTableView()
        self.table.setModel(self.selected)
        make_compact(self.table)
        self.table.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.table.setAccessibleName("Cases")
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(CaseColumn.NUMBER, Qt.SortOrder.AscendingOrder)
        self.table.setMinimumHeight(_FEWEST_ROWS * self.table.verticalHeader().defaultSectionSize())
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(CaseColumn.PATIENT, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in _WIDTHS.items():
            self.table.setColumnWidth(column, width)

    def _build_case(self) -> None:
        self.previous = CompactButton("Previous", "Open the case above the open one", hint="PgUp")
        self.next = CompactButton("Next", "Open the case below the open one", hint="PgDn")
        self.show_case = CompactButton("Show", "Open the chosen case in the viewer")
        self.details = Paragraph()
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note for the next reader")
        self.note.setAccessibleName("Note")
        self.steps = {step: CompactButton(*words) for step, words in _STEPS.items()}
        self.export = CompactButton("Export\N{HORIZONTAL ELLIPSIS}", "Make a training set of the finished cases")

    def _lay_out(self) -> None:
        self.cases, self.acting, body = QWidget(), QWidget(), QWidget()
        parts = QVBoxLayout(self.cases)
        parts.setContentsMargins(0, 0, 0, 0)
        parts.setSpacing(5)
        filters = row(self.status, self.patient, self.annotator)
        for place, share in enumerate(_FILTERS):
            filters.setStretch(place, share)
        parts.addLayout(filters)
        parts.addWidget(self.table, 1)
        parts.addLayout(row(self.previous, self.next))
        for part in (self.note, self.details, self.text):
            parts.addWidget(part)
        acts = row(self.show_case, *self.steps.values())
        acts.setContentsMargins(6, 0, 6, 4)
        self.acting.setLayout(acts)  # in view however low the dock is
        rows = QVBoxLayout(body)
        rows.setContentsMargins(6, 2, 6, 4)
        rows.setSpacing(5)
        for part in (self.title, self.progress, self.adding, self.exporting, self.problems):
            rows.addWidget(part)
        rows.addWidget(self.cases, 1)
        rows.addLayout(row(caption("Reader", self.name), self.name, stretch=1))
        rows.addLayout(row(self.new, self.open))
        rows.addLayout(row(self.add, self.export))
        rows.addStretch()  # of use where no project is open
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.error)
        layout.addWidget(scrolled(body), 1)
        layout.addWidget(self.acting)
        self.setMinimumWidth(_NARROWEST)

    def _wire(self) -> None:
        self._timer.timeout.connect(self.refresh_requested)
        self.new.clicked.connect(self.new_requested)
        self.open.clicked.connect(self.open_requested)
        self.add.clicked.connect(self.add_requested)
        self.export.clicked.connect(self.export_requested)
        self.name.editingFinished.connect(self._change_reader)
        for box in (self.status, self.patient, self.annotator):
            box.currentIndexChanged.connect(self._select)
        self.text.textChanged.connect(self._select)
        self.table.activated.connect(self._show_row)
        self.table.selectionModel().selectionChanged.connect(self._show_chosen)
        self.show_case.clicked.connect(self._show_case)
        self.previous.clicked.connect(self._go_back)
        self.next.clicked.connect(self._go_on)
        for button in self.steps.values():
            button.clicked.connect(self._take_step)

    def _change_reader(self) -> None:
        self._show_chosen()
        self.reader_changed.emit(self.reader)

    def _select(self) -> None:
        self.selected.select(
            Selection(
                self.status.currentData(),
                self.patient.currentData() or "",
                self.annotator.currentData() or "",
                self.text.text(),
            )
        )
        self._show_chosen()

    def _list_people(self) -> None:
        cases = self.model.cases
        for box, names in (
            (self.patient, sorted({case.patient for case in cases})),
            (self.annotator, sorted({case.annotator for case in cases} - {""})),
        ):
            if names != [box.itemData(place) for place in range(1, box.count())]:
                kept = box.currentData()
                with signals_blocked(box):
                    while box.count() > 1:
                        box.removeItem(1)
                    for name in names:
                        box.addItem(name, name)
                    box.setCurrentIndex(max(box.findData(kept), 0))
                self._select()

    def _choose(self, number: int | None) -> None:
        row_number = self.selected.row_of(number) if number is not None else -1
        if row_number >= 0:
            self.table.selectRow(row_number)

    def _show_chosen(self) -> None:
        case = self.chosen
        allowed = steps(case, self.reader) if case is not None else frozenset()
        for step, button in self.steps.items():
            button.setVisible(step in allowed)
        self.note.setVisible(bool(allowed))
        self.details.setText(describe_case(case) if case is not None else "")
        self.show_case.setEnabled(case is not None)
        shown = self.shown
        self.previous.setEnabled(bool(shown) and neighbour(shown, self._open, -1) is not None)
        self.next.setEnabled(bool(shown) and neighbour(shown, self._open, 1) is not None)

    def _show_row(self, index: QModelIndex) -> None:
        self.case_requested.emit(self.shown[index.row()])

    def _show_case(self) -> None:
        case = self.chosen
        if case is not None:
            self.case_requested.emit(case.id)

    def _go_back(self) -> None:
        self.step_to(-1)

    def _go_on(self) -> None:
        self.step_to(1)

    def _take_step(self) -> None:
        case = self.chosen
        step = next((step for step, button in self.steps.items() if button is self.sender()), None)
        if case is not None and step is not None:
            note = self.note.text().strip()
            self.note.clear()
            self.step_requested.emit(case, step, note)


def describe_progress(progress: Progress | None) -> str:
    """Return how many cases are finished."""
    if progress is None:
        return ""
    reviewed = progress.counts[CaseStatus.REVIEWED]
    finished = progress.counts[CaseStatus.DONE] + reviewed
    return f"{finished} of {progress.total} done, {reviewed} reviewed"
