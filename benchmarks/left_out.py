"""How good a model is on six 2-D data sets that it was never trained on, against two floors in the same run.

A robot user clicks (RITM protocol, at most 20 exact clicks) and draws hurried boxes. Every score is Dice, NoC@85 too;
means are over data sets, each counting alike, with bootstrap 95 % intervals. The floors are the random walker and
the better of a disc and an Otsu component. The better floor is the one with the higher mean after as many clicks.
With ``--output`` the reports are kept, and an interrupted run goes on.

Beside the bars: the same with clicks off the centre, because exact ones flatter; and thin objects and odd shapes,
on which small models fail, with clicks, boxes and scribbles.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import report

from napari_medfm.evaluation import (
    ALL_DATASETS,
    FLOORS,
    FORMS,
    Estimate,
    Evaluation,
    Outcome,
    Plan,
    Summary,
    TargetRules,
    latencies,
    read_manifest,
    select_cases,
    summarise,
    with_floors,
    write_report,
    write_results,
)
from napari_medfm.inference import Predictor
from napari_medfm.models import load_model
from napari_medfm.simulation import ProtocolName

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
LEFT_OUT = (
    "msd_spleen_ct",
    "npc_t2_mr",
    "liver_us",
    "idrid_optic_disc_fundus",
    "glomeruli_histology",
    "faz_octa",
)
UNSEEN_SHAPES = "totalseg_ct_mr_3d"
SEEN_SHAPES = ("chase_vessels_fundus", "hepatic_vessel_ct")
"""Vessels are in no data set that was left out, but for some of `UNSEEN_SHAPES`."""
_PROMPTS = {"ritm": "clicks, NoC@85 on Dice", "jittered": "clicks off the centre", "scribble": "scribbles"}
STEPS = {"1_click": "dice_1_click", "3_clicks": "dice_3_clicks", "5_clicks": "dice_5_clicks"}


@dataclass(frozen=True, slots=True)
class Part:
    """One evaluation: what is asked, of whom, and how much of it at most."""

    title: str
    folder: str
    datasets: tuple[str, ...]
    protocols: tuple[ProtocolName, ...]
    images: int | None = None
    clicks: int = 20
    rules: TargetRules = field(default_factory=TargetRules)
    floors: bool = True


MAIN = Part("left-out sets", ".", LEFT_OUT, ("ritm", "box"))
JITTERED = Part("clicks off the centre", "jittered", LEFT_OUT, ("jittered",), floors=False)
SHAPES = Part(
    "thin objects and odd shapes",
    "shapes",
    (UNSEEN_SHAPES, *SEEN_SHAPES),
    ("ritm", "box", "scribble"),
    images=4,
    clicks=5,
    rules=TargetRules(objects=99, forms=("thin", "odd")),
)


def evaluate(run: report.Run, part: Part, predictor: Predictor, folder: Path) -> Outcome:
    """Run a part, and print how far it is and how fast."""
    images = 1 if run.quick else run.options.images or part.images
    cases = select_cases(read_manifest(MANIFEST), datasets=part.datasets, images=images, seed=run.options.seed)
    clicks = 5 if run.quick else part.clicks
    plan = Plan(cases, part.protocols, clicks, rules=part.rules, seed=run.options.seed)
    model, *floors = with_floors([predictor])
    evaluation = Evaluation(plan, [model, *floors] if part.floors else [model], folder / part.folder)
    start = time.perf_counter()
    shown = 0
    for progress in evaluation.run():
        if progress.done != shown:
            shown, seconds = progress.done, time.perf_counter() - start
            text = f"{part.title}: {progress.done} of {progress.total} images, {seconds / progress.done:.1f} s an image"
            print(text, flush=True)
    outcome = evaluation.outcome
    if run.options.output:
        write_results(outcome, folder / part.folder)
        write_report(outcome, folder / part.folder)
    if outcome.failures:
        sys.exit("\n".join(failure.reason for failure in outcome.failures))
    return outcome


def measure(run: report.Run) -> None:
    """Measure Dice on the left-out data sets, against both floors, and then what flatters less."""
    options = run.options
    predictor = Predictor(load_model(options.model, **({"weights": options.weights} if options.weights else {})))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.output or Path(scratch)
        parts = (MAIN, JITTERED) if run.quick else (MAIN, JITTERED, SHAPES)
        main, *others = (evaluate(run, part, predictor, folder) for part in parts)
    report_bars(run, by_name(main))
    for outcome in (main, *others):
        report_details(run, by_name(outcome))
    for latency in latencies(main.trials):
        run.detail(f"{latency.model}: encode, decode p50 (ms)", _pair(latency.encode_p50, latency.decode_p50))
    run.n = len({(trial.case, trial.target) for trial in main.trials})


def by_name(outcome: Outcome) -> dict[tuple[str, str, str], Summary]:
    """Return its summaries by model, protocol and data set."""
    return {(found.model, found.protocol, found.dataset): found for found in summarise(outcome.trials)}


def report_bars(run: report.Run, summaries: dict[tuple[str, str, str], Summary]) -> None:
    """Report what has a goal."""

    def mean(model: str, protocol: str, measure: str) -> float:
        return summaries[model, protocol, ALL_DATASETS].estimates[measure].mean

    model = run.options.model
    run.bar("dice_box", mean(model, "box", "dice_box"))
    for step, measure in STEPS.items():
        own, floor = mean(model, "ritm", measure), max(mean(floor, "ritm", measure) for floor in FLOORS)
        run.bar(f"dice_{step}", own)
        run.bar(f"margin_over_floor_{step}", own - floor)


def report_details(run: report.Run, summaries: dict[tuple[str, str, str], Summary]) -> None:
    """Report the rest: intervals of means, NoC, the floors, each data set, and objects that are thin or odd."""
    for (model, protocol, dataset), found in summaries.items():
        names = [name for name in _shown(protocol) if name in found.estimates]
        shown = [found.estimates[name] for name in names]
        whole = dataset == ALL_DATASETS or dataset in FORMS.values()
        text = ", ".join(_interval(value) if whole else f"{value.mean:.3f}" for value in shown)
        seen = ", trained on" if dataset in SEEN_SHAPES and model not in FLOORS else ""
        what = "box" if protocol == "box" else f"1, 3, 5 {_PROMPTS[protocol]}"
        run.detail(f"{model}, {dataset}{seen} (n = {found.objects}): {what}", text)


def _shown(protocol: str) -> tuple[str, ...]:
    if protocol == "box":
        return ("dice_box",)
    return (*STEPS.values(), "noc_85") if protocol == "ritm" else tuple(STEPS.values())


def _interval(value: Estimate) -> str:
    return f"{value.mean:.3f} ({value.low:.3f}-{value.high:.3f})"


def _pair(first: float, second: float) -> str:
    return f"{1000 * first:.1f}, {1000 * second:.1f}"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="registry name")
    parser.add_argument("--weights", type=Path, help="file of weights, if the model takes one")
    parser.add_argument("--images", type=int, metavar="N", help="images of each data set at most; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="keep report, results and record here")


if __name__ == "__main__":
    if not MANIFEST.is_file():
        sys.exit("shared/data/manifest.csv: the real images are not beside this repository")
    report.main("left_out", measure, _options)
