"""Adapting the model to a class while annotating: training, versions, and the switch between base and adapted."""

import logging
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal, SignalGroup

from napari_medfm.errors import AdapterError, MedfmError
from napari_medfm.inference import Predictor
from napari_medfm.session.examples import ENOUGH, Examples
from napari_medfm.session.lessons import Glimpse, Lesson, prepare_ahead
from napari_medfm.session.live import LiveSegmentation
from napari_medfm.session.notes import (
    Undertaking,
    Work,
    note_adapter,
    note_begun,
    note_learned,
    note_over,
    noted_adapters,
    noted_learned,
)
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane
from napari_medfm.workers import Dispatch, Lane, Latest, Priority

if TYPE_CHECKING:
    from napari_medfm.adaptation import AdapterLibrary, Listed, Progress, Recipe

_log = logging.getLogger(__name__)


class AdaptingEvents(SignalGroup):
    """Signals of `Adapting`, emitted on the owner's thread.

    Attributes
    ----------
    progressed : Signal(Progress or None)
        How far training is; None when it ends, however it ends.
    glimpsed : Signal(Glimpse)
        A first map of the visible slice, while training goes on.
    finished : Signal(Listed)
        An adapter was trained, judged and saved.
    in_use_changed : Signal()
        Another adapter is in use, it was switched, or there is none.
    versions_changed : Signal()
        The list of saved adapters.
    failed : Signal(MedfmError)
        Something did not work; worded for a person.
    """

    progressed = Signal(object, reemission="queued")
    glimpsed = Signal(object)
    finished = Signal(object)
    in_use_changed = Signal()
    versions_changed = Signal()
    failed = Signal(object)


@dataclass(frozen=True, slots=True, eq=False)
class InUse:
    """The adapter that a class is worked on with.

    Attributes
    ----------
    listed : Listed
        Which one.
    predictor : Predictor
        The adapted model.
    on : bool
        Whether it answers prompts; it fills slices in either case.
    """

    listed: "Listed"
    predictor: Predictor
    on: bool


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where adapting works.

    Attributes
    ----------
    device : Lane
        Runs models; training yields to everything else there.
    files : Lane
        Reads and writes files, and does what needs no device.
    library : AdapterLibrary
        Keeps adapters.
    dispatch : callable
        Brings callbacks to the session's thread.
    """

    device: Lane
    files: Lane
    library: "AdapterLibrary"
    dispatch: Dispatch


class Adapting:
    """Teaches the model the class at hand, and decides which model answers.

    An adapter answers prompts for its class only. Training goes on while another class is at hand, and is noted in the
    session until it is over: should the program end meanwhile, it is offered again. To be used from the session's
    thread.

    Parameters
    ----------
    session : AnnotationSession
        What is annotated; remembers which adapter was in use.
    live : LiveSegmentation
        Its conversation with the model, which gets the adapted one.
    examples : Examples
        What is learned from, and which class.
    workshop : Workshop
        Where it works.

    Attributes
    ----------
    events : AdaptingEvents
        Signals.
    """

    def __init__(
        self, session: AnnotationSession, live: LiveSegmentation, examples: Examples, workshop: Workshop
    ) -> None:
        self.events = AdaptingEvents()
        self._session, self._live, self._examples, self._workshop = session, live, examples, workshop
        self._base = live.predictor
        self._plane: Plane | None = None
        self._in_use: dict[str, InUse] = {}
        self._set_aside: dict[str, Listed] = {}
        self._learned = noted_learned(session)
        self._versions: tuple[Listed, ...] = ()
        self._lesson: Lesson | None = None
        self._future: Future[None] | None = None
        self._restoring = self._loader()
        self._loading: dict[str, Latest] = {}
        self._listing = Latest(workshop.files, workshop.dispatch)
        self._ahead: Future[None] | None = None
        self._prepared: tuple[Plane, ...] = ()
        examples.changed.connect(self._prepare)
        self.refresh()
        self._restore()

    @property
    def class_name(self) -> str:
        """The class at hand; empty for none."""
        return self._examples.class_name

    @property
    def busy(self) -> bool:
        """Whether training goes on."""
        return self._lesson is not None

    @property
    def base_digest(self) -> str:
        """Of the model that adapters are made for."""
        return self._base.spec.model_digest

    @property
    def learning(self) -> str:
        """The class that is being learned; empty for none."""
        return self._lesson.class_name if self._lesson is not None else ""

    @property
    def in_use(self) -> InUse | None:
        """What the class at hand is worked on with; None for the base model alone."""
        return self.known(self.class_name)

    def known(self, class_name: str) -> InUse | None:
        """Return what a class is worked on with; None for the base model alone."""
        return self._in_use.get(class_name)

    @property
    def set_aside(self) -> "Listed | None":
        """What was learned last, if the version in use was kept instead: it is no better than the base model."""
        return self._set_aside.get(self.class_name)

    @property
    def versions(self) -> "tuple[Listed, ...]":
        """Every saved adapter, those of the class at hand first, newest first."""
        return tuple(sorted(self._versions, key=lambda each: each.facts.structure != self.class_name))

    @property
    def offered(self) -> bool:
        """Whether enough slices are labelled, and not all of them were learned from before."""
        planes = frozenset(each.plane for each in self._examples.chosen)
        news = bool(planes - self._learned.get(self.class_name, frozenset()))
        return not self.busy and self._examples.positives >= ENOUGH and news

    def choose(self, class_name: str) -> None:
        """Turn to a class; its adapter answers from now on, if it has one that is on."""
        if class_name != self.class_name:
            self._examples.choose(class_name)
            self._apply()
            self.events.versions_changed.emit()
            self.events.in_use_changed.emit()

    def look(self, plane: Plane) -> None:
        """Take note of the slice that is visible."""
        self._plane = plane

    def set_base(self, predictor: Predictor) -> None:
        """Work with another model; adapters of the former one are out of use, those noted for this one come back."""
        given_up = self.learning
        self.cancel()
        self._forget_ahead()
        for question in (self._restoring, *self._loading.values()):
            question.forget()
        self._base, self._prepared = predictor, ()
        for kept in (self._in_use, self._set_aside, self._learned):
            kept.clear()
        self._examples.fetch()
        if given_up:
            self._fail(AdapterError(given_up, "was not learned, as another model was chosen", "Adapt this one."))
        self.events.in_use_changed.emit()
        self._restore()

    def adapt(self, recipe: "Recipe | None" = None) -> None:
        """Train on the chosen slices, in the background; what came of it is told by `events`.

        Raises
        ------
        AdapterError
            None of the chosen slices holds the class, or training goes on already.
        SessionError
            The image is not open.
        """
        if self.busy:
            raise AdapterError(self.class_name, "is being learned already", "Wait, or stop that first.")
        if not self._examples.positives:
            subject = self.class_name or "no class"
            raise AdapterError(
                subject, "is on no slice that is marked complete", "Label a slice, and mark it complete."
            )
        view = replace(self._live.view(), predictor=self._base)
        lesson = Lesson(
            self.class_name, view, self._examples.chosen, recipe, self._plane, self._examples.chosen_earlier
        )
        self._calm()
        self._forget_ahead()
        self._lesson = lesson
        note_begun(self._session, Undertaking(Work.ADAPT, lesson.class_name, self._plane))
        on_step = partial(self._told, lesson)
        steps = lesson.steps(self._workshop.library)
        self._future = self._workshop.device.submit_steps(steps, priority=Priority.TRAIN, on_step=on_step)
        self._future.add_done_callback(lambda done: self._workshop.dispatch(partial(self._end, lesson, done)))

    def stop(self) -> None:
        """End training with what was best so far."""
        if self._lesson is not None:
            self._lesson.stop()

    def cancel(self) -> None:
        """Give training up; nothing of it is kept."""
        class_name = self._halt()
        if class_name:
            note_over(self._session, Work.ADAPT, class_name)

    def use(self, listed: "Listed") -> None:
        """Work on the class at hand with a saved adapter: an older version, or one of another case."""
        self._set_aside.pop(self.class_name, None)
        self._load(self.class_name, listed.digest, on=True)

    def set_on(self, on: bool) -> None:
        """Let the adapted model answer, or the base model; the answer on the visible slice comes anew."""
        known = self.in_use
        if known is None or known.on == on:
            return
        self._put(self.class_name, replace(known, on=on))
        if self._plane is not None and self._session.state.active is not None:
            self._live.refresh(self._plane)

    def refresh(self) -> None:
        """Read the list of saved adapters anew."""
        self._listing.ask(self._workshop.library.list, self._listed, self._fail)

    def close(self) -> None:
        """Stop everything; saved adapters stay, and training that is under way counts as interrupted."""
        self._halt()
        self._forget_ahead()
        self._examples.changed.disconnect(self._prepare)
        for question in (self._restoring, self._listing, *self._loading.values()):
            question.forget()

    def _halt(self) -> str:
        """End training at once, and return the class that was being learned."""
        class_name, future = self.learning, self._future
        self._future = None
        if self._lesson is not None:
            self._lesson = None
            self.events.progressed.emit(None)
        if future is not None:
            future.cancel()
        return class_name

    def _loader(self) -> Latest:
        return Latest(self._workshop.device, self._workshop.dispatch, priority=Priority.VISIBLE)

    def _prepare(self) -> None:
        """Make altered copies of the slices that were marked, behind everything else."""
        planes = tuple(each.plane for each in self._examples.chosen)
        if self.busy or not planes or planes == self._prepared:
            return
        try:
            view = replace(self._live.view(), predictor=self._base)
        except MedfmError:  # the image is not open: there is nothing to prepare
            return
        self._forget_ahead()
        if not self._prepared:
            self._workshop.files.submit(_import_ahead)
        self._prepared = planes
        self._ahead = self._workshop.device.submit_steps(prepare_ahead(view, planes), priority=Priority.TRAIN)

    def _forget_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def _told(self, lesson: Lesson, step: "Progress | Glimpse | None") -> None:
        if step is not None:  # on the lane's thread
            self._workshop.dispatch(partial(self._tell, lesson, step))

    def _tell(self, lesson: Lesson, step: "Progress | Glimpse") -> None:
        if lesson is self._lesson:
            (self.events.glimpsed if isinstance(step, Glimpse) else self.events.progressed).emit(step)

    def _end(self, lesson: Lesson, done: Future[None]) -> None:
        if lesson is not self._lesson:
            return
        self._lesson = self._future = None
        self.events.progressed.emit(None)
        error = None if done.cancelled() else done.exception()
        if error is not None:
            note_over(self._session, Work.ADAPT, lesson.class_name)
            self._fail(error)
        elif lesson.listed is not None:
            learned = self._learned[lesson.class_name] = frozenset(each.plane for each in lesson.slices)
            note_learned(self._session, lesson.class_name, learned)
            self.refresh()
            self._choose_version(lesson.class_name, lesson.listed)
            self.events.finished.emit(lesson.listed)

    def _choose_version(self, class_name: str, learned: "Listed") -> None:
        """Take up what was learned, unless it is no better than the base model and a version that serves is in use."""
        known, better = self.known(class_name), _is_better(learned)
        if better or known is None or not (known.on or _is_better(known.listed)):
            self._set_aside.pop(class_name, None)
            self._load(class_name, learned.digest, on=better)
        else:
            self._set_aside[class_name] = learned
            self._put(class_name, known)

    def _listed(self, found: "tuple[Listed, ...]") -> None:
        self._versions = found
        self.events.versions_changed.emit()

    def _restore(self) -> None:
        """Take up what the session was worked on with before."""
        noted = noted_adapters(self._session)
        if noted:
            task = partial(_find_fitting, self._base, self._workshop.library, noted)
            self._restoring.ask(task, self._restored, self._fail)

    def _restored(self, found: dict[str, InUse]) -> None:
        self._in_use = {**found, **self._in_use}
        self._apply()
        self.events.in_use_changed.emit()

    def _load(self, class_name: str, digest: str, *, on: bool) -> None:
        task = partial(_load, self._base, self._workshop.library, digest, on)
        loading = self._loading.setdefault(class_name, self._loader())
        loading.ask(task, partial(self._put, class_name), self._fail)

    def _put(self, class_name: str, known: InUse) -> None:
        self._in_use[class_name] = known
        note_adapter(self._session, class_name, known.listed.digest, on=known.on)
        if class_name != self.learning:  # only now, so that an adapter that is not in use yet is not forgotten
            note_over(self._session, Work.ADAPT, class_name)
        self._apply()
        self.events.in_use_changed.emit()

    def _apply(self) -> None:
        """Let the model answer that the class at hand is worked on with."""
        known = self.in_use
        wanted = known.predictor if known is not None and known.on else self._base
        if self._live.predictor is not wanted:
            self._live.set_predictor(wanted)
            if self._plane is not None:
                self._live.show(self._plane)

    def _calm(self) -> None:
        """Let nothing run in the background but what is visible: training would wait for it."""
        self._live.pause_background()
        if self._plane is not None:
            self._live.show(self._plane)

    def _fail(self, error: BaseException) -> None:
        self.events.failed.emit(worded(error))


def _import_ahead() -> None:
    """Import what the first optimiser of a process would: half of torch, seconds that training would lack."""
    import torch._dynamo  # noqa: F401


def _is_better(listed: "Listed") -> bool:
    readout = listed.facts.readout
    return readout is not None and readout.improved


def worded(error: BaseException) -> MedfmError:
    """Return an error as it is told to a person."""
    if isinstance(error, MedfmError):
        return error
    _log.error("unexpected %s while adapting", type(error).__name__)
    reason = f"failed unexpectedly ({type(error).__name__})"
    return MedfmError("adapting", reason, "Try again, or choose another model.")


def _load(base: Predictor, library: "AdapterLibrary", digest: str, on: bool) -> InUse:
    """Put a saved adapter on a model."""
    from napari_medfm.adaptation import AdaptedModel, adaptable, read_adapter

    listed = next((each for each in library.list() if each.digest == digest), None)
    if listed is None:
        raise AdapterError("adapter", "is not in the library any more", "Adapt again, or choose another version.")
    adapter = read_adapter(listed.path)
    adapter.check_fits(base.spec)
    return InUse(listed, base.with_model(AdaptedModel(adaptable(base.model), adapter)), on)


def _find_fitting(base: Predictor, library: "AdapterLibrary", noted: dict[str, tuple[str, bool]]) -> dict[str, InUse]:
    """Put those on a model that were noted and fit it."""
    from napari_medfm.models.adaptable import Adaptable

    digests = {each.digest for each in library.list() if each.facts.base_digest == base.spec.model_digest}
    wanted = {name: note for name, note in noted.items() if note[0] in digests}
    if not isinstance(base.model, Adaptable):
        return {}
    return {name: _load(base, library, digest, on) for name, (digest, on) in wanted.items()}
