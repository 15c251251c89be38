"""The one hop from any thread to the thread of the interface."""

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QObject, Qt, Signal


class MainThreadDispatcher(QObject):
    """Run callbacks in the thread of the interface, in the order they were handed over.

    Calling it never blocks and is safe from any thread, also after the dispatcher
    has been closed or deleted: callbacks that nobody can serve are dropped.

    Parameters
    ----------
    parent : QObject, optional
        Owner; the dispatcher dies with it.
    """

    _handed_over = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._open = True
        application = QCoreApplication.instance()
        if parent is None and application is not None:
            self.moveToThread(application.thread())
        self._handed_over.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def __call__(self, callback: Callable[[], object]) -> None:
        """Queue a callback for the thread of the interface."""
        if self._open:
            try:
                self._handed_over.emit(callback)
            except RuntimeError:  # Qt deleted the object behind our back: the window is gone
                self._open = False

    def close(self) -> None:
        """Drop what is queued and what comes later."""
        self._open = False

    def _run(self, callback: Callable[[], object]) -> None:
        if self._open:
            callback()
