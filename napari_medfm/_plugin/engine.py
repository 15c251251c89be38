"""What the panels of a process share, and the model that was chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from napari_medfm._napari.notices import tell
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.errors import MedfmError
from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore, WriteBehind, open_lane
from napari_medfm.models import ModelFacts, WeightsFile, available_models, load_model
from napari_medfm.models.agreements import Agreements, describe_licence, needs_agreement
from napari_medfm.session import Workshop
from napari_medfm.settings import DEFAULT_MODEL, load_settings
from napari_medfm.workers import Dispatch, Lane, Latest


class Engine:
    """What all panels of a process share: lanes for the device, files, downloads, editing and exports; embeddings.

    Obtained with `hold`, given back with `release`; the last one to do so ends the threads.
    """

    _held: ClassVar[Self | None] = None

    def __init__(self) -> None:
        settings = load_settings()
        self.wanted_device = settings.device
        self.device = open_lane(settings)
        self.settings = settings
        self.files = Lane("files")
        self.downloads = Lane("downloads")
        self.editing = Lane("editing")
        self.exports = Lane("exports")
        self._disk = WriteBehind(DiskStore(settings.embeddings_dir, settings.cache_bytes))
        self.store = TieredStore([MemoryStore(settings.memory_bytes), self._disk])
        self._holders = 0

    def workshop(self, dispatch: Dispatch) -> Workshop:
        """Return where a case adapts its model; adapters are shared by all cases."""
        from napari_medfm.adaptation import AdapterLibrary  # imports torch, which a model has done by then

        return Workshop(self.device, self.files, AdapterLibrary(self.settings.adapters_dir), dispatch)

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
            for lane in (self.device, self.files, self.downloads, self.editing, self.exports):
                lane.close(wait=False)
            self._disk.close()


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
        self._fetching = Latest(engine.downloads, dispatch)
        self._dispatch = dispatch
        self._download: object | None = None
        self._entries = {entry.name: entry for entry in available_models()}
        self._agreements = Agreements(engine.settings.data_dir / "licences.json")
        self._waiting: tuple[ModelFacts, Callable[[], None]] | None = None
        self.predictor: Predictor | None = None
        panel.set_models(tuple(self._entries.values()), DEFAULT_MODEL)
        self.choose(DEFAULT_MODEL)

    def choose(self, name: str) -> None:
        """Load a model; one that needs a weights file waits for it, unless it was downloaded before."""
        facts = self._entries[name].facts
        there = facts.file.find(self._engine.settings.weights_dir) if facts.file is not None else None
        self.stop()
        if not needs_agreement(facts) or there is not None:
            self._once_agreed(name, lambda: self._load(name))
        if needs_agreement(facts):
            self._panel.set_weights(there)
            if there is None:
                choice = (
                    "Download its weights, or choose their file" if facts.file else "Choose the file of its weights"
                )
                self._panel.set_model_status(choice)

    def choose_weights(self, name: str, file: Path) -> None:
        """Load a model with the weights of a file."""
        self.stop()
        self._once_agreed(name, lambda: self._load(name, weights=file))

    def download(self, name: str) -> None:
        """Download the weights of a model, and load it; whatever else is chosen meanwhile stops that."""
        file = self._entries[name].facts.file
        self.stop()
        if file is not None:
            self._once_agreed(name, lambda: self._begin_download(name, file))

    def agree(self) -> None:
        """The licence that was asked for is agreed to: go on."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        facts, action = waiting
        try:
            self._agreements.agree(facts)
        except MedfmError as error:
            self._failed(error)
            return
        action()

    def _once_agreed(self, name: str, action: Callable[[], None]) -> None:
        facts = self._entries[name].facts
        if self._agreements.holds(facts):
            action()
            return
        self._waiting = facts, action
        self._panel.set_model_status("Waits for your agreement to its licence")
        self._panel.ask_licence(describe_licence(facts))

    def _begin_download(self, name: str, file: WeightsFile) -> None:
        token = self._download = object()
        shown = -1

        def report(done: int, total: int) -> None:
            nonlocal shown
            if self._download is not token:
                raise InterruptedError
            percent = 100 * done // max(total, 1)
            if percent != shown:
                shown = percent
                self._dispatch(lambda: self._show_download(token, f"{percent} % of {file.name}"))

        self._show_download(token, f"Downloading {file.name}")
        self._fetching.ask(lambda: self._fetch(file, report), lambda _: self.choose(name), self._failed)

    def stop(self) -> None:
        """Drop what is being loaded, downloaded or asked; the next download goes on where this one was."""
        self._download = self._waiting = None
        self._panel.ask_licence("")
        self._fetching.forget()
        self._loading.forget()

    def _fetch(self, file: WeightsFile, report: Callable[[int, int], None]) -> Path:
        from napari_medfm.models.downloads import fetch_weights  # who never downloads never waits for this

        settings = self._engine.settings
        folder, mirror, offline = settings.weights_dir, settings.mirror, settings.offline
        return fetch_weights(file, folder, mirror=mirror, offline=offline, report=report)

    def _show_download(self, token: object, text: str) -> None:
        if self._download is token:
            self._panel.set_model_status(text, busy=True)

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
