"""Filling slices with what an adapted model finds, and where to look next."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal, SignalGroup

from napari_medfm.errors import AdapterError
from napari_medfm.inference import Predictor
from napari_medfm.session.adapting import InUse, Workshop, worded
from napari_medfm.session.growth import Origin
from napari_medfm.session.labelled import held_planes, labelled_slice
from napari_medfm.session.lessons import FillProgress, FillTask, adapted_model, uncertainty
from napari_medfm.session.live import LiveSegmentation
from napari_medfm.session.notes import Undertaking, Work, note_begun, note_over
from napari_medfm.session.proposals import Proposals
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane
from napari_medfm.workers import Latest, Priority

if TYPE_CHECKING:
    from napari_medfm.adaptation import Filled, Suggestion


class FillingEvents(SignalGroup):
    """Signals of `Filling`, emitted on the owner's thread.

    Attributes
    ----------
    progressed : Signal(FillProgress or None)
        How far filling is; None when it ends, however it ends.
    suggested : Signal(tuple of Suggestion)
        Where to look next for the class at hand, the most rewarding slice first.
    mapped : Signal(Glimpse)
        How unsure the model is of the visible slice.
    failed : Signal(MedfmError)
        Something did not work; worded for a person.
    """

    progressed = Signal(object, reemission="queued")
    suggested = Signal(tuple)
    mapped = Signal(object)
    failed = Signal(object)


class Filling:
    """Proposes a class on slices that are not labelled, ranks them, and shows where the model is unsure.

    Filling goes on while another class is at hand. What was begun is noted in the session until nothing of it is
    proposed any more: proposals are not journaled, and should the program end, it is offered to fill again. To be used
    from the session's thread.

    Parameters
    ----------
    session : AnnotationSession
        What is labelled.
    live : LiveSegmentation
        Knows image and window.
    proposals : Proposals
        Gets what is found.
    workshop : Workshop
        Where it works.

    Attributes
    ----------
    events : FillingEvents
        Signals.
    """

    def __init__(
        self, session: AnnotationSession, live: LiveSegmentation, proposals: Proposals, workshop: Workshop
    ) -> None:
        self.events = FillingEvents()
        self._session, self._live, self._proposals, self._workshop = session, live, proposals, workshop
        self._task: FillTask | None = None
        self._running: FillTask | None = None
        self._future: Future[None] | None = None
        self._at_hand = ""
        self._open: set[str] = set()
        self._filled: dict[Plane, Filled] = {}
        self._suggestions: tuple[Suggestion, ...] = ()
        self._cleaning = Latest(workshop.files, workshop.dispatch)
        self._ranking = Latest(workshop.files, workshop.dispatch)
        self._mapping = Latest(workshop.device, workshop.dispatch, priority=Priority.VISIBLE)
        self._links: tuple[tuple[Any, Callable[..., None]], ...] = (
            (session.events.extent_changed, self._rank),
            (proposals.changed, self._look_for_the_end),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def busy(self) -> bool:
        """Whether slices are being filled."""
        return self._running is not None

    @property
    def class_name(self) -> str:
        """The class that was filled last, or is being filled; empty for none."""
        return self._task.class_name if self._task is not None else ""

    @property
    def suggestions(self) -> "tuple[Suggestion, ...]":
        """Where to look next for the class at hand, the most rewarding slice first."""
        return self._suggestions if self.class_name == self._at_hand else ()

    def turn_to(self, class_name: str) -> None:
        """Let another class be at hand; filling goes on."""
        self._at_hand = class_name
        self.events.suggested.emit(self.suggestions)

    def fill(self, class_name: str, known: InUse, plane: Plane, reach: range | None = None) -> None:
        """Propose a class on slices that hold nothing of it and were not marked for it, in the background.

        Parameters
        ----------
        class_name : str
            The class.
        known : InUse
            What finds it.
        plane : Plane
            The slice that is visible; those across its axis are filled, near ones first.
        reach : range, optional
            Indices to fill; all if not given.

        Raises
        ------
        AdapterError
            No slice is left to fill.
        SessionError
            The image is not open.
        """
        self._halt()
        view = replace(self._live.view(), predictor=known.predictor)
        every = self._session.volume.geometry.planes(plane.axis)
        planes = tuple(each for each in every if reach is None or each.index in reach)
        held = set(held_planes(self._session, class_name, plane.axis))
        labelled = tuple(labelled_slice(self._session, class_name, each) for each in planes if each in held)
        task = FillTask(class_name, view, planes, plane.index, labelled)
        if not task.open_planes:
            raise AdapterError(class_name, "leaves no slice to fill", "Choose other slices.")
        self._live.pause_background()
        self._live.show(plane)
        self._task = self._running = task
        self._at_hand = class_name
        self._open.add(class_name)
        self._filled = {}
        self._ranking.forget()
        self._suggest(())
        span = None if reach is None else (reach.start, reach.stop)
        note_begun(self._session, Undertaking(Work.FILL, class_name, plane, span))
        on_step = partial(self._told, task)
        self._future = self._workshop.device.submit_steps(task.steps(), priority=Priority.BACKGROUND, on_step=on_step)
        self._future.add_done_callback(lambda done: self._workshop.dispatch(partial(self._end, task, done)))

    def cancel(self) -> None:
        """Stop filling; what is proposed stays, and is ranked."""
        self._halt()
        self._rank()
        self._look_for_the_end()

    def map(self, known: InUse, plane: Plane) -> None:
        """Work out how unsure the model is of a slice; `events.mapped` tells."""
        view = replace(self._live.view(), predictor=known.predictor)
        self._mapping.ask(partial(uncertainty, view, plane), self.events.mapped.emit, self._fail)

    def forget_map(self) -> None:
        """Tell no more how unsure the model is of the slice that was asked about last."""
        self._mapping.forget()

    def close(self) -> None:
        """Stop everything; what is under way counts as interrupted."""
        self._halt()
        self._open.clear()
        for question in (self._ranking, self._mapping):
            question.forget()
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()

    def _halt(self) -> None:
        future, self._future = self._future, None
        self._cleaning.forget()
        if self._running is not None:
            self._running = None
            self.events.progressed.emit(None)
        if future is not None:
            future.cancel()

    def _look_for_the_end(self, _what: object = None) -> None:
        # Later: what is told here may be told in the middle of a change of the session.
        self._workshop.dispatch(self._end_for_good)

    def _end_for_good(self) -> None:
        """Note that filling is over, where nothing waits to be accepted any more."""
        for class_name in sorted(self._open):
            pending = self._proposals.slices(class_name).values()
            if not (self.busy and class_name == self.class_name) and not any(each.proposals for each in pending):
                note_over(self._session, Work.FILL, class_name)
                self._open.discard(class_name)

    def _told(self, task: FillTask, step: FillProgress | None) -> None:
        if step is not None:  # on the lane's thread
            self._workshop.dispatch(partial(self._tell, task, step))

    def _tell(self, task: FillTask, step: FillProgress) -> None:
        if task is self._running:
            self._put(task, {step.filled.plane: step.filled})
            self.events.progressed.emit(step)

    def _put(self, task: FillTask, filled: "dict[Plane, Filled]") -> None:
        self._filled |= filled
        found = {plane: each.proposals for plane, each in filled.items() if not self._is_held(task, plane)}
        self._proposals.put(task.class_name, found, origin_of(task.view.predictor))

    def _is_held(self, task: FillTask, plane: Plane) -> bool:
        """Whether a person began to label the class on a slice since."""
        members = self._session.state.members(task.class_name)
        return any(self._session.object_mask(number, plane).any() for number in members)

    def _end(self, task: FillTask, done: Future[None]) -> None:
        if task is not self._running or done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._finish()
            self._fail(error)
        else:
            clean = partial(task.clean, dict(self._filled))
            self._cleaning.ask(clean, partial(self._cleaned, task), self._fail_to_clean)

    def _fail_to_clean(self, error: BaseException) -> None:
        self._finish()
        self._rank()
        self._fail(error)

    def _cleaned(self, task: FillTask, filled: "dict[Plane, Filled]") -> None:
        waiting = self._proposals.slices(task.class_name)
        self._put(task, {plane: each for plane, each in filled.items() if plane in waiting})
        self._filled |= filled
        self._finish()
        self._rank()
        self._look_for_the_end()

    def _finish(self) -> None:
        self._running = self._future = None
        self.events.progressed.emit(None)

    def _rank(self) -> None:
        """Rank slices anew, now that others are labelled."""
        if self._task is None or self.busy or not self._filled:
            return
        task, session = self._task, self._session
        marked = {plane for name, plane in session.state.extent if name == task.class_name}
        held = tuple(labelled_slice(session, task.class_name, plane) for plane in task.planes if plane in marked)
        now = replace(task, held=held)
        self._ranking.ask(partial(now.suggest, dict(self._filled)), self._suggest, self._fail)

    def _suggest(self, suggestions: "tuple[Suggestion, ...]") -> None:
        self._suggestions = suggestions
        self.events.suggested.emit(self.suggestions)

    def _fail(self, error: BaseException) -> None:
        self.events.failed.emit(worded(error))


def origin_of(predictor: Predictor) -> Origin:
    """Return who proposes, for the record."""
    spec, model = predictor.spec, adapted_model(predictor)
    digest = spec.model_digest or spec.encoder_digest
    return Origin(spec.name, digest, (model.adapter.digest,), model.adapter.facts.several)
