"""The command ``embed`` and the commands ``cache``: the embeddings on disk."""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.loading import (
    Axis,
    Choice,
    ModelName,
    Weights,
    WindowName,
    check_window,
    choose_window,
    load,
    open_image,
)
from napari_medfm.cli.terminal import DAMAGED, UNUSABLE_INPUT, Flawed, Row, bar
from napari_medfm.errors import ChoiceRequiredError, MedfmError, ModelError, UnreadableFileError
from napari_medfm.settings import DEFAULT_MODEL, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_medfm.inference import DiskStore, Predictor
    from napari_medfm.volume import Volume

cache_app = typer.Typer(no_args_is_help=True, help="The embeddings kept on disk; all of them can be made again.")


def embed(
    images: Annotated[Path, typer.Argument(help="An image as in the other commands, or a folder of them.")],
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    axis: Annotated[Axis, typer.Option(help="Across which axis to take the slices.")] = Axis.AXIAL,
    window: WindowName = "auto",
    choice: Choice = None,
) -> Row | list[Row]:
    """Embed every slice of an image, or of all images of a folder and those inside it, into the cache.

    Later prompts are answered at once then. What is embedded already is skipped: the same command again goes on where
    it was stopped. An image of a folder that cannot be used stops no other; the command leaves with 3 then.
    """
    from napari_medfm.inference import Predictor, WriteBehind
    from napari_medfm.volume import find_images

    check_window(window)
    one = not images.is_dir() or (found := find_images(images)) == [images]
    with WriteBehind(disk_store()) as store:
        predictor = Predictor(load(model, weights), store)
        if not predictor.spec.cacheable:
            raise ModelError(model, "makes no embeddings worth keeping", "Choose another model.")
        if one:
            return _embed(predictor, open_image(images, choice), axis, window)
        if not found:
            raise UnreadableFileError(images.name, "holds no image", "Choose a folder with images, or an image.")
        rows = [row for path in found for row in _embed_file(predictor, path, axis, window)]
    if any(row["problem"] for row in rows):
        raise Flawed(rows, UNUSABLE_INPUT)
    return rows


def _embed_file(predictor: "Predictor", path: Path, axis: Axis, window: str) -> "Iterator[Row]":
    """Embed every image of a file or series folder, and say of each what came of it."""
    choices: list[int | None] = [None]
    while choices:
        try:
            yield _embed(predictor, open_image(path, choices.pop(0)), axis, window) | {"problem": ""}
        except ChoiceRequiredError as several:
            choices = list(range(len(several.choices)))
        except MedfmError as error:
            yield {"image": path.name, "planes": 0, "embedded": 0, "seconds": 0.0, "problem": str(error)}


def _embed(predictor: "Predictor", volume: "Volume", axis: Axis, window: str) -> Row:
    from napari_medfm.inference import embed_planes, pixel_aspect
    from napari_medfm.volume import fingerprint

    began = perf_counter()
    planes = volume.geometry.planes(list(Axis).index(axis))
    digest, seen = fingerprint(volume), choose_window(volume, window)
    keys = [predictor.key(digest, plane, seen, pixel_aspect(volume, plane)) for plane in planes]
    missing = sum(not predictor.cached(key) for key in keys)
    with bar(f"Embedding {volume.name}") as move:
        for progress in filter(None, embed_planes(predictor, volume, digest, seen, planes)):
            move(progress.done, progress.total)
    return {"image": volume.name, "planes": len(planes), "embedded": missing, "seconds": perf_counter() - began}


@cache_app.command("info")
def cache_info() -> Row:
    """Say what the cache holds, and how often an embedding was found in it or not, by all programs so far."""
    store = disk_store()
    info = store.info()
    return {
        "entries": info.entries,
        "bytes": info.bytes,
        "budget_bytes": store.budget_bytes,
        "hits": info.hits,
        "misses": info.misses,
        "hit_rate": info.hit_rate,
    }


@cache_app.command("verify")
def cache_verify() -> Row:
    """Read every entry again and remove what is damaged; leaves with 5 if anything was."""
    with bar("Verifying") as move:
        check = disk_store().verify(move)
    if check.removed:
        raise Flawed(asdict(check), DAMAGED)
    return asdict(check)


@cache_app.command("prune")
def cache_prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every entry.")] = False,
    to_gb: Annotated[float | None, typer.Option(min=0, help="Keep at most this much; the budget if not given.")] = None,
) -> Row:
    """Remove the entries that were not used for longest."""
    store = disk_store()
    if everything:
        freed = store.clear()
    else:
        freed = store.prune(store.budget_bytes if to_gb is None else int(to_gb * 1e9))
    return {"freed_bytes": freed}


def disk_store() -> "DiskStore":
    """Return the cache of embeddings on disk."""
    from napari_medfm.inference import DiskStore

    settings = load_settings()
    return DiskStore(settings.embeddings_dir, settings.cache_bytes)
