"""What is proposed on other slices: filling, where to look next, and accepting."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QLabel, QSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Line, Section, Wiring, row
from napari_medfm._qt.slice_strip import SliceStrip
from napari_medfm.errors import MedfmError
from napari_medfm.session import FillProgress, Teaching
from napari_medfm.volume import Plane

_SURE = 0.8
_NARROW = "QAbstractSpinBox { min-width: 36px; }"  # napari's theme asks for 90
_BARE = """
QAbstractSpinBox { min-width: 36px; padding: 1px 4px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0px; border: none; }
QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow { image: none; width: 0px; }
"""  # without NoButtons, which leaves no room for the number in PySide6


class ProposalsSection(Section):
    """Proposals.

    Attributes
    ----------
    slice_requested : Signal(Plane)
        Show another slice.
    map_toggled : Signal(bool)
        Whether doubt is shown on the visible slice.
    """

    slice_requested = Signal(object)
    map_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Proposals", parent)
        self._teaching: Teaching | None = None
        self._plane: Plane | None = None
        self._sent: Plane | None = None
        self._build()
        self._wire()
        self._refresh()

    def bind(self, teaching: Teaching, wiring: Wiring) -> None:
        """Show and steer the proposals of a session."""
        self._teaching = teaching
        filling = teaching.filling
        for signal, slot in (
            (teaching.session.events.extent_changed, self._show_suggestions),
            (teaching.proposals.changed, self._show_counts),
            (teaching.adapting.events.in_use_changed, self._refresh),
            (filling.events.progressed, self._show_filling),
            (filling.events.suggested, self._show_suggestions),
            (filling.events.failed, self._fail),
        ):
            wiring.connect(signal, slot)
        self._reach()
        self._refresh()

    def unbind(self) -> None:
        """Show nothing."""
        self._teaching = None
        with signals_blocked(self.doubt):
            self.doubt.setChecked(False)
        self._refresh()

    def set_plane(self, plane: Plane) -> None:
        """Show what is known of another slice."""
        other = self._plane is None or self._plane.axis != plane.axis
        self._plane = plane
        if other:
            self._reach()
            self._show_suggestions()
        self.strip.show_current(plane.index)
        self._show_counts()

    def go_next(self) -> None:
        """Ask for the slice where labelling is expected to bring most."""
        if self._teaching is None:
            return
        # Who was sent here already, and did nothing, is sent on.
        self._sent = self._teaching.next_plane(self._sent if self._sent == self._plane else None)
        if self._sent is not None:
            self.slice_requested.emit(self._sent)

    def _build(self) -> None:
        self.fill = CompactButton("Fill slices", "")
        self.first, self.last = QSpinBox(), QSpinBox()
        for box, name in ((self.first, "First slice"), (self.last, "Last slice")):
            box.setRange(1, 1)
            box.setStyleSheet(_BARE)
            box.setToolTip(f"{name} to fill")
            box.setAccessibleName(name)
        self.state = Line(tip="Proposals lie in a layer of their own until they are accepted")
        self.strip = SliceStrip()
        self.next = CompactButton("Next slice", "Go where labelling is expected to bring most", hint="J")
        self.doubt = QCheckBox("Show doubt")
        self.doubt.setToolTip("Colour where the adapted model is unsure on the visible slice")
        self.accept_object = CompactButton("Accept object", "Accept the surest one here, on all its slices", hint="O")
        self.reject = CompactButton("Reject slice", "Refuse what is proposed here: none of it is on this slice")
        self.accept_above = CompactButton("Accept all above", "Accept every proposal that is at least so sure")
        self.sure = QDoubleSpinBox()
        self.sure.setRange(0.0, 1.0)
        self.sure.setStyleSheet(_NARROW)
        self.sure.setSingleStep(0.05)
        self.sure.setValue(_SURE)
        self.sure.setAccessibleName("Confidence")
        self.sure.setToolTip("How sure the model has to be, 0 to 1")
        self.rows.addWidget(self.fill)
        self.rows.addLayout(row(QLabel("Slices"), self.first, QLabel("to"), self.last))
        self.rows.addWidget(self.state)
        self.rows.addWidget(self.strip)
        self.rows.addLayout(row(self.next, self.doubt, stretch=0))
        self.rows.addLayout(row(self.accept_object, self.reject))
        self.rows.addLayout(row(self.accept_above, self.sure, stretch=0))

    def _wire(self) -> None:
        self.fill.clicked.connect(self._fill)
        self.strip.clicked.connect(self._go_to)
        self.next.clicked.connect(self.go_next)
        self.doubt.toggled.connect(self.map_toggled)
        self.accept_object.clicked.connect(self._accept_object)
        self.reject.clicked.connect(self._reject)
        self.accept_above.clicked.connect(self._accept_above)
        self.sure.valueChanged.connect(self._show_counts)

    def _go_to(self, index: int) -> None:
        if self._plane is not None:
            self.slice_requested.emit(Plane(self._plane.axis, index))

    def _fill(self) -> None:
        if self._teaching is None or self._plane is None:
            return
        if self._teaching.filling.busy:
            self._teaching.filling.cancel()
        else:
            reach = range(self.first.value() - 1, max(self.first.value(), self.last.value()))
            self.attempt(self._teaching.fill, self._plane, reach)
            self._show_buttons()

    def _accept_object(self) -> None:
        if self._teaching is not None and self._plane is not None:
            self.attempt(self._teaching.accept_object, self._plane)

    def _reject(self) -> None:
        if self._teaching is not None and self._plane is not None:
            self.attempt(self._teaching.reject, self._plane)

    def _accept_above(self) -> None:
        if self._teaching is not None:
            self.attempt(self._teaching.proposals.accept_above, self._teaching.class_name, self.sure.value())

    def _count(self) -> int:
        if self._teaching is None or self._plane is None:
            return 1
        return len(self._teaching.session.volume.geometry.planes(self._plane.axis))

    def _reach(self) -> None:
        """Let all slices be filled, unless the person says otherwise."""
        for box, value in ((self.first, 1), (self.last, self._count())):
            box.setMaximum(self._count())
            box.setValue(value)

    def _refresh(self) -> None:
        self._show_suggestions()
        self._show_counts()

    def _show_filling(self, progress: FillProgress | None) -> None:
        if progress is not None:
            filled = self._teaching.filling.class_name if self._teaching is not None else ""
            self.state.setText(f"{progress.done} of {progress.total} slices filled with {filled}")
        else:
            self._show_counts()
        self._show_buttons()

    def _show_counts(self, _what: object = None) -> None:
        teaching = self._teaching
        if teaching is not None and not teaching.filling.busy:
            held = self._confidences()
            words = f"{len(held)} proposals, {self._count_sure()} above {self.sure.value():.2f}"
            self.state.setText(words if held else "Nothing is proposed")
        self._show_buttons()

    def _show_suggestions(self, _what: object = None) -> None:
        teaching, plane = self._teaching, self._plane
        gains, done = {}, frozenset[int]()
        if teaching is not None and plane is not None:
            order = teaching.filling.suggestions
            gains = {int(each.plane.index): each.gain for each in order if each.plane.axis == plane.axis}
            items = teaching.examples.items
            done = frozenset(int(each.plane.index) for each in items if each.plane.axis == plane.axis)
        self.strip.show_slices(self._count(), gains, done)
        self._show_buttons()

    def _show_buttons(self) -> None:
        teaching, plane = self._teaching, self._plane
        known = teaching.adapting.in_use if teaching is not None else None
        busy = teaching is not None and teaching.filling.busy
        here = teaching.pending(plane) if teaching is not None and plane is not None else None
        writable = teaching is not None and not teaching.session.read_only
        self.fill.setText("Stop filling" if busy else "Fill slices")
        self.fill.set_tip("Stop; what is proposed stays" if busy else "Propose it on slices that are not labelled")
        self.fill.setEnabled(writable and known is not None)
        self.next.setEnabled(teaching is not None and bool(teaching.filling.suggestions))
        self.doubt.setEnabled(known is not None)
        for button in (self.accept_object, self.reject):
            button.setEnabled(writable and here is not None and bool(here.proposals))
        self.accept_above.setEnabled(writable and self._count_sure() > 0)

    def _confidences(self) -> list[float]:
        """Of everything that is proposed for the class at hand."""
        if self._teaching is None:
            return []
        slices = self._teaching.proposals.slices(self._teaching.class_name).values()
        return [each.confidence for pending in slices for each in pending.proposals]

    def _count_sure(self) -> int:
        return sum(each >= self.sure.value() for each in self._confidences())

    def _fail(self, error: MedfmError) -> None:
        self.failed.emit(error)
