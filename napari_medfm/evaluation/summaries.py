"""What trials amount to: means per data set and over data sets, how sure they are, and how long it took."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_medfm.evaluation.cases import seed_of
from napari_medfm.evaluation.targets import Form
from napari_medfm.evaluation.trials import MEASURES, Trial

ALL_DATASETS = "mean of data sets"
"""Stands for the mean over data sets where a data set is named."""

FORMS: Mapping[Form, str] = {"thin": "thin objects of all", "odd": "odd shapes of all"}
"""Stand for the objects of one form, from all data sets, where a data set is named."""

RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)
_IN_UNITS = ("nsd", "hd95")

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its bootstrap 95 % interval.

    Attributes
    ----------
    mean, low, high : float
        The interval is that of resampled objects; of the mean over data sets, resampled within each.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """How one contestant did under one protocol on one data set, or on all of them.

    Attributes
    ----------
    model, protocol : str
        Who, and how it was prompted.
    dataset : str
        Name of the data set; `ALL_DATASETS` for the mean of the data sets' means, each counting alike;
        one of `FORMS` for that mean of the objects that look so.
    objects : int
        How many.
    unit : str
        Of the distances; empty where data sets differ in it, and then no distance is given.
    estimates : mapping of str to Estimate
        By name of the measure, see `MEASURES`; without those that the protocol does not tell.
    """

    model: str
    protocol: str
    dataset: str
    objects: int
    unit: str
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a contestant takes, in seconds.

    Attributes
    ----------
    model : str
        Who.
    encodes, decodes : int
        How many were timed.
    encode_p50, encode_p95, decode_p50, decode_p95 : float
        Median and 95th percentile of taking in an image, and of answering a prompt.
    """

    model: str
    encodes: int
    encode_p50: float
    encode_p95: float
    decodes: int
    decode_p50: float
    decode_p95: float


def summarise(trials: Sequence[Trial], seed: int = 0) -> tuple[Summary, ...]:
    """Return means and intervals, for every model and protocol per data set and, last, over all of them.

    Objects that are thin or of odd shape are summarised once more, over all data sets.

    Parameters
    ----------
    trials : sequence of Trial
        Of one evaluation.
    seed : int
        Of the bootstrap. All contestants are resampled alike.
    """
    return tuple(
        summary
        for protocol in _names(trials, lambda trial: trial.protocol)
        for model in _names(trials, lambda trial: trial.model)
        for summary in _summarise(
            [trial for trial in trials if (trial.model, trial.protocol) == (model, protocol)], seed
        )
    )


def mean_of_means(groups: Mapping[str, Sequence[float]], seed: int = 0) -> Estimate:
    """Return the mean of groups' means, and its bootstrap interval.

    Parameters
    ----------
    groups : mapping of str to sequence of float
        Values of each data set; none is empty. A single one gives its mean.
    seed : int
        Equal seeds, names and numbers of values resample alike.
    """
    values = {name: np.asarray(group, dtype=np.float64) for name, group in groups.items()}
    mean = np.mean([group.mean() for group in values.values()])
    resampled = np.mean([_resampled_means(name, group, seed) for name, group in values.items()], axis=0)
    low, high = np.percentile(resampled, _INTERVAL)
    return Estimate(float(mean), float(low), float(high))


def dice_curve(trials: Sequence[Trial], seed: int = 0) -> dict[int, Estimate]:
    """Return Dice against clicks, as a mean of data sets' means; 0 clicks are the opening box.

    Parameters
    ----------
    trials : sequence of Trial
        Of one model under one protocol.
    seed : int
        Of the bootstrap.
    """
    most = max((trial.clicks for trial in trials), default=0)
    found = {0: _estimate(trials, lambda trial: trial.after_box, seed)}
    for clicks in range(1, most + 1):
        found[clicks] = _estimate(trials, partial(Trial.after, clicks=clicks), seed)
    return {clicks: estimate for clicks, estimate in found.items() if estimate is not None}


def latencies(trials: Sequence[Trial]) -> tuple[Latency, ...]:
    """Return how long each contestant took."""
    found = []
    for model in _names(trials, lambda trial: trial.model):
        own = [trial for trial in trials if trial.model == model]
        # An image's time stands in each of its trials; after an interruption it was taken twice.
        encodes = list({(trial.case, trial.slice): trial.encode_seconds for trial in own}.values())
        decodes = [seconds for trial in own for seconds in trial.seconds]
        (first, second), (third, fourth) = (np.percentile(values, (50, 95)) for values in (encodes, decodes))
        found.append(
            Latency(model, len(encodes), float(first), float(second), len(decodes), float(third), float(fourth))
        )
    return tuple(found)


def worst(trials: Iterable[Trial], count: int) -> tuple[Trial, ...]:
    """Return the trials that ended with the lowest Dice, the worst first."""
    return tuple(sorted(trials, key=lambda trial: (trial.dice[-1], trial.key))[:count])


def _summarise(trials: Sequence[Trial], seed: int) -> list[Summary]:
    """Of one model under one protocol."""
    datasets = _names(trials, lambda trial: trial.dataset)
    groups = {name: [trial for trial in trials if trial.dataset == name] for name in datasets}
    if len(groups) > 1:
        groups[ALL_DATASETS] = list(trials)
    groups |= {name: [trial for trial in trials if trial.form == form] for form, name in FORMS.items()}
    return [_summary(name, group, seed) for name, group in groups.items() if group]


def _summary(dataset: str, trials: Sequence[Trial], seed: int) -> Summary:
    units = {trial.unit for trial in trials}
    names = [name for name in MEASURES if len(units) == 1 or name not in _IN_UNITS]
    found = {name: _estimate(trials, MEASURES[name], seed) for name in names}
    return Summary(
        trials[0].model,
        trials[0].protocol,
        dataset,
        len(trials),
        "".join(units) if len(units) == 1 else "",
        {name: estimate for name, estimate in found.items() if estimate is not None},
    )


def _estimate(trials: Sequence[Trial], measure: Callable[[Trial], float | None], seed: int) -> Estimate | None:
    groups: dict[str, list[float]] = {}
    for trial in trials:
        value = measure(trial)
        if value is not None:
            groups.setdefault(trial.dataset, []).append(value)
    return mean_of_means(groups, seed) if groups else None


def _resampled_means(name: str, values: Values, seed: int) -> Values:
    rng = np.random.default_rng(seed_of(seed, name))
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    return np.asarray(values[drawn].mean(axis=1))


def _names(trials: Iterable[Trial], name: Callable[[Trial], str]) -> list[str]:
    return list(dict.fromkeys(name(trial) for trial in trials))
