"""How a colour and a class are painted and edited in the object table."""

from collections.abc import Callable

from qtpy.QtCore import QAbstractItemModel, QModelIndex, QObject, QRectF, Qt
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QComboBox, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_medfm._qt.tables import COLOUR_ROLE

_SWATCH = 14.0


class ColourDelegate(QStyledItemDelegate):
    """Paint the colour of an object as a swatch with a rim in the text colour."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint background, selection and swatch."""
        super().paint(painter, option, index)
        colour = index.data(COLOUR_ROLE)
        if colour is None:
            return
        swatch = QRectF(0, 0, _SWATCH, _SWATCH)
        swatch.moveCenter(QRectF(option.rect).center())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(option.palette.color(option.palette.ColorRole.Text))
        painter.setBrush(colour)
        painter.drawRoundedRect(swatch, 3, 3)
        painter.restore()


class ClassDelegate(QStyledItemDelegate):
    """Edit a class in a combo box that also takes a new name.

    Parameters
    ----------
    class_names : callable
        Returns the names to choose from.
    parent : QObject, optional
        Owner.
    """

    def __init__(self, class_names: Callable[[], list[str]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._class_names = class_names

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> QComboBox:
        """Return the combo box, filled."""
        editor = QComboBox(parent)
        editor.setEditable(True)
        editor.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        editor.addItems(self._class_names())
        editor.setAccessibleName("Class")
        editor.activated.connect(self._commit)
        return editor

    def setEditorData(self, editor: QComboBox, index: QModelIndex) -> None:
        """Show the present class."""
        editor.setCurrentText(index.data(Qt.ItemDataRole.EditRole))
        editor.lineEdit().selectAll()

    def setModelData(self, editor: QComboBox, model: QAbstractItemModel, index: QModelIndex) -> None:
        """Hand the chosen or typed class to the model."""
        model.setData(index, editor.currentText(), Qt.ItemDataRole.EditRole)

    def _commit(self) -> None:
        editor = self.sender()
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)
