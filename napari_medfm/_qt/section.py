"""What every section of the panel is made of: a title that folds, elided lines, banners, and wiring that lets go."""

import re
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

from psygnal import SignalInstance
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QColor, QResizeEvent
from qtpy.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible, QElidingLabel

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.glyphs import Mark, glyph_icon
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession, SegmentedObject

READER = "Your name, initials or a pseudonym"
READER_TIP = "Who you are: it is written to the project, and to the journals of the cases that you take"
"""What is said of the field in which people name themselves."""

_UNLIMITED = 16_777_215  # QWIDGETSIZE_MAX
_SPACING = 5
_BREAK = "\N{ZERO WIDTH SPACE}"
_LONG_RUN = re.compile(r"\S{24}(?=\S)")  # longer words may be broken: file names, digests


class Wiring:
    """Connections from a model's signals to a view, all undone at once."""

    def __init__(self) -> None:
        self._made: list[tuple[SignalInstance, WeakMethod[Callable[..., object]]]] = []

    def connect(self, signal: SignalInstance, slot: Callable[..., object]) -> None:
        """Connect a bound method; neither side is kept alive by it."""
        signal.connect(slot)
        self._made.append((signal, WeakMethod(slot)))

    def release(self) -> None:
        """Undo every connection; harmless when repeated."""
        made, self._made = self._made, []
        for signal, reference in made:
            slot = reference()
            if slot is not None:
                signal.disconnect(slot, missing_ok=True)


class Section(QCollapsible):
    """A titled part of the panel that can be folded away.

    Parameters
    ----------
    title : str
        Shown in the header.
    parent : QWidget, optional
        Owner.

    Attributes
    ----------
    failed : Signal(MedfmError)
        Something the user asked for was refused.
    """

    failed = Signal(object)

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        black = QColor("black")  # until the theme is known
        super().__init__(title, parent, glyph_icon("unfolded", black), glyph_icon("folded", black))
        self._title = title
        self.rows = QVBoxLayout()
        self.rows.setContentsMargins(2, 2, 2, 6)
        self.rows.setSpacing(_SPACING)
        body = QWidget()
        body.setLayout(self.rows)
        self.setContent(body)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        # superqt caps the height at a hint that knows nothing of wrapped text.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.setDuration(0)
        self._dress_header()
        self.toggled.connect(self._free_height)
        self.expand(animate=False)

    def attempt(self, action: Callable[..., object], *arguments: Any) -> None:
        """Do what the user asked for; a refusal leaves as `failed`."""
        try:
            action(*arguments)
        except MedfmError as error:
            self.failed.emit(error)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            header = self.toggleButton()
            colour = header.palette().color(header.foregroundRole())
            self.setExpandedIcon(glyph_icon("unfolded", colour))
            self.setCollapsedIcon(glyph_icon("folded", colour))

    def _dress_header(self) -> None:
        header = self.toggleButton()
        # A header is no button: it takes the theme's colours but not its raised, accented look.
        header.setStyleSheet(
            "QPushButton { text-align: left; border: none; font-weight: bold; padding: 3px; }"
            "QPushButton:!hover { background: transparent; }"
            "QPushButton:focus { text-decoration: underline; }"
        )
        header.setAccessibleName(self._title)
        header.setToolTip(f"Fold or unfold: {self._title}")

    def _free_height(self, expanded: bool) -> None:
        # superqt fixes the height of the content; ours may change, such as when a text wraps.
        self.content().setMaximumHeight(_UNLIMITED if expanded else 0)
        self.content().setVisible(expanded)  # else Tab leads into what cannot be seen


class Line(QElidingLabel):
    """One line of text, cut with an ellipsis when room is short; the tooltip holds all of it."""

    def __init__(self, text: str = "", *, tip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._tip = tip
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self.setToolTip("\n".join(part for part in (text, self._tip) if part))
        self.setAccessibleName(text)


class Paragraph(QLabel):
    """A text of any length that wraps, also within long names, and can be copied."""

    def __init__(self, text: str = "", *, tip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole: str | None = None
        self.setWordWrap(True)
        self.setMinimumWidth(1)  # else the longest word decides how narrow the panel can be
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setToolTip(tip)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show a text."""
        if text == self._whole:
            return
        self._whole = text
        super().setText(_LONG_RUN.sub(rf"\g<0>{_BREAK}", text))
        self._take_height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take the height that the new width asks for."""
        super().resizeEvent(event)
        self._take_height()

    def changeEvent(self, event: QEvent) -> None:
        """Take the height that another font asks for."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._take_height()

    def text(self) -> str:
        """Return the text as it was given."""
        return self._whole or ""

    def _take_height(self) -> None:
        # Folding sections and scroll areas ask for hints that know nothing of the width, and deal out room to spare.
        self.setMinimumHeight(0)  # else the height that is asked for is at least the one of before, and at most
        self.setMaximumHeight(_UNLIMITED)
        self.setFixedHeight(max(0, self.heightForWidth(self.width())))


class Banner(QFrame):
    """A notice that stays until its reason is gone or it is dismissed.

    Parameters
    ----------
    glyph : str
        ``warning`` or ``information``.
    dismissable : bool
        Whether it can be closed.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, glyph: str, *, dismissable: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setProperty("foreground", "true")  # napari's themes give such frames a shade of their own
        icon = Mark(glyph)
        self._text = Paragraph()
        self.buttons = QHBoxLayout()
        top = row(icon, self._text, stretch=1)
        top.setAlignment(icon, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(top)
        layout.addLayout(self.buttons)
        if dismissable:
            self._add_dismissal(top)
        self.hide()

    def _add_dismissal(self, top: QHBoxLayout) -> None:
        button = CompactButton("", "Dismiss this notice", glyph="delete")
        button.setAccessibleName("Dismiss")
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        button.clicked.connect(self.hide)
        top.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)

    @property
    def text(self) -> str:
        """What it says, empty while it is hidden."""
        return "" if self.isHidden() else self._text.text()

    def say(self, text: str) -> None:
        """Show a text; hide the notice if there is none."""
        self._text.setText(text)
        self.setVisible(bool(text))


def row(*parts: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Lay parts out side by side; the part numbered `stretch`, or else all, take what room is left."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_SPACING)
    for number, part in enumerate(parts):
        layout.addWidget(part, int(stretch in (None, number)))
    return layout


def scrolled(body: QWidget) -> QScrollArea:
    """Return an area that shows as much of a widget as there is room for, in all of its width."""
    scroll = QScrollArea()
    scroll.setWidget(body)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QScrollArea.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return scroll


def choice() -> QComboBox:
    """Return a combo box that may be narrower than its longest entry."""
    box = QComboBox()
    box.setMinimumContentsLength(6)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box


def caption(text: str, buddy: QWidget) -> QLabel:
    """Return the label of a control, which also names it to a screen reader."""
    label = QLabel(text)
    label.setBuddy(buddy)
    label.setToolTip(buddy.toolTip())
    buddy.setAccessibleName(text)
    return label


def active_object(session: AnnotationSession | None) -> SegmentedObject | None:
    """Return the object that prompts go to, if there is a session and one is active."""
    if session is None or session.state.active is None:
        return None
    return session.state.object()
