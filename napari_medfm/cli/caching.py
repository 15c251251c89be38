"""The command ``embed`` and the commands ``cache``: the embeddings on disk."""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from napari_medfm.cli.loading import (
    Axis,
    Choice,
    ModelName,
    Weights,
    WindowName,
    check_model,
    check_window,
    open_image,
)
from napari_medfm.cli.spreading import Cluster, Jobs, carry_out, is_many, sources_of
from napari_medfm.cli.terminal import DAMAGED, Flawed, Row, bar
from napari_medfm.errors import ModelError
from napari_medfm.settings import DEFAULT_MODEL

cache_app = typer.Typer(no_args_is_help=True, help="The embeddings kept on disk; all of them can be made again.")


def embed(  # noqa: PLR0913 - each argument is an option of the command
    images: Annotated[
        Path, typer.Argument(help="An image as in the other commands, a folder of them, or that of a project.")
    ],
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    axis: Annotated[Axis, typer.Option(help="Across which axis to take the slices.")] = Axis.AXIAL,
    window: WindowName = "auto",
    choice: Choice = None,
    jobs: Jobs = 1,
    cluster: Cluster = "",
) -> Row | list[Row]:
    """Embed every slice of an image, or of all images of a folder and those inside it, into the cache.

    Later prompts are answered at once then. What is embedded already is skipped: the same command again goes on where
    it was stopped. An image of a folder that cannot be used stops no other; the command leaves with 3 then. Files that
    are labels of images are passed over and listed.
    """
    from napari_medfm.projects.embedding import EmbedOrder, embed_image, embed_source
    from napari_medfm.projects.model_choice import ModelChoice
    from napari_medfm.projects.sources import Source

    check_window(window)
    check_model(model, weights)
    chosen = ModelChoice.of(model, weights)
    if not chosen.load().spec.cacheable:
        raise ModelError(model, "makes no embeddings worth keeping", "Choose another model.")
    across = list(Axis).index(axis)
    if not is_many(images):
        volume, began = open_image(images, choice), perf_counter()
        order = EmbedOrder(Source(images, volume.name), chosen, across, window)
        with bar(f"Embedding {volume.name}") as move:
            return {"image": volume.name, **embed_image(order, volume, move), "seconds": perf_counter() - began}
    orders = [EmbedOrder(source, chosen, across, window) for source in sources_of(images)]
    return carry_out(embed_source, orders, "Embedding", jobs, cluster)


@cache_app.command("info")
def cache_info() -> Row:
    """Say what the cache holds, and how often an embedding was found in it or not, by all programs so far."""
    from napari_medfm.inference import open_disk_store

    store = open_disk_store()
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
    from napari_medfm.inference import open_disk_store

    with bar("Verifying") as move:
        check = open_disk_store().verify(move)
    if check.removed:
        raise Flawed(asdict(check), DAMAGED)
    return asdict(check)


@cache_app.command("prune")
def cache_prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every entry.")] = False,
    to_gb: Annotated[float | None, typer.Option(min=0, help="Keep at most this much; the budget if not given.")] = None,
) -> Row:
    """Remove the entries that were not used for longest."""
    from napari_medfm.inference import open_disk_store

    store = open_disk_store()
    if everything:
        freed = store.clear()
    else:
        freed = store.prune(store.budget_bytes if to_gb is None else int(to_gb * 1e9))
    return {"freed_bytes": freed}
