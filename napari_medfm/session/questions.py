"""What a model is asked, complete and frozen, and what it answered last."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import Predictor, embed_plane
from napari_medfm.models import MaskPrediction
from napari_medfm.session.request import PredictionRequest
from napari_medfm.volume import Plane, Volume, Window

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
    previous : MaskPrediction or None
        The answer that is refined.
    near : ndarray of bool or None
        The object on a slice nearby, (rows, columns), which tells what an ambiguous click means.
    """

    request: PredictionRequest
    view: View
    previous: MaskPrediction | None
    near: NDArray[np.bool_] | None = None

    def answer(self) -> MaskPrediction:
        """Embed the slice, unless it is stored, and decode."""
        view = self.view
        embedding = embed_plane(view.predictor, view.volume, view.image, view.window, self.request.plane)
        return self._meant(view.predictor.decode(embedding, self.request.prompts, self.previous))

    def glimpse(self) -> MaskPrediction | None:
        """Decode if the slice is embedded already; None if not."""
        predictor = self.view.predictor
        key = predictor.key(self.view.image, self.request.plane, self.view.window)
        embedding = predictor.lookup(key) if predictor.cached(key) else None
        if embedding is None:
            return None
        return self._meant(predictor.decode(embedding, self.request.prompts, self.previous))

    def _meant(self, prediction: MaskPrediction) -> MaskPrediction:
        if self.near is None or len(prediction.masks) == 1:
            return prediction
        from napari_medfm.propagation import like_its_neighbour

        return like_its_neighbour(prediction, self.near)


class Answers:
    """The last answers, by object and plane, to be refined by further prompts."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, Plane], tuple[PredictionRequest, MaskPrediction]] = OrderedDict()

    def remember(self, request: PredictionRequest, prediction: MaskPrediction) -> None:
        """Keep an answer in place of older ones."""
        self._known[request.subject] = request, prediction
        self._known.move_to_end(request.subject)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def before(self, request: PredictionRequest) -> MaskPrediction | None:
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
