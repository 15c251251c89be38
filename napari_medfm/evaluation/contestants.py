"""Who takes part in an evaluation: any model, asked exactly as the session asks it, and the floors."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import EvaluationError
from napari_medfm.evaluation.floors import TYPICAL_DIAMETER, OtsuImage, disc_or_otsu
from napari_medfm.inference import Predictor
from napari_medfm.models import ImageEmbedding, MaskPrediction, load_model
from napari_medfm.prompts import PromptSet
from napari_medfm.simulation import Answer

Mask = NDArray[np.bool_]

WALKER, DISC_OR_OTSU = "random_walker", "disc_or_otsu"
FLOORS = (WALKER, DISC_OR_OTSU)
"""Names of those that take part in every evaluation."""


@dataclass(frozen=True, slots=True)
class ContestantFacts:
    """What a report says of a contestant.

    Attributes
    ----------
    name : str
        Registry name.
    title : str
        Name shown to people.
    tier, origin : str
        What it was made for, and how.
    licence : str
        Of its weights.
    digest : str
        SHA-256 of everything that decides its answers.
    """

    name: str
    title: str
    tier: str
    origin: str
    licence: str
    digest: str


class Look(Protocol):
    """What a contestant keeps of one image."""

    def answer_for(self, truth: Mask) -> Answer:
        """Return who answers the prompts of one object; only a floor may look at the truth."""


class Contestant(Protocol):
    """Someone who is shown images and then answers prompts on them."""

    @property
    def facts(self) -> ContestantFacts:
        """What is known of it."""

    def look_at(self, image: NDArray[np.uint8]) -> Look:
        """Take in an image, (rows, columns[, 3]); the part of the work that does not depend on prompts."""


class ModelContestant:
    """A model that answers as it does in the session.

    Every answer refines the last one, and of several candidates the best is taken,
    as `napari_medfm.session.LiveSegmentation` does.

    Parameters
    ----------
    predictor : Predictor
        The model.

    Raises
    ------
    EvaluationError
        The model works on regions of volumes; only slices can be evaluated.
    """

    def __init__(self, predictor: Predictor) -> None:
        spec = predictor.spec
        if spec.ndim != 2:
            step = "Choose a model that works on slices; volumes are evaluated slice by slice."
            raise EvaluationError(spec.title, f"works on {spec.ndim}-D regions, which cannot be evaluated yet", step)
        self._predictor = predictor

    @property
    def facts(self) -> ContestantFacts:
        """See `Contestant.facts`."""
        spec = self._predictor.spec
        digest = spec.model_digest or spec.encoder_digest
        return ContestantFacts(spec.name, spec.title, spec.tier, spec.origin, spec.licence, digest)

    def look_at(self, image: NDArray[np.uint8]) -> "ModelLook":
        """See `Contestant.look_at`."""
        return ModelLook(self._predictor, self._predictor.embed(image))


@dataclass(frozen=True, slots=True, eq=False)
class ModelLook:
    """An embedding and who decodes it."""

    predictor: Predictor
    embedding: ImageEmbedding

    def answer_for(self, truth: Mask) -> Answer:
        """See `Look.answer_for`; the truth is not looked at."""
        last: MaskPrediction | None = None

        def answer(prompts: PromptSet, previous: Mask | None) -> Mask:
            nonlocal last
            last = self.predictor.decode(self.embedding, prompts, last)
            return last.mask

        return answer


class FloorContestant:
    """The floor without a model, see `napari_medfm.evaluation.floors`."""

    @property
    def facts(self) -> ContestantFacts:
        """See `Contestant.facts`."""
        digest = hashlib.sha256(f"{DISC_OR_OTSU} {TYPICAL_DIAMETER}".encode()).hexdigest()
        return ContestantFacts(DISC_OR_OTSU, "Disc or Otsu, the better one", "classical", "no training", "", digest)

    def look_at(self, image: NDArray[np.uint8]) -> "FloorLook":
        """See `Contestant.look_at`."""
        return FloorLook(OtsuImage.of(image))


@dataclass(frozen=True, slots=True, eq=False)
class FloorLook:
    """An image cut in two."""

    image: OtsuImage

    def answer_for(self, truth: Mask) -> Answer:
        """See `Look.answer_for`."""
        return disc_or_otsu(self.image, truth)


def with_floors(predictors: Iterable[Predictor]) -> tuple[Contestant, ...]:
    """Return models and, behind them, the two floors that stand in every report.

    Parameters
    ----------
    predictors : iterable of Predictor
        The models; the random walker, if among them, keeps its place.

    Raises
    ------
    EvaluationError
        Two of one name, or a model that cannot be evaluated.
    """
    models: list[Contestant] = [ModelContestant(predictor) for predictor in predictors]
    names = [model.facts.name for model in models]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise EvaluationError(", ".join(sorted(twice)), "takes part twice", "Name every model once.")
    if WALKER not in names:
        models.append(ModelContestant(Predictor(load_model(WALKER))))
    return (*models, FloorContestant())
