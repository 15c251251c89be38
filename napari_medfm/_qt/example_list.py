"""The slices that a model learns from, as small pictures that can be left out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget
from superqt.utils import signals_blocked

from napari_medfm.session import Earlier, Example

_PICTURE = 56
_SPARE = 4


class ExampleList(QListWidget):
    """A row of pictures with ticks; each item holds its slice, or the file of one of an earlier image."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setFlow(QListWidget.Flow.LeftToRight)
        self.setMovement(QListWidget.Movement.Static)
        self.setWrapping(False)
        self.setIconSize(QSize(_PICTURE, _PICTURE))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Slices to learn from")
        self.setToolTip("Complete slices: untick one to leave it out, double-click to go there")

    def show_examples(self, items: Sequence[Example], earlier: Sequence[Earlier]) -> None:
        """Show slices of this image and of earlier ones; nothing is told, and the place in the row stays."""
        place = self.horizontalScrollBar().value()
        with signals_blocked(self):
            self.clear()
            for example in items:
                self.addItem(_as_item(example))
            for each in earlier:
                self.addItem(_as_earlier_item(each))
        self.setVisible(bool(items or earlier))
        self._fit()
        self.horizontalScrollBar().setValue(place)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave room below the pictures for a scroll bar if one is needed."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        sizes = [self.visualItemRect(self.item(number)) for number in range(self.count())]
        wide = sum(size.width() for size in sizes) > self.viewport().width()
        bar = self.horizontalScrollBar().sizeHint().height() if wide else 0
        tallest = max((size.height() for size in sizes), default=_PICTURE)
        self.setFixedHeight(tallest + 2 * self.frameWidth() + bar + _SPARE)


def _as_item(example: Example) -> QListWidgetItem:
    labelled = example.labelled
    item = _ticked(f"{labelled.plane.index + 1}" + ("" if labelled.is_positive else " none"), example.left_out)
    item.setToolTip(labelled.title)
    item.setData(Qt.ItemDataRole.UserRole, labelled.plane)
    if example.picture is not None:
        item.setIcon(QIcon(as_pixmap(example.picture)))
    return item


def _as_earlier_item(earlier: Earlier) -> QListWidgetItem:
    item = _ticked("earlier", earlier.left_out)
    item.setToolTip(earlier.shelved.title)
    item.setData(Qt.ItemDataRole.UserRole, earlier.shelved.path)
    item.setIcon(QIcon(as_pixmap(earlier.shelved.picture)))
    return item


def _ticked(text: str, left_out: bool) -> QListWidgetItem:
    item = QListWidgetItem(text)
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Unchecked if left_out else Qt.CheckState.Checked)
    return item


def as_pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    """Return a picture, (rows, columns, 3 or 4) uint8, as Qt shows it."""
    rows, columns, channels = picture.shape
    layout = QImage.Format.Format_RGBA8888 if channels == 4 else QImage.Format.Format_RGB888
    return QPixmap.fromImage(QImage(picture.tobytes(), columns, rows, channels * columns, layout))
