"""Which cases are trained on, validated on and held out: no patient on two sides, every class on each if it can be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medfm.export.exporter import Fold


@dataclass(frozen=True, slots=True)
class Outline:
    """What a division needs to know of a case.

    Attributes
    ----------
    id : str
        Of the case.
    patient : str
        Whose it is.
    present : frozenset of str
        Names of the classes that occur in it.
    """

    id: str
    patient: str
    present: frozenset[str]


def hold_out(outlines: Sequence[Outline], share: float, seed: int = 0) -> frozenset[str]:
    """Choose the cases that are held out for the end.

    Parameters
    ----------
    outlines : sequence of Outline
        All cases.
    share : float
        Of the cases, about; 0 for none. Where there are fewer than two patients, none is held out.
    seed : int
        Of the draw.
    """
    folds = divide(outlines, max(2, round(1 / share)), seed) if share > 0 else ()
    return frozenset(folds[0].validation) if folds else frozenset()


def divide(outlines: Sequence[Outline], count: int, seed: int = 0) -> tuple[Fold, ...]:
    """Divide cases into folds by patient, stratified by the rarest class of each case.

    Parameters
    ----------
    outlines : sequence of Outline
        The cases.
    count : int
        Folds; as many as there are patients, where these are fewer.
    seed : int
        Of the draw.

    Returns
    -------
    tuple of Fold
        Each case is in the validation part of one. Empty for a single patient.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    patients = [outline.patient for outline in outlines]
    count = min(count, len(set(patients)))
    if count < 2:
        return ()
    strata = _strata(outlines, count)
    stratified = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    parts = list(stratified.split(np.zeros(len(strata)), strata, patients))
    if not all(len(validation) for _, validation in parts):  # it may leave a fold empty to balance the others
        parts = list(GroupKFold(count).split(np.zeros(len(strata)), strata, patients))
    return tuple(Fold(_ids(outlines, training), _ids(outlines, validation)) for training, validation in parts)


def _ids(outlines: Sequence[Outline], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(outlines[place].id for place in places)


def _strata(outlines: Sequence[Outline], smallest: int) -> list[str]:
    """Return the stratum of each case: its rarest class. Strata too small to be in every fold are joined."""
    common = Counter(name for outline in outlines for name in outline.present)
    strata = [min(outline.present, key=lambda name: (common[name], name), default="") for outline in outlines]
    while True:
        (rarest, cases), *others = sorted(Counter(strata).items(), key=lambda item: (item[1], item[0]))
        if cases >= smallest or not others:
            return strata
        strata = [others[0][0] if stratum == rarest else stratum for stratum in strata]
