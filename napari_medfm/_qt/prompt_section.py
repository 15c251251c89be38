"""Which tool is in the hand, what was prompted here, and the steps back and forth."""

from typing import NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton, ToolButton
from napari_medfm._qt.section import Line, Section, Wiring, active_object, row
from napari_medfm._qt.tables import GLYPH_COLUMN, GLYPH_ROLE, GlyphDelegate, fit_rows, make_compact
from napari_medfm.prompts import Point, Prompt, PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import Plane


class Tool(NamedTuple):
    """A tool: its name in signals, its label, key and tooltip."""

    name: str
    label: str
    key: str
    tip: str


TOOLS = (
    Tool("point", "Point", "P", "Click on the object, or on what is not the object"),
    Tool("box", "Box", "B", "Drag a box around the object"),
    Tool("scribble", "Scribble", "S", "Draw a line through the object"),
    Tool("lasso", "Lasso", "L", "Draw around what belongs to the object"),
    Tool("brush", "Brush", "2", "Paint voxels by hand; the model never changes them"),
    Tool("eraser", "Eraser", "1", "Erase voxels by hand; the model never brings them back"),
    Tool("move", "Move", "6", "Pan and zoom; clicks prompt nothing"),
)
"""The tools in the order of their buttons."""

_DELETE = 2  # column of the prompt table
_MOST_ROWS = 4


class PromptSection(Section):
    """Prompts.

    Attributes
    ----------
    tool_selected, sign_toggled, hover_toggled : Signal
        As in `MedfmPanel`.
    """

    tool_selected = Signal(str)
    sign_toggled = Signal(bool)
    hover_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Prompts", parent)
        self._session: AnnotationSession | None = None
        self._live: LiveSegmentation | None = None
        self._plane = Plane()
        self._shown: tuple[tuple[int, Prompt], ...] = ()
        self._build_tools()
        self._build_prompts()
        self._build_steps()
        self.prompts.hide()
        self._wire()
        self._refresh()

    def bind(self, session: AnnotationSession, live: LiveSegmentation | None, wiring: Wiring) -> None:
        """Show the prompts and the history of a session."""
        self._session, self._live = session, live
        wiring.connect(session.events.history_changed, self._refresh)  # follows every change
        self._refresh()

    def unbind(self) -> None:
        """Show nothing."""
        self._session = self._live = None
        self._refresh()

    def set_tool(self, name: str) -> None:
        """Show which tool is in the hand, if it is one of these."""
        self._group.setExclusive(False)
        for tool, button in self.tools.items():
            button.setChecked(tool == name)
        self._group.setExclusive(True)

    def set_positive(self, positive: bool) -> None:
        """Show whether prompts add or remove."""
        (self.add if positive else self.subtract).setChecked(True)

    def set_hover(self, on: bool) -> None:
        """Show whether a preview follows the mouse."""
        with signals_blocked(self.hover):
            self.hover.setChecked(on)

    def set_plane(self, plane: Plane) -> None:
        """List the prompts of another slice."""
        self._plane = plane
        self._refresh()

    def _build_tools(self) -> None:
        self.tools = {tool.name: ToolButton(tool.label, tool.tip, glyph=tool.name, hint=tool.key) for tool in TOOLS}
        self._group, self._signs = QButtonGroup(self), QButtonGroup(self)
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, button in enumerate(self.tools.values()):
            # Four above, three below, both as wide as the panel: twelve columns divide by four and by three.
            span, column = (3, 3 * place) if place < 4 else (4, 4 * (place - 4))
            grid.addWidget(button, place // 4, column, 1, span)
            self._group.addButton(button)
        for column in range(12):
            grid.setColumnStretch(column, 1)
        self.tools["point"].setChecked(True)
        self.add = CompactButton("Add", "Prompts add to the object", glyph="add", hint="T")
        self.subtract = CompactButton("Remove", "Prompts remove from the object", glyph="remove", hint="T")
        for button in (self.add, self.subtract):
            button.setCheckable(True)
            self._signs.addButton(button)
        self.add.setChecked(True)
        self.hover = QCheckBox("Preview under the mouse")
        self.hover.setToolTip("Show what a click here would give, before you click")
        self.hover.setChecked(True)
        self.rows.addLayout(grid)
        self.rows.addLayout(row(self.add, self.subtract))
        self.rows.addWidget(self.hover)

    def _build_prompts(self) -> None:
        self.count = Line(tip="The prompts of the active object on this slice")
        self.prompts = QTableWidget(0, 3)
        make_compact(self.prompts)
        self.prompts.setAccessibleName("Prompts on this slice")
        self.prompts.setToolTip("Delete a prompt with the cross or the Delete key; the mask follows")
        self.prompts.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.prompts.setItemDelegate(GlyphDelegate(self.prompts))
        header = self.prompts.horizontalHeader()
        header.hide()
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column in (0, _DELETE):
            self.prompts.setColumnWidth(column, GLYPH_COLUMN)
        self.rows.addWidget(self.count)
        self.rows.addWidget(self.prompts)

    def _build_steps(self) -> None:
        self.accept = CompactButton("Accept", "Accept the object as it is", glyph="check", hint="Enter")
        self.reset = CompactButton("Reset", "Take back all prompts, masks and hand edits of the object", hint="R")
        self.undo = CompactButton("Undo", "Nothing to undo")
        self.redo = CompactButton("Redo", "Nothing to redo")
        self.rows.addLayout(row(self.accept, self.reset))
        self.rows.addLayout(row(self.undo, self.redo))

    def _wire(self) -> None:
        self._group.buttonClicked.connect(self._select_tool)
        self._signs.buttonClicked.connect(self._select_sign)
        self.hover.toggled.connect(self.hover_toggled)
        self.prompts.cellClicked.connect(self._click)
        delete = QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.prompts)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._delete_current)
        self.accept.clicked.connect(self._accept)
        self.reset.clicked.connect(self._reset)
        self.undo.clicked.connect(self._undo)
        self.redo.clicked.connect(self._redo)

    def _select_tool(self, button: ToolButton) -> None:
        self.tool_selected.emit(next(name for name, other in self.tools.items() if other is button))

    def _select_sign(self) -> None:
        self.sign_toggled.emit(self.add.isChecked())

    def _accept(self) -> None:
        if self._session is not None:
            self.attempt(self._session.accept)

    def _reset(self) -> None:
        if self._session is not None:
            self.attempt(self._session.reset)

    def _undo(self) -> None:
        if self._session is not None:
            self.attempt(self._session.undo)

    def _redo(self) -> None:
        if self._session is not None:
            self.attempt(self._session.redo)

    def _delete_current(self) -> None:
        self._delete(self.prompts.currentRow())

    def _click(self, place: int, column: int) -> None:
        if column == _DELETE:
            self._delete(place)

    def _delete(self, place: int) -> None:
        owner = self._live or self._session
        if owner is not None and 0 <= place < len(self._shown):
            self.attempt(owner.remove_prompt, self._shown[place][0])

    def _refresh(self) -> None:
        self._list_prompts()
        self._show_steps()

    def _list_prompts(self) -> None:
        active = active_object(self._session)
        shown = prompts_on(active.prompts, self._plane) if active is not None else ()
        self.count.setText(_count(len(shown)) if active is not None else "No object is active")
        if shown == self._shown:
            return
        self._shown = shown
        self.prompts.setRowCount(len(shown))
        for place, (_, prompt) in enumerate(shown):
            for column, item in enumerate(_items(prompt)):
                self.prompts.setItem(place, column, item)
        self.prompts.setVisible(bool(shown))
        fit_rows(self.prompts, min(len(shown), _MOST_ROWS))
        self.prompts.scrollToBottom()

    def _show_steps(self) -> None:
        session = self._session
        can_change = session is not None and not session.read_only and session.state.active is not None
        self.accept.setEnabled(can_change)
        self.reset.setEnabled(can_change)
        _show_step(self.undo, "Undo", session.undo_name if session and session.can_undo else "", "Ctrl+Z")
        _show_step(self.redo, "Redo", session.redo_name if session and session.can_redo else "", "Ctrl+Shift+Z")


def prompts_on(prompts: PromptSet, plane: Plane) -> tuple[tuple[int, Prompt], ...]:
    """Return the prompts on a plane, each with its number among all prompts of the object."""
    return tuple((number, prompt) for number, prompt in enumerate(prompts) if prompt.plane == plane)


def _count(number: int) -> str:
    if number == 0:
        return "No prompts on this slice yet"
    return f"{number} prompt{'s' if number > 1 else ''} on this slice"


def _items(prompt: Prompt) -> tuple[QTableWidgetItem, QTableWidgetItem, QTableWidgetItem]:
    kind, text, delete = QTableWidgetItem(), QTableWidgetItem(describe_prompt(prompt)), QTableWidgetItem()
    kind.setData(GLYPH_ROLE, prompt.kind)
    delete.setData(GLYPH_ROLE, "delete")
    delete.setToolTip("Delete this prompt; the mask follows")
    delete.setData(Qt.ItemDataRole.AccessibleTextRole, f"Delete: {text.text()}")
    return kind, text, delete


def describe_prompt(prompt: Prompt) -> str:
    """Return sign, kind and place of a prompt in one line."""
    sign = "+" if prompt.positive else "\N{MINUS SIGN}"
    where = f" at {prompt.position[0]:.0f}, {prompt.position[1]:.0f}" if isinstance(prompt, Point) else ""
    kind = "Mask from before" if prompt.kind == "mask" else prompt.kind.capitalize()
    return f"{sign} {kind}{where}"


def _show_step(button: CompactButton, verb: str, step: str, key: str) -> None:
    button.setEnabled(bool(step))
    button.setText(f"{verb}: {step}" if step else verb)
    button.setToolTip(f"{verb} “{step}” ({key})" if step else f"Nothing to {verb.lower()} ({key})")
