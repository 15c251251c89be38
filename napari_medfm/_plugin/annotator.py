"""Images that are open for annotation, and what the panel's buttons do to them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari.layers import Image
from napari.viewer import Viewer

from napari_medfm._napari.activity import Activity
from napari_medfm._napari.contrast import Contrast
from napari_medfm._napari.contributions import ask_which
from napari_medfm._napari.images import image_layer_data, is_usable, volume_of
from napari_medfm._napari.layers import is_in
from napari_medfm._napari.notices import tell
from napari_medfm._napari.workspace import Workspace
from napari_medfm._plugin.adapting import AdaptingControl
from napari_medfm._plugin.case import Case, present
from napari_medfm._plugin.dialogs import ask_for_labels, ask_for_path, is_typing
from napari_medfm._plugin.editing import Editing
from napari_medfm._plugin.engine import Engine, ModelChoice
from napari_medfm._plugin.export_run import ExportRun
from napari_medfm._plugin.exporting import Exporting
from napari_medfm._plugin.files import Files
from napari_medfm._plugin.folding import Folding
from napari_medfm._plugin.lookalikes import LookAlikes
from napari_medfm._plugin.opening import Opening, Terms, identify
from napari_medfm._plugin.steering import Steering
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.errors import ChoiceRequiredError, MedfmError
from napari_medfm.inference import EmbeddingProgress, Predictor
from napari_medfm.session import AnnotationSession, LiveSegmentation, Propagating, Proposals, Teaching
from napari_medfm.volume import Volume
from napari_medfm.volume.grids import grid_difference
from napari_medfm.workers import Latest


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
    lookalikes : LookAlikes
        The gallery of what looks like a lesion.
    opening : Opening
        The image that is being opened.
    """

    def __init__(
        self, viewer: Viewer, panel: MedfmPanel, dispatch: MainThreadDispatcher, missing: Callable[[bool], None]
    ) -> None:
        self._viewer, self._panel, self._dispatch, self._missing = viewer, panel, dispatch, missing
        self._engine = Engine.hold()
        self._folding = Folding(panel, self._engine.settings.data_dir / "panel.json", self._engine.files)
        self._reading = Latest(self._engine.files, dispatch)
        self._activity = Activity("Preparing slices")
        self._files = Files(self._engine.files, dispatch, self._add_image, self._fail)
        export_run = ExportRun(self._engine.exports, dispatch, panel.progress.exporting, self._fail)
        self._exporting = Exporting(panel, self._files, export_run)
        self._images: dict[str, Image] = {}
        self._chosen: Image | None = None
        self._waiting: AnnotationSession | None = None
        self._steering = Steering(panel, self._current)
        self.case: Case | None = None
        self._model = ModelChoice(self._engine, panel, dispatch, self._use)
        self.opening = Opening(self._engine, panel, dispatch, self._opened)
        self.lookalikes = LookAlikes(viewer, panel, self._engine, dispatch, self.open_alone)
        self._intents = (
            (panel.image_selected, self._select_image),
            (panel.open_requested, self._ask_for_image),
            (panel.model_selected, self._model.choose),
            (panel.weights_chosen, self._model.choose_weights),
            (panel.download_requested, self._model.download),
            (panel.licence_agreed, self._model.agree),
            (panel.lookalikes_requested, self._find_lookalikes),
            (panel.save_requested, self._ask_what_to_export),
            (panel.labels_import_requested, self._ask_for_labels),
            (panel.resume_answered, self.opening.answer),
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

    @property
    def predictor(self) -> Predictor | None:
        """The chosen model, once it is loaded."""
        return self._model.predictor

    def _current(self) -> Case | None:
        return self.case

    def put_back(self) -> None:
        """Add the layers of the case that were removed from the viewer again."""
        if self.case is not None:
            self.case.workspace.put_back()
            self._missing(False)

    def close(self) -> None:
        """Let go of the viewer and the panel; the journal holds everything."""
        for signal, slot in self._intents:
            signal.disconnect(slot)
        self._folding.close()
        self._steering.close()
        self.opening.stop()
        self._panel.unbind()
        self._activity.close()
        self._missing(False)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the viewer when the panel is no more."""
        for event, slot in self._layer_events:
            event.disconnect(slot)
        self.opening.close_offered()
        self._model.stop()
        self._reading.forget()
        self._files.finish()
        self._exporting.close()
        self.lookalikes.close()
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
        self._begin(volume)

    def _begin(self, volume: Volume, terms: Terms | None = None) -> None:
        self._close_case()
        self._panel.set_volume(volume, ready=False)
        self.opening.begin(volume, terms)

    def open_alone(self, image: Volume | Image, terms: Terms | None = None) -> Image:
        """Open an image, or its layer, as a case of its own, even on the grid of the one that is open.

        Parameters
        ----------
        image : Volume or Image
            What to open.
        terms : Terms, optional
            Of a project.

        Returns
        -------
        Image
            Its layer.
        """
        layer = self._new_layer(image) if isinstance(image, Volume) else image
        self._chosen = layer
        self._panel.set_images(tuple(self._images), layer.name)
        self._begin(volume_of(layer), terms)
        return layer

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
        self.case.contrast = Contrast(
            self._viewer, self._chosen, self._steering.follow_contrast, linked=self._steering.linked
        )
        self.case.workspace.show_image(volume)
        self._panel.set_volume(volume)
        self._panel.set_window(self.case.live.window)
        self._steering.look()

    def _opened(self, session: AnnotationSession) -> None:
        self._waiting = session
        if self._model.predictor is not None:
            self._use(self._model.predictor)

    def _use(self, predictor: Predictor) -> None:
        """Let a model answer; a session that waits for one is shown."""
        if self.case is not None:
            self.case.use(predictor)
            self._steering.look()
        session, self._waiting = self._waiting, None
        if session is not None and self._chosen is not None:
            self._show_case(session, self._chosen, predictor)

    def _show_case(self, session: AnnotationSession, layer: Image, predictor: Predictor) -> None:
        proposals = Proposals(session)
        lane, dispatch = self._engine.device, self._dispatch
        live = LiveSegmentation(session, predictor, lane, dispatch=dispatch, proposals=proposals)
        workspace = Workspace(self._viewer, layer, session, live, proposals, is_typing=is_typing)
        contrast = Contrast(self._viewer, layer, self._steering.follow_contrast, linked=self._steering.linked)
        teaching = Teaching.begin(session, live, proposals, self._engine.workshop(dispatch))
        drawing = Latest(self._engine.files, dispatch)
        control = AdaptingControl(teaching, workspace, self._panel, drawing)
        editing = Editing(self._viewer, session, live, workspace, self._engine.editing, dispatch)
        propagating = Propagating(session, live, proposals, lane, dispatch)
        self.case = Case(session, proposals, live, workspace, contrast, editing, propagating, teaching, control)
        workspace.add_keys({"G": self._panel.propagate.go})
        workspace.bridge.plane_changed.connect(self._panel.set_plane)
        workspace.bridge.layers_removed.connect(self._on_removed)
        workspace.tools.tool_changed.connect(self._panel.set_tool)
        workspace.tools.sign_changed.connect(self._panel.set_positive)
        live.events.failed.connect(tell)
        live.events.progress.connect(self._show_progress)
        present(self.case, self._panel)
        self._steering.look()
        live.catch_up()
        self.lookalikes.arrived(self.case)

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
        self.lookalikes.left()
        if case is not None:
            case.close()

    def _on_removed(self) -> None:
        # Later: a viewer that closes removes its layers first, and then there is nobody to tell.
        self._dispatch(self._check_layers)

    def _check_layers(self) -> None:
        self._missing(self.case is not None and not self.case.workspace.is_complete())

    def _find_lookalikes(self) -> None:
        if self.case is not None:
            self.lookalikes.ask(self.case)

    def _show_progress(self, progress: EmbeddingProgress | None) -> None:
        if progress is None:
            self._activity.close()
        else:
            self._activity.show(progress.done, progress.total)

    def _ask_for_image(self) -> None:
        ask_for_path(self._panel, self.read)

    def read(self, path: Path, *, ask: Callable[[ChoiceRequiredError], int | None] = ask_which) -> None:
        """Read an image in the background and open it.

        Parameters
        ----------
        path : Path
            A file, or the folder of a DICOM series.
        ask : callable
            Asks which, where there are several; returns None if nobody chose.
        """
        self._files.open_image(path, ask)

    def _add_image(self, volume: Volume) -> None:
        self._open(self._new_layer(volume))

    def _new_layer(self, volume: Volume) -> Image:
        data, arguments, _ = image_layer_data(volume)
        return self._viewer.add_layer(Image(data, **arguments))

    def leave(self) -> None:
        """Close what is open or about to be; what was drawn is in its journal."""
        self.opening.stop()
        self._close_case()

    def reopen(self, layer: Image, terms: Terms) -> None:
        """Open the session of an image again on other terms, if it is the one that is open."""
        if layer is self._chosen:
            self.open_alone(layer, terms)

    def _ask_what_to_export(self) -> None:
        if self.case is not None:
            self._exporting.ask(self.case.session)

    def save(self, path: Path) -> None:
        """Write the labels to a NIfTI file that lies on the image, in the background; how it went is told."""
        if self.case is not None:
            self._files.save(self.case.session, path)

    def _ask_for_labels(self) -> None:
        path = ask_for_labels(self._panel) if self.case is not None else None
        if path is not None and self.case is not None:
            self._files.open_labels(self.case.session, path)

    def _failed(self, error: BaseException) -> None:
        self._fail(worded(error))

    def _fail(self, error: MedfmError) -> None:
        self._panel.show_error(error)
        tell(error)


def are_registered(volume: Volume, other: Volume) -> bool:
    """Whether two images show the same voxels of the same patient, as far as their files say."""
    return volume.geometry.known and grid_difference(other.geometry, volume.geometry) is None
