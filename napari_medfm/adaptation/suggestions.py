"""Where to look next: slices ranked by what labelling them is expected to bring."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from napari_medfm.adaptation.filling import Proposal
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


def suggest(proposals: Sequence[Proposal], labelled: Collection[int]) -> list[Suggestion]:
    """Return the slices that are not labelled yet, the most rewarding first.

    Parameters
    ----------
    proposals : sequence of Proposal
        Of slices along one axis, in order.
    labelled : collection of int
        Indices of labelled slices.
    """
    gaps = [min((abs(int(each.plane.index) - index) for index in labelled), default=1) for each in proposals]
    farthest = max([1, *gaps])
    found = [
        _suggestion(each, _change(proposals, place), gap / farthest)
        for place, (each, gap) in enumerate(zip(proposals, gaps, strict=True))
        if int(each.plane.index) not in labelled
    ]
    return sorted(found, key=lambda each: (-each.gain, int(each.plane.index)))


def _suggestion(proposal: Proposal, change: float, distance: float) -> Suggestion:
    parts = {
        "entropy": proposal.entropy,
        "disagreement": proposal.disagreement,
        "change": change,
        # Far from everything labelled, but nothing there: little to be learned.
        "distance": distance if proposal.objects or change else 0.0,
    }
    gain = sum(_WEIGHTS[name] * value for name, value in parts.items())
    return Suggestion(proposal.plane, gain, **parts)


def _change(proposals: Sequence[Proposal], place: int) -> float:
    mask = proposals[place].mask
    beside = [proposals[index].mask for index in (place - 1, place + 1) if 0 <= index < len(proposals)]
    return sum(1.0 - dice(mask, other) for other in beside) / len(beside) if beside else 0.0
