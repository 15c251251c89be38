"""Embedding the images of a folder or project into the cache: the share of one source."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from napari_medfm.inference import Predictor, WriteBehind, embed_planes, open_disk_store, pixel_aspect
from napari_medfm.projects.model_choice import ModelChoice
from napari_medfm.projects.sources import Row, Source, work_through
from napari_medfm.volume import AUTOMATIC, Volume, fingerprint, named_window


@dataclass(frozen=True, slots=True)
class EmbedOrder:
    """One source to embed, in plain values.

    Attributes
    ----------
    source : Source
        The file or folder.
    model : ModelChoice
        What embeds.
    axis : int
        Across which the slices are taken.
    window : str
        Name of a preset, or `napari_medfm.volume.AUTOMATIC`.
    """

    source: Source
    model: ModelChoice
    axis: int = 0
    window: str = AUTOMATIC


def embed_source(order: EmbedOrder) -> list[Row]:
    """Embed all images of a source into the cache on disk; what is there already is skipped.

    Returns
    -------
    list of dict
        As `work_through` tells, with ``planes`` and how many of them were ``embedded`` now.
    """
    return work_through(order.source, {"planes": 0, "embedded": 0}, partial(_embed, order))


def _embed(order: EmbedOrder, volume: Volume, name: str) -> Row:
    return embed_image(order, volume)


def embed_image(order: EmbedOrder, volume: Volume, progress: Callable[[int, int], None] | None = None) -> Row:
    """Embed the slices of one image, and tell how many there are and how many were missing.

    Parameters
    ----------
    order : EmbedOrder
        How.
    volume : Volume
        The image.
    progress : callable, optional
        Given how many slices are done, and how many there are.
    """
    with WriteBehind(open_disk_store()) as store:
        predictor = Predictor(order.model.load(), store)
        planes = volume.geometry.planes(order.axis)
        digest, window = fingerprint(volume), named_window(volume, order.window)
        keys = [predictor.key(digest, plane, window, pixel_aspect(volume, plane)) for plane in planes]
        missing = sum(not predictor.cached(key) for key in keys)
        for step in filter(None, embed_planes(predictor, volume, digest, window, planes)):
            if progress is not None:
                progress(step.done, step.total)
    return {"planes": len(planes), "embedded": missing}
