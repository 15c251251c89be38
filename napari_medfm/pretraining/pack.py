"""Packing images with expert masks into one file that fits into memory and travels well.

Reading needs all of the package; what trains on the file needs much less.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label
from skimage.segmentation import felzenszwalb

from napari_medfm.errors import ChoiceRequiredError, PretrainingError
from napari_medfm.evaluation import Case, read_cases
from napari_medfm.files import atomic_write
from napari_medfm.pretraining.bank import renumber
from napari_medfm.pretraining.leftout import LEFT_OUT, refuse_left_out
from napari_medfm.volume import Plane, Volume, array_geometry, automatic_window, open_labels, open_volume

SIDE = 448
"""Of an image that is kept, in pixels at most."""

_log = logging.getLogger(__name__)

_QUALITY = 88  # of the JPEG
_SUPERPIXEL_SIDE = 256  # pixels of the longer side of what is cut into superpixels
_SCALES = ((60, 30, 0.8), (400, 150, 0.8), (1200, 600, 1.6))  # scale, smallest size and blur, in pixels
_PHANTOM_SLICES = 8  # across each axis
_STACK_SLICES = 8
_PHANTOMS = {"abdomen_ct": "phantom_tomography", "brain_mr": "phantom_tomography", "ultrasound": "phantom_ultrasound"}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image to train on.

    Attributes
    ----------
    dataset : str
        Where it comes from.
    image : ndarray of uint8, (rows, columns[, 3])
        As a model sees it.
    objects : ndarray of int, (rows, columns)
        The number of the object at each pixel, 0 none.
    """

    dataset: str
    image: NDArray[np.uint8]
    objects: NDArray[Any]


def read_pictures(data: Path) -> Iterator[Picture]:
    """Read all images of a manifest or a folder, but none of `LEFT_OUT`.

    Of a volume the plane across each axis is taken on which most is marked; of a stack of pictures some pages.

    Parameters
    ----------
    data : Path
        See `napari_medfm.evaluation.read_cases`.

    Raises
    ------
    MedfmError
        Something cannot be read.
    """
    for case in read_cases(data):
        if _is_left_out(case):
            _log.info("%s is left out of every training", case.dataset)
            continue
        for image, marked in _slices(case):
            yield Picture(case.dataset, image, _objects(case, marked))


def phantom_pictures() -> Iterator[Picture]:
    """Return planes of the phantoms that come with the package, as two data sets."""
    folder = Path(__file__).parents[1] / "sample-volumes"
    for name, dataset in _PHANTOMS.items():
        volume = open_volume(folder / f"{name}.nii.gz")
        marked = open_labels(folder / f"{name}_labels.nii.gz", volume)
        for image, objects in _planes(volume, marked, _PHANTOM_SLICES):
            yield Picture(dataset, image, objects)


def write_pack(path: Path, pictures: Iterable[Picture]) -> int:
    """Write images as JPEG, objects and superpixels as PNG into one npz file, and return how many there are.

    Superpixels are those of Felzenszwalb and Huttenlocher (IJCV 2004), at three scales.

    Raises
    ------
    PretrainingError
        There is none with an object, or one is of a data set that is left out of every training.
    WriteError
        The file cannot be written.
    """
    datasets: list[str] = []
    parts: dict[str, list[bytes]] = {"image": [], "mask": [], "superpixels": []}
    for picture in pictures:
        refuse_left_out([picture.dataset], "what is to be packed")
        if not picture.objects.any():
            continue
        image = _reduced(_pillow(picture.image), SIDE, Image.Resampling.LANCZOS)
        marked = _reduced(Image.fromarray(renumber(picture.objects).astype(np.uint16)), SIDE, Image.Resampling.NEAREST)
        datasets.append(picture.dataset)
        parts["image"].append(_encoded(image, "JPEG", quality=_QUALITY))
        parts["mask"].append(_encoded(marked, "PNG", optimize=True))
        parts["superpixels"] += [_encoded(cut, "PNG", optimize=True) for cut in _superpixels(image)]
    if not datasets:
        raise PretrainingError(path.name, "would hold no image", "Give images on which something is marked.")
    arrays = _arrays(datasets, parts)
    atomic_write(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
    return len(datasets)


def _is_left_out(case: Case) -> bool:
    """Whether a case is of `LEFT_OUT`, by the name of its data set or of a folder it lies in."""
    return not LEFT_OUT.isdisjoint((case.dataset, *case.image.parts, *case.mask.parts))


def _slices(case: Case) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    try:
        volume = open_volume(case.image, choice=case.choice)
    except ChoiceRequiredError as several:
        yield from _pages(case, len(several.choices))
        return
    yield from _planes(volume, open_labels(case.mask, volume), 1)


def _pages(case: Case, count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """Some pages of a stack of pictures, whose masks are the pages of another."""
    import tifffile

    if not case.mask.name.lower().endswith((".tif", ".tiff")):
        step = "Name the volume, or save the pages as files of their own."
        raise PretrainingError(case.image.name, f"holds {count} images and its mask is no TIFF stack", step)
    marked = tifffile.imread(case.mask)
    if len(marked) != count:
        reason = f"holds {len(marked)} pages, the image {count}"
        raise PretrainingError(case.mask.name, reason, "Give the mask of this image.")
    stack = np.stack([np.asarray(open_volume(case.image, choice=page).array) for page in range(count)])
    window = automatic_window(Volume(stack, array_geometry(stack.shape, (1.0, 1.0, 1.0))))
    for page in _spread(np.arange(count), _STACK_SLICES):
        yield window.to_uint8(stack[page]), marked[page]


def _planes(volume: Volume, marked: NDArray[Any], slices: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    array, dimensions = np.asarray(volume.array), marked.ndim
    seen = array if array.dtype == np.uint8 else automatic_window(volume).to_uint8(array)
    for axis in range(dimensions if dimensions > 2 else 1):
        for index in _richest(marked, axis, slices):
            plane = Plane(axis, index)
            yield plane.take(seen, dimensions), plane.take(marked, dimensions)


def _richest(marked: NDArray[Any], axis: int, slices: int) -> list[int]:
    """Where most is marked, or indices spread over where anything is; those of a 2-D image are [0]."""
    if marked.ndim == 2:
        return [0]
    others = tuple(other for other in range(marked.ndim) if other != axis)
    counts = np.count_nonzero(marked, axis=others)
    return [int(np.argmax(counts))] if slices == 1 else _spread(np.flatnonzero(counts), slices)


def _spread(indices: NDArray[np.intp], count: int) -> list[int]:
    if len(indices) <= count:
        return [int(index) for index in indices]
    return [int(indices[int((k + 0.5) / count * len(indices))]) for k in range(count)]


def _objects(case: Case, marked: NDArray[Any]) -> NDArray[Any]:
    marked = np.where(marked == case.ignore, 0, marked) if case.ignore is not None else marked
    # Not of whatever is marked: an axon and the myelin around it touch and are two things.
    return np.asarray(label(marked, connectivity=2)) if case.targets == "components" else marked


def _pillow(image: NDArray[np.uint8]) -> Image.Image:
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    return Image.fromarray(np.ascontiguousarray(image))


def _reduced(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    scale = side / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resampling)


def _superpixels(image: Image.Image) -> Iterator[Image.Image]:
    small = np.asarray(_reduced(image, _SUPERPIXEL_SIDE, Image.Resampling.BOX))
    for scale, smallest, blur in _SCALES:
        channels = -1 if small.ndim == 3 else None
        parts = felzenszwalb(small, scale=scale, sigma=blur, min_size=smallest, channel_axis=channels)
        yield Image.fromarray(parts.astype(np.uint8 if parts.max() < 256 else np.uint16))  # fewer bytes, same PNG


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _arrays(datasets: list[str], parts: dict[str, list[bytes]]) -> dict[str, NDArray[Any]]:
    names = sorted(set(datasets))
    arrays: dict[str, NDArray[Any]] = {
        "names": np.array(names),
        "dataset": np.array([names.index(dataset) for dataset in datasets]),
    }
    for name, pieces in parts.items():
        arrays[name] = np.frombuffer(b"".join(pieces), np.uint8)
        arrays[f"{name}_at"] = np.cumsum([0, *map(len, pieces)])
    return arrays
