"""What a model is asked, complete and frozen, and what it answered last."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import Predictor, VolumePrediction, answer_steps, embed_plane, pixel_aspect
from napari_medfm.models import ImageEmbedding, MaskPrediction
from napari_medfm.prompts import Point
from napari_medfm.session.plans import Answering, authorship
from napari_medfm.session.request import PredictionRequest
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import WHOLE, Plane, Volume, Window
from napari_medfm.workers import Lane, Priority

Prediction = MaskPrediction | VolumePrediction

_REMEMBERED = 32


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Who looks at which image, and through what.

    Attributes
    ----------
    predictor : Predictor
        The model; used on the lane only.
    turn : int
        How many predictors there were before: answers of another one never count.
    image : str
        Fingerprint of the image.
    volume : Volume
        The image.
    window : Window
        What the model sees it through.
    """

    predictor: Predictor
    turn: int
    image: str
    volume: Volume
    window: Window

    @property
    def model_digest(self) -> str:
        """Digest of everything in the model that decides its answers."""
        spec = self.predictor.spec
        return spec.model_digest or spec.encoder_digest

    @property
    def adapters(self) -> tuple[str, ...]:
        """Digests of the adapters that are on."""
        return self.predictor.adapters

    @property
    def context(self) -> str:
        """What an answer depends on besides object, prompts and image, as a text to compare."""
        return f"{self.window.key} {self.predictor.spec.name} {self.model_digest} {self.turn}"


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything the lane needs to answer, frozen when it was asked.

    Attributes
    ----------
    request : PredictionRequest
        What is asked.
    view : View
        Who is asked about which image.
    previous : MaskPrediction, VolumePrediction or None
        The answer that is refined.
    near : tuple of ndarray of bool
        The object on slices nearby, (rows, columns), the nearest first, which tell what a lone click means.
    """

    request: PredictionRequest
    view: View
    previous: Prediction | None
    near: tuple[NDArray[np.bool_], ...] = ()

    def submit(self, lane: Lane, channel: str, told: Callable[[float], None]) -> Future[Any]:
        """Ask on a lane; the future's result is the answer.

        A model of volumes is asked in steps, and clicks on other things go before it until its regions are embedded.

        Parameters
        ----------
        lane : Lane
            Where the model runs.
        channel : str
            Of which only the newest question matters.
        told : callable
            Given how much of the regions is embedded, 0..1, on the lane's thread.
        """
        if self.request.plane != WHOLE:
            return lane.submit(self.answer, priority=Priority.CLICK, channel=channel)
        view, last = self.view, self.previous if isinstance(self.previous, VolumePrediction) else None
        steps = answer_steps(view.predictor, view.volume, view.image, self.request.prompts, last)
        return lane.submit_steps(steps, priority=Priority.VISIBLE, channel=channel, on_step=told)

    def answer(self) -> MaskPrediction:
        """Embed the slice, unless it is stored, and decode."""
        view = self.view
        embedding = embed_plane(view.predictor, view.volume, view.image, view.window, self.request.plane)
        return self._decoded(embedding)

    def glimpse(self) -> MaskPrediction | None:
        """Decode if the slice is embedded already; None if not."""
        predictor = self.view.predictor
        key = predictor.key(
            self.view.image, self.request.plane, self.view.window, pixel_aspect(self.view.volume, self.request.plane)
        )
        embedding = predictor.lookup(key) if predictor.cached(key) else None
        if embedding is None:
            return None
        return self._decoded(embedding)

    def _decoded(self, embedding: ImageEmbedding) -> MaskPrediction:
        predictor, prompts = self.view.predictor, self.request.prompts
        click = prompts[0]
        if not self.near or not isinstance(click, Point) or "box" not in predictor.spec.prompt_kinds:
            return predictor.decode(embedding, prompts, self._last)
        from napari_medfm.propagation import as_large_as

        return as_large_as(self.near, click, lambda asked: predictor.decode(embedding, asked, self._last))

    @property
    def _last(self) -> MaskPrediction | None:
        return self.previous if isinstance(self.previous, MaskPrediction) else None

    def answering(self, prediction: VolumePrediction) -> Answering:
        """Return the answer for a volume, to be worked out off the session's thread."""
        view = self.view
        facts = authorship(view.predictor.spec.name, view.model_digest, prediction.quality, view.adapters)
        return Answering(self.request, prediction.mask, prediction.box, facts)

    def put(self, session: AnnotationSession, prediction: MaskPrediction) -> bool:
        """Put the answer for a slice into a session; False if it comes too late there."""
        return session.apply_mask(
            self.request,
            prediction.mask,
            model=self.view.predictor.spec.name,
            model_digest=self.view.model_digest,
            quality=prediction.quality,
            adapters=self.view.adapters,
        )


class Answers:
    """The last answers, by object and plane, to be refined by further prompts."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, Plane], tuple[PredictionRequest, Prediction]] = OrderedDict()

    def remember(self, request: PredictionRequest, prediction: Prediction) -> None:
        """Keep an answer in place of older ones."""
        self._known[request.subject] = request, prediction
        self._known.move_to_end(request.subject)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def before(self, request: PredictionRequest) -> Prediction | None:
        """Return the answer to the prompts that a request only adds to."""
        known = self._known.get(request.subject)
        if known is None:
            return None
        former, prediction = known
        extends = request.prompts.prompts[: len(former.prompts)] == former.prompts.prompts
        same = (former.image, former.context) == (request.image, request.context)
        return prediction if same and extends and len(request.prompts) > len(former.prompts) else None

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()
