"""The cases of a project as a table, filtered and sorted as the person wants."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt
from qtpy.QtGui import QFont

from napari_medfm.projects import Case, CaseStatus, Selection

Role = Qt.ItemDataRole
SORT_ROLE = int(Role.UserRole) + 1
_TIMES = " \N{MULTIPLICATION SIGN} "


class CaseColumn(IntEnum):
    """Columns, from left to right."""

    NUMBER = 0
    PATIENT = 1
    STATUS = 2
    PEOPLE = 3


_HEADERS = {
    CaseColumn.NUMBER: ("", "Number of the case"),
    CaseColumn.PATIENT: ("Patient", "Pseudonym of the patient"),
    CaseColumn.STATUS: ("Status", "How far the case is"),
    CaseColumn.PEOPLE: ("By", "Who annotates it, and who reviewed it"),
}
_ORDER = {status: place for place, status in enumerate(CaseStatus)}


class CasesModel(QAbstractTableModel):
    """Rows are cases in the order they were added."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cases: list[Case] = []
        self._rows: dict[int, int] = {}
        self._open: int | None = None

    @property
    def cases(self) -> tuple[Case, ...]:
        """All of them."""
        return tuple(self._cases)

    def case(self, number: int | None) -> Case | None:
        """Return the case of an id, if it is there."""
        return self._cases[self._rows[number]] if number in self._rows else None

    def row_of(self, number: int) -> int:
        """Return the row of a case, or -1."""
        return self._rows.get(number, -1)

    def set_cases(self, cases: Sequence[Case]) -> None:
        """Show these; rows stay where they are if no case came or went."""
        if [case.id for case in cases] != [case.id for case in self._cases]:
            self.beginResetModel()
            self._cases = list(cases)
            self._rows = {case.id: row for row, case in enumerate(cases)}
            self.endResetModel()
        else:
            before, self._cases = self._cases, list(cases)
            self._tell([row for row, (old, new) in enumerate(zip(before, cases, strict=True)) if old != new])

    def add(self, case: Case) -> None:
        """Show one more."""
        if case.id not in self._rows:
            row = len(self._cases)
            self.beginInsertRows(QModelIndex(), row, row)
            self._cases.append(case)
            self._rows[case.id] = row
            self.endInsertRows()

    def set_open(self, number: int | None) -> None:
        """Say which case is open in the viewer."""
        before, self._open = self._open, number
        self._tell([self._rows[each] for each in (before, number) if each in self._rows])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of cases."""
        return 0 if parent is not None and parent.isValid() else len(self._cases)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(CaseColumn)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Return the words above a column."""
        if orientation != Qt.Orientation.Horizontal or role not in (Role.DisplayRole, Role.ToolTipRole):
            return None
        title, tip = _HEADERS[CaseColumn(section)]
        return title if role == Role.DisplayRole else f"{tip}; click to sort"

    def data(self, index: QModelIndex, role: int = Role.DisplayRole) -> Any:
        """Return what a cell shows."""
        if not index.isValid():
            return None
        case, column = self._cases[index.row()], CaseColumn(index.column())
        if role == Role.DisplayRole:
            return _text(case, column)
        if role == SORT_ROLE:
            return _rank(case, column)
        if role == Role.ToolTipRole:
            return describe_case(case)
        if role == Role.FontRole and case.id == self._open:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def _tell(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(CaseColumn) - 1))


class SelectedCases(QSortFilterProxyModel):
    """The cases that the person wants to see, in the order of the column that was clicked."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._selection = Selection()
        self.setSortRole(SORT_ROLE)
        self.setDynamicSortFilter(True)

    def select(self, selection: Selection) -> None:
        """Show only those."""
        self._selection = selection
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Whether a row is wanted."""
        return self._selection.admits(self._source.cases[row])

    def ids(self) -> list[int]:
        """Return the ids of the cases that are shown, in their order."""
        rows = (self.mapToSource(self.index(row, 0)).row() for row in range(self.rowCount()))
        return [self._source.cases[row].id for row in rows]

    def row_of(self, number: int) -> int:
        """Return the row of a case, or -1 if it is not shown."""
        row = self._source.row_of(number)
        return self.mapFromSource(self._source.index(row, 0)).row() if row >= 0 else -1

    @property
    def _source(self) -> CasesModel:
        source = self.sourceModel()
        assert isinstance(source, CasesModel)
        return source


def neighbour(ids: Sequence[int], current: int | None, step: int) -> int | None:
    """Return the case before or after one in a list; from a case that is not in it, the first; None at the ends."""
    if current not in ids:
        return ids[0] if ids else None
    place = ids.index(current) + step
    return ids[place] if 0 <= place < len(ids) else None


def describe_case(case: Case) -> str:
    """Return what is known of a case, a fact per line."""
    size = _TIMES.join(map(str, case.shape[::-1])) + " voxels"
    spacing = _TIMES.join(f"{step:.3g}" for step in case.spacing[::-1]) + " mm"
    facts = [
        f"{case.title.capitalize()}, patient {case.patient}",
        ", ".join(filter(None, (case.modality, size, spacing))),
    ]
    status = case.status.capitalize()
    if case.annotator:
        status += (
            f", annotated by {case.annotator}"
            if case.status is not CaseStatus.IN_PROGRESS
            else f" with {case.annotator}"
        )
    facts.append(status + (f", reviewed by {case.reviewer}" if case.reviewer else ""))
    return "\n".join(facts + ([f"Note: {case.note}"] if case.note else []))


def _text(case: Case, column: CaseColumn) -> str:
    people = " \N{RIGHTWARDS ARROW} ".join(filter(None, (case.annotator, case.reviewer)))
    return (str(case.id), case.patient, str(case.status), people)[column]


def _rank(case: Case, column: CaseColumn) -> Any:
    return (case.id, case.patient, _ORDER[case.status], f"{case.annotator} {case.reviewer}".casefold())[column]
