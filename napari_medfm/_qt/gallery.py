"""A gallery of what looks like a lesion: pictures with boxes, best first, to be opened, accepted or refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QLineEdit,
    QListView,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import READER, READER_TIP, Line, Paragraph, caption, row

_SIDE = 112
_CELL = QSize(_SIDE + 24, _SIDE + 50)
_SIZE = QSize(640, 560)
_BOX, _ACCEPTED, _GROUND = QColor(255, 205, 0), QColor(90, 200, 110), QColor(20, 20, 20)
_KEY = int(Qt.ItemDataRole.UserRole)


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of the gallery.

    Attributes
    ----------
    key : int
        Names it in the signals.
    picture : ndarray of uint8, (rows, columns[, 3])
        What is shown.
    frame : (float, float, float, float)
        First row, first column, last row, last column of the box in it, in its pixels.
    score : float
        How much alike.
    title : str
        Where it is.
    accepted : bool
        Whether somebody said that it is one.
    """

    key: int
    picture: NDArray[np.uint8]
    frame: tuple[float, float, float, float]
    score: float
    title: str
    accepted: bool = False


class LookAlikeGallery(QDialog):
    """Candidates of a search, which fill it as they come in.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.

    Attributes
    ----------
    where_requested : Signal()
        Choose a folder or project, and search it.
    stop_requested : Signal()
        Search no further; what was found stays.
    open_requested : Signal(int)
        Open the image of a tile, by its key.
    accept_requested, refuse_requested : Signal(int)
        It is one; it is none.
    reader_changed : Signal(str)
        Who says so.
    """

    where_requested = Signal()
    stop_requested = Signal()
    open_requested = Signal(int)
    accept_requested = Signal(int)
    refuse_requested = Signal(int)
    reader_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Look-alikes")
        self.subject, self.status, self.problems = Paragraph(), Line("Nothing searched yet"), Line()
        self.where = CompactButton("Search in…", "Choose the folder of a project, or of images")
        self.stop = CompactButton("Stop", "Search no further; what was found stays")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.open = CompactButton("Open", "Open the image at this slice, with the box as a prompt", hint="double-click")
        self.accept_one = CompactButton("Accept", "It is one", glyph="check")
        self.refuse = CompactButton("Not one", "It is none: what looks like it falls behind", glyph="delete")
        self.name = QLineEdit()
        self.name.setPlaceholderText(READER)
        self.name.setToolTip(READER_TIP)
        self.person = QWidget()
        self._build_tiles()
        self._lay_out()
        self._wire()
        self.show_progress(0, 0)
        self._enable()

    @property
    def reader(self) -> str:
        """Who is at work; empty if nobody said so."""
        return str(self.name.text()).strip()

    def set_reader(self, name: str, *, asked: bool) -> None:
        """Say who is at work; the name can be seen and changed if it is asked for."""
        self.name.setText(name)
        self.person.setVisible(asked)

    def set_subject(self, text: str) -> None:
        """Say what is looked for."""
        self.subject.setText(text)

    def show_progress(self, done: int, total: int) -> None:
        """Show how many images of all were searched; 0 of 0 while nothing is."""
        searching = done < total
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)
        self.bar.setVisible(searching)
        self.stop.setEnabled(searching)
        if total:
            self.status.setText(f"{done} of {total} images searched")

    def show_status(self, text: str) -> None:
        """Say what is going on."""
        self.status.setText(text)

    def show_problems(self, problems: Sequence[str]) -> None:
        """Say which images could not be used."""
        self.problems.setText(f"{len(problems)} could not be used: {problems[-1]}" if problems else "")
        self.problems.setVisible(bool(problems))

    def show_tiles(self, tiles: Sequence[Tile]) -> None:
        """Show these pictures in this order; the chosen one stays chosen if it is still there."""
        chosen = self.chosen
        self.tiles.clear()
        for tile in tiles:
            item = QListWidgetItem(_icon(tile), f"{tile.score:.2f}{' ✓' if tile.accepted else ''}\n{tile.title}")
            item.setData(_KEY, tile.key)
            item.setToolTip(tile.title)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            item.setSizeHint(_CELL)
            self.tiles.addItem(item)
            if tile.key == chosen:
                self.tiles.setCurrentItem(item)
        self._enable()

    @property
    def chosen(self) -> int | None:
        """Key of the chosen tile."""
        item = self.tiles.currentItem()
        return None if item is None else int(item.data(_KEY))

    def _build_tiles(self) -> None:
        self.tiles = QListWidget()
        self.tiles.setViewMode(QListView.ViewMode.IconMode)
        self.tiles.setResizeMode(QListView.ResizeMode.Adjust)
        self.tiles.setMovement(QListView.Movement.Static)
        self.tiles.setIconSize(QSize(_SIDE, _SIDE))
        self.tiles.setGridSize(_CELL)
        self.tiles.setUniformItemSizes(True)
        self.tiles.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tiles.setAccessibleName("Candidates")

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.subject)
        layout.addLayout(row(self.where, self.stop))
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.problems)
        layout.addWidget(self.tiles, 1)
        line = row(caption("Reader", self.name), self.name, stretch=1)
        self.person.setLayout(line)
        layout.addWidget(self.person)
        layout.addLayout(row(self.open, self.accept_one, self.refuse))
        for part in (self.problems, self.person):
            part.hide()
        for button in (self.where, self.stop, self.open, self.accept_one, self.refuse):
            button.setAutoDefault(False)
        self.resize(_SIZE)

    def _wire(self) -> None:
        self.where.clicked.connect(self.where_requested)
        self.stop.clicked.connect(self.stop_requested)
        self.tiles.itemActivated.connect(self._open)
        self.tiles.currentItemChanged.connect(self._enable)
        self.open.clicked.connect(self._open)
        self.accept_one.clicked.connect(self._accept)
        self.refuse.clicked.connect(self._refuse)
        self.name.editingFinished.connect(self._change_reader)

    def _enable(self) -> None:
        for button in (self.open, self.accept_one, self.refuse):
            button.setEnabled(self.chosen is not None)

    def _open(self) -> None:
        if self.chosen is not None:
            self.open_requested.emit(self.chosen)

    def _accept(self) -> None:
        if self.chosen is not None:
            self.accept_requested.emit(self.chosen)

    def _change_reader(self) -> None:
        self.reader_changed.emit(self.reader)

    def _refuse(self) -> None:
        if self.chosen is not None:
            self.refuse_requested.emit(self.chosen)


def _icon(tile: Tile) -> QIcon:
    picture = _drawn(tile)
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # else Qt tints it
    return icon


def _drawn(tile: Tile) -> QPixmap:
    pixels = np.ascontiguousarray(tile.picture if tile.picture.ndim == 3 else np.repeat(tile.picture[..., None], 3, 2))
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    scale = _SIDE / max(height, width)
    place = QRectF((_SIDE - width * scale) / 2, (_SIDE - height * scale) / 2, width * scale, height * scale)
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(_GROUND)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(place, image)
    top, left, bottom, right = (edge * scale for edge in tile.frame)
    painter.setPen(QPen(_ACCEPTED if tile.accepted else _BOX, 2))
    painter.drawRect(QRectF(place.left() + left, place.top() + top, right - left, bottom - top).intersected(place))
    painter.end()
    return pixmap
