"""What the panel says of adapting, in plain words."""

from typing import TYPE_CHECKING

from napari_medfm._qt.progress_section import describe_seconds
from napari_medfm.session import Undertaking, Work

if TYPE_CHECKING:
    from napari_medfm.adaptation import AdapterFacts, Listed, Progress, Readout

_PHASES = {
    "prepare": "Looking at your slices",
    "head": "Learning to find it",
    "decoder": "Learning to follow clicks",
    "judge": "Trying on a slice it has not seen",
    "settle": "Learning from that slice, too",
}

NO_NEGATIVE = "It saw no slice without it: say with D that one or two hold none, or it may find it elsewhere, too."


def describe_training(progress: "Progress") -> str:
    """Return what training is at, and how long it takes."""
    return f"{_PHASES[progress.phase]} · {describe_seconds(progress.left)} left"


def describe_unfinished(what: Undertaking) -> str:
    """Return what was interrupted, and what going on would do."""
    name = what.class_name
    if what.work is Work.ADAPT:
        return f"Adapting to {name} was interrupted. Go on, and it learns from the marked slices again."
    return f"Proposals of {name} were open when the program ended. Go on, and slices without it are filled again."


def describe_readout(facts: "AdapterFacts", kept: int | None = None) -> str:
    """Return how good an adapter is, against the model before, and what follows from that.

    Parameters
    ----------
    facts : AdapterFacts
        Of what was learned.
    kept : int or None
        The version that goes on being used instead of it.
    """
    readout = facts.readout
    stays = "the base model stays active" if kept is None else f"version {kept} is kept"
    if readout is None:
        return f"Learned from one slice, so there was none to try it on: {stays}. Label another slice."
    if readout.improved:
        return f"{_compare(readout)} Better: the adapted model answers now."
    return f"{_compare(readout)} Not better{' than the base model' * (kept is not None)}: {stays}."


def describe_version(listed: "Listed", class_name: str, base_digest: str) -> str:
    """Return one line for the list of saved adapters; which model it needs, if it is not the one in use."""
    facts = listed.facts
    name = "" if facts.structure == class_name else f"{facts.structure} · "
    score = f"Dice {facts.readout.dice_after:.2f}" if facts.readout is not None else "not judged"
    doubt = " · not better" if facts.readout is not None and not facts.readout.improved else ""
    other = "" if facts.base_digest == base_digest else f" · for {facts.base_name}"
    return f"{name}version {listed.version} · {score}{doubt}{other}"


def describe_licence(facts: "AdapterFacts") -> str:
    """Return whose licence holds for an adapter."""
    terms = "" if facts.commercial_use else ", no commercial use"
    return f"Made on {facts.base_name} ({facts.licence}{terms})"


def _compare(readout: "Readout") -> str:
    clicks = f"clicks to Dice {readout.enough:.2f}: {_clicks(readout.clicks_before, readout)} before"
    return (
        f"On {readout.title}, which it had not seen: found by itself with Dice {readout.dice_after:.2f} "
        f"({readout.dice_before:.2f} before); {clicks}, {_clicks(readout.clicks_after, readout)} now."
    )


def _clicks(count: float, readout: "Readout") -> str:
    return f"more than {readout.cap - 1}" if count >= readout.cap else f"{count:g}"
