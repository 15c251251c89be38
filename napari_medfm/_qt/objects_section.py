"""The table of objects, their classes, and what is known of the slice in view."""

from pathlib import Path

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QGuiApplication, QKeySequence, QShortcut
from qtpy.QtWidgets import QColorDialog, QFileDialog, QGridLayout, QHeaderView, QTableView, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.objects_delegates import ClassDelegate, ColourDelegate
from napari_medfm._qt.objects_model import Column, ObjectsModel
from napari_medfm._qt.section import Line, Section, Wiring, active_object, caption, choice, row
from napari_medfm._qt.tables import COLOUR_ROLE, GLYPH_COLUMN, GlyphDelegate, fit_rows, make_compact
from napari_medfm.session import AnnotationSession, CommitPolicy, Extent, Measures
from napari_medfm.volume import Plane

_MEASURED = (Column.MEAN, Column.LONG, Column.SHORT)
_SET_ASIDE = (Column.CLASS, Column.ACCEPTED, Column.LOCKED, Column.VISIBLE)
_FEWEST_ROWS, _MOST_ROWS = 3, 8
_CLASS_LISTS = "Class lists (*.json *.csv *.txt);;All files (*)"
_POLICIES = {
    CommitPolicy.KEEP: "Keep other objects",
    CommitPolicy.REPLACE: "Replace unlocked objects",
}
_EXTENTS = {
    Extent.UNSEEN: "not looked at",
    Extent.ANNOTATED: "fully annotated",
    Extent.NEGATIVE: "confirmed negative",
}


class ObjectsSection(Section):
    """Objects.

    Attributes
    ----------
    jump_requested : Signal(int)
    lookalikes_requested : Signal()
        As in `MedfmPanel`.
    """

    jump_requested = Signal(int)
    lookalikes_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Objects", parent)
        self._session: AnnotationSession | None = None
        self._plane = Plane()
        self._recoloured: int | None = None
        self._copying = False
        self._build_table()
        self._lay_out_table()
        self._build_choices()
        self._wire()
        self._refresh()

    def bind(self, session: AnnotationSession, wiring: Wiring) -> None:
        """Show the objects of a session."""
        self._session = session
        self.model.bind(session, wiring)
        wiring.connect(session.events.active_changed, self._follow_active)
        wiring.connect(session.events.objects_changed, self._refresh)
        wiring.connect(session.events.classes_changed, self._list_classes)
        wiring.connect(session.events.extent_changed, self._show_extent)
        wiring.connect(session.events.policy_changed, self._show_policy)
        self._refresh()

    def bind_measures(self, measures: Measures, wiring: Wiring) -> None:
        """Show what is measured of the objects, if that is asked for."""
        self.model.bind_measures(measures, wiring)
        self._refresh()

    def unbind(self) -> None:
        """Show nothing."""
        self._session, self._copying = None, False
        self.model.unbind()
        self._refresh()

    def set_plane(self, plane: Plane) -> None:
        """Show what is known of another slice."""
        self._plane = plane
        self._show_extent()

    def _build_table(self) -> None:
        self.model = ObjectsModel(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        make_compact(self.table)
        self.table.setAccessibleName("Objects")
        self.table.setToolTip("Click a row to work on its object; double-click a name or class to edit it")
        self._delegates = {
            Column.COLOUR: ColourDelegate(self.table),
            Column.CLASS: ClassDelegate(self.model.class_names, self.table),
        }
        glyphs = GlyphDelegate(self.table)
        header = self.table.horizontalHeader()
        header.setSectionsClickable(False)
        for column in Column:
            self.table.setItemDelegateForColumn(column, self._delegates.get(column, glyphs))
            self.table.setColumnWidth(column, GLYPH_COLUMN)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(Column.CLASS, QHeaderView.ResizeMode.Stretch)
        for column in (Column.SIZE, *_MEASURED):
            self.table.setColumnWidth(column, 48)

    def _lay_out_table(self) -> None:
        self.add = CompactButton("New", "Begin a new object of the same class", glyph="add", hint="N")
        self.delete = CompactButton("Delete", "Delete the chosen object; undo brings it back")
        self.jump = CompactButton("Go to", "Show the slice where the chosen object is largest")
        self.rows.addLayout(row(self.add, self.delete, self.jump))
        self.empty = Line("No objects yet", tip="Press New, or click in the image")
        self.rows.addWidget(self.empty)
        self.rows.addWidget(self.table)
        self.measure = CompactButton("Measure", "Show mean intensity, long and short axis")
        self.measure.setCheckable(True)
        self.copy = CompactButton("Copy table", "Copy all objects and what is measured of them, as CSV")
        self.alike = CompactButton("Find alike…", "Search other images for what looks like the chosen object")
        self.rows.addLayout(row(self.measure, self.copy, self.alike, stretch=2))
        self._show_measures(False)

    def _show_measures(self, shown: bool) -> None:
        for column in _MEASURED:
            self.table.setColumnHidden(column, not shown)
        for column in _SET_ASIDE:
            self.table.setColumnHidden(column, shown)

    def _copy(self) -> None:
        """Copy the table, as soon as everything in it is measured."""
        text = self.model.to_csv()
        self._copying = text is None
        self.copy.setText("Measuring…" if self._copying else "Copy table")
        if text is not None:
            QGuiApplication.clipboard().setText(text)

    def _go_on_copying(self) -> None:
        if self._copying:
            self._copy()

    def _build_choices(self) -> None:
        self.policy = choice()
        self.policy.setToolTip("What a new mask does to voxels of other objects; locked objects never change")
        for policy, words in _POLICIES.items():
            self.policy.addItem(words, policy)
        self.extent_class, self.extent = choice(), choice()
        self.extent_class.setToolTip("The class the statement about this slice is for")
        self.extent.setToolTip(
            "What is known of this class on the slice in view; the rest is ignored, never background"
        )
        for extent, words in _EXTENTS.items():
            self.extent.addItem(words, extent)
        self.load_classes = CompactButton("Load…", "Read the classes, colours and parents from a file")
        grid = QGridLayout()
        grid.setSpacing(5)
        boxes = (("Masks", self.policy), ("Class", self.extent_class), ("This slice", self.extent))
        for place, (text, box) in enumerate(boxes):
            grid.addWidget(caption(text, box), place, 0)
            grid.addWidget(box, place, 1, 1, 1 if box is self.extent_class else 2)
        grid.addWidget(self.load_classes, 1, 2)
        grid.setColumnStretch(1, 1)
        self.rows.addLayout(grid)

    def _wire(self) -> None:
        self.model.failed.connect(self.failed)
        self.model.modelReset.connect(self._select_active)
        self.table.clicked.connect(self._click)
        self.table.selectionModel().currentRowChanged.connect(self._activate)
        delete = QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.table)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._delete)
        self.add.clicked.connect(self._add)
        self.delete.clicked.connect(self._delete)
        self.jump.clicked.connect(self._jump)
        self.alike.clicked.connect(self.lookalikes_requested)
        self.measure.toggled.connect(self._show_measures)
        self.copy.clicked.connect(self._copy)
        self.model.remeasured.connect(self._go_on_copying)
        self.policy.activated.connect(self._choose_policy)
        self.extent_class.activated.connect(self._show_extent)
        self.extent.activated.connect(self._choose_extent)
        self.load_classes.clicked.connect(self._ask_for_classes)

    def _refresh(self) -> None:
        self._list_classes()
        self._select_active()
        self._show_policy()
        has_objects = self.model.rowCount() > 0
        fit_rows(self.table, min(max(self.model.rowCount(), _FEWEST_ROWS), _MOST_ROWS))
        writable = self._session is not None and not self._session.read_only
        self.empty.setVisible(not has_objects)
        self.table.setVisible(has_objects)
        for control in (self.measure, self.copy):
            control.setEnabled(has_objects and self.model.can_measure)
        for control in (self.add, self.policy, self.extent_class, self.extent, self.load_classes):
            control.setEnabled(writable)

    def _select_active(self) -> None:
        # Choosing the row of the active object asks for nothing: `_activate` sees that it is active.
        place = self.model.row_of(self._session.state.active if self._session is not None else None)
        if place < 0:
            self.table.setCurrentIndex(QModelIndex())
            self.table.clearSelection()
        else:
            self.table.selectRow(place)
        self._enable_choice()

    def _follow_active(self) -> None:
        """Choose the object that is worked on, and speak of its class."""
        self._select_active()
        active = active_object(self._session)
        place = self.extent_class.findText(active.class_name) if active is not None else -1
        if place >= 0:
            self.extent_class.setCurrentIndex(place)
            self._show_extent()

    def _enable_choice(self) -> None:
        chosen = self._current() is not None
        self.jump.setEnabled(chosen)
        self.alike.setEnabled(chosen)
        self.delete.setEnabled(chosen and self._session is not None and not self._session.read_only)

    def _list_classes(self) -> None:
        names = self.model.class_names()
        with signals_blocked(self.extent_class):
            kept = self.extent_class.currentText()
            self.extent_class.clear()
            self.extent_class.addItems(names)
            self.extent_class.setCurrentIndex(max(self.extent_class.findText(kept), 0 if names else -1))
        self._show_extent()

    def _show_extent(self) -> None:
        name = self.extent_class.currentText()
        state = self._session.state.extent_of(name, self._plane) if self._session is not None else Extent.UNSEEN
        with signals_blocked(self.extent):
            self.extent.setCurrentIndex(self.extent.findData(state))

    def _show_policy(self) -> None:
        if self._session is not None:
            with signals_blocked(self.policy):
                self.policy.setCurrentIndex(self.policy.findData(self._session.state.policy))

    def _current(self) -> int | None:
        return self.model.object_id(self.table.currentIndex().row())

    def _activate(self, row: QModelIndex) -> None:
        object_id = self.model.object_id(row.row())
        self._enable_choice()
        if self._session is not None and object_id is not None and object_id != self._session.state.active:
            self.attempt(self._session.set_active, object_id)

    def _click(self, index: QModelIndex) -> None:
        self._activate(index)
        if index.column() == Column.COLOUR:
            self._ask_for_colour(index)
        else:
            self.model.toggle(index)

    def _add(self) -> None:
        if self._session is not None:
            self.attempt(self._session.add_object, self._session.state.next_class)

    def _delete(self) -> None:
        # No question: one undo brings the object back, voxels and all.
        object_id = self._current()
        if self._session is not None and object_id is not None:
            self.attempt(self._session.delete_object, object_id)

    def _jump(self) -> None:
        object_id = self._current()
        if object_id is not None:
            self.jump_requested.emit(object_id)

    def _choose_policy(self) -> None:
        if self._session is not None:
            self.attempt(self._session.set_policy, self.policy.currentData())

    def _choose_extent(self) -> None:
        if self._session is not None and self.extent_class.currentText():
            chosen = self.extent.currentData()
            self.attempt(self._session.set_extent, self.extent_class.currentText(), [self._plane], chosen)

    def _ask_for_colour(self, index: QModelIndex) -> None:
        dialog = QColorDialog(index.data(COLOUR_ROLE), self)
        dialog.setWindowTitle("Colour of the object")
        self._recoloured = self.model.object_id(index.row())
        dialog.colorSelected.connect(self._recolour)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _recolour(self, colour: QColor) -> None:
        # By id, not by row: the table may have changed while the dialog was open.
        if self._session is not None and self._recoloured is not None:
            rgb = (colour.red(), colour.green(), colour.blue())
            self.attempt(self._session.recolour, self._recoloured, rgb)

    def _ask_for_classes(self) -> None:
        dialog = QFileDialog(self, "Class list", "", _CLASS_LISTS)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._load_classes)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _load_classes(self, file: str) -> None:
        if self._session is not None:
            self.attempt(self._session.load_classes, Path(file))
