"""What both docks of a viewer have in common: something goes on in them as long as they can be seen."""

from typing import Generic, Protocol, TypeVar

from napari.viewer import Viewer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_medfm._qt import MainThreadDispatcher
from napari_medfm._qt.keyboard import KeyboardFollowsMouse


class Going(Protocol):
    """What goes on in a dock."""

    def close(self) -> None:
        """Let go of the viewer and of what the dock shows."""

    def abandon(self) -> None:
        """Let go of the viewer when the dock is no more."""


G = TypeVar("G", bound=Going)


class DockedWidget(QWidget, Generic[G]):
    """The widget of a dock. What goes on in it ends when it is hidden or closed, and begins again when it is shown.

    Parameters
    ----------
    viewer : Viewer
        The viewer it is docked in.

    Attributes
    ----------
    rows : QVBoxLayout
        What is shown, from top to bottom.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._going: G | None = None
        self._keyboard = KeyboardFollowsMouse(self)
        self._fitting = QTimer(self, singleShot=True)
        self._fitting.timeout.connect(self._fit_window)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # all the height of the dock

    def showEvent(self, event: QShowEvent) -> None:
        """Go on, and let the keyboard follow the mouse."""
        super().showEvent(event)
        self.go_on()
        self._keyboard.follow(self)
        self._fitting.start(0)

    def hideEvent(self, event: QHideEvent) -> None:
        """Let go of the viewer, unless the whole window was only minimised."""
        super().hideEvent(event)
        if not event.spontaneous():
            self._keyboard.leave()
            self.let_go()

    def go_on(self) -> None:
        """Begin, unless something goes on."""
        if self._going is None:
            self._dispatch = MainThreadDispatcher(self)
            self._going = self._begin(self._dispatch)
            self.destroyed.connect(self._going.abandon)  # a window that was never shown is never hidden

    def let_go(self) -> None:
        """End what goes on; nothing is lost."""
        going, self._going = self._going, None
        if going is not None:
            self.destroyed.disconnect(going.abandon)
            going.close()
            self._dispatch.close()
            self._ended()

    def _fit_window(self) -> None:
        """Narrow a window that a dock made wider than the screen, as in a napari that starts with it."""
        window = self.window()
        room = window.screen().availableGeometry()
        if window.isVisible() and window.width() > room.width():
            window.setGeometry(room.x(), window.y(), room.width(), min(window.height(), room.height()))

    def _begin(self, dispatch: MainThreadDispatcher) -> G:
        """Begin what goes on; each dock says what."""
        raise NotImplementedError

    def _ended(self) -> None:
        """Take back what was done when it began."""
