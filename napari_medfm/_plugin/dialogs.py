"""Questions to the person that need the keyboard or a file dialog."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtGui import QCursor
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from napari_medfm.volume import readable_suffixes

_LABEL_FILES = "NIfTI labels (*.nii.gz *.nii)"
_TEXT_FIELDS = (QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)


def is_typing() -> bool:
    """Whether a text field has the keyboard."""
    focused = QApplication.focusWidget()
    if isinstance(focused, QComboBox):  # it stands for the field in it
        return bool(focused.isEditable())
    return isinstance(focused, _TEXT_FIELDS)


def ask_for_path(parent: QWidget, chosen: Callable[[Path], None]) -> None:
    """Ask for an image file or a DICOM folder."""
    endings = " ".join(f"*{suffix}" for suffix in readable_suffixes)

    def ask_for_file() -> None:
        path, _ = QFileDialog.getOpenFileName(parent, "Open an image", "", f"Images ({endings})")
        if path:
            chosen(Path(path))

    def ask_for_folder() -> None:
        path = QFileDialog.getExistingDirectory(parent, "Open a DICOM folder")
        if path:
            chosen(Path(path))

    menu = QMenu(parent)
    menu.addAction("Image file\N{HORIZONTAL ELLIPSIS}", ask_for_file)
    menu.addAction("DICOM folder\N{HORIZONTAL ELLIPSIS}", ask_for_folder)
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(QCursor.pos())


def ask_where_to_save(parent: QWidget, name: str) -> Path | None:
    """Ask for the file that labels are written to; None if it was cancelled."""
    path, _ = QFileDialog.getSaveFileName(parent, "Export labels", name, _LABEL_FILES)
    if not path:
        return None
    return Path(path) if Path(path).suffix else Path(f"{path}.nii.gz")


def ask_for_folder(parent: QWidget, title: str) -> Path | None:
    """Ask for a folder; None if it was cancelled."""
    path = QFileDialog.getExistingDirectory(parent, title)
    return Path(path) if path else None


def ask_for_labels(parent: QWidget) -> Path | None:
    """Ask for a label file; None if it was cancelled."""
    path, _ = QFileDialog.getOpenFileName(parent, "Open labels", "", _LABEL_FILES)
    return Path(path) if path else None
