"""What an evaluation leaves: results for machines, and one HTML file for people that needs nothing else.

File names stand in both, folders in neither.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from napari_medfm.errors import VolumeError
from napari_medfm.evaluation.charts import draw_curves, draw_trial
from napari_medfm.evaluation.contestants import FLOORS
from napari_medfm.evaluation.floors import TYPICAL_DIAMETER
from napari_medfm.evaluation.running import Outcome, Plan
from napari_medfm.evaluation.summaries import ALL_DATASETS, Summary, latencies, summarise, worst
from napari_medfm.evaluation.targets import mask_of
from napari_medfm.evaluation.trials import ENOUGH, MEASURES, Trial, to_row
from napari_medfm.files import atomic_write_bytes
from napari_medfm.inference import slice_image
from napari_medfm.simulation import ProtocolName
from napari_medfm.volume import automatic_window, open_labels, open_volume

RESULTS, REPORT = "results.json", "report.html"
"""Names of the files."""

WORST = 4
"""Pictures for each model under each protocol."""

_TITLES = {
    "dice_box": "Dice, box",
    "dice_1_click": "Dice, 1 click",
    "dice_3_clicks": "3 clicks",
    "dice_5_clicks": "5 clicks",
    "dice_10_clicks": "10 clicks",
    "noc_85": "NoC@85 (Dice)",
    "noc_90": "NoC@90 (Dice)",
    "dsc_auc": "DSC_AUC",
    "nsd": "NSD",
    "hd95": "HD95",
    "failed": "failed",
}

_COUNTS = ("noc_85", "noc_90", "hd95")

_EXPLANATIONS: dict[ProtocolName, str] = {
    "ritm": "Exact clicks at the deepest point of the largest error (RITM, Sofiiuk et al., 2021), at most {clicks}. "
    "Ideal clicks flatter: see 'jittered'.",
    "jittered": "As ritm, but each click falls anywhere at least half as deep in the error, as a person's does; "
    "at most {clicks}.",
    "box": "A box as a hurried person draws it, then up to {clicks} jittered clicks. 0 clicks: the box alone.",
    "scribble": "Strokes through the middle of the largest error, at most {clicks}; they are counted as clicks.",
    "cvpr2025": "A box a little too large, then up to {clicks} clicks, each in the middle of the largest connected "
    "error (CVPR 2025 challenge on interactive 3-D segmentation, here slice by slice). 0 clicks: the box alone.",
}


def write_results(outcome: Outcome, folder: Path) -> Path:
    """Write every trial, summary, latency and failure as JSON.

    Parameters
    ----------
    outcome : Outcome
        What was found.
    folder : Path
        It gets ``results.json``.

    Raises
    ------
    WriteError
        It was not written.
    """
    # The masks stay in the record beside it; they would be most of the file.
    trials = [{name: value for name, value in to_row(trial).items() if name != "answer"} for trial in outcome.trials]
    content = {
        "header": outcome.header,
        "contestants": [asdict(facts) for facts in outcome.contestants],
        "summaries": [asdict(summary) for summary in summarise(outcome.trials, outcome.plan.seed)],
        "latencies": [asdict(latency) for latency in latencies(outcome.trials)],
        "failures": [asdict(failure) for failure in outcome.failures],
        "objects": trials,
    }
    return atomic_write_bytes(folder / RESULTS, json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")


def write_report(outcome: Outcome, folder: Path) -> Path:
    """Write curves, tables, latency and the worst cases as one HTML file that loads nothing from elsewhere.

    Parameters
    ----------
    outcome : Outcome
        What was found.
    folder : Path
        It gets ``report.html``.

    Raises
    ------
    WriteError
        It was not written.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    trials, plan = outcome.trials, outcome.plan
    summaries = summarise(trials, plan.seed)
    text = template.render(
        header=outcome.header,
        contestants=outcome.contestants,
        facts={facts.name: facts for facts in outcome.contestants},
        failures=outcome.failures,
        objects=len({(trial.case, trial.target, trial.slice) for trial in trials}),
        images=len({trial.case for trial in trials}),
        datasets=list(dict.fromkeys(trial.dataset for trial in trials)),
        sections=[_section(protocol, outcome, summaries) for protocol in plan.protocols if trials],
        measures=_TITLES,
        all_datasets=ALL_DATASETS,
        latencies=latencies(trials),
        worst=list(_worst(outcome)),
        number=_number,
        count=_count,
        diameter=TYPICAL_DIAMETER,
        enough=ENOUGH,
        slices=_slices(plan.rules.slices),
    )
    return atomic_write_bytes(folder / REPORT, text.encode())


def _section(protocol: ProtocolName, outcome: Outcome, summaries: Sequence[Summary]) -> dict[str, Any]:
    trials = [trial for trial in outcome.trials if trial.protocol == protocol]
    own = [summary for summary in summaries if summary.protocol == protocol]
    datasets = list(dict.fromkeys(summary.dataset for summary in own))
    # The mean over data sets first, and the models of one data set together.
    order = sorted(own, key=lambda found: (found.dataset != ALL_DATASETS, datasets.index(found.dataset)))
    names = [facts.name for facts in outcome.contestants]
    return {
        "protocol": protocol,
        "explanation": _EXPLANATIONS[protocol].format(clicks=outcome.plan.cap(protocol)),
        "curves": draw_curves(trials, names, outcome.plan.seed),
        "measures": [name for name in MEASURES if any(name in summary.estimates for summary in own)],
        "summaries": order,
    }


def _worst(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Pictures for each model and protocol; the floors show theirs only if nobody else took part."""
    names = [facts.name for facts in outcome.contestants]
    for name in [name for name in names if name not in FLOORS] or names:
        for protocol in outcome.plan.protocols:
            own = [trial for trial in outcome.trials if (trial.model, trial.protocol) == (name, protocol)]
            cases = [{"trial": trial, "png": _picture(trial, outcome.plan)} for trial in worst(own, WORST)]
            yield {"model": name, "protocol": protocol, "cases": [case for case in cases if case["png"]]}


def _picture(trial: Trial, plan: Plan) -> str:
    """Return a picture in base64; empty if the image can no longer be read."""
    case = next(case for case in plan.cases if case.number == trial.case)
    plane = trial.answer.plane
    try:
        volume = open_volume(case.image, choice=case.choice)
        truth = mask_of(case, open_labels(case.mask, volume), trial.target, plane)
    except VolumeError:
        return ""
    image = slice_image(volume, plane, automatic_window(volume))
    return base64.b64encode(draw_trial(image, truth, trial)).decode()


def _number(measure: str, value: float) -> str:
    return f"{value:.1f}" if measure in _COUNTS else f"{value:.2f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _slices(count: int) -> str:
    if count == 0:
        return "every axial slice of an object that is large enough"
    return "each object on its largest axial slice" if count == 1 else f"each object on up to {count} axial slices"
