"""What stands above everything else: the offer to resume, and that another process holds the session."""

from datetime import datetime

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Banner


class ResumeBar(QWidget):
    """Offer of an earlier session, and the read-only notice.

    Attributes
    ----------
    answered : Signal(bool)
        True to resume, False to start anew; the old journal is kept either way.
    """

    answered = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.offer, self.read_only = Banner("information"), Banner("warning")
        self.resume = CompactButton("Resume", "Go on where the earlier session ended")
        self.anew = CompactButton("Start anew", "Begin with no objects; the earlier session is kept, not deleted")
        self.offer.buttons.addWidget(self.resume)
        self.offer.buttons.addWidget(self.anew)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.offer)
        layout.addWidget(self.read_only)
        self.resume.clicked.connect(self._resume)
        self.anew.clicked.connect(self._start_anew)

    def offer_resume(self, objects: int, when: datetime) -> None:
        """Ask whether to resume a session with so many objects, last changed at `when`."""
        things = f"{objects} object{'' if objects == 1 else 's'}"
        self.offer.say(f"An earlier session on this image was found ({things}, {when:%d %B %Y, %H:%M}).")

    def show_read_only(self, message: str) -> None:
        """Say why nothing can be changed; an empty message takes the notice away."""
        self.read_only.say(message)

    def _resume(self) -> None:
        self._answer(True)

    def _start_anew(self) -> None:
        self._answer(False)

    def _answer(self, resume: bool) -> None:
        self.offer.say("")
        self.answered.emit(resume)
