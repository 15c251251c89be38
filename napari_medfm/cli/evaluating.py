"""The command ``evaluate``: a robot user, any models, any data sets with expert masks, and a report."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_medfm.cli.terminal import UNUSABLE_INPUT, Flawed, Row, bar

if TYPE_CHECKING:
    from napari_medfm.evaluation import Evaluation, Outcome, Summary
    from napari_medfm.inference import Predictor
    from napari_medfm.simulation import ProtocolName

_SHOWN = ("dice_box", "dice_1_click", "dice_3_clicks", "dice_5_clicks", "dice_10_clicks", "noc_85", "failed")


class Protocol(StrEnum):
    """How the robot user points; `napari_medfm.simulation.ProtocolName` by another name, imported in no time."""

    RITM = "ritm"
    JITTERED = "jittered"
    BOX = "box"
    SCRIBBLE = "scribble"
    CVPR2025 = "cvpr2025"


def evaluate(  # noqa: PLR0913 - each argument is an option of the command
    data: Annotated[
        Path, typer.Argument(help="A manifest.csv, or a folder of nnU-Net v2 or Medical Segmentation Decathlon form.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report; an interrupted evaluation there goes on.")
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="A model; may be repeated. The floors always take part.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="File of weights, for the one model that takes a file.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="A data set; may be repeated. Default: all.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images of each data set at most, drawn at random.")] = None,
    objects: Annotated[int, typer.Option(min=1, help="Objects of an image at most, drawn at random.")] = 3,
    smallest: Annotated[int, typer.Option(min=1, help="Pixels that an object has at least on a slice.")] = 64,
    slices: Annotated[int, typer.Option(min=0, help="Axial slices of an object; 1: its largest, 0: all of them.")] = 1,
    channel: Annotated[int, typer.Option(min=0, help="Which image of a case, where a folder has several.")] = 0,
    protocol: Annotated[
        list[Protocol] | None, typer.Option(help="How the robot points; may be repeated. Default: ritm and box.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, help="Clicks at most; each protocol has a cap of its own.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
) -> list[Row]:
    """Measure models with a robot user on images with expert masks, against two floors that need no training.

    Writes report.html and results.json, and prints the means of Dice with bootstrap 95 % intervals. NoC counts
    Dice. A manifest has the columns dataset, image, mask, modality and targets (labels or components). Leaves with 3
    if an image could not be evaluated; the others are in the report.
    """
    from napari_medfm.evaluation import (
        Evaluation,
        Plan,
        TargetRules,
        read_cases,
        select_cases,
        with_floors,
        write_report,
        write_results,
    )

    cases = select_cases(read_cases(data, channel=channel), datasets=dataset or (), images=images, seed=seed)
    names = cast("list[ProtocolName]", [name.value for name in protocol or (Protocol.RITM, Protocol.BOX)])
    plan = Plan(cases, tuple(dict.fromkeys(names)), clicks, TargetRules(objects, smallest, slices), seed)
    evaluation = Evaluation(plan, with_floors(_load(model or [], weights)), output)
    outcome = _run(evaluation)
    written = write_results(outcome, output), write_report(outcome, output)
    typer.echo(f"Wrote {written[0]} and {written[1]}", err=True)
    return _rows(outcome)


def _run(evaluation: "Evaluation") -> "Outcome":
    with bar("Evaluating") as move:
        for progress in evaluation.run():
            move(progress.done, progress.total)
    return evaluation.outcome


def _rows(outcome: "Outcome") -> list[Row]:
    """Return the table.

    Raises
    ------
    Flawed
        With the table: something could not be evaluated.
    """
    from napari_medfm.evaluation import summarise

    rows = [_row(summary) for summary in summarise(outcome.trials, outcome.plan.seed)]
    if not outcome.failures:
        return rows
    for failure in outcome.failures:
        typer.echo(f"{failure.dataset}, {failure.image}: not evaluated: {failure.reason}", err=True)
    raise Flawed(rows, UNUSABLE_INPUT)


def _row(summary: "Summary") -> Row:
    facts = {"model": summary.model, "protocol": summary.protocol, "data_set": summary.dataset}
    found = {name: asdict(estimate) for name, estimate in summary.estimates.items()}
    return {**facts, "objects": summary.objects, **{name: found.get(name) for name in _SHOWN}}


def _load(names: Sequence[str], weights: Path | None) -> "list[Predictor]":
    from napari_medfm.inference import Predictor
    from napari_medfm.models import load_model

    taker = None if weights is None else _taker(names)
    return [Predictor(load_model(name, weights=weights) if name == taker else load_model(name)) for name in names]


def _taker(names: Iterable[str]) -> str:
    """Return the model that a file of weights is for: the only one that needs a file, or else takes one."""
    from napari_medfm.models import available_models

    sources = {entry.name: entry.facts.weights for entry in available_models() if entry.name in names}
    needy = [name for name, source in sources.items() if source == "file"]
    takers = needy or [name for name, source in sources.items() if source != "none"]
    if len(takers) != 1:
        raise typer.BadParameter("one --model has to be able to take them", param_hint="--weights")
    return takers[0]
