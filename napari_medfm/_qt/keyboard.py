"""Who has the keyboard."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLineEdit, QPlainTextEdit, QTextEdit, QWidget


class KeyboardFollowsMouse(QObject):
    """Gives a canvas the keyboard when the mouse moves over it.

    A button or number that was used last would keep the keyboard otherwise, and keys would do nothing over the image
    until it is clicked, which may be a prompt. Who is in the middle of a text keeps the keyboard.

    Parameters
    ----------
    parent : QObject, optional
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._canvases: list[QWidget] = []

    def follow(self, widget: QWidget) -> None:
        """Watch every OpenGL canvas in the window of a widget."""
        self.leave()
        self._canvases = list(widget.window().findChildren(QOpenGLWidget))
        for canvas in self._canvases:
            canvas.installEventFilter(self)

    def leave(self) -> None:
        """Watch none any more."""
        for canvas in self._canvases:
            canvas.removeEventFilter(self)
        self._canvases = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let every event pass; take the keyboard with those of the mouse."""
        moved = event.type() in (QEvent.Type.Enter, QEvent.Type.MouseMove)
        if moved and isinstance(watched, QWidget) and not watched.hasFocus() and _may_be_taken_by(watched):
            watched.setFocus(Qt.FocusReason.MouseFocusReason)
        return False


def _may_be_taken_by(canvas: QWidget) -> bool:
    """Whether nobody is typing, and neither a menu nor another window is in use."""
    focused = QApplication.focusWidget()
    if focused is None:
        return bool(canvas.isActiveWindow())
    if QApplication.activePopupWidget() is not None or focused.window() is not canvas.window():
        return False
    if isinstance(focused, (QComboBox, QAbstractSpinBox)):
        focused = focused.lineEdit()
    if isinstance(focused, QLineEdit):
        return not focused.isModified()
    return not isinstance(focused, (QTextEdit, QPlainTextEdit))
