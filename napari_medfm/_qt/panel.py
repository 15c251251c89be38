"""The dock panel: its sections, banners above them, the research-use notice below."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medfm._qt.adapt_section import AdaptSection
from napari_medfm._qt.edit_section import EditSection
from napari_medfm._qt.image_section import ImageSection
from napari_medfm._qt.model_section import ModelSection
from napari_medfm._qt.objects_section import ObjectsSection
from napari_medfm._qt.progress_section import ProgressSection
from napari_medfm._qt.prompt_section import PromptSection
from napari_medfm._qt.propagate_section import PropagateSection
from napari_medfm._qt.proposals_section import ProposalsSection
from napari_medfm._qt.resume_bar import ResumeBar
from napari_medfm._qt.section import Banner, Line, Section, Wiring, scrolled
from napari_medfm._qt.unfinished_bar import UnfinishedBar
from napari_medfm.errors import MedfmError
from napari_medfm.models import ModelEntry
from napari_medfm.session import AnnotationSession, Hand, LiveSegmentation, Measures, Propagating, Proposals, Teaching
from napari_medfm.volume import Plane, Volume, Window

_NARROWEST = 280


class MedfmPanel(QWidget):
    """Everything a person steers the annotation with, except the canvas.

    The panel calls the session and the live segmentation it is bound to. What concerns
    neither leaves as a signal, for the composition root to act on.

    Parameters
    ----------
    parent : QWidget, optional
        Owner of the panel.

    Attributes
    ----------
    image_selected : Signal(str)
        The name of the image to work on, as given to `set_images`.
    open_requested : Signal()
        The user wants to open an image.
    project_requested : Signal()
        The user wants to work on a project of many images.
    window_selected : Signal(Window)
        The intensity window the model shall see.
    contrast_linked : Signal(bool)
        Whether that window and the display's contrast limits follow each other.
    plane_cycle_requested : Signal()
        Show the next of the three orthogonal planes.
    model_selected : Signal(str)
        Registry name of a model.
    weights_chosen : Signal(str, Path)
        Registry name of the model and the weights file to load into it.
    download_requested : Signal(str)
        Registry name of a model whose weights shall be downloaded.
    licence_agreed : Signal()
        The answer to `ask_licence`.
    tool_selected : Signal(str)
        One of `TOOLS` (point, box, scribble, lasso, brush, eraser, move) or `EDIT_TOOLS` (range, sphere, piece).
    sign_toggled : Signal(bool)
        True if prompts add to the object from now on.
    hover_toggled : Signal(bool)
        Whether a preview follows the mouse.
    jump_requested : Signal(int)
        Show the object of that id.
    lookalikes_requested : Signal()
        Search other images for what looks like the active object.
    slice_requested : Signal(Plane)
        Show that slice.
    map_toggled : Signal(bool)
        Whether doubt is shown on the visible slice.
    labels_import_requested : Signal()
        The user wants to open a label file as objects.
    embed_all_requested, cancel_embedding_requested : Signal()
        Embed the whole volume, or stop doing so.
    save_requested : Signal()
        Export the labels to a file.
    resume_answered : Signal(bool)
        The answer to `offer_resume`: True to resume, False to start anew.
    folds_changed : Signal()
        A section was folded or unfolded.
    """

    image_selected = Signal(str)
    open_requested = Signal()
    project_requested = Signal()
    window_selected = Signal(object)
    contrast_linked = Signal(bool)
    plane_cycle_requested = Signal()
    model_selected = Signal(str)
    weights_chosen = Signal(str, object)
    download_requested = Signal(str)
    licence_agreed = Signal()
    tool_selected = Signal(str)
    sign_toggled = Signal(bool)
    hover_toggled = Signal(bool)
    jump_requested = Signal(int)
    lookalikes_requested = Signal()
    slice_requested = Signal(object)
    map_toggled = Signal(bool)
    labels_import_requested = Signal()
    embed_all_requested = Signal()
    cancel_embedding_requested = Signal()
    save_requested = Signal()
    resume_answered = Signal(bool)
    folds_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._wiring = Wiring()
        self.image, self.model, self.prompts = ImageSection(), ModelSection(), PromptSection()
        self.edit, self.objects, self.progress = EditSection(), ObjectsSection(), ProgressSection()
        self.propagate, self.adapt, self.proposals = PropagateSection(), AdaptSection(), ProposalsSection()
        self.resume, self.unfinished = ResumeBar(), UnfinishedBar()
        self.error = Banner("warning", dismissable=True)
        self._lay_out()
        self._forward()
        # A window that is destroyed without being told first leaves no connection behind.
        self.destroyed.connect(self._wiring.release)

    def bind(
        self, session: AnnotationSession, live: LiveSegmentation | None = None, teaching: Teaching | None = None
    ) -> None:
        """Show a session and steer it, together with its conversation with the model, and its teaching, if any."""
        self.unbind()
        self.prompts.bind(session, live, self._wiring)
        self.objects.bind(session, self._wiring)
        self.progress.bind(session, live, self._wiring)
        if live is not None:
            self._wiring.connect(live.events.failed, self.show_error)
        if teaching is not None:
            self.adapt.bind(teaching, self._wiring)
            self.proposals.bind(teaching, self._wiring)
            self.unfinished.bind(teaching, self._wiring)
        self.resume.show_read_only(session.message)

    def bind_editing(
        self, session: AnnotationSession, hand: Hand, measures: Measures, window: Callable[[], Window]
    ) -> None:
        """Edit the objects of the session that is shown by hand, and show what is measured of them."""
        self.edit.bind(session, hand, window, self._wiring)
        self.objects.bind_measures(measures, self._wiring)

    def bind_propagating(self, session: AnnotationSession, propagating: Propagating, proposals: Proposals) -> None:
        """Propagate the objects of the session that is shown."""
        self.propagate.bind(session, propagating, proposals, self._wiring)

    def unbind(self) -> None:
        """Let go of the session; nothing of it is shown or held any more."""
        self._wiring.release()
        for section in (
            self.prompts,
            self.propagate,
            self.edit,
            self.objects,
            self.adapt,
            self.proposals,
            self.progress,
        ):
            section.unbind()
        self.unfinished.unbind()
        self.resume.show_read_only("")
        self.error.say("")

    def set_images(self, names: Sequence[str], current: str = "") -> None:
        """List the images to choose from, and which one is in use."""
        self.image.set_images(names, current)

    def set_volume(self, volume: Volume | None, *, ready: bool = True) -> None:
        """Show size, spacing and doubts about the geometry of the image in use, or of one that is being opened."""
        self.image.set_volume(volume, ready=ready)

    def set_window(self, window: Window) -> None:
        """Show the intensity window in use."""
        self.image.set_window(window)

    def set_contrast_linked(self, linked: bool) -> None:
        """Show whether the window and the display's contrast follow each other."""
        self.image.set_contrast_linked(linked)

    def set_plane(self, plane: Plane) -> None:
        """Show which slice the viewer shows."""
        for section in (self.image, self.prompts, self.propagate, self.edit, self.objects, self.adapt, self.proposals):
            section.set_plane(plane)

    def set_models(self, models: Sequence[ModelEntry], current: str = "") -> None:
        """List the models to choose from, and which one is in use."""
        self.model.set_models(models, current)

    def set_model_status(self, text: str, *, busy: bool = False) -> None:
        """Say what the model is doing: ready, loading."""
        self.model.set_status(text, busy=busy)

    def show_model_failure(self, error: MedfmError) -> None:
        """Show why there is no usable model, until another status is set."""
        self.model.show_failure(error)

    def ask_licence(self, text: str) -> None:
        """Ask for agreement to a model's licence, which leaves as `licence_agreed`; empty to ask no longer."""
        self.model.ask_licence(text)

    def set_weights(self, file: Path | None) -> None:
        """Show which weights file the model uses."""
        self.model.set_weights(file)

    def set_device(self, text: str, *, fell_back: bool = False) -> None:
        """Show the device; `fell_back` announces that it is not the one asked for."""
        self.model.set_device(text, fell_back=fell_back)

    def set_tool(self, tool: str) -> None:
        """Show which tool is in the hand, one of `TOOLS` or `EDIT_TOOLS`."""
        self.prompts.set_tool(tool)
        self.edit.set_tool(tool)

    def set_positive(self, positive: bool) -> None:
        """Show whether prompts add or remove."""
        self.prompts.set_positive(positive)

    def set_hover(self, on: bool) -> None:
        """Show whether a preview follows the mouse."""
        self.prompts.set_hover(on)

    def offer_resume(self, objects: int, when: datetime) -> None:
        """Ask whether to resume an earlier session; the answer leaves as `resume_answered`."""
        self.resume.offer_resume(objects, when)

    def show_error(self, error: MedfmError) -> None:
        """Show a failure with its reason and next step until it is dismissed."""
        self.error.say(str(error))

    def folds(self) -> dict[str, bool]:
        """Return which sections are folded, by title."""
        return {section.text(): not section.isExpanded() for section in self._sections()}

    def set_folds(self, folds: Mapping[str, bool]) -> None:
        """Fold and unfold sections by title; others stay as they are."""
        for section in self._sections():
            if folds.get(section.text(), not section.isExpanded()) == section.isExpanded():
                (section.collapse if section.isExpanded() else section.expand)(animate=False)

    def _sections(self) -> tuple[Section, ...]:
        """From top to bottom."""
        asked = self.image, self.model, self.prompts, self.propagate, self.edit
        return (*asked, self.objects, self.adapt, self.proposals, self.progress)

    def _lay_out(self) -> None:
        body = QWidget()
        sections = QVBoxLayout(body)
        sections.setContentsMargins(6, 4, 6, 4)
        sections.setSpacing(4)
        for section in self._sections():
            sections.addWidget(section)
        sections.addStretch()
        scroll = scrolled(body)
        notice = Line("For research use only, not for diagnosis")
        notice.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(4)
        for part in (self.resume, self.unfinished, self.error, scroll, notice):
            layout.addWidget(part)
        layout.setStretchFactor(scroll, 1)
        self.setMinimumWidth(_NARROWEST)

    def _forward(self) -> None:
        image, model, prompts, objects, progress = self.image, self.model, self.prompts, self.objects, self.progress
        for source, intent in (
            (image.image_selected, self.image_selected),
            (image.open_requested, self.open_requested),
            (image.project_requested, self.project_requested),
            (image.window_selected, self.window_selected),
            (image.contrast_linked, self.contrast_linked),
            (image.plane_cycle_requested, self.plane_cycle_requested),
            (model.model_selected, self.model_selected),
            (model.weights_chosen, self.weights_chosen),
            (model.download_requested, self.download_requested),
            (model.licence_agreed, self.licence_agreed),
            (prompts.tool_selected, self.tool_selected),
            (self.edit.tool_selected, self.tool_selected),
            (prompts.sign_toggled, self.sign_toggled),
            (prompts.hover_toggled, self.hover_toggled),
            (objects.jump_requested, self.jump_requested),
            (objects.lookalikes_requested, self.lookalikes_requested),
            (self.adapt.slice_requested, self.slice_requested),
            (self.proposals.slice_requested, self.slice_requested),
            (self.proposals.map_toggled, self.map_toggled),
            (progress.labels_import_requested, self.labels_import_requested),
            (progress.embed_all_requested, self.embed_all_requested),
            (progress.cancel_embedding_requested, self.cancel_embedding_requested),
            (progress.save_requested, self.save_requested),
            (self.resume.answered, self.resume_answered),
        ):
            source.connect(intent)
        for section in self._sections():
            section.failed.connect(self.show_error)
            section.toggled.connect(self.folds_changed)
        self.unfinished.failed.connect(self.show_error)
