"""A robot user working with a model, step by step, under a published protocol."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from napari_medfm.prompts import Point, Prompt, PromptSet
from napari_medfm.simulation.metrics import Mask, dice, iou
from napari_medfm.simulation.robot import (
    IN_PLANE,
    component_click,
    error_scribble,
    middle_box,
    next_click,
    noisy_box,
)
from napari_medfm.volume import Plane

ProtocolName = Literal["ritm", "jittered", "box", "scribble", "cvpr2025"]
"""How the robot points.

``ritm``
    Up to 20 exact clicks (Sofiiuk et al., 2021); the measure of NoC in the literature.
``jittered``
    The same, each click off the centre of the error as a person's is.
``box``
    A noisy box, then jittered clicks.
``scribble``
    Strokes through the error.
``cvpr2025``
    A box a little too large, then 5 clicks (CVPR 2025, interactive 3-D segmentation); in 2-D and 3-D.
"""

Answer = Callable[[PromptSet, Mask | None], Mask]
"""Asks a model: all prompts so far and its last mask (None at first) to a new mask."""

_CVPR_CLICKS = 5


@dataclass(frozen=True, slots=True, eq=False)
class RobotTrace:
    """What happened between a robot and a model on one object.

    Attributes
    ----------
    protocol : str
        How the robot pointed.
    prompts : PromptSet
        In order; one per step.
    dice, iou : tuple of float
        Agreement with the truth after each step.
    seconds : tuple of float
        Time the model took to answer each step.
    mask : ndarray of bool
        The last answer.
    """

    protocol: ProtocolName
    prompts: PromptSet
    dice: tuple[float, ...]
    iou: tuple[float, ...]
    seconds: tuple[float, ...]
    mask: Mask

    def after_clicks(self, count: int, score: Literal["dice", "iou"] = "dice") -> tuple[float, ...]:
        """Return the score after corrections 1 .. `count`, an opening box not counted.

        Where the robot stopped early because nothing was left to correct, the last score stays.
        """
        scores = self.dice if score == "dice" else self.iou
        opened = bool(self.prompts) and self.prompts[0].kind == "box"
        counted = scores[1:] if opened else scores
        rest = scores[-1] if scores else 1.0
        return (counted + (rest,) * count)[:count]


@dataclass(frozen=True, slots=True)
class _Scene:
    """What every step of one run shares."""

    truth: Mask
    plane: Plane
    rng: np.random.Generator


_Opening = Callable[[_Scene], Prompt | None]
_Correction = Callable[[_Scene, Mask, PromptSet], Prompt | None]


def run_robot(
    answer: Answer,
    truth: Mask,
    *,
    protocol: ProtocolName = "ritm",
    seed: int = 0,
    max_clicks: int = 20,
    plane: Plane = IN_PLANE,
) -> RobotTrace:
    """Let a robot user prompt a model until nothing is wrong or its clicks are spent.

    Parameters
    ----------
    answer : callable
        ``answer(prompts, previous) -> mask``: all prompts so far and the last mask.
    truth : ndarray of bool
        The object, (rows, columns); for ``cvpr2025`` also (z, rows, columns).
    protocol : str
        See `ProtocolName`.
    seed : int
        Equal seeds give equal prompts if the answers are equal.
    max_clicks : int
        Clicks or scribbles at most, an opening box not counted; ``cvpr2025`` makes 5 at most.
    plane : Plane
        The slice to put 2-D prompts on.

    Returns
    -------
    RobotTrace
        Empty if the truth is.

    Raises
    ------
    ValueError
        Unknown protocol, or a 3-D truth for one that works in a plane.
    """
    if protocol not in get_args(ProtocolName):
        raise ValueError(f"unknown protocol {protocol!r}, use one of {', '.join(get_args(ProtocolName))}")
    if truth.ndim != 2 and not (truth.ndim == 3 and protocol == "cvpr2025"):
        raise ValueError(f"protocol {protocol!r} does not work on {truth.ndim} axes")
    scene = _Scene(truth.astype(bool, copy=False), plane, np.random.default_rng(seed))
    opening, correction = _PROTOCOLS[protocol]
    limit = min(max_clicks, _CVPR_CLICKS) if protocol == "cvpr2025" else max_clicks
    run = _Run(answer, scene)
    first = opening(scene)
    if first is not None:
        run.step(first)
    for _ in range(limit):
        prompt = correction(scene, run.mask, run.prompts)
        if prompt is None:
            break
        run.step(prompt)
    return run.trace(protocol)


class _Run:
    """Collects the steps of one run."""

    def __init__(self, answer: Answer, scene: _Scene) -> None:
        self._answer = answer
        self._truth = scene.truth
        self._previous: Mask | None = None
        self._scores: list[tuple[float, float, float]] = []
        self.prompts = PromptSet()

    @property
    def mask(self) -> Mask:
        """The last answer; nothing before the first."""
        return np.zeros_like(self._truth) if self._previous is None else self._previous

    def step(self, prompt: Prompt) -> None:
        self.prompts = self.prompts.add(prompt)
        started = time.perf_counter()
        mask = np.asarray(self._answer(self.prompts, self._previous), dtype=bool)
        seconds = time.perf_counter() - started
        self._previous = mask
        self._scores.append((dice(mask, self._truth), iou(mask, self._truth), seconds))

    def trace(self, protocol: ProtocolName) -> RobotTrace:
        dices, ious, seconds = (tuple(score[part] for score in self._scores) for part in range(3))
        return RobotTrace(protocol, self.prompts, dices, ious, seconds, self.mask)


def _nothing(scene: _Scene) -> Prompt | None:
    return None


def _open_noisy(scene: _Scene) -> Prompt | None:
    return noisy_box(scene.truth, scene.rng, scene.plane)


def _open_middle(scene: _Scene) -> Prompt | None:
    return middle_box(scene.truth, scene.rng, scene.plane)


def _exact(scene: _Scene, mask: Mask, prompts: PromptSet) -> Point | None:
    return next_click(mask, scene.truth, [point.position for point in prompts.points], scene.plane)


def _jittered(scene: _Scene, mask: Mask, prompts: PromptSet) -> Point | None:
    return next_click(mask, scene.truth, [point.position for point in prompts.points], scene.plane, scene.rng)


def _component(scene: _Scene, mask: Mask, prompts: PromptSet) -> Point | None:
    return component_click(mask, scene.truth, scene.rng, scene.plane)


def _stroke(scene: _Scene, mask: Mask, prompts: PromptSet) -> Prompt | None:
    return error_scribble(mask, scene.truth, scene.rng, scene.plane)


_PROTOCOLS: dict[ProtocolName, tuple[_Opening, _Correction]] = {
    "ritm": (_nothing, _exact),
    "jittered": (_nothing, _jittered),
    "box": (_open_noisy, _jittered),
    "scribble": (_nothing, _stroke),
    "cvpr2025": (_open_middle, _component),
}
