"""The command ``adapt``, and what ``segment --adapter`` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.loading import (
    Choice,
    Image,
    ModelName,
    Weights,
    WindowName,
    check_window,
    choose_window,
    load,
    open_image,
)
from napari_medfm.cli.spreading import carry_out, is_many, sources_of
from napari_medfm.cli.terminal import Row, bar, make_folder, track
from napari_medfm.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_medfm.adaptation import Adaptation, Adapter, SupportSet
    from napari_medfm.inference import Predictor
    from napari_medfm.projects.model_choice import ModelChoice
    from napari_medfm.volume import Plane, Volume, Window


def adapt(  # noqa: PLR0913 - each argument is an option of the command
    image: Image,
    labels: Annotated[Path, typer.Argument(help="Labels on the grid of the image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Adapter file to write, .safetensors.")],
    structure: Annotated[str, typer.Option(help="Name of the structure.")] = "structure",
    value: Annotated[int, typer.Option(min=1, help="Its value in the labels.")] = 1,
    slices: Annotated[
        str,
        typer.Option(help="Axial slices that are fully annotated, from 0, such as 10,20,30. Default: that hold it."),
    ] = "",
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    window: WindowName = "auto",
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Up and left mean nothing in it, as under a microscope.")
    ] = False,
    choice: Choice = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="Time that it may take; by default 20 for compact, 90 for others.")
    ] = None,
) -> Row:
    """Teach a model a structure from a few labelled slices, and save what it learned.

    Prints how good it is on one of the slices, left out meanwhile, against the model before: Dice without prompts, and
    clicks to Dice 0.85.
    """
    from napari_medfm.adaptation import Adaptation, Recipe, adaptable, write_adapter
    from napari_medfm.inference import Predictor, open_disk_store
    from napari_medfm.volume import open_labels

    volume = open_image(image, choice)
    expert = open_labels(labels, volume) == value
    predictor = Predictor(adaptable(load(model, weights)), open_disk_store())
    support = _support(predictor, volume, expert, choose_window(volume, window), (structure, _numbers(slices)))
    adaptation = Adaptation(adaptable(predictor.model), support, Recipe(seed=seed, mirrored=mirrored, seconds=seconds))
    adapter = _run(adaptation)
    write_adapter(adapter, output)
    return _row(adapter, output)


def segment_with_adapter(
    image: Path,
    choice: int | None,
    chosen: "ModelChoice",
    window: str,
    output: Path,
    jobs: int,
    cluster: str,
) -> list[Row]:
    """Find an adapter's structure on all axial slices of an image, or of all images of a folder or project.

    Parameters
    ----------
    image, choice, window, jobs, cluster
        As for the command.
    chosen : ModelChoice
        With the adapter.
    output : Path
        The label file to write; of many images, the folder for them.
    """
    from napari_medfm.projects.segmenting import SegmentOrder, segment_image, segment_source
    from napari_medfm.projects.sources import Source

    check_window(window)
    if is_many(image):
        make_folder(output)
        orders = [SegmentOrder(source, chosen, output.resolve(), window) for source in sources_of(image)]
        return carry_out(segment_source, orders, "Segmenting", jobs, cluster)
    volume = open_image(image, choice)
    order = SegmentOrder(Source(image, volume.name), chosen, output.parent, window)
    with bar("Segmenting") as move:
        return [segment_image(order, volume, output, move)]


def _support(
    predictor: "Predictor",
    volume: "Volume",
    expert: "NDArray[np.bool_]",
    window: "Window",
    asked: tuple[str, Sequence[int]],
) -> "SupportSet":
    from napari_medfm.adaptation import SupportSet, SupportSlice
    from napari_medfm.inference import embed_plane
    from napari_medfm.volume import fingerprint

    structure, numbers = asked
    digest = fingerprint(volume)
    planes = _planes(volume, expert, numbers)
    found = []
    for plane in track(planes, "Embedding", len(planes)):
        embedding = embed_plane(predictor, volume, digest, window, plane)
        labels = plane.take(expert, volume.ndim)
        found.append(SupportSlice.annotated(embedding, labels, title=f"slice {plane.index}"))
    return SupportSet(structure, tuple(found))


def _planes(volume: "Volume", expert: "NDArray[np.bool_]", numbers: Sequence[int]) -> "list[Plane]":
    every = list(volume.geometry.planes(0))
    beyond = [number for number in numbers if not 0 <= number < len(every)]
    if beyond:
        message = f"{beyond[0]} is no slice of this image: it has 0 to {len(every) - 1}"
        raise typer.BadParameter(message, param_hint="--slices")
    return [every[number] for number in numbers] or [each for each in every if each.take(expert, volume.ndim).any()]


def _numbers(text: str) -> list[int]:
    try:
        return sorted({int(number) for number in text.split(",") if number.strip()})
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers", param_hint="--slices") from error


def _run(adaptation: "Adaptation") -> "Adapter":
    with bar("Adapting") as move:
        for done, progress in enumerate(adaptation.steps(), start=1):
            per_step = progress.seconds / done
            move(done, done + round(progress.left / per_step) if per_step else done)
    assert adaptation.adapter is not None  # it ran to its end
    return adaptation.adapter


def _row(adapter: "Adapter", output: Path) -> Row:
    facts, readout = adapter.facts, adapter.facts.readout
    row: Row = {"structure": facts.structure, "slices": len(facts.support), "seconds": facts.seconds}
    if readout is not None:
        row |= {
            "judged_on": readout.title,
            "dice_before": readout.dice_before,
            "dice_after": readout.dice_after,
            "clicks_before": readout.clicks_before,
            "clicks_after": readout.clicks_after,
        }
    return row | {"better": adapter.improved if readout is not None else None, "file": output.name}
