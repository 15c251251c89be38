"""The composition root: the one place that sees napari, Qt, the session and the models."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtGui import QCursor, QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QFileDialog,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_medfm._napari.activity import Activity
from napari_medfm._napari.contrast import Contrast
from napari_medfm._napari.contributions import ask_which
from napari_medfm._napari.images import image_layer_data, is_usable, volume_of
from napari_medfm._napari.layers import is_in
from napari_medfm._napari.notices import say, tell
from napari_medfm._napari.workspace import Workspace
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Banner
from napari_medfm.errors import ChoiceRequiredError, MedfmError
from napari_medfm.inference import DiskStore, EmbeddingProgress, MemoryStore, Predictor, TieredStore, open_lane
from napari_medfm.models import available_models, load_model
from napari_medfm.session import AnnotationSession, LiveSegmentation, journal_path, set_aside
from napari_medfm.settings import load_settings
from napari_medfm.volume import Plane, Volume, Window, fingerprint, open_labels, open_volume, readable_suffixes
from napari_medfm.volume.grids import grid_difference
from napari_medfm.workers import Lane, Latest

DEFAULT_MODEL = "random_walker"

_log = logging.getLogger(__name__)

_TEXT_FIELDS = (QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)
_LABEL_FILES = "NIfTI labels (*.nii.gz *.nii)"


class Engine:
    """What all panels of a process share: the device's lane, one for files, the embeddings.

    Obtained with `hold`, given back with `release`; the last one to do so ends the threads.
    """

    _held: ClassVar[Self | None] = None

    def __init__(self) -> None:
        settings = load_settings()
        self.wanted_device = settings.device
        self.device = open_lane(settings)
        self.files = Lane("files")
        disk = DiskStore(settings.embeddings_dir, settings.cache_bytes)
        self.store = TieredStore([MemoryStore(settings.memory_bytes), disk])
        self._holders = 0

    @classmethod
    def hold(cls) -> "Engine":
        """Return the process's engine, starting it if nobody holds it."""
        engine = Engine._held or cls()
        Engine._held = engine
        engine._holders += 1
        return engine

    def release(self) -> None:
        """Give it back; whoever holds it last stops it."""
        self._holders -= 1
        if self._holders == 0:
            Engine._held = None
            self.device.close(wait=False)
            self.files.close(wait=False)


@dataclass(eq=False)
class Case:
    """One image that is open for annotation.

    Attributes
    ----------
    session : AnnotationSession
    live : LiveSegmentation
    workspace : Workspace
    contrast : Contrast
    """

    session: AnnotationSession
    live: LiveSegmentation
    workspace: Workspace
    contrast: Contrast

    def close(self) -> None:
        """Take it out of the viewer; the journal holds everything."""
        self.live.close()
        self.contrast.teardown()
        self.workspace.teardown()
        self.session.close()


class ModelChoice:
    """Loads the model that was chosen, on the device's lane.

    Parameters
    ----------
    engine : Engine
        Lane and store.
    panel : MedfmPanel
        Shows what is going on.
    dispatch : MainThreadDispatcher
        Brings the answer to the thread of the interface.
    ready : callable
        Given the predictor once a model is loaded.
    """

    def __init__(
        self,
        engine: Engine,
        panel: MedfmPanel,
        dispatch: MainThreadDispatcher,
        ready: Callable[[Predictor], None],
    ) -> None:
        self._engine, self._panel, self._ready = engine, panel, ready
        self._loading = Latest(engine.device, dispatch)
        self._entries = {entry.name: entry for entry in available_models()}
        self.predictor: Predictor | None = None
        panel.set_models(tuple(self._entries.values()), DEFAULT_MODEL)
        self.choose(DEFAULT_MODEL)

    def choose(self, name: str) -> None:
        """Load a model; one that needs a weights file waits for it."""
        if self._entries[name].facts.weights == "file":
            self._loading.forget()
            self._panel.set_weights(None)
            self._panel.set_model_status("Choose the file of its weights")
        else:
            self._load(name)

    def choose_weights(self, name: str, file: Path) -> None:
        """Load a model with the weights of a file."""
        self._load(name, weights=file)

    def stop(self) -> None:
        """Drop what is being loaded."""
        self._loading.forget()

    def _load(self, name: str, **options: Any) -> None:
        self._panel.set_model_status(f"Loading {self._entries[name].facts.title}", busy=True)
        store = self._engine.store
        self._loading.ask(lambda: Predictor(load_model(name, **options), store), self._loaded, self._failed)

    def _loaded(self, predictor: Predictor) -> None:
        self.predictor = predictor
        device = str(getattr(predictor.model, "device", "cpu"))
        wanted = self._engine.wanted_device
        self._panel.set_model_status("Ready")
        self._panel.set_device(device, fell_back=wanted != "auto" and not device.startswith(wanted))
        self._ready(predictor)

    def _failed(self, error: BaseException) -> None:
        failure = worded(error)
        self._panel.show_model_failure(failure)
        tell(failure)


class Opening:
    """From a volume to its session, off the thread of the interface where it takes time.

    Parameters
    ----------
    engine, panel, dispatch
        As for `ModelChoice`.
    opened : callable
        Given the session.
    """

    def __init__(
        self,
        engine: Engine,
        panel: MedfmPanel,
        dispatch: MainThreadDispatcher,
        opened: Callable[[AnnotationSession], None],
    ) -> None:
        self._panel, self._opened = panel, opened
        self._reading = Latest(engine.files, dispatch)
        self._offered: AnnotationSession | None = None
        self._own: set[str] = set()

    def begin(self, volume: Volume) -> None:
        """Open the session of a volume; an earlier one is offered, unless it was made here."""
        self.stop()
        self._reading.ask(partial(identify, volume), self._identified, self._failed)

    def answer(self, resume: bool) -> None:
        """Take up the offered session, or put it aside and start anew."""
        session, self._offered = self._offered, None
        try:
            if session is not None:
                self._done(session if resume else start_anew(session))
        except MedfmError as error:
            self._failed(error)

    def stop(self) -> None:
        """Open nothing any more, and offer nothing."""
        self._panel.resume.offer.say("")
        self.close_offered()

    def close_offered(self) -> None:
        """Open nothing any more; the offered session is kept, not taken up."""
        self._reading.forget()
        if self._offered is not None:
            self._offered.close()
            self._offered = None

    def _identified(self, known: tuple[Volume, str]) -> None:
        volume, digest = known
        try:
            changed = last_change(digest)
            session = self._open(volume, digest)
        except (MedfmError, OSError) as error:
            self._failed(error)
            return
        if session.read_only or digest in self._own or not session.state.objects:
            self._done(session)
            return
        self._offered = session
        self._panel.offer_resume(len(session.state.objects), changed)

    def _open(self, volume: Volume, digest: str) -> AnnotationSession:
        if AnnotationSession.exists(digest):
            return AnnotationSession.resume(volume, digest)
        return AnnotationSession.create(volume, digest)

    def _done(self, session: AnnotationSession) -> None:
        self._own.add(session.fingerprint)
        if session.image is None and not session.read_only:
            session.set_image(session.volume.name)
        self._opened(session)

    def _failed(self, error: BaseException) -> None:
        failure = worded(error)
        self._panel.show_error(failure)
        tell(failure)


class Annotator:
    """Opens images for annotation and wires together what belongs together.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    panel : MedfmPanel
        What the person steers it with.
    dispatch : MainThreadDispatcher
        Brings answers to the thread of the interface.
    missing : callable
        Told whether layers of the case are missing from the viewer.

    Attributes
    ----------
    case : Case or None
        The image that is open.
    """

    def __init__(
        self, viewer: Viewer, panel: MedfmPanel, dispatch: MainThreadDispatcher, missing: Callable[[bool], None]
    ) -> None:
        self._viewer, self._panel, self._dispatch, self._missing = viewer, panel, dispatch, missing
        self._engine = Engine.hold()
        self._reading = Latest(self._engine.files, dispatch)
        self._activity = Activity("Preparing slices")
        self._images: dict[str, Image] = {}
        self._chosen: Image | None = None
        self._waiting: AnnotationSession | None = None
        self._linked = False
        self.case: Case | None = None
        self._model = ModelChoice(self._engine, panel, dispatch, self._use)
        self._opening = Opening(self._engine, panel, dispatch, self._opened)
        self._intents = (
            (panel.image_selected, self._select_image),
            (panel.open_requested, self._ask_for_image),
            (panel.window_selected, self._set_window),
            (panel.contrast_linked, self._link_contrast),
            (panel.plane_cycle_requested, self._cycle_planes),
            (panel.model_selected, self._model.choose),
            (panel.weights_chosen, self._model.choose_weights),
            (panel.tool_selected, self._select_tool),
            (panel.sign_toggled, self._set_positive),
            (panel.hover_toggled, self._set_hover),
            (panel.jump_requested, self._jump),
            (panel.embed_all_requested, self._embed_all),
            (panel.cancel_embedding_requested, self._pause),
            (panel.save_requested, self._ask_where_to_save),
            (panel.labels_import_requested, self._ask_for_labels),
            (panel.resume_answered, self._opening.answer),
        )
        for signal, slot in self._intents:
            signal.connect(slot)
        self._layer_events = (
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self._list_images),
        )
        for event, slot in self._layer_events:
            event.connect(slot)
        self._on_inserted()

    def put_back(self) -> None:
        """Add the layers of the case that were removed from the viewer again."""
        if self.case is not None:
            self.case.workspace.put_back()
            self._missing(False)

    def close(self) -> None:
        """Let go of the viewer and the panel; the journal holds everything."""
        for signal, slot in self._intents:
            signal.disconnect(slot)
        self._opening.stop()
        self._panel.unbind()
        self._activity.close()
        self._missing(False)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the viewer when the panel is no more."""
        for event, slot in self._layer_events:
            event.disconnect(slot)
        self._opening.close_offered()
        self._model.stop()
        self._reading.forget()
        self._end_case()
        self._engine.release()

    def _list_images(self) -> None:
        self._images = {layer.name: layer for layer in self._viewer.layers if is_usable(layer)}
        self._panel.set_images(tuple(self._images), self._chosen.name if self._chosen is not None else "")

    def _on_inserted(self) -> None:
        """Open an image if none is open, or if the one that was has been taken out of the viewer."""
        self._list_images()
        if self._images and (self._chosen is None or not is_in(self._chosen, self._viewer.layers)):
            active = self._viewer.layers.selection.active
            names = [active.name] if active is not None and active.name in self._images else list(self._images)
            self._open(self._images[names[-1]])

    def _select_image(self, name: str) -> None:
        layer = self._images.get(name)
        if layer is not None and layer is not self._chosen:
            self._open(layer)

    def _open(self, layer: Image) -> None:
        """Open a layer: beside the image that is open if it lies on its grid, else on its own."""
        try:
            volume = volume_of(layer)
        except MedfmError as error:
            self._fail(error)
            return
        self._chosen = layer
        self._panel.set_images(tuple(self._images), layer.name)
        if self.case is not None and are_registered(volume, self.case.session.volume):
            self._reading.ask(partial(identify, volume), self._show_beside, self._failed)
            return
        self._close_case()
        self._panel.set_volume(volume)
        self._opening.begin(volume)

    def _show_beside(self, known: tuple[Volume, str]) -> None:
        """Let the model see another image over the same labels."""
        volume, digest = known
        if self.case is None or self._chosen is None:
            return
        session = self.case.session
        try:
            if volume.name not in session.images:
                session.add_image(volume.name, volume, digest)
            session.set_image(volume.name)
        except MedfmError as error:
            self._fail(error)
            return
        self.case.contrast.teardown()
        self.case.contrast = Contrast(self._chosen, self._follow_contrast, linked=self._linked)
        self.case.workspace.orientation.set_volume(volume)
        self._panel.set_volume(volume)
        self._panel.set_window(self.case.live.window)
        self._look()

    def _opened(self, session: AnnotationSession) -> None:
        self._waiting = session
        if self._model.predictor is not None:
            self._use(self._model.predictor)

    def _use(self, predictor: Predictor) -> None:
        """Let a model answer; a session that waits for one is shown."""
        if self.case is not None:
            self.case.live.set_predictor(predictor)
            self._look()
        session, self._waiting = self._waiting, None
        if session is not None and self._chosen is not None:
            self._show_case(session, self._chosen, predictor)

    def _show_case(self, session: AnnotationSession, layer: Image, predictor: Predictor) -> None:
        live = LiveSegmentation(session, predictor, self._engine.device, dispatch=self._dispatch)
        workspace = Workspace(self._viewer, layer, session, live, is_typing=is_typing)
        self.case = Case(session, live, workspace, Contrast(layer, self._follow_contrast, linked=self._linked))
        workspace.bridge.plane_changed.connect(self._panel.set_plane)
        workspace.bridge.layers_removed.connect(self._on_removed)
        workspace.tools.tool_changed.connect(self._panel.set_tool)
        workspace.tools.sign_changed.connect(self._panel.set_positive)
        live.events.failed.connect(tell)
        live.events.progress.connect(self._show_progress)
        self._panel.bind(session, live)
        self._panel.set_volume(session.volume)
        self._panel.set_window(live.window)
        self._panel.set_tool(workspace.tools.tool)
        self._panel.set_positive(workspace.tools.positive)
        if workspace.bridge.plane is not None:
            self._panel.set_plane(workspace.bridge.plane)
        self._look()
        live.catch_up()

    def _close_case(self) -> None:
        self._panel.unbind()
        self._activity.close()
        self._missing(False)
        self._end_case()

    def _end_case(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.close()
        case, self.case = self.case, None
        if case is not None:
            case.close()

    def _look(self) -> None:
        """Prepare the slice that is shown."""
        plane = self._plane()
        if self.case is not None and plane is not None:
            self.case.live.show(plane)

    def _plane(self) -> Plane | None:
        return self.case.workspace.bridge.plane if self.case is not None else None

    def _on_removed(self) -> None:
        # Later: a viewer that closes removes its layers first, and then there is nobody to tell.
        self._dispatch(self._check_layers)

    def _check_layers(self) -> None:
        self._missing(self.case is not None and not self.case.workspace.is_complete())

    def _set_window(self, window: Window) -> None:
        if self.case is not None:
            self.case.live.set_window(window)
            self.case.contrast.show(window)
            self._look()

    def _follow_contrast(self, window: Window) -> None:
        if self.case is not None:
            self.case.live.set_window(window)
            self._panel.set_window(window)
            self._look()

    def _link_contrast(self, linked: bool) -> None:
        self._linked = linked
        if self.case is not None:
            self.case.contrast.linked = linked
            self.case.contrast.show(self.case.live.window)

    def _cycle_planes(self) -> None:
        if self.case is not None:
            self.case.workspace.cycle_planes()

    def _select_tool(self, tool: str) -> None:
        if self.case is not None:
            self.case.workspace.tools.select(tool)

    def _set_positive(self, positive: bool) -> None:
        if self.case is not None:
            self.case.workspace.tools.set_positive(positive)

    def _set_hover(self, on: bool) -> None:
        if self.case is not None:
            self.case.workspace.tools.set_hover(on)

    def _jump(self, object_id: int) -> None:
        if self.case is not None:
            self.case.workspace.jump(object_id)

    def _embed_all(self) -> None:
        plane = self._plane()
        if self.case is not None and plane is not None:
            self.case.live.embed_all(plane.axis, plane.index)

    def _pause(self) -> None:
        if self.case is not None:
            self.case.live.pause_background()
            self._look()

    def _show_progress(self, progress: EmbeddingProgress | None) -> None:
        if progress is None:
            self._activity.close()
        else:
            self._activity.show(progress.done, progress.total)

    def _ask_for_image(self) -> None:
        ask_for_path(self._panel, self._read)

    def _read(self, path: Path, choice: int | None = None) -> None:
        self._reading.ask(
            partial(open_volume, path, choice=choice), self._add_image, partial(self._choose_volume, path)
        )

    def _choose_volume(self, path: Path, error: BaseException) -> None:
        choice = ask_which(error) if isinstance(error, ChoiceRequiredError) else None
        if choice is None:
            self._failed(error)
        else:
            self._read(path, choice)

    def _add_image(self, volume: Volume) -> None:
        data, arguments, _ = image_layer_data(volume)
        self._open(self._viewer.add_layer(Image(data, **arguments)))

    def _ask_where_to_save(self) -> None:
        if self.case is None:
            return
        name = f"{self.case.session.volume.name}_labels.nii.gz"
        path, _ = QFileDialog.getSaveFileName(self._panel, "Export labels", name, _LABEL_FILES)
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the labels to a NIfTI file that lies on the image; a failure is told."""
        if self.case is None:
            return
        try:
            written = self.case.session.save_labels(path if path.suffix else path.with_name(f"{path.name}.nii.gz"))
        except MedfmError as error:
            self._fail(error)
            return
        say(f"{written.name}: saved, on the grid of its image")

    def _ask_for_labels(self) -> None:
        if self.case is None:
            return
        path, _ = QFileDialog.getOpenFileName(self._panel, "Open labels", "", _LABEL_FILES)
        if path:
            like = self.case.session.volume
            self._reading.ask(partial(open_labels, Path(path), like), self._import, self._failed)

    def _import(self, labels: NDArray[Any]) -> None:
        if self.case is None:
            return
        try:
            self.case.session.import_labels(labels)
        except MedfmError as error:
            self._fail(error)

    def _failed(self, error: BaseException) -> None:
        self._fail(worded(error))

    def _fail(self, error: MedfmError) -> None:
        self._panel.show_error(error)
        tell(error)


class AnnotationPanel(QWidget):
    """The dock panel that the manifest names.

    While it is open, images can be annotated; hiding or closing it takes everything
    out of the viewer but the images, and showing it again goes on where one was.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer it is docked in.

    Attributes
    ----------
    panel : MedfmPanel
        What is shown.
    annotator : Annotator or None
        What is going on; None while the panel is closed.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.panel = MedfmPanel()
        self.annotator: Annotator | None = None
        self._removed = Banner("warning")
        self._put_back = CompactButton("Put back", "Add the removed layers to the viewer again")
        self._removed.buttons.addWidget(self._put_back)
        self._put_back.clicked.connect(self._restore_layers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._removed)
        layout.addWidget(self.panel)
        self._open()

    def showEvent(self, event: QShowEvent) -> None:
        """Go on."""
        super().showEvent(event)
        self._open()

    def hideEvent(self, event: QHideEvent) -> None:
        """Let go of the viewer, unless the whole window was only minimised."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.close_annotator()

    def close_annotator(self) -> None:
        """End the annotation; nothing is lost."""
        annotator, self.annotator = self.annotator, None
        if annotator is not None:
            self.destroyed.disconnect(annotator.abandon)
            annotator.close()
            self._dispatch.close()

    def _open(self) -> None:
        if self.annotator is None:
            self._dispatch = MainThreadDispatcher(self)
            self.annotator = Annotator(self._viewer, self.panel, self._dispatch, self._show_removed)
            self.destroyed.connect(self.annotator.abandon)  # a window that was never shown is never hidden

    def _show_removed(self, removed: bool) -> None:
        text = "Layers of this session were removed from the viewer. Nothing is lost: they show what the journal holds."
        self._removed.say(text if removed else "")

    def _restore_layers(self) -> None:
        if self.annotator is not None:
            self.annotator.put_back()


def is_typing() -> bool:
    """Whether a text field has the keyboard."""
    return isinstance(QApplication.focusWidget(), _TEXT_FIELDS)


def identify(volume: Volume) -> tuple[Volume, str]:
    """Return a volume with its voxels in memory, and their fingerprint."""
    loaded = replace(volume, array=np.asarray(volume.array))
    return loaded, fingerprint(loaded)


def last_change(digest: str) -> datetime:
    """Return when the journal of an image was last written; now, if there is none."""
    path = journal_path(digest)
    moments = [part.stat().st_mtime for part in path.parent.glob(f"{path.name}*")]
    return datetime.fromtimestamp(max(moments, default=time.time())).astimezone()


def start_anew(session: AnnotationSession) -> AnnotationSession:
    """Close a session and put its journal aside, and return a new one of the same image."""
    session.close()
    set_aside(session.path)
    return AnnotationSession.create(session.volume, session.fingerprint)


def are_registered(volume: Volume, other: Volume) -> bool:
    """Whether two images show the same voxels of the same patient, as far as their files say."""
    return volume.geometry.known and grid_difference(other.geometry, volume.geometry) is None


def worded(error: BaseException) -> MedfmError:
    """Return an error for a person; one that was not expected is named by its kind only."""
    if isinstance(error, MedfmError):
        return error
    _log.error("unexpected %s", type(error).__name__)
    return MedfmError("napari-medfm", f"failed unexpectedly ({type(error).__name__})", "Try again, and report it.")


def ask_for_path(parent: QWidget, chosen: Callable[[Path], None]) -> None:
    """Ask for an image file or a DICOM folder."""
    endings = " ".join(f"*{suffix}" for suffix in readable_suffixes)

    def ask_for_file() -> None:
        path, _ = QFileDialog.getOpenFileName(parent, "Open an image", "", f"Images ({endings})")
        if path:
            chosen(Path(path))

    def ask_for_folder() -> None:
        path = QFileDialog.getExistingDirectory(parent, "Open a DICOM folder")
        if path:
            chosen(Path(path))

    menu = QMenu(parent)
    menu.addAction("Image file\N{HORIZONTAL ELLIPSIS}", ask_for_file)
    menu.addAction("DICOM folder\N{HORIZONTAL ELLIPSIS}", ask_for_folder)
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(QCursor.pos())
