"""Carrying the active object through the slices: how far, and what to do with what is proposed."""

from qtpy.QtWidgets import QSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Paragraph, Section, Wiring, active_object, choice, row
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession, Propagated, Propagating, Proposals, Reach
from napari_medfm.volume import Plane

_UP = ("superior", "posterior", "left")
_DOWN = ("inferior", "anterior", "right")
_REASONS = {
    "empty": "nothing more of it",
    "area": "its size jumps",
    "quality": "the model is unsure",
    "brightness": "its brightness changes",
    "overlap": "it lies elsewhere",
}


class PropagateSection(Section):
    """Propagate."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Propagate", parent)
        self._session: AnnotationSession | None = None
        self._propagating: Propagating | None = None
        self._plane: Plane | None = None
        self._outcome = ""
        self._build()
        self._wire()
        self._show_ways()
        self._refresh()

    def bind(self, session: AnnotationSession, propagating: Propagating, proposals: Proposals, wiring: Wiring) -> None:
        """Propagate the objects of a session."""
        self._session, self._propagating = session, propagating
        for signal, slot in (
            (session.events.active_changed, self._forget),
            (session.events.objects_changed, self._refresh),
            (session.events.history_changed, self._refresh),
            (proposals.changed, self._refresh),
            (propagating.events.busy_changed, self._refresh),
            (propagating.events.finished, self._show_outcome),
            (propagating.events.failed, self._fail),
        ):
            wiring.connect(signal, slot)
        self._refresh()

    def unbind(self) -> None:
        """Propagate nothing."""
        self._session = self._propagating = None
        self._forget()

    def set_plane(self, plane: Plane) -> None:
        """Propagate from another slice."""
        self._plane = plane
        self._show_ways()

    def go(self) -> None:
        """Propagate the active object, or stop doing so."""
        if self._propagating is None or self._plane is None:
            return
        if self._propagating.busy:
            self._propagating.stop()
        else:
            reach = Reach(self.ways.currentData(), self.most.value())
            self.attempt(self._propagating.start, self._plane, reach)
        self._refresh()

    def _build(self) -> None:
        self.ways = choice()
        self.ways.setAccessibleName("Direction")
        self.ways.setToolTip("To which side of the slice in view")
        self.most = QSpinBox()
        self.most.setRange(0, 9999)
        self.most.setSpecialValueText("until unsure")
        self.most.setSuffix(" slices")
        self.most.setAccessibleName("Slices to a side at most")
        self.most.setToolTip("Slices to a side at most; 0 goes on until the model is unsure")
        self.start = CompactButton("Propagate", "", hint="G")
        self.interpolate = CompactButton("Interpolate", "Fill the slices between those that are drawn, by shape alone")
        self.state = Paragraph(tip="Proposals lie in a layer of their own until they are accepted")
        self.accept = CompactButton("Accept", "Make all that is proposed of it its own; one undo", glyph="check")
        self.discard = CompactButton("Discard", "Propose nothing of it any more", glyph="delete")
        self.rows.addLayout(row(self.ways, self.most))
        self.rows.addLayout(row(self.start, self.interpolate))
        self.rows.addWidget(self.state)
        self.rows.addLayout(row(self.accept, self.discard))

    def _wire(self) -> None:
        self.start.clicked.connect(self.go)
        self.interpolate.clicked.connect(self._interpolate)
        self.accept.clicked.connect(self._accept)
        self.discard.clicked.connect(self._discard)

    def _interpolate(self) -> None:
        if self._propagating is not None and self._plane is not None:
            self.attempt(self._propagating.interpolate, self._plane)

    def _accept(self) -> None:
        if self._propagating is not None:
            self.attempt(self._propagating.accept)
            self._forget()

    def _discard(self) -> None:
        if self._propagating is not None:
            self._propagating.discard()
            self._forget()

    def _show_ways(self) -> None:
        axis = self._plane.axis if self._plane is not None else 0
        chosen = self.ways.currentIndex()
        with signals_blocked(self.ways):
            self.ways.clear()
            for words, way in (("Both ways", "both"), (f"To {_UP[axis]}", "up"), (f"To {_DOWN[axis]}", "down")):
                self.ways.addItem(words, way)
            self.ways.setCurrentIndex(max(0, chosen))

    def _forget(self, _what: object = None) -> None:
        self._outcome = ""
        self._refresh()

    def _show_outcome(self, what: Propagated) -> None:
        self._outcome = describe_outcome(what)
        self._refresh()

    def _refresh(self, _what: object = None) -> None:
        session, propagating = self._session, self._propagating
        thing = active_object(session)
        slices = propagating.slices if propagating is not None else 0
        busy = propagating is not None and propagating.busy
        usable = session is not None and not session.read_only and session.volume.ndim == 3
        able = usable and thing is not None and not thing.locked
        self.start.setText("Stop" if busy else "Propagate")
        self.start.setAccessibleName(self.start.text())
        self.start.set_tip("Stop; what is proposed stays" if busy else "Carry the active object into other slices")
        self.start.setEnabled(able or busy)
        self.interpolate.setEnabled(able and not busy)
        for button in (self.accept, self.discard):
            button.setEnabled(able and slices > 0)
        self.state.setText(f"{_count(slices)} so far…" if busy else self._state(slices))

    def _state(self, slices: int) -> str:
        if not slices:
            return self._outcome or "Nothing of the active object is proposed"
        return self._outcome or _count(slices)

    def _fail(self, error: MedfmError) -> None:
        self.failed.emit(error)


def describe_outcome(what: Propagated) -> str:
    """Return on how many slices an object is proposed, and why not on more."""
    reasons = dict.fromkeys(_REASONS[stop.reason] for stop in what.stops)
    return " · ".join([_count(what.slices), *reasons])


def _count(slices: int) -> str:
    return f"Proposed on {slices} slice{'' if slices == 1 else 's'}"
