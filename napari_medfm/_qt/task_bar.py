"""Long work that goes on beside everything else: how far it is, and a way to stop it."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Line, row


class TaskBar(QWidget):
    """A bar with a text above and a button that stops the work; hidden while there is none.

    Attributes
    ----------
    stopped : Signal()
        The person wants no more of it.
    """

    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = ""
        self.text = Line()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.stop = CompactButton("Stop", "Stop this")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.text)
        layout.addLayout(row(self.bar, self.stop, stretch=0))
        self.stop.clicked.connect(self._stop)
        self.hide()

    def begin(self, title: str, tip: str) -> None:
        """Show that something began; `tip` says what stopping means."""
        self._title = title
        self.stop.set_tip(tip)
        self.stop.setEnabled(True)
        self.move_to(0, 0)
        self.show()

    def move_to(self, done: int, total: int) -> None:
        """Show how far it is; a bar without an end runs while nobody knows."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if self.stop.isEnabled():
            self.text.setText(f"{self._title}: {done} of {total}" if total else self._title)

    def end(self) -> None:
        """It is over, whatever came of it."""
        self.hide()

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self.text.setText(f"{self._title}: stopping\N{HORIZONTAL ELLIPSIS}")
        self.stopped.emit()
