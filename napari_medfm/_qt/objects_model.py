"""The objects of a session as a table: one row per object, read when it is painted."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QColor

from napari_medfm._qt.section import Wiring
from napari_medfm._qt.tables import COLOUR_ROLE, GLYPH_ROLE
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession, Measures, SegmentedObject, with_class

Role = Qt.ItemDataRole


class Column(IntEnum):
    """Columns of the object table, from left to right."""

    COLOUR = 0
    NAME = 1
    CLASS = 2
    SIZE = 3
    ACCEPTED = 4
    LOCKED = 5
    VISIBLE = 6
    MEAN = 7
    LONG = 8
    SHORT = 9


_HEADERS = {
    Column.COLOUR: ("", "Colour; click to change it"),
    Column.NAME: ("Object", "Name; double-click to edit it"),
    Column.CLASS: ("Class", "Class; double-click to change it, or type a new one"),
    Column.SIZE: ("", "Size of the object"),
    Column.ACCEPTED: ("", "Accepted: somebody looked at it and agreed"),
    Column.LOCKED: ("", "Locked: nothing changes its voxels"),
    Column.VISIBLE: ("", "Shown in the viewer"),
    Column.MEAN: ("mean", "Mean intensity"),
    Column.LONG: ("long", "Longest diameter in mm, on the axial slice where the object is largest"),
    Column.SHORT: ("short", "Longest diameter at right angles to the long one, in mm"),
}
_LARGE_ML = 1000
_NUMBERS = (Column.SIZE, Column.MEAN, Column.LONG, Column.SHORT)

# Views ask for a dozen roles per cell and repaint; the others are answered before anything is looked up.
_ROLES = frozenset(
    map(
        int,
        (
            Role.DisplayRole,
            Role.EditRole,
            Role.ToolTipRole,
            Role.TextAlignmentRole,
            Role.AccessibleTextRole,
            GLYPH_ROLE,
            COLOUR_ROLE,
        ),
    )
)


@dataclass(frozen=True, slots=True)
class _Switch:
    """A property that is on or off, its glyphs and words for both, and how the session sets it."""

    on: tuple[str, str]
    off: tuple[str, str]
    read: Callable[[SegmentedObject], bool]

    def state(self, thing: SegmentedObject) -> tuple[str, str]:
        """Return (glyph, words)."""
        return self.on if self.read(thing) else self.off


_SWITCHES = {
    Column.ACCEPTED: _Switch(("check", "Accepted"), ("", "Not accepted yet"), lambda thing: thing.accepted),
    Column.LOCKED: _Switch(
        ("locked", "Locked; click to unlock"), ("unlocked", "Not locked; click to lock"), lambda thing: thing.locked
    ),
    Column.VISIBLE: _Switch(
        ("visible", "Shown; click to hide"), ("hidden", "Hidden; click to show"), lambda thing: thing.visible
    ),
}


class ObjectsModel(QAbstractTableModel):
    """Rows are objects in the order they were made.

    Attributes
    ----------
    failed : Signal(MedfmError)
        An edit was refused.
    remeasured : Signal()
        Something was measured, or has to be.
    """

    failed = Signal(object)
    remeasured = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session: AnnotationSession | None = None
        self._measures: Measures | None = None
        self._ids: list[int] = []
        self._rows: dict[int, int] = {}

    def bind(self, session: AnnotationSession, wiring: Wiring) -> None:
        """Show the objects of a session."""
        self._session = session
        wiring.connect(session.events.objects_changed, self._update_objects)
        wiring.connect(session.events.voxels_changed, self._update_sizes)
        wiring.connect(session.events.classes_changed, self._update_all)
        self._reset()

    def bind_measures(self, measures: Measures, wiring: Wiring) -> None:
        """Show what is measured of the objects, once somebody looks."""
        self._measures = measures
        wiring.connect(measures.measured, self._update_measures)

    @property
    def can_measure(self) -> bool:
        """Whether there is somebody who measures."""
        return self._measures is not None

    def to_csv(self) -> str | None:
        """Return all objects and what is measured of them as CSV; None while some are still being measured."""
        return self._measures.to_csv(self._ids) if self._measures is not None else None

    def unbind(self) -> None:
        """Show nothing."""
        self._session = self._measures = None
        self._reset()

    def object_id(self, row: int) -> int | None:
        """Return the id of the object in a row, or None if there is no such row."""
        return self._ids[row] if 0 <= row < len(self._ids) else None

    def row_of(self, object_id: int | None) -> int:
        """Return the row of an object, or -1."""
        return self._rows.get(object_id, -1) if object_id is not None else -1

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self._ids)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Return the words above a column."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, tip = _HEADERS[Column(section)]
        if role == Role.DisplayRole:
            return {Column.SIZE: self._unit(), Column.MEAN: self._mean_unit()}.get(Column(section), title)
        if role == Role.TextAlignmentRole:
            return _alignment(Column(section))
        return tip if role == Role.ToolTipRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemNeverHasChildren
        editable = index.column() in (Column.NAME, Column.CLASS)
        writable = self._session is not None and not self._session.read_only
        return flags | Qt.ItemFlag.ItemIsEditable if editable and writable else flags

    def data(self, index: QModelIndex, role: int = Role.DisplayRole) -> Any:
        """Return what a cell shows."""
        if role not in _ROLES or self._session is None or not index.isValid():
            return None
        thing = self._session.state.objects[self._ids[index.row()]]
        column = Column(index.column())
        if column in _SWITCHES:
            return _switch_data(_SWITCHES[column], thing, role)
        if column == Column.COLOUR:
            return _colour_data(thing, role)
        return self._text_data(column, thing, role)

    def setData(self, index: QModelIndex, value: Any, role: int = Role.EditRole) -> bool:
        """Rename an object or change its class."""
        text = str(value).strip()
        if self._session is None or role != Role.EditRole or not text or text == index.data(Role.EditRole):
            return False
        change = {Column.NAME: self._session.rename, Column.CLASS: self._set_class}[Column(index.column())]
        return self._attempt(change, self._ids[index.row()], text)

    def toggle(self, index: QModelIndex) -> None:
        """Lock or unlock, show or hide the object of a row."""
        if self._session is None:
            return
        thing = self._session.state.objects[self._ids[index.row()]]
        if index.column() == Column.LOCKED:
            self._attempt(self._session.set_locked, thing.id, not thing.locked)
        elif index.column() == Column.VISIBLE:
            self._attempt(self._session.set_visible, thing.id, not thing.visible)

    def class_names(self) -> list[str]:
        """Return the classes an object may have."""
        return [known.name for known in self._session.state.classes] if self._session is not None else []

    def _set_class(self, object_id: int, name: str) -> None:
        if self._session is None:
            return
        if name not in self.class_names():
            self._session.define_classes(with_class(self._session.state, name))
        self._session.set_class(object_id, name)

    def _text_data(self, column: Column, thing: SegmentedObject, role: int) -> Any:
        if role == Role.TextAlignmentRole:
            return _alignment(column)
        if role not in (Role.DisplayRole, Role.EditRole, Role.ToolTipRole):
            return None
        if column in _NUMBERS:
            return self._number(column, thing.id) + (f" {self._unit_of(column)}" if role == Role.ToolTipRole else "")
        return thing.name if column == Column.NAME else thing.class_name or ""

    def _number(self, column: Column, object_id: int) -> str:
        if column == Column.SIZE:
            return self._size(object_id)
        found = self._measures.get(object_id) if self._measures is not None else None
        if found is None:
            return "…"
        if column == Column.MEAN:
            return "" if found.mean is None else f"{found.mean:.4g}"
        axes = found.diameters
        return "" if axes is None else f"{axes.long if column == Column.LONG else axes.short:.1f}"

    def _unit_of(self, column: Column) -> str:
        return {Column.SIZE: self._unit(), Column.MEAN: self._mean_unit()}.get(column, "mm")

    def _mean_unit(self) -> str:
        return (self._measures.unit if self._measures is not None else "") or "mean"

    def _unit(self) -> str:
        geometry = self._session.volume.geometry if self._session is not None else None
        if geometry is None or not geometry.known:
            return "voxels"
        return "ml" if geometry.ndim == 3 else "mm²"

    def _size(self, object_id: int) -> str:
        if self._session is None:
            return ""
        if self._unit() == "ml":
            ml = self._session.volume_ml(object_id)
            return f"{ml:.2f}" if ml < _LARGE_ML else f"{ml:.0f}"  # more does not fit the column
        count = self._session.voxel_count(object_id)
        return str(count) if self._unit() == "voxels" else f"{count * math.prod(self._session.volume.spacing):.1f}"

    def _attempt(self, action: Callable[..., object], *arguments: Any) -> bool:
        try:
            action(*arguments)
        except MedfmError as error:
            self.failed.emit(error)
            return False
        return True

    def _reset(self) -> None:
        self.beginResetModel()
        self._ids = list(self._session.state.objects) if self._session is not None else []
        self._rows = {object_id: row for row, object_id in enumerate(self._ids)}
        self.endResetModel()

    def _update_objects(self, changed: frozenset[int]) -> None:
        if self._session is None:
            return
        ids = list(self._session.state.objects)
        if ids and ids[:-1] == self._ids:
            self._append(ids[-1])
        elif ids != self._ids:
            self._reset()
        for row in {self._rows[object_id] for object_id in changed if object_id in self._rows}:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(Column) - 1))

    def _append(self, object_id: int) -> None:
        row = len(self._ids)
        self.beginInsertRows(QModelIndex(), row, row)
        self._ids.append(object_id)
        self._rows[object_id] = row
        self.endInsertRows()

    def _update_sizes(self) -> None:
        # Only the rows in view are read again, however many there are.
        if self._ids:
            self.dataChanged.emit(self.index(0, Column.SIZE), self.index(len(self._ids) - 1, Column.SIZE))

    def _update_measures(self, object_id: int) -> None:
        row = self.row_of(object_id)
        if row >= 0:
            self.dataChanged.emit(self.index(row, Column.MEAN), self.index(row, Column.SHORT))
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, Column.MEAN, Column.MEAN)
            self.remeasured.emit()

    def _update_all(self) -> None:
        if self._ids:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._ids) - 1, len(Column) - 1))


def _switch_data(switch: _Switch, thing: SegmentedObject, role: int) -> Any:
    glyph, words = switch.state(thing)
    if role == GLYPH_ROLE:
        return glyph
    return words if role in (Role.ToolTipRole, Role.AccessibleTextRole) else None


def _colour_data(thing: SegmentedObject, role: int) -> Any:
    if role == COLOUR_ROLE:
        return QColor(*thing.colour)
    return "Colour; click to change it" if role in (Role.ToolTipRole, Role.AccessibleTextRole) else None


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
