"""The conversation between a session and a model: prompts out, masks in, nothing stale ever applied."""

import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from psygnal import Signal, SignalGroup

from napari_medfm.errors import MedfmError, SessionError
from napari_medfm.inference import Predictor, VolumePrediction
from napari_medfm.prompts import Point, Position, Prompt
from napari_medfm.session.background import Background
from napari_medfm.session.hovering import Hovering
from napari_medfm.session.keyslices import masks_nearby
from napari_medfm.session.plans import Plan
from napari_medfm.session.proposals import Proposals
from napari_medfm.session.questions import Answers, Prediction, Question, View
from napari_medfm.session.request import PredictionRequest, is_answered, outstanding, places, resolve
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import WHOLE, Plane, Volume, Window, automatic_window
from napari_medfm.workers import Dispatch, Lane, Priority, call_now

_log = logging.getLogger(__name__)


class LiveEvents(SignalGroup):
    """Signals of the conversation, emitted on the owner's thread.

    Every listener hears states in the order they came about, even if one of them lets others run meanwhile, as a
    window that draws does.

    Attributes
    ----------
    busy_changed : Signal(bool)
        Whether an answer to a prompt is outstanding.
    applied : Signal(int, Plane, float, float)
        An answer was put in place: object id, plane (`WHOLE` if of a model of volumes), quality 0..1, seconds since
        the prompt.
    preparing : Signal(float)
        How much of the regions that a model of volumes has to see for an answer is embedded, 0..1.
    predictor_changed : Signal()
        Another model answers from now on.
    preview_changed : Signal(Plane, ndarray or None)
        What the model would answer at the pointer, (rows, columns) bool; None to show nothing.
    progress : Signal(EmbeddingProgress or None)
        How far embedding in the background is; None when it ends.
    failed : Signal(MedfmError)
        Something did not work; worded for a person.
    """

    busy_changed = Signal(bool, reemission="queued")
    applied = Signal(int, object, float, float)
    preparing = Signal(float, reemission="queued")
    predictor_changed = Signal()
    preview_changed = Signal(object, object, reemission="queued")
    progress = Signal(object, reemission="queued")
    failed = Signal(object)


class LiveSegmentation:
    """Asks a model about every prompt and puts its answers into the session.

    All methods are called on the thread that owns the session; the model runs on
    the lane. An answer whose prompts, object, image, window or model are no longer
    the current ones is dropped.

    Parameters
    ----------
    session : AnnotationSession
        Gets the prompts and the masks.
    predictor : Predictor
        Answers; used on the lane only.
    lane : Lane
        Where it runs; not closed with this.
    window : Window, optional
        What the model sees the image through; chosen by the image if not given.
    dispatch : callable, optional
        Brings a callback to the session's thread. Without it callbacks are kept until
        that thread calls `wait`, which is what a script wants.
    proposals : Proposals, optional
        What a prompt may correct, see `Proposals.take_up`.

    Attributes
    ----------
    events : LiveEvents
        Signals.
    """

    def __init__(
        self,
        session: AnnotationSession,
        predictor: Predictor,
        lane: Lane,
        *,
        window: Window | None = None,
        dispatch: Dispatch | None = None,
        proposals: Proposals | None = None,
    ) -> None:
        if dispatch is call_now:
            msg = "answers come on the lane's thread, which does not own the session: give no dispatch, and call wait"
            raise ValueError(msg)
        self.events = LiveEvents()
        self._session = session
        self._predictor = predictor
        self._lane = lane
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._dispatch = dispatch or self._inbox.put
        self._windows: dict[str, Window] = {} if window is None else {session.state.image: window}
        self._answers = Answers()
        self._pending: dict[Future[Any], PredictionRequest] = {}
        self._background = Background(lane, self._dispatch, self.events.progress.emit, self._tell)
        self._proposals = proposals
        self._turn = 0
        shown = self.events.preview_changed.emit
        self._hovering = Hovering(session, lane, self._dispatch, self.view, self._question, shown, self._tell)
        self._undone = session.history.last_undone
        self._closed = False
        session.events.history_changed.connect(self._after_undo_or_redo)

    @property
    def predictor(self) -> Predictor:
        """Who answers."""
        return self._predictor

    @property
    def window(self) -> Window:
        """What the model sees the current image through."""
        image = self._session.state.image
        if image not in self._windows:
            self._windows[image] = automatic_window(self._volume())
        return self._windows[image]

    @property
    def busy(self) -> bool:
        """Whether an answer to a prompt is outstanding."""
        return bool(self._pending)

    def set_predictor(self, predictor: Predictor) -> None:
        """Let another model answer from now on, also what the former one was asked and did not answer yet."""
        self._predictor = predictor
        self._turn += 1
        self._start_over()
        self.events.predictor_changed.emit()

    def set_window(self, window: Window) -> None:
        """Let the model see the current image through another window from now on; outstanding answers come anew."""
        self._windows[self._session.state.image] = window
        self._start_over()

    def add_prompt(self, prompt: Prompt) -> None:
        """Add a prompt to the session's active object and ask the model.

        Raises
        ------
        MedfmError
            The session refuses it; see `AnnotationSession.add_prompt`.
        """
        if self._proposals is not None:
            self._proposals.take_up(prompt)
        self._session.add_prompt(prompt, alone=self._predictor.answers_volumes)
        self.clear_hover()
        self._ask(self._session.state.active, prompt.plane)

    def remove_prompt(self, index: int) -> None:
        """Remove a prompt of the active object and ask again about what is left on its plane."""
        plane = self._plane_of(index)
        self._session.remove_prompt(index)
        self._ask(self._session.state.active, plane)

    def move_prompt(self, index: int, prompt: Prompt) -> None:
        """Replace a prompt of the active object and ask again."""
        planes = dict.fromkeys((self._plane_of(index), prompt.plane))
        self._session.move_prompt(index, prompt)
        for plane in planes:
            self._ask(self._session.state.active, plane)

    def refresh(self, plane: Plane) -> None:
        """Ask again about the active object on a plane, and about every object there that has no answer yet."""
        missing = [number for number, where in outstanding(self._session.state) if where == plane]
        for number in dict.fromkeys((self._session.state.active, *missing)):
            self._ask(number, plane)

    def catch_up(self) -> None:
        """Ask about all prompts that have no answer yet, such as after a crash."""
        for number, plane in outstanding(self._session.state):
            self._ask(number, plane)

    def hover(self, plane: Plane, position: Position, positive: bool = True) -> None:
        """Preview a click, if the slice is embedded already; only the newest one matters."""
        self._hovering.look(Point(plane, position, positive))

    def clear_hover(self) -> None:
        """Show no preview."""
        self._hovering.clear()

    def show(self, plane: Plane, direction: int = 0) -> None:
        """Embed the visible slice and its neighbours before anything else but prompts.

        Parameters
        ----------
        plane : Plane
            The slice that is visible now.
        direction : int
            Sign of the change of index while scrolling; 0 if not known.
        """
        self._with_view(lambda view: self._background.show(view, plane, direction))

    def embed_all(self, axis: int = 0, visible: int = 0) -> None:
        """Embed every slice across an axis in the background, nearest to the visible one first."""
        self._with_view(lambda view: self._background.embed_all(view, Plane(axis, visible)))

    def pause_background(self) -> None:
        """Stop embedding in the background; what is embedded stays."""
        self._background.pause()

    def wait(self, timeout: float = 60.0) -> bool:
        """Apply answers as they come, until every prompt is answered; only without a `dispatch` of one's own.

        Returns
        -------
        bool
            False if that took longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._pending or not self._inbox.empty():
            try:
                callback = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
            callback()
        return True

    def close(self) -> None:
        """Stop asking; answers that are outstanding are dropped. The session and the lane stay open."""
        if self._closed:
            return
        self.clear_hover()
        self.pause_background()
        self._closed = True
        self._session.events.history_changed.disconnect(self._after_undo_or_redo)
        for future in list(self._pending):
            future.cancel()
        self._set_pending({})

    def _with_view(self, act: Callable[[View], None]) -> None:
        try:
            view = self.view()
        except MedfmError as error:
            self.events.failed.emit(error)
        else:
            act(view)

    def _ask(self, object_id: int | None, plane: Plane) -> None:
        # If it cannot be asked, the prompt is in the session all the same: only its answer is missing.
        self._with_view(lambda view: self._submit(view, object_id, plane))

    def _submit(self, view: View, object_id: int | None, plane: Plane) -> None:
        for where in places(self._session.state, object_id, plane, volumes=view.predictor.answers_volumes):
            request = resolve(self._session.state, where, object_id=object_id, context=view.context)
            if request is None:
                continue
            question = self._question(view, request)
            channel = self._channel(f"click/{request.object_id}/{where.axis}/{where.index}")
            future = question.submit(self._lane, channel, self._on_step)
            self._set_pending({**self._pending, future: request})
            self._when_done(future, partial(self._apply, question, time.perf_counter()))

    def _question(self, view: View, request: PredictionRequest) -> Question:
        near = masks_nearby(self._session, request, self._proposals)
        return Question(request, view, self._answers.before(request), near)

    def _on_step(self, share: float) -> None:
        self._dispatch(partial(self._show_preparing, share))

    def _show_preparing(self, share: float) -> None:
        if self.busy:
            self.events.preparing.emit(share)

    def _apply(self, question: Question, start: float, found: Future[Prediction]) -> None:
        self._finish(found, lambda: self._put(question, start, found.result()))

    def _put(self, question: Question, start: float, prediction: Prediction) -> None:
        request = question.request
        if request.context != self.view().context:
            self._ask_anew(request.object_id, request.plane)
        elif isinstance(prediction, VolumePrediction):
            self._work_out(question, start, prediction)
        else:
            self._note(question, start, prediction, done=question.put(self._session, prediction))

    def _work_out(self, question: Question, start: float, prediction: VolumePrediction) -> None:
        """Have the lane work out what an answer for a volume changes: there are too many voxels for this thread."""
        task = partial(self._session.work_out, question.answering(prediction))
        future = self._lane.submit(task, priority=Priority.CLICK)
        self._set_pending({**self._pending, future: question.request})
        self._when_done(future, partial(self._carry_out, question, start, prediction))

    def _carry_out(
        self, question: Question, start: float, prediction: VolumePrediction, found: "Future[Plan | None]"
    ) -> None:
        def put() -> None:
            plan, current = found.result(), question.request.context == self.view().context
            done = current and plan is not None and self._session.carry_out(plan)
            if done or plan is None or not current:
                self._note(question, start, prediction, done=done)
            else:  # something else happened meanwhile
                self._put(question, start, prediction)

        self._finish(found, put)

    def _finish(self, found: Future[Any], act: Callable[[], None]) -> None:
        if self._closed:
            return
        try:
            if not found.cancelled():
                act()
        except Exception as error:  # noqa: BLE001 - whatever a model raises is told, and the session goes on
            self._tell(error)
        finally:
            self._set_pending({asked: what for asked, what in self._pending.items() if asked is not found})

    def _note(self, question: Question, start: float, prediction: Prediction, *, done: bool) -> None:
        request = question.request
        if done:
            self._answers.remember(request, prediction)
            seconds = time.perf_counter() - start
            self.events.applied.emit(request.object_id, request.plane, prediction.quality, seconds)
        else:
            self._ask_anew(request.object_id, request.plane)

    def _ask_anew(self, object_id: int, plane: Plane) -> None:
        """Ask again if an answer was dropped but prompts still wait for one, unless that would cost a redo."""
        asked = [request for request in self._pending.values() if request.subject == (object_id, plane)]
        waits = not is_answered(self._session.state, object_id, plane)
        spared = self._session.history.spares_redo(plane.region(self._session.volume.shape))
        if waits and spared and len(asked) == 1:  # the one is the answer that was dropped
            self._ask(object_id, plane)

    def _after_undo_or_redo(self) -> None:
        """Ask about a prompt that is the last step again but was never answered, unless that would cost a redo."""
        before, self._undone = self._undone, self._session.history.last_undone
        step = self._session.history.last_done
        if self._undone is before or step is None or step.subject is None:
            return
        number, plane = step.subject
        plane = WHOLE if self._predictor.answers_volumes else plane
        asked = any(step.asks(request.subject) for request in self._pending.values())
        spared = self._session.history.spares_redo(plane.region(self._session.volume.shape))
        if spared and not asked and not is_answered(self._session.state, number, plane):
            self._ask(number, plane)

    def _start_over(self) -> None:
        """Forget what depends on model and window, and ask again what was not answered yet."""
        self._answers.clear()
        self._hovering.forgive()
        self.clear_hover()
        self.pause_background()
        for future, request in list(self._pending.items()):
            future.cancel()
            self._ask(*request.subject)

    def _when_done(self, future: Future[Any], callback: Callable[[Future[Any]], None]) -> None:
        future.add_done_callback(lambda done: self._dispatch(lambda: callback(done)))

    def _tell(self, error: BaseException) -> None:
        if not isinstance(error, MedfmError):
            _log.error("unexpected %s from %s", type(error).__name__, self._predictor.spec.name)
            reason = f"failed unexpectedly ({type(error).__name__})"
            error = MedfmError(self._predictor.spec.title, reason, "Try again, or choose another model.")
        self.events.failed.emit(error)

    def _set_pending(self, pending: dict[Future[Any], PredictionRequest]) -> None:
        before, self._pending = self.busy, pending
        if self.busy != before:
            self.events.busy_changed.emit(self.busy)

    def _plane_of(self, index: int) -> Plane:
        prompts = self._session.state.object().prompts
        if not 0 <= index < len(prompts):
            raise SessionError("prompt", f"number {index} does not exist", "Choose one that is shown.")
        return prompts[index].plane

    def view(self) -> View:
        """Return who looks at what just now.

        Raises
        ------
        SessionError
            The image is not open.
        """
        return View(self._predictor, self._turn, self._session.state.image, self._volume(), self.window)

    def _volume(self) -> Volume:
        volume = self._session.image
        if volume is None:
            step = "Open it again, or choose another image."
            raise SessionError("image", "the one that the model should see is not open", step)
        return volume

    def _channel(self, name: str) -> str:
        return f"live/{id(self)}/{name}"
