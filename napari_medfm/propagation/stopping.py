"""When propagation ends: decisions from two neighbouring masks and two numbers."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.propagation.keys import StopReason

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

_FLAT = 5.0  # of 255: what may differ within a uniform object


@dataclass(frozen=True, slots=True)
class StopRules:
    """What a slice must be like to be believed, and to be gone on from.

    Chosen on every fifth object of the images of ``benchmarks/propagation.py``.

    Attributes
    ----------
    smallest : float
        mm2 that an object has at least; less than that, or than a single voxel, is nothing.
    quality : float
        The model's own expectation, 0..1, that may not be fallen below.
    drop : float
        Share of its expectation beside the key slice that may not be fallen below.
    agreement : float
        Dice of the model's answer and the carried mask that may not be fallen below.
    agreed : float
        Dice from which on the model's outline is heeded.
    share : float
        By how much it is heeded, 0..1.
    slope : float
        How many mm an outline moves at most for each mm between the slices, measured on the radius of
        the disc of the same area; a voxel is always allowed.
    growth : float
        By which factor an area may always grow or shrink, whatever the slope says.
    overlap : float
        Dice with the slice before that may not be fallen below, where the outline may not move further than
        the object is wide.
    change : float
        By how many standard deviations of its brightness an object may become brighter or darker in one step.
    patience : int
        Doubtful slices in a row that are overlooked where the next one is sure again.
    """

    smallest: float = 0.0
    quality: float = 0.5
    drop: float = 0.7
    agreement: float = 0.5
    agreed: float = 0.85
    share: float = 0.4
    slope: float = 1.5
    growth: float = 1.5
    overlap: float = 0.3
    change: float = 2.0
    patience: int = 1


@dataclass(frozen=True, slots=True)
class Scale:
    """How large things are where propagation goes.

    Attributes
    ----------
    spacing : (float, float)
        mm per (row, column) step within a slice.
    step : float
        mm from slice to slice.
    """

    spacing: tuple[float, float]
    step: float

    @property
    def voxel(self) -> float:
        """mm2 of a voxel in its slice."""
        return self.spacing[0] * self.spacing[1]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was found on a slice.

    Attributes
    ----------
    found, last : ndarray of bool, (rows, columns)
        The object there, and on the last slice that was believed.
    quality : float
        The model's own expectation.
    agreement : float
        Dice of the model's answer and the carried mask.
    usual : float
        The model's expectation on the first slice beside the key.
    change : float
        See `change_of`.
    """

    found: Mask
    last: Mask
    quality: float
    agreement: float
    usual: float
    change: float = 0.0


def reason_to_stop(look: Look, scale: Scale, rules: StopRules) -> StopReason | None:
    """Return why what was found on a slice is not to be believed, or None if it is."""
    if is_nothing(look.found, scale, rules):
        return "empty"
    if jumps(np.count_nonzero(look.last) * scale.voxel, np.count_nonzero(look.found) * scale.voxel, scale, rules):
        return "area"
    if look.quality < max(rules.quality, rules.drop * look.usual) or look.agreement < rules.agreement:
        return "quality"
    if look.change > rules.change:
        return "brightness"
    return "overlap" if leaves(look, scale, rules) else None


def is_nothing(mask: Mask, scale: Scale, rules: StopRules) -> bool:
    """Whether a mask is too small to be the object."""
    count = np.count_nonzero(mask)
    return bool(count == 0 or count * scale.voxel < rules.smallest)


def jumps(before: float, after: float, scale: Scale, rules: StopRules) -> bool:
    """Whether an area, mm2, changes more from slice to slice than the distance between them explains."""
    if max(before, after) <= rules.growth * min(before, after):
        return False
    moved = abs(radius(after) - radius(before))
    return bool(moved > max(rules.slope * scale.step, *scale.spacing))


def leaves(look: Look, scale: Scale, rules: StopRules) -> bool:
    """Whether an object lies elsewhere than on the slice before, though it is too wide to go so far in one step."""
    width = 2 * radius(np.count_nonzero(look.last) * scale.voxel)
    return bool(width > rules.slope * scale.step) and overlap(look.found, look.last) < rules.overlap


def change_of(found: Mask, last: Mask, after: Image, before: Image) -> float:
    """Return how much brighter or darker an object became, in standard deviations on the slice before.

    Parameters
    ----------
    found, last : ndarray of bool, (rows, columns)
        The object on this slice and on the one before.
    after, before : ndarray of uint8, (rows, columns[, 3])
        Those slices, windowed.
    """
    if not (found.any() and last.any()):
        return 0.0
    usual = before[last]
    return abs(float(after[found].mean()) - float(usual.mean())) / max(float(usual.std()), _FLAT)


def radius(area: float) -> float:
    """Return the radius, mm, of the disc of an area, mm2."""
    return math.sqrt(area / math.pi)


def overlap(first: Mask, second: Mask) -> float:
    """Dice of two masks; 1 for two empty ones."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * float(np.count_nonzero(first & second)) / total if total else 1.0
