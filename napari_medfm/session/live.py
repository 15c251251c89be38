"""The conversation between a session and a model: prompts out, masks in, nothing stale ever applied."""

import logging
import queue
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from psygnal import Signal, SignalGroup

from napari_medfm.errors import MedfmError, SessionError
from napari_medfm.inference import EmbeddingProgress, Predictor, embed_plane, embed_planes, order_planes
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import MaskPrompt, Point, Position, Prompt, PromptSet, check_inside
from napari_medfm.session.request import PredictionRequest, outstanding, resolve
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane, Volume, Window, automatic_window
from napari_medfm.workers import Dispatch, Lane, Priority, call_now

NEIGHBOURS = 8
"""Slices embedded ahead of the visible one, those in scroll direction first."""

_REMEMBERED = 32
_BACKGROUND = ("visible", "neighbours", "background")
_log = logging.getLogger(__name__)


class LiveEvents(SignalGroup):
    """Signals of the conversation, emitted on the owner's thread.

    Attributes
    ----------
    busy_changed : Signal(bool)
        Whether an answer to a prompt is outstanding.
    applied : Signal(int, Plane, float, float)
        An answer was put in place: object id, plane, quality 0..1, seconds since the prompt.
    preview_changed : Signal(Plane, ndarray or None)
        What the model would answer at the pointer, (rows, columns) bool; None to show nothing.
    progress : Signal(EmbeddingProgress or None)
        How far embedding in the background is; None when it ends.
    failed : Signal(MedfmError)
        Something did not work; worded for a person.
    """

    busy_changed = Signal(bool)
    applied = Signal(int, object, float, float)
    preview_changed = Signal(object, object)
    progress = Signal(object)
    failed = Signal(object)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything the lane needs to answer, frozen when it was asked.

    Attributes
    ----------
    request : PredictionRequest
        What is asked.
    predictor : Predictor
        Who answers.
    volume : Volume
        The image.
    window : Window
        What the model sees it through.
    previous : MaskPrediction or None
        The answer that is refined.
    """

    request: PredictionRequest
    predictor: Predictor
    volume: Volume
    window: Window
    previous: MaskPrediction | None

    def answer(self) -> MaskPrediction:
        """Embed the slice, unless it is stored, and decode."""
        request = self.request
        embedding = embed_plane(self.predictor, self.volume, request.image, self.window, request.plane)
        return self.predictor.decode(embedding, request.prompts, self.previous)

    def glimpse(self) -> MaskPrediction | None:
        """Decode if the slice is embedded already; None if not."""
        key = self.predictor.key(self.request.image, self.request.plane, self.window)
        embedding = self.predictor.lookup(key) if self.predictor.cached(key) else None
        return None if embedding is None else self.predictor.decode(embedding, self.request.prompts, self.previous)


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
        self._answers = _Answers()
        self._pending: dict[Future[Any], PredictionRequest] = {}
        self._predictors = 0
        self._hover: object | None = None
        self._hover_failed = False
        self._previewed: Plane | None = None
        self._embed_axis: int | None = None
        self._closed = False

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
        self._predictors += 1
        self._start_over()

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
        self._session.add_prompt(prompt)
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
        question = self._imagine(Point(plane, position, positive))
        if question is None:
            self.clear_hover()
            return
        token = self._hover = self._hover or object()
        future = self._lane.submit(question.glimpse, priority=Priority.HOVER, channel=self._channel("hover"))
        self._when_done(future, partial(self._show_preview, question.request, token))

    def clear_hover(self) -> None:
        """Show no preview."""
        self._hover = None
        self._lane.cancel(self._channel("hover"))
        if self._previewed is not None:
            plane, self._previewed = self._previewed, None
            self.events.preview_changed.emit(plane, None)

    def show(self, plane: Plane, direction: int = 0) -> None:
        """Embed the visible slice and its neighbours before anything else but prompts.

        Parameters
        ----------
        plane : Plane
            The slice that is visible now.
        direction : int
            Sign of the change of index while scrolling; 0 if not known.
        """
        order = self._order(plane, direction)
        self._embed(order[:1], Priority.VISIBLE, "visible")
        self._embed(order[: NEIGHBOURS + 1], Priority.NEIGHBOUR, "neighbours")
        if self._embed_axis == plane.axis:
            self._embed(order, Priority.BACKGROUND, "background")

    def embed_all(self, axis: int = 0, visible: int = 0) -> None:
        """Embed every slice across an axis in the background, nearest to the visible one first."""
        self._embed_axis = axis
        self._embed(self._order(Plane(axis, visible), 0), Priority.BACKGROUND, "background")

    def pause_background(self) -> None:
        """Stop embedding in the background; what is embedded stays."""
        running = self._embed_axis is not None
        self._embed_axis = None
        for name in _BACKGROUND:
            self._lane.cancel(self._channel(name))
        if running:
            self.events.progress.emit(None)

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
        for future in list(self._pending):
            future.cancel()
        self._set_pending({})

    def _ask(self, object_id: int | None, plane: Plane) -> None:
        try:
            question = self._question(object_id, plane)
        except MedfmError as error:  # the prompt is in the session; only its answer is missing
            self.events.failed.emit(error)
            return
        if question is None:
            return
        channel = self._channel(f"click/{object_id}/{plane.axis}/{plane.index}")
        future = self._lane.submit(question.answer, priority=Priority.CLICK, channel=channel)
        self._set_pending({**self._pending, future: question.request})
        self._when_done(future, partial(self._apply, question.request, time.perf_counter()))

    def _question(self, object_id: int | None, plane: Plane) -> Question | None:
        request = resolve(self._session.state, plane, object_id=object_id, context=self._context())
        if request is None:
            return None
        return Question(request, self._predictor, self._volume(), self.window, self._answers.before(request))

    def _imagine(self, point: Point) -> Question | None:
        """Return the question that a click would ask, or None if it could not be made."""
        try:
            check_inside(point, point.plane.shape(self._session.volume.shape))
            context, volume = self._context(), self._volume()
        except MedfmError:
            return None
        state = self._session.state
        thing = state.objects.get(state.active) if state.active is not None else None
        if thing is not None and thing.locked:
            return None
        prompts = self._prompts_before(point.plane).add(point)
        request = PredictionRequest(thing.id if thing else 0, point.plane, prompts, state.image, context)
        return Question(request, self._predictor, volume, self.window, self._answers.before(request))

    def _prompts_before(self, plane: Plane) -> PromptSet:
        """Return the prompts that a click on a plane would be added to."""
        state = self._session.state
        if state.active is None:
            return PromptSet()
        prompts = state.object().prompts.in_plane(plane)
        if len(prompts) or not self._session.voxel_count(state.active):
            return prompts
        mask = self._session.object_mask(state.active, plane)
        return PromptSet((MaskPrompt.from_mask(plane, mask),)) if mask.any() else prompts

    def _apply(self, request: PredictionRequest, start: float, found: Future[MaskPrediction]) -> None:
        if self._closed:
            return
        try:
            if not found.cancelled():
                self._put(request, start, found.result())
        except Exception as error:  # noqa: BLE001 - whatever a model raises is told, and the session goes on
            self._tell(error)
        finally:
            self._set_pending({asked: what for asked, what in self._pending.items() if asked is not found})

    def _put(self, request: PredictionRequest, start: float, prediction: MaskPrediction) -> None:
        spec = self._predictor.spec
        digest = spec.model_digest or spec.encoder_digest
        done = request.context == self._context() and self._session.apply_mask(
            request, prediction.mask, model=spec.name, model_digest=digest, quality=prediction.quality
        )
        if done:
            self._answers.remember(request, prediction)
            seconds = time.perf_counter() - start
            self.events.applied.emit(request.object_id, request.plane, prediction.quality, seconds)
        else:
            self._ask_anew(request.object_id, request.plane)

    def _ask_anew(self, object_id: int, plane: Plane) -> None:
        """Ask again if an answer was dropped but prompts still wait for one, unless that would cost a redo."""
        asked = [request for request in self._pending.values() if request.subject == (object_id, plane)]
        waits = (object_id, plane) in outstanding(self._session.state)
        spared = self._session.history.spares_redo(plane.region(self._session.volume.shape))
        if waits and spared and len(asked) == 1:  # the one is the answer that was dropped
            self._ask(object_id, plane)

    def _start_over(self) -> None:
        """Forget what depends on model and window, and ask again what was not answered yet."""
        self._answers.clear()
        self._hover_failed = False
        self.clear_hover()
        self.pause_background()
        for subject in dict.fromkeys(request.subject for request in self._pending.values()):
            self._ask(*subject)

    def _show_preview(self, request: PredictionRequest, token: object, found: Future[MaskPrediction | None]) -> None:
        if found.cancelled() or self._hover is not token or self._closed:
            return
        current = request.context == self._context() and request.image == self._session.state.image
        if not current or request.prompts.prompts[:-1] != self._prompts_before(request.plane).prompts:
            return
        error = found.exception()
        if error is not None:
            self.clear_hover()
            if not self._hover_failed:  # once is enough: the pointer moves on
                self._tell(error)
            self._hover_failed = True
            return
        prediction = found.result()
        if prediction is not None:
            self._previewed = request.plane
            self.events.preview_changed.emit(request.plane, prediction.mask)

    def _embed(self, planes: Sequence[Plane], priority: Priority, name: str) -> None:
        try:
            steps = embed_planes(self._predictor, self._volume(), self._session.state.image, self.window, planes)
        except MedfmError as error:
            self.events.failed.emit(error)
            return
        report = self._report if name == "background" else None
        future = self._lane.submit_steps(steps, priority=priority, channel=self._channel(name), on_step=report)
        self._when_done(future, partial(self._finish_embedding, name))

    def _report(self, progress: EmbeddingProgress) -> None:
        self._dispatch(lambda: self._show_progress(progress))

    def _show_progress(self, progress: EmbeddingProgress) -> None:
        if self._embed_axis is not None:
            self.events.progress.emit(progress)

    def _finish_embedding(self, name: str, done: Future[None]) -> None:
        if done.cancelled() or self._closed:
            return
        if name == "background":
            self._embed_axis = None
            self.events.progress.emit(None)
        error = done.exception()
        if error is not None:
            self._tell(error)

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

    def _order(self, plane: Plane, direction: int) -> list[Plane]:
        planes = self._session.volume.geometry.planes(plane.axis)
        return [planes[index] for index in order_planes(plane.index, direction, len(planes))]

    def _plane_of(self, index: int) -> Plane:
        prompts = self._session.state.object().prompts
        if not 0 <= index < len(prompts):
            raise SessionError("prompt", f"number {index} does not exist", "Choose one that is shown.")
        return prompts[index].plane

    def _volume(self) -> Volume:
        volume = self._session.image
        if volume is None:
            step = "Open it again, or choose another image."
            raise SessionError("image", "the one that the model should see is not open", step)
        return volume

    def _context(self) -> str:
        spec = self._predictor.spec
        return f"{self.window.key} {spec.name} {spec.model_digest or spec.encoder_digest} {self._predictors}"

    def _channel(self, name: str) -> str:
        return f"live/{id(self)}/{name}"


class _Answers:
    """The last answers, by object and plane, to be refined by further prompts."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, Plane], tuple[PredictionRequest, MaskPrediction]] = OrderedDict()

    def remember(self, request: PredictionRequest, prediction: MaskPrediction) -> None:
        key = request.object_id, request.plane
        self._known[key] = request, prediction
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def before(self, request: PredictionRequest) -> MaskPrediction | None:
        """Return the answer to the prompts that the request only adds to."""
        known = self._known.get((request.object_id, request.plane))
        if known is None:
            return None
        former, prediction = known
        extends = request.prompts.prompts[: len(former.prompts)] == former.prompts.prompts
        same = (former.image, former.context) == (request.image, request.context)
        return prediction if same and extends and len(request.prompts) > len(former.prompts) else None

    def clear(self) -> None:
        self._known.clear()
