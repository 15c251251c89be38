"""A strip as long as the slice slider that shows which slices are worth a look."""

from collections.abc import Mapping

from qtpy.QtCore import QEvent, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

_HEIGHT = 16
_COLD, _HOT, _DONE = QColor("#4a4f57"), QColor("#ff9e1b"), QColor("#2fa36b")


class SliceStrip(QWidget):
    """One mark for each slice: the brighter, the more is expected from labelling it; green ones are labelled.

    Attributes
    ----------
    clicked : Signal(int)
        Index of a slice that was clicked.
    """

    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._count, self._current = 1, 0
        self._gains: Mapping[int, float] = {}
        self._done: frozenset[int] = frozenset()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Slices worth a look")

    @property
    def gains(self) -> Mapping[int, float]:
        """What is expected from each slice, 0..1, by index."""
        return self._gains

    def show_slices(self, count: int, gains: Mapping[int, float], done: frozenset[int]) -> None:
        """Show so many slices, what is expected from them, and which are labelled."""
        self._count, self._gains, self._done = max(1, count), dict(gains), done
        self.update()

    def show_current(self, index: int) -> None:
        """Mark the slice that is in view."""
        self._current = index
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to a slice."""
        self.clicked.emit(self._index_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say what is under the pointer."""
        index = self._index_at(event.position().x())
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(index), self)

    def event(self, event: QEvent) -> bool:
        """Let no tooltip of the panel stand over that of a slice."""
        return True if event.type() == QEvent.Type.ToolTip else bool(super().event(event))

    def describe(self, index: int) -> str:
        """Return what is known of a slice."""
        if index in self._done:
            return f"Slice {index + 1}: labelled"
        gain = self._gains.get(index)
        return f"Slice {index + 1}" if gain is None else f"Slice {index + 1}: expected gain {gain:.0%}"

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint a mark for each slice, and where one is."""
        painter = QPainter(self)
        most = max(self._gains.values(), default=0.0) or 1.0
        for index in range(self._count):
            painter.fillRect(self._place(index), self._colour(index, most))
        pen = self.palette().color(self.foregroundRole())
        painter.setPen(pen)
        painter.drawRect(self._place(self._current).adjusted(-1, 0, 0, -1))
        painter.end()

    def _colour(self, index: int, most: float) -> QColor:
        if index in self._done:
            return _DONE
        share = self._gains.get(index, 0.0) / most
        parts = zip(_COLD.getRgb()[:3], _HOT.getRgb()[:3], strict=True)
        return QColor(*(round(cold + (hot - cold) * share) for cold, hot in parts))

    def _place(self, index: int) -> QRectF:
        width = self.width() / self._count
        gap = 1.0 if width > 4 else 0.0
        return QRectF(index * width, 2, max(1.0, width - gap), self.height() - 4)

    def _index_at(self, x: float) -> int:
        return min(self._count - 1, max(0, int(x * self._count / max(1, self.width()))))
