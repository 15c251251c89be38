"""The offer to do again what was interrupted when the program ended last."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_medfm._qt.adapt_words import describe_unfinished
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Banner, Wiring
from napari_medfm.errors import MedfmError
from napari_medfm.session import Teaching


class UnfinishedBar(Banner):
    """Offers to go on with learning or filling.

    Attributes
    ----------
    failed : Signal(MedfmError)
        It could not be done again.
    """

    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("information", parent=parent)
        self._teaching: Teaching | None = None
        self.go_on = CompactButton("Go on", "Do it again; what was accepted meanwhile stays")
        self.leave = CompactButton("Leave it", "Do not offer it again")
        self.buttons.addWidget(self.go_on)
        self.buttons.addWidget(self.leave)
        self.go_on.clicked.connect(self._go_on)
        self.leave.clicked.connect(self._leave)

    def bind(self, teaching: Teaching, wiring: Wiring) -> None:
        """Offer what a session has left."""
        self._teaching = teaching
        wiring.connect(teaching.unfinished.changed, self._show_offer)
        self._show_offer()

    def unbind(self) -> None:
        """Offer nothing."""
        self._teaching = None
        self._show_offer()

    def _show_offer(self) -> None:
        offer = self._teaching.unfinished.offer if self._teaching is not None else None
        self.say(describe_unfinished(offer) if offer is not None else "")

    def _go_on(self) -> None:
        if self._teaching is not None:
            try:
                self._teaching.go_on()
            except MedfmError as error:
                self.failed.emit(error)

    def _leave(self) -> None:
        if self._teaching is not None:
            self._teaching.unfinished.dismiss()
