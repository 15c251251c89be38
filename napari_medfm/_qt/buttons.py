"""Push buttons that fit a narrow panel; they keep the theme's own button style."""

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPaintEvent
from qtpy.QtWidgets import QPushButton, QSizePolicy, QStyle, QStyleOptionButton, QStylePainter, QWidget

from napari_medfm._qt.glyphs import paint_glyph

_GLYPH_SIDE = 18
_MARGIN = 4
_FAINT = 0.6


class CompactButton(QPushButton):
    """A button with a glyph and a text that is cut with an ellipsis when room is short.

    Parameters
    ----------
    text : str
        Label; also the accessible name.
    tip : str
        Tooltip, a sentence.
    glyph : str
        Name of a glyph left of the text, or empty.
    hint : str
        Key that does the same, shown in a corner and in the tooltip, or empty.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, text: str, tip: str, *, glyph: str = "", hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._glyph, self._hint = glyph, hint
        self.setAccessibleName(text)
        self.set_tip(tip)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_tip(self, tip: str) -> None:
        """Set the tooltip; the key is added to it."""
        self.setToolTip(f"{tip} (key: {self._hint})" if self._hint else tip)

    def sizeHint(self) -> QSize:
        """Return the room for glyph, text and key."""
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self.text()) + 4 * _MARGIN
        width += (_GLYPH_SIDE + _MARGIN) * bool(self._glyph) + (metrics.horizontalAdvance(self._hint) + _MARGIN) * bool(
            self._hint
        )
        return QSize(width, metrics.height() + 3 * _MARGIN)

    def minimumSizeHint(self) -> QSize:
        """Return the least room in which the text is still cut sensibly."""
        return QSize(min(56, self.sizeHint().width()), self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the theme's button, then what is on it."""
        painter = QStylePainter(self)
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text, option.icon = "", QIcon()
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        colour = self.palette().color(self.foregroundRole())
        painter.setPen(colour)
        self._paint_content(painter, QRectF(self.rect()).adjusted(_MARGIN, 0, -_MARGIN, 0), colour)
        if self.hasFocus():
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
        painter.end()

    def _paint_content(self, painter: QStylePainter, area: QRectF, colour: QColor) -> None:
        metrics = self.fontMetrics()
        hint_room = metrics.horizontalAdvance(self._hint) + _MARGIN if self._hint else 0
        glyph_room = _GLYPH_SIDE + _MARGIN if self._glyph else 0
        text = metrics.elidedText(self.text(), Qt.TextElideMode.ElideRight, int(area.width() - hint_room - glyph_room))
        used = glyph_room + metrics.horizontalAdvance(text)
        left = area.left() + max(0.0, (area.width() - hint_room - used) / 2)
        if self._glyph:
            paint_glyph(painter, self._glyph, QRectF(left, 0, _GLYPH_SIDE, self.height()), colour)
        place = QRectF(left + glyph_room, 0, area.right() - left, self.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        self._paint_hint(painter, area)

    def _paint_hint(self, painter: QStylePainter, area: QRectF, where: Qt.AlignmentFlag | None = None) -> None:
        painter.setOpacity(_FAINT)
        side = Qt.AlignmentFlag.AlignVCenter if where is None else where
        painter.drawText(area, side | Qt.AlignmentFlag.AlignRight, self._hint)
        painter.setOpacity(1)


class ToolButton(CompactButton):
    """A checkable button with the glyph above the text and the key in the corner."""

    def __init__(self, text: str, tip: str, *, glyph: str, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, tip, glyph=glyph, hint=hint, parent=parent)
        self.setCheckable(True)

    def sizeHint(self) -> QSize:
        """Return the room for a glyph above a text."""
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self.text()) + 2 * _MARGIN, _GLYPH_SIDE + metrics.height() + 3 * _MARGIN)

    def _paint_content(self, painter: QStylePainter, area: QRectF, colour: QColor) -> None:
        paint_glyph(painter, self._glyph, QRectF(0, _MARGIN + 1, self.width(), _GLYPH_SIDE), colour)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, int(area.width()))
        bottom = area.adjusted(0, 0, 0, -_MARGIN)
        painter.drawText(bottom, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter, text)
        self._paint_hint(painter, area.adjusted(0, _MARGIN / 2, 0, 0), Qt.AlignmentFlag.AlignTop)
