"""Running an evaluation: every contestant on every object under every protocol, resumable at any moment."""

import hashlib
import json
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_medfm import __version__
from napari_medfm.errors import EvaluationError, MedfmError
from napari_medfm.evaluation.cases import Case, seed_of
from napari_medfm.evaluation.contestants import Contestant, ContestantFacts, Look
from napari_medfm.evaluation.logbook import Logbook
from napari_medfm.evaluation.targets import Mask, Target, TargetRules, find_targets
from napari_medfm.evaluation.trials import CLICKS, Trial
from napari_medfm.inference import open_lane, slice_image
from napari_medfm.prompts import MaskPrompt
from napari_medfm.simulation import ProtocolName, RobotTrace, hd95, nsd, run_robot
from napari_medfm.volume import Plane, Volume, automatic_window, open_labels, open_volume
from napari_medfm.workers import Lane

TOLERANCE = 2.0
"""Of the surface Dice, in mm; in pixels where the image does not say how large they are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is evaluated, and how.

    Attributes
    ----------
    cases : tuple of Case
        Images and masks.
    protocols : tuple of str
        How the robot user points, see `napari_medfm.simulation.ProtocolName`.
    clicks : int
        Clicks or strokes at most; each protocol has a cap of its own, see `CLICKS`.
    rules : TargetRules
        Which objects count.
    seed : int
        Of every draw.

    Raises
    ------
    EvaluationError
        Nothing to do, or an unknown protocol.
    """

    cases: tuple[Case, ...]
    protocols: tuple[ProtocolName, ...] = ("ritm", "box")
    clicks: int = 20
    rules: TargetRules = field(default_factory=TargetRules)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.protocols if name not in get_args(ProtocolName)]
        if unknown:
            step = f"Choose of: {', '.join(get_args(ProtocolName))}."
            raise EvaluationError(", ".join(unknown), "is no protocol", step)
        if not self.cases or not self.protocols or self.clicks < 1:
            step = "Give at least one image, one protocol and one click."
            raise EvaluationError("evaluation", "has nothing to do", step)

    def cap(self, protocol: ProtocolName) -> int:
        """Return how often the robot may click under a protocol."""
        return min(self.clicks, CLICKS[protocol])


@dataclass(frozen=True, slots=True)
class Failure:
    """An image, or a model on an image, that could not be evaluated.

    Attributes
    ----------
    dataset, image : str
        Data set and name of the file.
    model : str
        Name of the contestant that failed; empty if the image itself did.
    reason : str
        What is wrong and what to do, in words.
    """

    dataset: str
    image: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluation is.

    Attributes
    ----------
    done, total : int
        Images that are through, and all of them.
    step : Trial or Failure or None
        What came out last; None if an image is through.
    """

    done: int
    total: int
    step: Trial | Failure | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that an evaluation found.

    Attributes
    ----------
    plan : Plan
        What was asked for.
    contestants : tuple of ContestantFacts
        Who took part, the floors last.
    trials : tuple of Trial
        Image by image.
    failures : tuple of Failure
        What could not be evaluated.
    """

    plan: Plan
    contestants: tuple[ContestantFacts, ...]
    trials: tuple[Trial, ...]
    failures: tuple[Failure, ...]

    @property
    def header(self) -> dict[str, Any]:
        """Settings and contestants, as JSON values."""
        return settings_of(self.plan, self.contestants)


def settings_of(plan: Plan, contestants: Sequence[ContestantFacts]) -> dict[str, Any]:
    """Return everything that decides the results of an evaluation, as JSON values without any folder."""
    cases = [
        (case.number, case.dataset, case.image.name, case.mask.name, case.targets, case.ignore, case.choice)
        for case in plan.cases
    ]
    return {
        "version": __version__,
        "seed": plan.seed,
        "protocols": list(plan.protocols),
        "clicks": plan.clicks,
        "objects per image": plan.rules.objects,
        "smallest object in pixels": plan.rules.smallest,
        "slices per object": plan.rules.slices,
        "forms": list(plan.rules.forms),
        "models": {facts.name: facts.digest for facts in contestants},
        "images": len(cases),
        "images digest": hashlib.sha256(json.dumps(cases).encode()).hexdigest(),
    }


class Evaluation:
    """An evaluation and the record that it leaves in a folder.

    Parameters
    ----------
    plan : Plan
        What to do.
    contestants : sequence of Contestant
        Who takes part, see `with_floors`.
    folder : Path
        Where the record is kept. With the same plan and contestants it is gone on with.

    Raises
    ------
    EvaluationError
        The folder holds an evaluation with other settings.
    WriteError
        It cannot be written to.
    """

    def __init__(self, plan: Plan, contestants: Sequence[Contestant], folder: Path) -> None:
        self._plan = plan
        self._contestants = tuple(contestants)
        self._facts = tuple(contestant.facts for contestant in contestants)
        self._logbook = Logbook(folder, settings_of(plan, self._facts))
        self._failures: list[Failure] = []

    @property
    def outcome(self) -> Outcome:
        """What was found so far, in the order of the plan."""
        places = {case.number: place for place, case in enumerate(self._plan.cases)}
        trials = sorted(self._logbook.trials.values(), key=lambda trial: places[trial.case])
        return Outcome(self._plan, self._facts, tuple(trials), tuple(self._failures))

    def run(self) -> Iterator[Progress]:
        """Do what is not done yet; models run on the device's lane, as in the session.

        Yields
        ------
        Progress
            After each trial, failure and image. To stop, close the generator.
        """
        self._failures.clear()
        total = len(self._plan.cases)
        with open_lane() as lane:
            for done, case in enumerate(self._plan.cases):
                for step in () if case.number in self._logbook.finished else self._run_case(case, lane):
                    yield Progress(done, total, step)
                yield Progress(done + 1, total)

    def _run_case(self, case: Case, lane: Lane) -> Iterator[Trial | Failure]:
        before = len(self._failures)
        try:
            volume = open_volume(case.image, choice=case.choice)
            targets = find_targets(case, open_labels(case.mask, volume), self._plan.rules, self._plan.seed)
        except MedfmError as error:
            yield self._fail(case, "", error)
            return
        for contestant, facts in zip(self._contestants, self._facts, strict=True):
            try:
                for trial in _run_contestant(contestant, facts.name, self._missing(case, targets, facts), volume, lane):
                    self._logbook.add(trial)
                    yield trial
            except MedfmError as error:
                yield self._fail(case, facts.name, error)
        if len(self._failures) == before:
            self._logbook.finish(case.number)

    def _missing(self, case: Case, targets: Sequence[Target], facts: ContestantFacts) -> "list[_Assignment]":
        assignments = (
            _Assignment(case, target, protocol, self._plan.cap(protocol), self._plan.seed)
            for target in targets
            for protocol in self._plan.protocols
        )
        return [given for given in assignments if given.key(facts.name) not in self._logbook.trials]

    def _fail(self, case: Case, model: str, error: MedfmError) -> Failure:
        failure = Failure(case.dataset, case.image.name, model, str(error))
        self._failures.append(failure)
        return failure


@dataclass(frozen=True, slots=True, eq=False)
class _Assignment:
    """What a contestant is to do on one object."""

    case: Case
    target: Target
    protocol: ProtocolName
    clicks: int
    seed: int

    def key(self, model: str) -> tuple[int, int, int, str, str]:
        return self.case.number, self.target.number, self.target.plane.index, model, self.protocol

    def run(self, look: Look) -> RobotTrace:
        # One seed for all contestants: they meet the same user.
        names = self.case.dataset, self.case.number, self.target.number, self.target.plane.index
        return run_robot(
            look.answer_for(self.target.mask),
            self.target.mask,
            protocol=self.protocol,
            seed=int(np.random.SeedSequence(seed_of(self.seed, *names)).generate_state(1)[0]),
            max_clicks=self.clicks,
            plane=self.target.plane,
        )


def _run_contestant(
    contestant: Contestant, model: str, assignments: Sequence[_Assignment], volume: Volume, lane: Lane
) -> Iterator[Trial]:
    if not assignments:
        return
    window = automatic_window(volume)
    for plane, group in groupby(sorted(assignments, key=_plane_of), key=_plane_of):
        image = slice_image(volume, plane, window)
        look, seconds = lane.submit(partial(_timed_look, contestant, image)).result()
        for given in group:
            trace = lane.submit(partial(given.run, look)).result()
            yield _trial(given, model, trace, seconds, volume)


def _plane_of(given: _Assignment) -> Plane:
    return given.target.plane


def _timed_look(contestant: Contestant, image: NDArray[np.uint8]) -> tuple[Look, float]:
    start = time.perf_counter()
    look = contestant.look_at(image)
    return look, time.perf_counter() - start


def _trial(given: _Assignment, model: str, trace: RobotTrace, encode_seconds: float, volume: Volume) -> Trial:
    case, target = given.case, given.target
    spacing = volume.geometry.plane_spacing(target.plane)
    surface, distance = _boundary_scores(trace.mask, target.mask, spacing)
    return Trial(
        case=case.number,
        dataset=case.dataset,
        image=case.image.name,
        mask=case.mask.name,
        modality=case.modality,
        target=target.number,
        slice=target.plane.index,
        pixels=target.pixels,
        form=target.form,
        model=model,
        protocol=given.protocol,
        clicks=given.clicks,
        dice=trace.dice,
        nsd=surface,
        hd95=distance,
        unit="mm" if volume.geometry.known or volume.ndim == 3 else "px",
        encode_seconds=encode_seconds,
        seconds=trace.seconds,
        prompts=trace.prompts,
        answer=MaskPrompt.from_mask(target.plane, trace.mask),
    )


def _boundary_scores(mask: Mask, truth: Mask, spacing: tuple[float, float]) -> tuple[float, float]:
    """Return surface Dice and the Hausdorff distance; of an empty mask the image's diagonal."""
    with warnings.catch_warnings():
        # MONAI 1.6 passes its own deprecated argument to itself.
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges", FutureWarning)
        surface, distance = nsd(mask, truth, spacing, TOLERANCE), hd95(mask, truth, spacing)
    return surface, distance if math.isfinite(distance) else math.hypot(*np.multiply(truth.shape, spacing))
