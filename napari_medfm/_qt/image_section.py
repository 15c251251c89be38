"""Which image, where it lies, through which window it is seen, and on which plane."""

import math
from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QDoubleSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Banner, Line, Paragraph, Section, caption, choice, row
from napari_medfm.volume import PRESETS, Plane, Volume, Window, automatic_window

_AUTOMATIC = "Automatic"
_CUSTOM = "Custom"
_VALUE_WIDTH = 90  # Qt would make room for the largest value there is
_TIMES = " \N{MULTIPLICATION SIGN} "


class ImageSection(Section):
    """Image and window.

    Attributes
    ----------
    image_selected, open_requested, project_requested, window_selected, contrast_linked, plane_cycle_requested : Signal
        As in `MedfmPanel`.
    """

    image_selected = Signal(str)
    open_requested = Signal()
    project_requested = Signal()
    window_selected = Signal(object)
    contrast_linked = Signal(bool)
    plane_cycle_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Image and window", parent)
        self._volume: Volume | None = None
        self._plane = Plane()
        self._build_image()
        self._build_window()
        self._build_plane()
        self._wire()
        self.set_volume(None)

    def set_images(self, names: Sequence[str], current: str = "") -> None:
        """List the images, and which one is in use."""
        with signals_blocked(self.images):
            self.images.clear()
            self.images.addItems(list(names))
            self.images.setCurrentIndex(self.images.findText(current))
        self.images.setEnabled(bool(names))

    def set_volume(self, volume: Volume | None, *, ready: bool = True) -> None:
        """Show size, spacing and doubts about the geometry; until it is ready, nothing else is known of it."""
        self._volume = volume
        self.facts.setText(describe_volume(volume))
        self.doubts.say("\n".join(geometry_doubts(volume)))
        has_window = ready and volume is not None and not volume.is_rgb
        for control in (self.presets, self.window_level, self.window_width, self.link):
            control.setEnabled(has_window)
        self.cycle.setEnabled(ready and volume is not None and volume.ndim == 3)
        self.set_plane(self._plane)
        if not ready:
            self.plane.setText("")
            for shown in (self.window_level, self.window_width):
                shown.clear()

    def set_window(self, window: Window) -> None:
        """Show the window in use."""
        with signals_blocked(self.presets), signals_blocked(self.window_level), signals_blocked(self.window_width):
            index = self.presets.findData(window)
            self.presets.setCurrentIndex(index if index >= 0 else self._unlisted(window))
            decimals = decimals_for(window.width)
            for box, value in ((self.window_level, window.level), (self.window_width, window.width)):
                box.setDecimals(decimals)
                box.setValue(value)
            self.window_width.setMinimum(10.0**-decimals)

    def set_contrast_linked(self, linked: bool) -> None:
        """Show whether window and display follow each other."""
        with signals_blocked(self.link):
            self.link.setChecked(linked)

    def set_plane(self, plane: Plane) -> None:
        """Show which slice is in view."""
        self._plane = plane
        self.plane.setText(describe_plane(plane, self._volume))

    def _build_image(self) -> None:
        self.images = choice()
        self.images.setToolTip("The image to annotate")
        self.images.setAccessibleName("Image")
        self.images.setPlaceholderText("No image open")
        self.open = CompactButton("Open…", "Open an image file or a DICOM folder")
        self.facts = Paragraph(tip="Voxels and their size")
        self.doubts = Banner("warning")
        self.project = CompactButton("Project…", "Work through many images: open or make a project")
        self.rows.addWidget(self.images)
        self.rows.addLayout(row(self.open, self.project))
        self.rows.addWidget(self.facts)
        self.rows.addWidget(self.doubts)

    def _build_window(self) -> None:
        self.presets = choice()
        self.presets.setToolTip("The range of intensities that the model sees")
        self.presets.addItem(_AUTOMATIC)
        for name, window in PRESETS.items():
            self.presets.addItem(name.capitalize(), window)
        self.presets.addItem(_CUSTOM)
        self.window_level = _value_box("Level", "Middle of the window")
        self.window_width = _value_box("Width", "Width of the window")
        self.link = QCheckBox("Link to the display's contrast")
        self.link.setToolTip("The window and the contrast limits of the display follow each other")
        self.rows.addLayout(row(caption("Window", self.presets), self.presets, stretch=1))
        self.rows.addLayout(row(self.window_level, self.window_width))
        self.rows.addWidget(self.link)

    def _build_plane(self) -> None:
        self.plane = Line(tip="The slice in view")
        self.cycle = CompactButton(
            "Next plane", "Show the next of axial, coronal and sagittal, at the crosshair or the last click", hint="A"
        )
        self.rows.addLayout(row(self.plane, self.cycle, stretch=0))

    def _wire(self) -> None:
        self.images.textActivated.connect(self.image_selected)
        self.open.clicked.connect(self.open_requested)
        self.project.clicked.connect(self.project_requested)
        self.presets.activated.connect(self._choose_preset)
        self.window_level.valueChanged.connect(self._choose_values)
        self.window_width.valueChanged.connect(self._choose_values)
        self.link.toggled.connect(self.contrast_linked)
        self.cycle.clicked.connect(self.plane_cycle_requested)

    def _unlisted(self, window: Window) -> int:
        name = _AUTOMATIC if window.name == _AUTOMATIC.lower() else _CUSTOM
        return int(self.presets.findText(name))

    def _choose_preset(self, index: int) -> None:
        window = self.presets.itemData(index)
        if window is None and self._volume is not None and self.presets.itemText(index) == _AUTOMATIC:
            window = automatic_window(self._volume)
        if window is None:
            self._choose_values()
        else:
            self.set_window(window)
            self.window_selected.emit(window)

    def _choose_values(self) -> None:
        window = Window.from_level(_CUSTOM.lower(), self.window_width.value(), self.window_level.value())
        with signals_blocked(self.presets):
            self.presets.setCurrentIndex(self._unlisted(window))
        self.window_selected.emit(window)


def describe_volume(volume: Volume | None) -> str:
    """Return size, spacing and modality of an image in one line."""
    if volume is None:
        return "Open an image to begin"
    # Columns first, as people say it.
    parts = [_TIMES.join(map(str, volume.shape[::-1])), volume.modality]
    if volume.geometry.known:
        parts.insert(1, _TIMES.join(f"{step:.3g}" for step in volume.spacing[::-1]) + " mm")
    return " · ".join(part for part in parts if part)


def geometry_doubts(volume: Volume | None) -> tuple[str, ...]:
    """Return what a person has to know about the position of an image before trusting letters and mm."""
    if volume is None:
        return ()
    unknown = () if volume.geometry.known else ("Orientation unknown: letters and millimetres are guesses.",)
    return unknown + volume.geometry.notes


def describe_plane(plane: Plane, volume: Volume | None) -> str:
    """Return name and number of a slice, counted from 1."""
    if volume is None:
        return ""
    if volume.ndim == 2:
        return "2-D image"
    return f"{plane.name.capitalize()} {plane.index + 1} of {volume.shape[plane.axis]}"


def decimals_for(width: float) -> int:
    """Return how many decimals a window of that width needs, to be set to a hundredth of it."""
    return min(12, max(0, 2 - math.floor(math.log10(width))))


def _value_box(name: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(-1e9, 1e9)
    box.setPrefix(f"{name} ")
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(_VALUE_WIDTH)
    box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    return box
