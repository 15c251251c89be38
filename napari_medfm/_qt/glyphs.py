"""Small line drawings in any colour, so that icons follow the theme's text colour."""

from functools import lru_cache

from qtpy.QtCore import QByteArray, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPaintEvent, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QWidget

# Bodies of 16 x 16 SVG drawings; stroke and `currentColor` are set when they are drawn.
_BODIES = {
    "point": '<circle cx="8" cy="8" r="2.2" fill="currentColor"/><path d="M8 1v3M8 12v3M1 8h3M12 8h3"/>',
    "box": '<rect x="2.5" y="3.5" width="11" height="9" stroke-dasharray="2.6 1.7"/>',
    "scribble": '<path d="M2 11C4 3 6 2 7 6S6 13 9 12 10 5 14 4"/>',
    "lasso": '<path d="M6 11C0 10 1 3 8 2.5S15.5 9 10 11C7 12 4 11 4 13c0 1 1 1.5 2 1.5"/>',
    "brush": '<path d="M14 2 7.5 8.5M7 8.5c-3 0-2.5 4-5 4.5 3 2 7.5 1 7-2.5z"/>',
    "eraser": '<path d="M6 13.5 2.5 10 9.5 3l4.5 4.5-6 6zM5.5 7l4.5 4.5M6 13.5h8"/>',
    "range": '<path d="M14 2 8.5 7.5M8 7.5c-3 0-2.5 4-5 4.5 3 2 7.5 1 7-2.5z"/><path d="M2 2v8M1 2h2M1 10h2"/>',
    "sphere": '<circle cx="8" cy="8" r="6"/><path d="M2 8c2 2.6 10 2.6 12 0"/>'
    '<path d="M2 8c2-2.6 10-2.6 12 0" stroke-dasharray="1.5 1.5"/>',
    "piece": '<path d="M2.5 4c1-3 6-3 6.5 0s-1 5-3.5 4.5-4-1.5-3-4.5z" fill="currentColor" fill-opacity="0.5"/>'
    '<path d="M10.5 10c1-1.5 3.5-1 3.5 1s-2.5 3-3.5 1.5-.5-1.8 0-2.5z" stroke-dasharray="1.5 1.3"/>',
    "move": '<path d="M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2"/>',
    "add": '<path d="M8 3v10M3 8h10"/>',
    "remove": '<path d="M3 8h10"/>',
    "mask": '<path d="M3 6c1-4 8-5 10-1s-1 9-5 9-6-4-5-8z" fill="currentColor" fill-opacity="0.35"/>',
    "delete": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "check": '<path d="M3 8.5l3.5 3.5L13 4.5" stroke-width="2"/>',
    "locked": '<rect x="3.5" y="7.5" width="9" height="6.5" rx="1"/><path d="M5.5 7.5V5a2.5 2.5 0 015 0v2.5"/>',
    "unlocked": '<g stroke-opacity="0.45"><rect x="3.5" y="7.5" width="9" height="6.5" rx="1"/>'
    '<path d="M5.5 7.5V4.5a2.5 2.5 0 014.8-1"/></g>',
    "visible": '<path d="M1 8c3-5 11-5 14 0-3 5-11 5-14 0z"/><circle cx="8" cy="8" r="2" fill="currentColor"/>',
    "hidden": '<g stroke-opacity="0.45"><path d="M1 8c3-5 11-5 14 0-3 5-11 5-14 0zM3 13L13 3"/></g>',
    "folded": '<path d="M6 4l4 4-4 4"/>',
    "unfolded": '<path d="M4 6l4 4 4-4"/>',
    "warning": '<path d="M8 2l6.5 11.5h-13zM8 6.5v3.5M8 11.6v.4"/>',
    "information": '<circle cx="8" cy="8" r="6"/><path d="M8 7.5v3.5M8 5v.4"/>',
}

GLYPHS = frozenset(_BODIES)
"""Names that `paint_glyph` and `glyph_icon` know."""

_OVERSAMPLING = 3  # drawn larger than shown, so that it stays sharp on any display


@lru_cache(maxsize=512)
def _image(name: str, colour: str, side: int) -> QImage:
    body = _BODIES[name].replace("currentColor", colour)
    frame = 'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke-width="1.3"'
    svg = f'<svg {frame} stroke="{colour}" stroke-linecap="round" stroke-linejoin="round">{body}</svg>'
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter)
    painter.end()
    return image


def paint_glyph(painter: QPainter, name: str, area: QRectF, colour: QColor) -> None:
    """Paint a glyph into the largest square in the middle of `area`."""
    side = min(area.width(), area.height())
    square = QRectF(0, 0, side, side)
    square.moveCenter(area.center())
    painter.save()
    painter.setOpacity(painter.opacity() * colour.alphaF())
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(square, _image(name, colour.name(), round(side * _OVERSAMPLING)))
    painter.restore()


def glyph_icon(name: str, colour: QColor, side: int = 16) -> QIcon:
    """Return a glyph in one colour as an icon of `side` pixels."""
    pixmap = QPixmap.fromImage(_image(name, colour.name(), side * _OVERSAMPLING))
    pixmap.setDevicePixelRatio(_OVERSAMPLING)
    return QIcon(pixmap)


class Mark(QWidget):
    """A glyph on its own, in the text colour of the theme.

    Parameters
    ----------
    name : str
        One of `GLYPHS`.
    side : int
        Width and height in pixels.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, name: str, side: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self.setFixedSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the glyph."""
        painter = QPainter(self)
        paint_glyph(painter, self._name, QRectF(self.rect()), self.palette().color(self.foregroundRole()))
        painter.end()
