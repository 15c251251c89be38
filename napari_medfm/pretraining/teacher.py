"""A teacher's masks on images that nobody marked, as objects to train on: distillation (Hinton et al., 2015).

The teacher is any promptable model. It is asked about a grid of clicks, as SAM is to segment everything (Kirillov
et al., ICCV 2023), and of its answers those are kept that it is sure of. A group with weights of SAM or MedSAM gets a
small fast student of its own this way.
"""

import logging
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_medfm.errors import ChoiceRequiredError, PretrainingError, VolumeError
from napari_medfm.inference import Predictor, slice_image
from napari_medfm.pretraining.leftout import LEFT_OUT
from napari_medfm.pretraining.pack import Picture
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.volume import Plane, Volume, automatic_window, open_volume, readable_suffixes

CLICKS = 16
"""Of the grid, along each side of an image."""

SURE = 0.6
"""Predicted quality of an answer that is kept, at least."""

LEVELS = 3
"""Of objects that lie in others."""

_log = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 0.0005, 0.5  # share of the image that an object covers
_OVERLAP = 0.1  # of the smaller of two objects on one level, at most
_SAME = 0.7  # IoU of two answers about one thing, at least
_COARSE = 256  # pixels of the longer side on which overlaps are counted
_SLICES = 4  # of a volume across each axis

Mask = NDArray[np.bool_]


def taught_pictures(predictor: Predictor, folder: Path, clicks: int = CLICKS) -> Iterator[Picture]:
    """Let a teacher mark every image in a folder and in those below it, but none of `LEFT_OUT`.

    Of a volume some slices across each axis are taken. What cannot be read is skipped, and logged without its name.

    Parameters
    ----------
    predictor : Predictor
        The teacher.
    folder : Path
        Images of any kind that `open_volume` reads.
    clicks : int
        Along each side, see `propose_objects`.

    Yields
    ------
    Picture
        Of the data set ``taught by NAME``, once for each level of `propose_objects`; its objects may be none.

    Raises
    ------
    PretrainingError
        The folder holds no image that can be used.
    """
    count = 0
    for path in sorted(path for path in folder.rglob("*") if path.name.lower().endswith(tuple(readable_suffixes))):
        if not LEFT_OUT.isdisjoint(path.parts):
            _log.info("an image of a data set that is left out of every training is not taken")
            continue
        for image in _images(path):
            count += 1
            for objects in propose_objects(predictor, image, clicks):
                yield Picture(f"taught by {predictor.spec.name}", image, objects)
    if not count:
        step = "Choose a folder with images, not one that models are measured on."
        raise PretrainingError(folder.name, "holds no image that can be trained on", step)


def propose_objects(predictor: Predictor, image: NDArray[np.uint8], clicks: int = CLICKS) -> NDArray[np.int32]:
    """Return what a model takes for objects when it is clicked all over an image.

    Parameters
    ----------
    predictor : Predictor
        Answers.
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        What it sees.
    clicks : int
        Along each side.

    Returns
    -------
    ndarray of int32, (levels, rows, columns)
        Numbers of the objects at each pixel, 0 none. Objects in others, such as a liver in a body, are on levels
        of their own; those that the model is surest of are on the first one. At least one level, at most `LEVELS`.
    """
    shape = image.shape[:2]
    scale = min(1.0, _COARSE / max(shape))
    size = tuple(max(1, round(length * scale)) for length in shape)
    levels = np.zeros((LEVELS, *shape), dtype=np.int32)
    kept: list[tuple[int, Mask]] = []
    for mask in _answers(predictor, image, clicks):
        coarse = resize(mask, size, order=0)
        level = _level(coarse, kept)
        if level is not None:
            kept.append((level, coarse))
            levels[level][mask & (levels[level] == 0)] = len(kept)
    used = 1 + max((level for level, _ in kept), default=0)
    return levels[:used]


def _level(mask: Mask, kept: list[tuple[int, Mask]]) -> int | None:
    """Return the first level on which a mask overlaps nothing; None if there is none, or it is known."""
    pixels = np.count_nonzero(mask)
    full = set()
    for level, other in kept:
        common, size = np.count_nonzero(mask & other), np.count_nonzero(other)
        if common > _SAME * (pixels + size - common):
            return None
        if common > _OVERLAP * min(pixels, size):
            full.add(level)
    return next((level for level in range(LEVELS) if level not in full), None)


def _answers(predictor: Predictor, image: NDArray[np.uint8], clicks: int) -> list[Mask]:
    """Masks that the model is sure of and that are neither specks nor nearly everything, the surest first."""
    embedding = predictor.embed(image)
    rows, columns = ((np.arange(clicks) + 0.5) / clicks * length for length in image.shape[:2])
    sure: list[tuple[float, Mask]] = []
    for place in product(rows.astype(int).tolist(), columns.astype(int).tolist()):
        answer = predictor.decode(embedding, PromptSet((Point(Plane(), place),)))
        for mask, quality in zip(answer.masks, answer.qualities, strict=True):
            if quality >= SURE and _SMALLEST <= mask.mean() <= _LARGEST:
                sure.append((float(quality), mask))
    return [mask for _, mask in sorted(sure, key=lambda one: -one[0])]


def _images(path: Path) -> Iterator[NDArray[np.uint8]]:
    try:
        volume = open_volume(path)
    except ChoiceRequiredError:
        volume = open_volume(path, choice=0)
    except VolumeError as error:
        _log.warning("an image cannot be read and is skipped (%s)", type(error).__name__)
        return
    window = automatic_window(volume)
    for plane in _planes(volume):
        yield slice_image(volume, plane, window)


def _planes(volume: Volume) -> Iterator[Plane]:
    if volume.ndim == 2:
        yield Plane()
        return
    for axis in range(volume.ndim):
        for share in (np.arange(_SLICES) + 0.5) / _SLICES:
            yield Plane(axis, int(share * volume.shape[axis]))
