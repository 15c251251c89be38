"""The honest read-out: before and after on a slice that was not learned from, by a robot user."""

from collections.abc import Callable, Generator

import numpy as np

from napari_medfm.adaptation.adapter import Readout
from napari_medfm.adaptation.finding import Found, Mask
from napari_medfm.adaptation.support import SupportSlice
from napari_medfm.models import ImageEmbedding, MaskPrediction, PromptableModel
from napari_medfm.prompts import MaskPrompt, PromptSet
from napari_medfm.simulation import dice, next_click
from napari_medfm.volume import Plane

ENOUGH = 0.85
"""Dice at which the robot user is content."""
CAP = 10
"""Clicks it makes at most."""

_OBJECTS = 2  # of the slice, the largest ones

Find = Callable[[ImageEmbedding], Found]


def read_out(
    judged: SupportSlice, before: tuple[PromptableModel, Find], after: tuple[PromptableModel, Find]
) -> Generator[None, None, Readout]:
    """Compare two models on a slice; every ``next`` takes one answer of one of them.

    Clicks on the model before begin anew; those after correct what it found by itself, as on a slice that was filled.

    Parameters
    ----------
    judged : SupportSlice
        Holds the structure.
    before, after : tuple of PromptableModel and callable
        What is clicked on, and what finds the structure without prompts.
    """
    objects = sorted(judged.objects, key=np.count_nonzero, reverse=True)[:_OBJECTS]
    scores, clicks = [], []
    for model, find in (before, after):
        found = find(judged.embedding)
        scores.append(dice(found.mask & ~judged.ignore, judged.mask))
        yield None
        total = 0
        for truth in objects:
            # The model before proposes nothing that could be corrected: its clicks begin anew.
            start = found_of(truth, found) if model is after[0] else None
            total += yield from clicks_needed(model, judged.embedding, truth, judged.ignore, start)
        clicks.append(total / len(objects))
    return Readout(judged.title, scores[0], scores[1], clicks[0], clicks[1], ENOUGH, CAP)


def found_of(truth: Mask, found: Found) -> Mask:
    """Return what was found of an object, (rows, columns): the part most like it, or nothing if none meets it."""
    parts = [each.mask for each in found.objects if (each.mask & truth).any()]
    return max(parts, key=lambda part: dice(part, truth), default=np.zeros_like(truth))


def clicks_needed(
    model: PromptableModel, embedding: ImageEmbedding, truth: Mask, ignore: Mask, found: Mask | None = None
) -> Generator[None, None, int]:
    """Return after how many exact clicks Dice reaches `ENOUGH`; `CAP` if it does not. Every ``next`` is one click.

    Where something was found already, the clicks correct that, as they do in a session; none may be needed then.

    Parameters
    ----------
    model : PromptableModel
        Answers; each answer refines the last.
    embedding : ImageEmbedding
        Of the slice.
    truth, ignore : ndarray of bool, (rows, columns)
        The object, and where nothing is known.
    found : ndarray of bool, (rows, columns), optional
        What was found of the object without prompts.
    """
    if found is not None and dice(found & ~ignore, truth) >= ENOUGH:
        return 0
    given = () if found is None or not found.any() else (MaskPrompt.from_mask(Plane(), found),)
    prompts, previous = PromptSet(given), None
    mask = np.zeros_like(truth) if found is None else found & ~ignore
    for count in range(1, CAP):
        point = next_click(mask, truth, [each.position for each in prompts.points])
        if point is None:
            break
        prompts = prompts.add(point)
        previous, mask = _answer(model, embedding, prompts, previous, ignore)
        yield None
        if dice(mask, truth) >= ENOUGH:
            return count
    return CAP


def _answer(
    model: PromptableModel, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None, ignore: Mask
) -> tuple[MaskPrediction, Mask]:
    answer = model.decode(embedding, prompts, previous)
    best = MaskPrediction(answer.mask[None], answer.logits[None], np.array([answer.quality], dtype=np.float32))
    return best, best.mask & ~ignore
