"""The command ``pretrain``: from images with expert masks to weights for the built-in model."""

import os
import sys
from dataclasses import asdict
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.loading import load
from napari_medfm.cli.terminal import Row, bar, make_folder, track
from napari_medfm.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_medfm.pretraining import Bank, Machine, Record, Trainer
    from napari_medfm.pretraining.pack import Picture

PACK, WEIGHTS, PICTURE = "pack.npz", "weights.safetensors", "training.png"
"""Names of files in the folder of a training, beside those of `napari_medfm.pretraining.Trainer`."""

_MULTIPLE = 32  # pixels: the stride of the network


class Precision(StrEnum):
    """What the network computes in; ``auto`` takes what the device is fast with."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def pretrain(  # noqa: PLR0913 - each argument is an option of the command
    output: Annotated[
        Path,
        typer.Option("--out", "--output", "-o", help="Folder of the training; one that was stopped there goes on."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="A manifest.csv, or a folder of nnU-Net v2 or Medical Segmentation Decathlon form."),
    ] = None,
    pack: Annotated[Path | None, typer.Option(help="Images that were packed before, instead of --data.")] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Folder of images that nobody marked; the --teacher marks them.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="A model to learn from: it marks those images.")] = None,
    teacher_weights: Annotated[Path | None, typer.Option(help="File of weights, if the teacher takes one.")] = None,
    phantoms: Annotated[bool, typer.Option(help="Pack the phantoms of the package, too; alone without --data.")] = True,
    only_pack: Annotated[bool, typer.Option("--only-pack", help="Pack the images, and leave.")] = False,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Of training; the schedule is fitted to it.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Instead of minutes: objects to train on.")] = None,
    imagenet: Annotated[Path | None, typer.Option(help="MobileNetV2 weights to begin with, as npz.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Views of each step; more on a GPU.")] = 4,
    objects: Annotated[int, typer.Option(min=1, help="Objects asked for in each view.")] = 3,
    side: Annotated[int, typer.Option(min=32, help="Of the views, in pixels.")] = 192,
    early_side: Annotated[
        int | None, typer.Option(min=32, help="In the first half; by default three quarters of --side.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; by default MEDFM_DEVICE.")] = None,
    precision: Annotated[Precision, typer.Option(help="What the network computes in.")] = Precision.AUTO,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the CPU; by default one for each core.")] = None,
) -> Row:
    """Train the built-in model on images with expert masks, or as the student of another model.

    Leaves weights.safetensors (float16, for --weights of other commands), a checkpoint, the log as JSON lines and
    as a picture. Eight data sets, on which models are measured, are refused by name. CONTRIBUTING.md tells how the
    shipped weights were made, and what makes it faster.
    """
    early_side = early_side or _smaller(side)
    _check(data or unlabelled, pack, minutes, samples, (side, early_side), only_pack=only_pack)
    if (unlabelled is None) != (teacher is None):
        raise typer.BadParameter("--unlabelled and --teacher belong together", param_hint="--teacher")
    make_folder(output)
    images_of_it = pack or output / PACK
    if only_pack or not images_of_it.exists():
        row = _pack(output / PACK, _sources(data, unlabelled, teacher, teacher_weights, phantoms=phantoms))
        if only_pack:
            return row
    from napari_medfm.pretraining import Bank, Budget, Recipe, Trainer

    machine = _machine(device, precision, threads)
    recipe = Recipe(images=images, objects=objects, side=side, early_side=early_side, seed=seed)
    bank = Bank.open(images_of_it, machine.device)
    trainer = Trainer(bank, recipe, Budget(minutes, samples), output, machine=machine, imagenet=imagenet)
    return _train(trainer, bank, output)


def _check(
    data: Path | None,
    pack: Path | None,
    minutes: float | None,
    samples: int | None,
    sides: tuple[int, int],
    *,
    only_pack: bool,
) -> None:
    if pack is not None and (data is not None or only_pack):
        raise typer.BadParameter("it stands instead of --data and --only-pack", param_hint="--pack")
    if pack is not None and not pack.exists():
        raise typer.BadParameter(f"{pack.name} is not there", param_hint="--pack")
    if not only_pack and (minutes is None) == (samples is None):
        raise typer.BadParameter("give one of --minutes and --samples", param_hint="--minutes")
    if any(side % _MULTIPLE for side in sides):
        raise typer.BadParameter(f"has to be a multiple of {_MULTIPLE}", param_hint="--side")


def _sources(
    data: Path | None, unlabelled: Path | None, teacher: str | None, teacher_weights: Path | None, *, phantoms: bool
) -> "Iterator[Iterator[Picture]]":
    """Images that experts marked, those that a teacher marks, and phantoms."""
    from napari_medfm.pretraining.pack import phantom_pictures, read_pictures

    if data is not None:
        yield read_pictures(data)
    if unlabelled is not None and teacher is not None:
        from napari_medfm.inference import Predictor
        from napari_medfm.pretraining.teacher import taught_pictures

        yield taught_pictures(Predictor(load(teacher, teacher_weights, "--teacher-weights")), unlabelled)
    if phantoms:
        yield phantom_pictures()


def _pack(path: Path, sources: "Iterator[Iterator[Picture]]") -> Row:
    from napari_medfm.pretraining.pack import write_pack

    count = write_pack(path, track(chain.from_iterable(sources), "Packing", None))
    return {"pack": path.name, "images": count, "bytes": path.stat().st_size}


def _machine(device: str | None, precision: Precision, threads: int | None) -> "Machine":
    import torch

    from napari_medfm.models.devices import choose_device
    from napari_medfm.pretraining import Machine, fast_precision

    torch.set_num_threads(threads or os.cpu_count() or 1)
    chosen = str(choose_device(device))
    if precision is Precision.AUTO:
        return Machine(chosen, fast_precision(chosen))
    return Machine(chosen, "float32" if precision is Precision.FLOAT32 else "bfloat16")


def _smaller(side: int) -> int:
    return max(_MULTIPLE, side * 3 // 4 // _MULTIPLE * _MULTIPLE)


def _train(trainer: "Trainer", bank: "Bank", output: Path) -> Row:
    """Train, and bring weights and picture up to date whenever the trainer saves."""
    with bar("Training") as move:
        for progress in trainer.run():
            move(int(100 * progress.share), 100)
            if progress.record is not None:
                typer.echo(_line(progress.record), err=True)
            if progress.saved:
                _leave(trainer, bank, output)
    if not (output / WEIGHTS).exists():  # the budget was spent before
        _leave(trainer, bank, output)
    last = asdict(trainer.records[-1]) if trainer.records else {}
    return {**last, "weights": WEIGHTS, "sha256": sha256_file(output / WEIGHTS)}


def _leave(trainer: "Trainer", bank: "Bank", output: Path) -> None:
    from napari_medfm.pretraining import Provenance, write_weights
    from napari_medfm.pretraining.curves import draw_records

    state = trainer.state
    write_weights(
        output / WEIGHTS, state.average, Provenance(_command(), state.seconds / 60, state.samples, bank.sources)
    )
    draw_records(trainer.records, output / PICTURE)


def _command() -> str:
    """Return what was typed, without folders: they may hold names of patients."""
    return " ".join(["napari-medfm", *(Path(word).name for word in sys.argv[1:])])


def _line(record: "Record") -> str:
    return (
        f"{record.minutes:8.1f} min  {record.samples:8d} samples  {record.samples_per_second:6.1f}/s  {record.side} px"
        f"  loss {record.loss:.3f}  IoU {record.first_iou:.3f} -> {record.last_iou:.3f}"
    )
