"""Teaching the model a structure: what it learns from, how it went, and which version answers."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QLabel, QListWidgetItem, QProgressBar, QSizePolicy, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.adapt_words import (
    NO_NEGATIVE,
    describe_licence,
    describe_readout,
    describe_training,
    describe_version,
)
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.example_list import ExampleList, as_pixmap
from napari_medfm._qt.section import Line, Paragraph, Section, Wiring, caption, choice, row
from napari_medfm.errors import MedfmError
from napari_medfm.session import Extent, Teaching
from napari_medfm.volume import Plane

if TYPE_CHECKING:
    from napari_medfm.adaptation import Progress, Recipe

_CURVE_HEIGHT = 64
_MARGINS = 8


class AdaptSection(Section):
    """Adapt.

    Attributes
    ----------
    slice_requested : Signal(Plane)
        Show another slice.
    recipe : Recipe or None
        How to adapt; None is the usual way.
    """

    slice_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Adapt to a structure", parent)
        self._teaching: Teaching | None = None
        self._plane: Plane | None = None
        self.recipe: Recipe | None = None
        self._build_support()
        self._build_training()
        self._build_versions()
        self._wire()
        self._refresh()

    def bind(self, teaching: Teaching, wiring: Wiring) -> None:
        """Show and steer the teaching of a session."""
        self._teaching = teaching
        adapting, session = teaching.adapting, teaching.session
        for signal, slot in (
            (session.events.classes_changed, self._refresh),
            (session.events.extent_changed, self._show_slice),
            (session.events.voxels_changed, self._show_slice),
            (teaching.proposals.changed, self._show_slice),
            (teaching.examples.changed, self._show_examples),
            (adapting.events.progressed, self._show_training),
            (adapting.events.in_use_changed, self._refresh),
            (adapting.events.versions_changed, self._list_versions),
            (adapting.events.finished, self._show_end),
            (adapting.events.failed, self._fail),
        ):
            wiring.connect(signal, slot)
        self.curve.clear()
        self.curve.hide()
        self._refresh()

    def unbind(self) -> None:
        """Show nothing."""
        self._teaching = None
        self._refresh()

    def set_plane(self, plane: Plane) -> None:
        """Show what is known of another slice."""
        self._plane = plane
        self._show_slice()

    def show_curve(self, picture: NDArray[np.uint8]) -> None:
        """Show the curve of training, (rows, columns, 4)."""
        self.curve.setPixmap(as_pixmap(picture))
        self.curve.show()

    def curve_size(self) -> tuple[int, int]:
        """Return the pixels, width and height, that there are for the curve."""
        return max(120, self.content().width() - _MARGINS), _CURVE_HEIGHT

    def ink(self) -> str:
        """Return the colour of texts, which fits the ground that a curve is drawn on."""
        return str(self.training.palette().color(self.training.foregroundRole()).name())

    def _build_support(self) -> None:
        self.structure = choice()
        self.structure.setEditable(True)
        self.structure.setToolTip("The class to learn; type a new name to begin one")
        self.structure.lineEdit().setPlaceholderText("Name of the structure")
        self.complete = CompactButton("", "", glyph="check", hint="D")
        self.slice_state = Line(
            tip="What is not labelled on a complete slice counts as background, elsewhere as unknown"
        )
        self.pictures = ExampleList()
        self.rows.addLayout(row(caption("Structure", self.structure), self.structure, stretch=1))
        self.rows.addWidget(self.complete)
        self.rows.addWidget(self.slice_state)
        self.rows.addWidget(self.pictures)

    def _build_training(self) -> None:
        self.adapt = CompactButton("Adapt", "Let the model learn this structure from the slices above")
        self.stop = CompactButton("Stop", "End training, and keep the best so far")
        self.cancel = CompactButton("Cancel", "Give training up; nothing of it is kept")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Training")
        self.curve = QLabel()
        self.curve.setScaledContents(True)
        self.curve.setMinimumWidth(1)  # else the last curve decides how narrow the panel can be
        self.curve.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.curve.setAccessibleName("Curve of training")
        self.curve.setToolTip("Loss of training, and Dice on the slice that it is tried on")
        self.curve.hide()
        self.training = Paragraph()
        self.rows.addLayout(row(self.adapt, self.stop, self.cancel))
        for part in (self.bar, self.curve, self.training):
            self.rows.addWidget(part)

    def _build_versions(self) -> None:
        self.base = CompactButton("Base model", "Let the model answer as it was")
        self.adapted = CompactButton("Adapted", "Let the adapted model answer")
        self._models = QButtonGroup(self)
        for button in (self.base, self.adapted):
            button.setCheckable(True)
            self._models.addButton(button)
        self.versions = choice()
        self.versions.setAccessibleName("Version")
        self.versions.setToolTip("Adapters saved before, of this case and of others; none is ever overwritten")
        self.use = CompactButton("Use", "Work with the chosen version")
        self.licence = Line(tip="The licence of the base model holds for its adapters")
        self.rows.addLayout(row(self.base, self.adapted))
        self.rows.addLayout(row(self.versions, self.use, stretch=0))
        self.rows.addWidget(self.licence)

    def _wire(self) -> None:
        self.structure.textActivated.connect(self._name)
        self.complete.clicked.connect(self.complete_slice)
        self.pictures.itemChanged.connect(self._leave_out)
        self.pictures.itemDoubleClicked.connect(self._go_to)
        self.adapt.clicked.connect(self._adapt)
        self.stop.clicked.connect(self._stop)
        self.cancel.clicked.connect(self._cancel)
        self.base.clicked.connect(self._switch)
        self.adapted.clicked.connect(self._switch)
        self.use.clicked.connect(self._use)

    def complete_slice(self) -> None:
        """Say that the slice in view is complete, with what is proposed on it."""
        if self._teaching is not None and self._plane is not None and self._teaching.class_name:
            self.attempt(self._teaching.complete, self._plane)

    def _name(self, text: str) -> None:
        if self._teaching is not None:
            self.structure.lineEdit().setModified(False)
            self.attempt(self._teaching.name, text)
            self._refresh()

    def _leave_out(self, item: QListWidgetItem) -> None:
        if self._teaching is not None:
            kept = item.checkState() == Qt.CheckState.Checked
            self._teaching.examples.leave_out(item.data(Qt.ItemDataRole.UserRole), not kept)

    def _go_to(self, item: QListWidgetItem) -> None:
        where = item.data(Qt.ItemDataRole.UserRole)
        if isinstance(where, Plane):
            self.slice_requested.emit(where)

    def _adapt(self) -> None:
        if self._teaching is not None:
            self.attempt(self._teaching.adapting.adapt, self.recipe)
            self._show_buttons()

    def _stop(self) -> None:
        if self._teaching is not None:
            self._teaching.adapting.stop()
            self.stop.setEnabled(False)

    def _cancel(self) -> None:
        if self._teaching is not None:
            self._teaching.adapting.cancel()

    def _switch(self) -> None:
        if self._teaching is not None:
            self._teaching.adapting.set_on(self.adapted.isChecked())

    def _use(self) -> None:
        listed = self.versions.currentData()
        if self._teaching is not None and listed is not None:
            self._teaching.adapting.use(listed)

    def _refresh(self, _what: object = None) -> None:
        self._list_classes()
        self._show_examples()
        self._list_versions()
        self._show_slice()
        self._show_buttons()

    def _list_classes(self) -> None:
        teaching, field = self._teaching, self.structure.lineEdit()
        if teaching is not None and field.hasFocus() and field.isModified():
            return  # somebody is typing a name
        names = [each.name for each in teaching.session.state.classes] if teaching is not None else []
        with signals_blocked(self.structure):
            self.structure.clear()
            self.structure.addItems(names)
            self.structure.setCurrentText(teaching.class_name if teaching is not None else "")

    def _show_examples(self) -> None:
        items = self._teaching.examples.items if self._teaching is not None else ()
        earlier = self._teaching.examples.earlier if self._teaching is not None else ()
        self.pictures.show_examples(items, earlier)
        self._show_buttons()

    def _show_slice(self, _what: object = None) -> None:
        """Say what is known of the slice in view, and what completing it would say."""
        teaching, plane = self._teaching, self._plane
        can = teaching is not None and plane is not None and bool(teaching.class_name)
        self.complete.setEnabled(can and teaching is not None and not teaching.session.read_only)
        if not can or teaching is None or plane is None:
            self.complete.setText("Slice is complete")
            self.slice_state.setText("Name a structure to begin" if teaching is not None else "")
            return
        name, extent = teaching.class_name, teaching.session.state.extent_of(teaching.class_name, plane)
        pending = teaching.pending(plane)
        proposed = pending is not None and bool(pending.proposals)
        there = proposed or teaching.holds(plane)
        words = f"Accept slice: {name} is complete" if proposed else f"All {name} here is labelled"
        self.complete.setText(words if there else f"No {name} on this slice")
        settled = extent is (Extent.ANNOTATED if there else Extent.NEGATIVE)
        self.complete.setEnabled(not settled and not teaching.session.read_only)
        self.complete.set_tip(f"Say that all of {name} on this slice is labelled, so that it can be learned from")
        self.slice_state.setText(_EXTENTS[extent])

    def _show_training(self, progress: "Progress | None") -> None:
        if progress is not None and self._teaching is not None:
            self.bar.setMaximum(max(1, progress.total))
            self.bar.setValue(progress.done)
            learning, at_hand = self._teaching.adapting.learning, self._teaching.class_name
            self.bar.setFormat(describe_training(progress) if learning == at_hand else f"Learning {learning}")
        if progress is None or self.bar.isHidden():  # not with every step: laying out takes time from training
            self._show_buttons()

    def _show_end(self, _listed: object) -> None:
        self._show_buttons()

    def _show_buttons(self) -> None:
        teaching = self._teaching
        busy = teaching is not None and teaching.adapting.busy
        count = len(teaching.examples.chosen) + len(teaching.examples.chosen_earlier) if teaching is not None else 0
        writable = teaching is not None and not teaching.session.read_only
        # Beside the two other buttons there is no room for more.
        self.adapt.setText(f"Adapt from {count} slice{'s' * (count != 1)}" if count and not busy else "Adapt")
        self.adapt.setEnabled(writable and not busy and teaching is not None and teaching.examples.positives > 0)
        self.adapt.setDefault(teaching is not None and teaching.adapting.offered)
        self.structure.setEnabled(writable)
        for part in (self.stop, self.cancel, self.bar):
            part.setVisible(busy)
        self.stop.setEnabled(busy)
        self.training.setText(self._sentence())
        self.training.setVisible(bool(self.training.text()))
        self._show_switch()

    def _sentence(self) -> str:
        """What follows from how far one is."""
        teaching = self._teaching
        if teaching is None or teaching.adapting.learning == teaching.class_name != "":
            return ""
        known = teaching.adapting.in_use
        if teaching.adapting.offered:
            return f"{len(teaching.examples.chosen)} slices are complete: adapt the model, and it fills the rest."
        if known is not None:
            alone = teaching.session.volume.ndim == 3 and not teaching.examples.negatives
            aside = teaching.adapting.set_aside
            told = (
                describe_readout(aside.facts, known.listed.version) if aside else describe_readout(known.listed.facts)
            )
            return told + (f" {NO_NEGATIVE}" if alone else "")
        return f"Label {teaching.class_name or 'a structure'} on three slices or more, far apart, then adapt."

    def _show_switch(self) -> None:
        known = self._teaching.adapting.in_use if self._teaching is not None else None
        for button in (self.base, self.adapted):
            button.setEnabled(known is not None)
        with signals_blocked(self._models):
            (self.adapted if known is not None and known.on else self.base).setChecked(True)
        self.licence.setText(describe_licence(known.listed.facts) if known is not None else "")
        self.licence.setVisible(known is not None)

    def _list_versions(self) -> None:
        teaching = self._teaching
        listed = teaching.adapting.versions if teaching is not None else ()
        known = teaching.adapting.in_use if teaching is not None else None
        shown = (teaching.class_name, teaching.adapting.base_digest) if teaching is not None else ("", "")
        with signals_blocked(self.versions):
            self.versions.clear()
            for each in listed:
                self.versions.addItem(describe_version(each, *shown), each)
                self.versions.setItemData(self.versions.count() - 1, each.facts.created, Qt.ItemDataRole.ToolTipRole)
            current = [place for place, each in enumerate(listed) if known and each.digest == known.listed.digest]
            self.versions.setCurrentIndex(current[0] if current else 0)
        for part in (self.versions, self.use):
            part.setVisible(bool(listed))

    def _fail(self, error: MedfmError) -> None:
        self.failed.emit(error)


_EXTENTS = {
    Extent.UNSEEN: "This slice: not marked",
    Extent.ANNOTATED: "This slice: complete",
    Extent.NEGATIVE: "This slice: confirmed without it",
}
