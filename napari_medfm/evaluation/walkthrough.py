"""A robot user that segments an image as an expert did, object by object, slice by slice."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from napari_medfm.errors import MedfmError, ModelError
from napari_medfm.prompts import Position, Prompt
from napari_medfm.session import AnnotationSession, LiveSegmentation, ObjectClass
from napari_medfm.simulation import dice, iou, next_click, noisy_box
from napari_medfm.volume import Plane

_PATIENCE = 600.0  # seconds; the largest encoders need minutes per slice on a CPU

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """How the segmentation of one object went.

    Attributes
    ----------
    name : str
        Of its class.
    object_id : int
        In the session.
    slices : int
        Axial slices it was segmented on.
    prompts : int
        Boxes and clicks on all of them together.
    dice : float
        Agreement with the expert over the whole volume.
    seconds : float
        Time all of it took.
    """

    name: str
    object_id: int
    slices: int
    prompts: int
    dice: float
    seconds: float


def ask(live: LiveSegmentation, prompt: Prompt) -> None:
    """Add a prompt to the active object and wait until its answer is in the session.

    Parameters
    ----------
    live : LiveSegmentation
        Without a `dispatch` of its own.
    prompt : Prompt
        What a person would have drawn.

    Raises
    ------
    MedfmError
        The session refused the prompt, or the model failed.
    """
    failures: list[MedfmError] = []

    def keep(error: MedfmError) -> None:
        failures.append(error)

    live.events.failed.connect(keep)
    try:
        live.add_prompt(prompt)
        answered = live.wait(_PATIENCE)
    finally:
        live.events.failed.disconnect(keep)
    if failures:
        raise failures[0]
    if not answered:
        step = "Choose a smaller model or a faster device."
        raise ModelError(live.predictor.spec.title, f"gave no answer within {_PATIENCE:.0f} s", step)


def expert_masks(expert: NDArray[Any], classes: Sequence[ObjectClass]) -> dict[str, Mask]:
    """Return the expert's mask of each class that occurs, by name.

    Parameters
    ----------
    expert : ndarray of int
        Expert labels; label k is the k-th class, counted from 1.
    classes : sequence of ObjectClass
        A class holds the voxels of every class below it too.
    """
    parents = {known.name: known.parent for known in classes}
    numbers: dict[str, list[int]] = {known.name: [] for known in classes}
    for number, known in enumerate(classes, start=1):
        above: str | None = known.name
        while above is not None:
            numbers[above].append(number)
            above = parents[above]
    masks = {name: np.isin(expert, labels) for name, labels in numbers.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def segment_like_expert(
    session: AnnotationSession,
    live: LiveSegmentation,
    masks: Mapping[str, Mask],
    *,
    clicks: int = 5,
    enough: float = 0.9,
    seed: int = 0,
) -> Iterator[ObjectScore]:
    """Segment one object per class by simulated prompts, on every axial slice that the expert marked.

    On each slice the robot draws a hurried box, unless there are several pieces, which nobody would box
    together; then it clicks where the error is deepest (RITM's rule) until the mask is good enough or its
    clicks are spent. Objects are done in the order given and accepted.

    Parameters
    ----------
    session : AnnotationSession
        Gets the objects; it knows the classes.
    live : LiveSegmentation
        Its conversation with a model, without a `dispatch` of its own.
    masks : mapping of str to ndarray of bool
        What the expert marked, by class name, see `expert_masks`.
    clicks : int
        Clicks per slice at most.
    enough : float
        IoU with the expert at which the robot goes to the next slice; 0.9 is the target
        of the literature's NoC@90.
    seed : int
        Of the boxes.

    Yields
    ------
    ObjectScore
        After each object.

    Raises
    ------
    MedfmError
        The model failed, or the session refused a prompt.
    """
    rng = np.random.default_rng(seed)
    for name, truth in masks.items():
        start = time.perf_counter()
        number = session.add_object(name, name)
        marked = [plane for plane in session.volume.geometry.planes() if plane.take(truth, truth.ndim).any()]
        for plane in marked:
            _segment_slice(session, live, plane, plane.take(truth, truth.ndim), clicks, enough, rng)
        session.accept(number)
        seconds = time.perf_counter() - start
        prompts = len(session.state.object(number).prompts)
        yield ObjectScore(name, number, len(marked), prompts, _dice(session, number, truth), seconds)


def _segment_slice(
    session: AnnotationSession,
    live: LiveSegmentation,
    plane: Plane,
    truth: Mask,
    clicks: int,
    enough: float,
    rng: np.random.Generator,
) -> None:
    number = session.state.object().id
    _, pieces = label(truth)
    box = noisy_box(truth, rng, plane) if pieces == 1 else None
    if box is not None:
        ask(live, box)
    clicked: list[Position] = []
    while len(clicked) < clicks:
        mask = session.object_mask(number, plane)
        click = next_click(mask, truth, clicked, plane) if iou(mask, truth) < enough else None
        if click is None:
            return
        ask(live, click)
        clicked.append(click.position)


def _dice(session: AnnotationSession, object_id: int, truth: Mask) -> float:
    planes = session.volume.geometry.planes()
    found = np.stack([session.object_mask(object_id, plane) for plane in planes])
    return dice(found.reshape(truth.shape), truth)
