"""What the model would answer at the pointer: only the newest place matters, and nothing waits for it."""

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import MedfmError
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import MaskPrompt, Point, PromptSet, check_inside
from napari_medfm.session.questions import Question, View
from napari_medfm.session.request import PredictionRequest
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane
from napari_medfm.workers import Dispatch, Lane, Priority

Shown = Callable[[Plane, NDArray[np.bool_] | None], object]


class Hovering:
    """Previews clicks. To be used from the session's thread.

    Parameters
    ----------
    session : AnnotationSession
        Whose active object a click would change.
    lane : Lane
        Where the model runs.
    dispatch : callable
        Brings callbacks to the session's thread.
    view : callable
        Returns who looks at what just now; may raise MedfmError.
    question : callable
        Returns what is asked by a request.
    shown : callable
        Told the slice and what would be answered there, (rows, columns) bool; None to show nothing.
    failed : callable
        Told once what went wrong, until `forgive`.
    """

    def __init__(
        self,
        session: AnnotationSession,
        lane: Lane,
        dispatch: Dispatch,
        view: Callable[[], View],
        question: Callable[[View, PredictionRequest], Question],
        shown: Shown,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._session, self._lane, self._dispatch = session, lane, dispatch
        self._view, self._question, self._shown, self._failed = view, question, shown, failed
        self._channel = f"hover/{id(self)}"
        self._token: object | None = None
        self._has_failed = False
        self._previewed: Plane | None = None

    def look(self, point: Point) -> None:
        """Preview a click, if the slice is embedded already."""
        question = self._imagine(point)
        if question is None:
            self.clear()
            return
        token = self._token = self._token or object()
        future = self._lane.submit(question.glimpse, priority=Priority.HOVER, channel=self._channel)
        future.add_done_callback(lambda done: self._dispatch(lambda: self._show(question.request, token, done)))

    def clear(self) -> None:
        """Show no preview."""
        self._token = None
        self._lane.cancel(self._channel)
        if self._previewed is not None:
            plane, self._previewed = self._previewed, None
            self._shown(plane, None)

    def forgive(self) -> None:
        """Tell of failures again."""
        self._has_failed = False

    def _imagine(self, point: Point) -> Question | None:
        """Return the question that a click would ask, or None if it could not be made."""
        state = self._session.state
        thing = state.objects.get(state.active) if state.active is not None else None
        if thing is not None and thing.locked:
            return None
        try:
            check_inside(point, point.plane.shape(self._session.volume.shape))
            view = self._view()
        except MedfmError:
            return None
        if view.predictor.answers_volumes:
            return None
        prompts = self._prompts_before(point.plane).add(point)
        request = PredictionRequest(thing.id if thing else 0, point.plane, prompts, state.image, view.context)
        return self._question(view, request)

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

    def _show(self, request: PredictionRequest, token: object, found: "Future[MaskPrediction | None]") -> None:
        if found.cancelled() or self._token is not token:
            return
        error = found.exception()
        if error is not None:
            self._fail(error)
            return
        prediction = found.result()
        if prediction is not None and self._would_ask(request):
            self._previewed = request.plane
            self._shown(request.plane, prediction.mask)

    def _would_ask(self, request: PredictionRequest) -> bool:
        """Whether a click would still be added to the prompts that a preview was made for."""
        before = request.prompts.prompts[:-1]
        current = request.image == self._session.state.image and request.context == self._view().context
        return current and before == self._prompts_before(request.plane).prompts

    def _fail(self, error: BaseException) -> None:
        told, self._has_failed = self._has_failed, True
        self.clear()
        if not told:  # once is enough: the pointer moves on
            self._failed(error)
