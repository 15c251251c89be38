"""How good a model is on six 2-D data sets that it was never trained on, against two floors in the same run.

A robot user clicks (RITM protocol, at most 20 exact clicks) and draws hurried boxes. Every score is Dice, NoC@85 too;
means are over data sets, each counting alike, with bootstrap 95 % intervals. The floors are the random walker and
the better of a disc and an Otsu component. The better floor is the one with the higher mean after as many clicks.
With ``--output`` the report is kept, and an interrupted run goes on.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import report

from napari_medfm.evaluation import (
    ALL_DATASETS,
    FLOORS,
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

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
LEFT_OUT = (
    "msd_spleen_ct",
    "npc_t2_mr",
    "liver_us",
    "idrid_optic_disc_fundus",
    "glomeruli_histology",
    "faz_octa",
)
STEPS = {"1_click": "dice_1_click", "3_clicks": "dice_3_clicks", "5_clicks": "dice_5_clicks"}


def evaluate(run: report.Run, folder: Path) -> Outcome:
    """Run the evaluation, and print how far it is and how fast."""
    options = run.options
    images, objects = (1, 1) if run.quick else (options.images, 3)
    cases = select_cases(read_manifest(MANIFEST), datasets=LEFT_OUT, images=images, seed=options.seed)
    plan = Plan(cases, ("ritm", "box"), rules=TargetRules(objects), seed=options.seed)
    loaded = load_model(options.model, **({"weights": options.weights} if options.weights else {}))
    evaluation = Evaluation(plan, with_floors([Predictor(loaded)]), folder)
    start = time.perf_counter()
    shown = 0
    for progress in evaluation.run():
        if progress.done != shown:
            shown, seconds = progress.done, time.perf_counter() - start
            print(f"{progress.done} of {progress.total} images, {seconds / progress.done:.1f} s an image", flush=True)
    run.detail("seconds an image, all contestants", (time.perf_counter() - start) / len(cases))
    return evaluation.outcome


def measure(run: report.Run) -> None:
    """Measure Dice on the left-out data sets, against both floors."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = run.options.output or Path(scratch)
        outcome = evaluate(run, folder)
        if run.options.output:
            write_results(outcome, folder)
            write_report(outcome, folder)
    if outcome.failures:
        sys.exit("\n".join(failure.reason for failure in outcome.failures))
    summaries = {(found.model, found.protocol, found.dataset): found for found in summarise(outcome.trials)}
    report_bars(run, summaries)
    report_details(run, summaries)
    for latency in latencies(outcome.trials):
        run.detail(f"{latency.model}: encode, decode p50 (ms)", _pair(latency.encode_p50, latency.decode_p50))
    run.n = len({(trial.case, trial.target) for trial in outcome.trials})


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
    """Report the rest: intervals, NoC, the floors, and each data set."""
    for (model, protocol, dataset), found in summaries.items():
        names = ("dice_box",) if protocol == "box" else (*STEPS.values(), "noc_85")
        shown = [found.estimates[name] for name in names]
        if dataset == ALL_DATASETS:
            text = ", ".join(f"{value.mean:.3f} ({value.low:.3f}-{value.high:.3f})" for value in shown)
        else:
            text = ", ".join(f"{value.mean:.3f}" for value in shown)
        what = "box" if protocol == "box" else "1, 3, 5 clicks, NoC@85 on Dice"
        run.detail(f"{model}, {dataset} (n = {found.objects}): {what}", text)


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
