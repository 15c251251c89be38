"""What the two tables share: a compact look and cells that hold a glyph."""

from qtpy.QtCore import QModelIndex, QRectF, QSize, Qt
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_medfm._qt.glyphs import paint_glyph

GLYPH_ROLE = int(Qt.ItemDataRole.UserRole) + 1
"""Item role of a glyph's name."""

COLOUR_ROLE = GLYPH_ROLE + 1
"""Item role of a colour that is shown as a swatch."""

GLYPH_COLUMN = 22
"""Width of a column of glyphs, in pixels."""

ROW_HEIGHT = 24
"""Height of a row, in pixels."""

_THEME_PADDING = 4  # what style sheets may add around the rows


class GlyphDelegate(QStyledItemDelegate):
    """Paint the glyph that an item names, in the view's text colour."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint background, selection and glyph."""
        super().paint(painter, option, index)
        name = index.data(GLYPH_ROLE)
        if name:
            selected = bool(option.state & QStyle.StateFlag.State_Selected)
            role = option.palette.ColorRole.HighlightedText if selected else option.palette.ColorRole.Text
            paint_glyph(painter, name, QRectF(option.rect).adjusted(4, 4, -4, -4), option.palette.color(role))

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the room of a glyph."""
        return QSize(GLYPH_COLUMN, ROW_HEIGHT)


def make_compact(view: QTableView) -> None:
    """Give a table the look of a list of things: whole rows, no grid, even heights."""
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.setTabKeyNavigation(False)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.verticalHeader().hide()
    view.verticalHeader().setMinimumSectionSize(ROW_HEIGHT)
    view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    view.horizontalHeader().setMinimumSectionSize(GLYPH_COLUMN)
    view.horizontalHeader().setHighlightSections(False)
    view.horizontalHeader().setStyleSheet("QHeaderView::section { border: none; }")
    view.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)


def fit_rows(view: QTableView, rows: int) -> None:
    """Make a table just high enough for its header, if it has one, and so many rows."""
    header = view.horizontalHeader()
    top = 0 if header.isHidden() else header.sizeHint().height()
    view.setFixedHeight(top + rows * ROW_HEIGHT + 2 * view.frameWidth() + _THEME_PADDING)
