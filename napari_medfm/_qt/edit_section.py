"""Brushes measured in millimetres and operations on the active object, for when a person knows better."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QButtonGroup, QDoubleSpinBox, QGridLayout, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton, ToolButton
from napari_medfm._qt.prompt_section import Tool
from napari_medfm._qt.section import Line, Section, Wiring, caption, choice, row
from napari_medfm.editing import Brush, DropIslands, FillHoles, Grow, KeepLargest, Operation, Shrink, Smooth
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession, Hand, SliceChange
from napari_medfm.volume import Plane, Window

EDIT_TOOLS = (
    Tool("range", "Range", "", "Paint only voxels whose value lies in the range below; Shift erases, Alt-click picks"),
    Tool("sphere", "Sphere", "", "Paint a ball through all slices that it reaches; Shift erases"),
    Tool("piece", "Piece", "", "Click a piece of the object: all others are dropped; with Shift that one is"),
)
"""The tools of this section in the order of their buttons."""

_ANYWHERE = "Anywhere"
_AMOUNT_WIDTH = 92


@dataclass(frozen=True, slots=True)
class _Choice:
    """An operation to choose: its words, how it is made of an amount and the axis in view, and that amount."""

    words: str
    tip: str
    make: Callable[[float, int], Operation]
    unit: str = ""
    usual: float = 0.0


_CHOICES = (
    _Choice("Smooth", "Round off spikes and notches of about this size", lambda mm, _: Smooth(mm), "mm", 1.0),
    _Choice("Grow", "Take in what lies within this distance", lambda mm, _: Grow(mm), "mm", 2.0),
    _Choice("Shrink", "Give up what lies within this distance of the surface", lambda mm, _: Shrink(mm), "mm", 2.0),
    _Choice("Fill holes in slices", "Fill holes in each slice of this direction", lambda _, axis: FillHoles(axis)),
    _Choice("Fill holes in 3-D", "Fill only holes that are closed in all directions", lambda _, __: FillHoles()),
    _Choice("Drop small islands", "Drop pieces smaller than this", lambda ml, _: DropIslands(ml), "ml", 0.1),
    _Choice("Keep largest piece", "Drop all pieces but the largest", lambda _, __: KeepLargest()),
)


class EditSection(Section):
    """Edit by hand.

    Attributes
    ----------
    tool_selected : Signal(str)
        As in `MedfmPanel`.
    """

    tool_selected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Edit by hand", parent)
        self._session: AnnotationSession | None = None
        self._hand: Hand | None = None
        self._window: Callable[[], Window] | None = None
        self._plane = Plane()
        self._build_brushes()
        self._build_operations()
        self._wire()
        self._show_operation()
        self._enable()
        self.collapse(animate=False)

    def bind(self, session: AnnotationSession, hand: Hand, window: Callable[[], Window], wiring: Wiring) -> None:
        """Edit the objects of a session; `window` returns what the model sees, the range to begin with."""
        self._session, self._hand, self._window = session, hand, window
        wiring.connect(hand.events.brush_changed, self._show_brush)
        wiring.connect(hand.events.previewed, self._show_preview)
        wiring.connect(hand.events.busy_changed, self._show_busy)
        wiring.connect(hand.events.shaped, self._show_outcome)
        wiring.connect(hand.events.failed, self._fail)
        wiring.connect(session.events.classes_changed, self._list_classes)
        self._list_classes()
        self._take_window()
        self._enable()

    def unbind(self) -> None:
        """Edit nothing."""
        self._session = self._hand = self._window = None
        self.preview.setChecked(False)
        self.outcome.setText("")
        self._list_classes()
        self._enable()

    def set_tool(self, name: str) -> None:
        """Show which tool is in the hand, if it is one of these."""
        self._group.setExclusive(False)
        for tool, button in self.tools.items():
            button.setChecked(tool == name)
        self._group.setExclusive(True)

    def set_plane(self, plane: Plane) -> None:
        """Preview on another slice."""
        turned, self._plane = plane.axis != self._plane.axis, plane
        if self._hand is not None and self.preview.isChecked():
            if turned:
                self._preview()
            else:
                self._hand.show(plane)

    def _build_brushes(self) -> None:
        self.tools = {tool.name: ToolButton(tool.label, tool.tip, glyph=tool.name) for tool in EDIT_TOOLS}
        self._group = QButtonGroup(self)
        for button in self.tools.values():
            self._group.addButton(button)
        self.diameter = _amount_box("Diameter of the brush", 0.1, 200)
        self.diameter.setSuffix(" mm")
        self.low, self.high = _amount_box("Lowest value", -1e9, 1e9), _amount_box("Highest value", -1e9, 1e9)
        self.low.setToolTip("The range brush paints values from here")
        self.high.setToolTip("The range brush paints values up to here")
        self.reset_range = CompactButton("Window range", "Take the range of the window; Alt-click picks another")
        self.inside = choice()
        self.inside.setToolTip("Brushes, Grow and Smooth add voxels only inside objects of this class")
        grid = QGridLayout()
        grid.setSpacing(5)
        grid.addWidget(caption("Brush", self.diameter), 0, 0)
        grid.addWidget(self.diameter, 0, 1)
        grid.addWidget(self.reset_range, 0, 2)
        grid.addWidget(caption("Range", self.low), 1, 0)
        grid.addWidget(self.low, 1, 1)
        grid.addWidget(self.high, 1, 2)
        grid.addWidget(caption("Inside", self.inside), 2, 0)
        grid.addWidget(self.inside, 2, 1, 1, 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(2, 1)
        self.rows.addLayout(row(*self.tools.values()))
        self.rows.addLayout(grid)

    def _build_operations(self) -> None:
        self.operations = choice()
        self.operations.setAccessibleName("Operation")
        for each in _CHOICES:
            self.operations.addItem(each.words, each)
        self.amount = _amount_box("Amount", 0.01, 1000)
        self.preview = CompactButton("Preview", "Show on the slice in view what would be added, and in red removed")
        self.preview.setCheckable(True)
        self.apply = CompactButton("Apply", "Do it to the whole object; one undo takes it back", glyph="check")
        self.outcome = Line(tip="What the operation does to the active object")
        self.rows.addLayout(row(self.operations, self.amount, stretch=0))
        self.rows.addLayout(row(self.preview, self.apply))
        self.rows.addWidget(self.outcome)

    def _wire(self) -> None:
        self._group.buttonClicked.connect(self._select_tool)
        for box in (self.diameter, self.low, self.high):
            box.valueChanged.connect(self._choose_brush)
        self.reset_range.clicked.connect(self._take_window)
        self.inside.activated.connect(self._choose_inside)
        self.operations.activated.connect(self._choose_operation)
        self.amount.valueChanged.connect(self._look)
        self.preview.toggled.connect(self._preview)
        self.apply.clicked.connect(self._apply)
        self.toggled.connect(self._stop_preview)

    def _select_tool(self, button: ToolButton) -> None:
        self.tool_selected.emit(next(name for name, other in self.tools.items() if other is button))

    def _choose_brush(self) -> None:
        if self._hand is not None:
            self._hand.set_brush(Brush(self.diameter.value() / 2, low=self.low.value(), high=self.high.value()))

    def _take_window(self) -> None:
        if self._hand is not None and self._window is not None:
            window = self._window()
            self._hand.set_brush(replace(self._hand.brush, low=window.low, high=window.high))
            self._show_brush(self._hand.brush)

    def _show_brush(self, brush: Brush) -> None:
        decimals = max(0, min(6, 2 - int(np.floor(np.log10(max(brush.high - brush.low, 1e-6))))))
        shown = (
            (self.diameter, 2 * brush.radius, 1),
            (self.low, brush.low, decimals),
            (self.high, brush.high, decimals),
        )
        for box, value, places in shown:
            with signals_blocked(box):
                box.setDecimals(places)
                box.setValue(value)

    def _list_classes(self) -> None:
        names = [known.name for known in self._session.state.classes] if self._session is not None else []
        with signals_blocked(self.inside):
            kept = self.inside.currentText()
            self.inside.clear()
            self.inside.addItems([_ANYWHERE, *names])
            self.inside.setCurrentIndex(max(0, self.inside.findText(kept)))
        self._choose_inside()

    def _choose_inside(self) -> None:
        if self._hand is not None:
            self._hand.inside = self.inside.currentText() if self.inside.currentIndex() > 0 else None
            self._preview()

    def _operation(self) -> Operation:
        chosen: _Choice = self.operations.currentData()
        return chosen.make(self.amount.value(), self._plane.axis)

    def _choose_operation(self) -> None:
        self._show_operation()
        self._look()

    def _show_operation(self) -> None:
        chosen: _Choice = self.operations.currentData()
        self.operations.setToolTip(chosen.tip)
        self.amount.setVisible(bool(chosen.unit))
        with signals_blocked(self.amount):
            self.amount.setSuffix(f" {chosen.unit}")
            self.amount.setDecimals(2 if chosen.unit == "ml" else 1)
            self.amount.setValue(chosen.usual)

    def _look(self) -> None:
        """Preview what was chosen: whoever chooses wants to see it."""
        if self._hand is not None and not self.preview.isChecked():
            self.preview.setChecked(True)
        else:
            self._preview()

    def _preview(self) -> None:
        if self._hand is None:
            return
        if self.preview.isChecked():
            self._hand.preview(self._operation(), self._plane)
        else:
            self._hand.clear_preview()

    def _stop_preview(self, unfolded: bool) -> None:
        if not unfolded:
            self.preview.setChecked(False)

    def _apply(self) -> None:
        if self._hand is not None:
            self.preview.setChecked(False)
            self._hand.shape(self._operation())

    def _show_preview(self, change: SliceChange | None) -> None:
        if change is not None:
            added, removed = int(change.added.sum()), int(change.removed.sum())
            self.outcome.setText(f"On this slice: {describe_change(added, removed)}")
        elif self.preview.isChecked():
            self.outcome.setText("No object is active, or it is locked")
        else:
            self.outcome.setText("")

    def _show_busy(self, busy: bool) -> None:
        self.outcome.setText("Working…" if busy else "")
        self._enable()

    def _show_outcome(self, title: str, added: int, removed: int) -> None:
        self.outcome.setText(f"{title.capitalize()}: {describe_change(added, removed)}")

    def _fail(self, error: MedfmError) -> None:
        self.failed.emit(error)

    def _enable(self) -> None:
        writable = self._session is not None and not self._session.read_only
        for control in (*self.tools.values(), self.inside, self.operations, self.amount, self.preview):
            control.setEnabled(writable)
        self.apply.setEnabled(writable and not (self._hand is not None and self._hand.busy))


def describe_change(added: int, removed: int) -> str:
    """Return how many voxels come and go."""
    if not (added or removed):
        return "nothing changes"
    parts = [f"{sign}{count}" for sign, count in (("+", added), ("\N{MINUS SIGN}", removed)) if count]
    return " ".join(parts) + " voxels"


def _amount_box(name: str, low: float, high: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setDecimals(1)
    box.setAccessibleName(name)
    box.setToolTip(name)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(_AMOUNT_WIDTH)
    box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    return box
