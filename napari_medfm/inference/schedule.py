"""Embedding a whole volume in the background: in which order, and how far it is."""

import math
import statistics
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference.predictor import Predictor
from napari_medfm.models import ImageEmbedding
from napari_medfm.models.steps import finish
from napari_medfm.volume import Plane, Volume, Window

_AHEAD = 3
_SQUARE = 0.05  # a model does not mind pixels that are less than this higher or wider
_RECENT = 16


@dataclass(frozen=True, slots=True)
class EmbeddingProgress:
    """How far the embedding of a list of planes has come.

    Attributes
    ----------
    done, total : int
        Planes whose embedding is there, and planes in all.
    plane : Plane
        The plane embedded last.
    seconds_left : float
        Expected time of computing for the rest; pauses for more urgent work not included.
    """

    done: int
    total: int
    plane: Plane
    seconds_left: float


def order_planes(visible: int, direction: int, count: int) -> list[int]:
    """Return the order in which the slices across an axis are worth embedding.

    The visible one comes first, then its neighbours in the direction of scrolling,
    then the rest by distance; a slice behind counts as three times as far away.

    Parameters
    ----------
    visible : int
        Index of the slice shown.
    direction : int
        Positive or negative as the index grows or falls while scrolling; 0 if not known.
    count : int
        Number of slices.
    """

    def distance(index: int) -> tuple[int, bool]:
        step = index - visible
        behind = step * direction < 0
        return abs(step) * (_AHEAD if behind else 1), behind

    return sorted(range(count), key=distance)


def slice_image(volume: Volume, plane: Plane, window: Window) -> NDArray[np.uint8]:
    """Return one slice as the model sees it: contiguous uint8, (rows, columns[, 3])."""
    return np.ascontiguousarray(window.to_uint8(volume.plane(plane)))


def pixel_aspect(volume: Volume, plane: Plane) -> float:
    """Return the height of a slice's pixels in their width; 1 where they are square but for a few percent."""
    rows, columns = volume.geometry.plane_spacing(plane)
    aspect = rows / columns
    return 1.0 if abs(math.log(aspect)) < _SQUARE else round(aspect, 4)


def embed_plane(predictor: Predictor, volume: Volume, fingerprint: str, window: Window, plane: Plane) -> ImageEmbedding:
    """Return the embedding of one slice; it is windowed and encoded only if not stored.

    Parameters
    ----------
    predictor : Predictor
        Looks up, encodes and stores.
    volume : Volume
        The image.
    fingerprint : str
        Of that volume, see `napari_medfm.volume.fingerprint`.
    window : Window
        What the model sees it through.
    plane : Plane
        The slice.
    """
    return finish(embed_plane_steps(predictor, volume, fingerprint, window, plane))


def embed_plane_steps(
    predictor: Predictor, volume: Volume, fingerprint: str, window: Window, plane: Plane
) -> Generator[None, None, ImageEmbedding]:
    """Do what `embed_plane` does in steps, see `Predictor.embed_steps`."""
    key = predictor.key(fingerprint, plane, window, pixel_aspect(volume, plane))
    return predictor.embed_steps(lambda: slice_image(volume, plane, window), key)


def embed_planes(
    predictor: Predictor, volume: Volume, fingerprint: str, window: Window, planes: Iterable[Plane]
) -> Iterator[EmbeddingProgress | None]:
    """Embed slices one by one; those that are stored already are skipped.

    Every ``next`` embeds one slice, or takes one step towards that if the model can; on a GPU several slices are
    embedded together. To stop, close the generator; to go on later or in another order, start again with all planes.

    Parameters
    ----------
    predictor, volume, fingerprint, window
        As in `embed_plane`.
    planes : iterable of Plane
        In the order wanted, see `order_planes`.

    Yields
    ------
    EmbeddingProgress or None
        After each slice; once, at the end, if every slice was there. None between two steps of a slice.
    """
    wanted = list(planes)
    keys_of = {plane: predictor.key(fingerprint, plane, window, pixel_aspect(volume, plane)) for plane in wanted}
    missing = [plane for plane in wanted if not predictor.cached(keys_of[plane])]
    done = len(wanted) - len(missing)
    if wanted and not missing:
        yield EmbeddingProgress(done, len(wanted), wanted[-1], 0.0)
    durations: deque[float] = deque(maxlen=_RECENT)
    while missing:
        group = _together(missing, predictor.batch_size)
        del missing[: len(group)]
        keys = [keys_of[plane] for plane in group]
        images = [partial(slice_image, volume, plane, window) for plane in group]
        seconds = 0.0  # of its own: others may be served between two steps
        start = perf_counter()
        for _ in predictor.embed_batch_steps(images, keys):
            seconds += perf_counter() - start
            yield None
            start = perf_counter()
        durations.append((seconds + perf_counter() - start) / len(group))
        for plane in group:
            done += 1
            yield EmbeddingProgress(done, len(wanted), plane, (len(wanted) - done) * statistics.median(durations))


def _together(planes: list[Plane], count: int) -> list[Plane]:
    """The first planes across one axis, at most `count`: their images have one shape."""
    return list(takewhile(lambda plane: plane.axis == planes[0].axis, planes[:count]))
