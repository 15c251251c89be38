"""Where to look next: slices ranked by what labelling them is expected to bring."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from napari_medfm.adaptation.filling import Filled
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

_WEIGHTS = {"entropy": 0.3, "disagreement": 0.3, "change": 0.2, "distance": 0.2}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A slice worth a look.

    Attributes
    ----------
    plane : Plane
        The slice.
    gain : float
        Expected, 0..1: the weighted mean of the four that follow.
    entropy : float
        Of the head, 0..1.
    disagreement : float
        Of head and decoder, 0..1.
    change : float
        From the proposals of both neighbours, 0..1; large where the structure begins, ends or jumps.
    distance : float
        From the nearest labelled slice, as a share of the farthest, 0..1.
    """

    plane: Plane
    gain: float
    entropy: float
    disagreement: float
    change: float
    distance: float


def suggest(filled: Sequence[Filled], labelled: Collection[int]) -> list[Suggestion]:
    """Return the slices that are not labelled yet, the most rewarding first.

    Parameters
    ----------
    filled : sequence of Filled
        Slices along one axis, in order.
    labelled : collection of int
        Indices of labelled slices.
    """
    gaps = [min((abs(int(each.plane.index) - index) for index in labelled), default=1) for each in filled]
    farthest = max([1, *gaps])
    found = [
        _suggestion(each, change, gap / farthest)
        for each, change, gap in zip(filled, _changes(filled), gaps, strict=True)
        if int(each.plane.index) not in labelled
    ]
    return sorted(found, key=lambda each: (-each.gain, int(each.plane.index)))


def _suggestion(filled: Filled, change: float, distance: float) -> Suggestion:
    parts = {
        "entropy": filled.entropy,
        "disagreement": filled.disagreement,
        "change": change,
        # Far from everything labelled, but nothing there: little to be learned.
        "distance": distance if filled.proposals or change else 0.0,
    }
    gain = sum(_WEIGHTS[name] * value for name, value in parts.items())
    return Suggestion(filled.plane, gain, **parts)


def _changes(filled: Sequence[Filled]) -> list[float]:
    """One minus the Dice with the neighbours, their mean."""
    masks = [each.mask for each in filled]
    steps = [1.0 - dice(mask, other) for mask, other in pairwise(masks)]
    beside = ([*steps[max(0, place - 1) : place], *steps[place : place + 1]] for place in range(len(masks)))
    return [sum(each) / len(each) if each else 0.0 for each in beside]
