"""All training images in memory, with everything that can be an object in them."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import find_objects
from torch import Tensor

from napari_medfm.errors import PretrainingError
from napari_medfm.pretraining.leftout import refuse_left_out

SCALES = 3
"""Of superpixels, from fine to coarse; what an expert marked comes before them."""

_SMALLEST = (20, *(60,) * SCALES)  # pixels of an object of each layer; less is mostly the raster's
_LONGEST_TABLE = 1 << 20  # ids
_LARGEST = 0.6  # of the image; more is rather what is around objects


@dataclass(frozen=True, slots=True)
class Source:
    """What a data set gave.

    Attributes
    ----------
    name : str
        Of the data set.
    images : int
        How many.
    sha256 : str
        Of the packed images and masks, one after the other.
    """

    name: str
    images: int
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Packed images as tensors; each stands in the upper left corner of a square.

    Attributes
    ----------
    pictures : Tensor of uint8, (n, 3, side, side)
        Images; grey ones repeat their channel.
    layers : Tensor of int16, (n, 1 + SCALES, side, side)
        The number of the object at each pixel, 0 none: what an expert marked, then superpixels.
    sizes : ndarray of int, (n, 2)
        (rows, columns) of each image.
    grey : Tensor of bool, (n,)
        Which images have no colour.
    objects : list of list of ndarray
        Of each image and layer the objects that can be asked for, (k, 6): number, first row, first column,
        last row + 1, last column + 1, pixels.
    groups : list of ndarray
        Of each data set the images with an object that an expert marked; data sets without any are left away.
    sources : tuple of Source
        What the data sets gave.
    """

    pictures: Tensor
    layers: Tensor
    sizes: NDArray[np.int64]
    grey: Tensor
    objects: list[list[NDArray[np.int64]]]
    groups: list[NDArray[np.int64]]
    sources: tuple[Source, ...]

    @classmethod
    def open(cls, path: Path, device: torch.device | str = "cpu") -> "Bank":
        """Read a pack onto a device.

        Raises
        ------
        PretrainingError
            No pack, damaged, without any object, or with images of a data set that is left out of every training.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                pack = {name: arrays[name] for name in arrays.files}
            return _unpack(path.name, pack, torch.device(device))
        except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
            step = "Pack the training images again."
            raise PretrainingError(path.name, f"is no whole pack of images ({type(error).__name__})", step) from error

    @property
    def side(self) -> int:
        """Side of the squares in pixels."""
        return int(self.pictures.shape[-1])

    @property
    def digest(self) -> str:
        """SHA-256 over all sources."""
        return hashlib.sha256("".join(f"{s.name} {s.sha256}\n" for s in self.sources).encode()).hexdigest()


def _unpack(subject: str, pack: Mapping[str, NDArray[Any]], device: torch.device) -> Bank:
    names = [str(name) for name in pack["names"]]
    refuse_left_out(names, subject)
    count = len(pack["dataset"])
    side = max((max(_picture(pack, "image", at).size) for at in range(count)), default=0)
    pictures = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    layers = torch.zeros(count, 1 + SCALES, side, side, dtype=torch.int16)
    sizes, grey = np.zeros((count, 2), np.int64), torch.zeros(count, dtype=torch.bool)
    objects = []
    for at in range(count):
        picture = np.array(_picture(pack, "image", at))
        rows, columns = picture.shape[:2]
        sizes[at], grey[at] = (rows, columns), picture.ndim == 2
        colours = torch.from_numpy(picture if picture.ndim == 3 else picture[..., None])
        pictures[at, :, :rows, :columns] = colours.permute(2, 0, 1)
        maps = [renumber(layer) for layer in _layers(pack, at, (columns, rows))]
        layers[at, :, :rows, :columns] = torch.from_numpy(np.stack(maps))
        objects.append([_objects(numbers, smallest) for numbers, smallest in zip(maps, _SMALLEST, strict=True)])
    groups = [
        np.array([at for at in np.flatnonzero(pack["dataset"] == k) if len(objects[at][0])]) for k in range(len(names))
    ]
    groups = [group for group in groups if len(group)]
    if not groups:
        raise PretrainingError(subject, "holds no image with an object", "Pack images on which something is marked.")
    sources = tuple(_source(pack, number, name) for number, name in enumerate(names))
    return Bank(pictures.to(device), layers.to(device), sizes, grey.to(device), objects, groups, sources)


def renumber(ids: NDArray[Any]) -> NDArray[np.int16]:
    """Return objects numbered 1, 2, ... in the order of their ids, which are not negative; 0 stays 0."""
    if ids.max() >= _LONGEST_TABLE:
        values, places = np.unique(ids, return_inverse=True)
        ids = places.reshape(ids.shape) + (0 if values[0] == 0 else 1)
    known = np.zeros(int(ids.max()) + 1, np.int16)  # a table, because sorting all pixels takes ten times as long
    known[ids] = 1
    known[0] = 0
    numbers: NDArray[np.int16] = np.cumsum(known, dtype=np.int16)[ids]
    return numbers


def _layers(pack: Mapping[str, NDArray[Any]], at: int, size: tuple[int, int]) -> list[NDArray[Any]]:
    marked = np.asarray(_picture(pack, "mask", at))
    places = range(SCALES * at, SCALES * (at + 1))
    cut = (_picture(pack, "superpixels", place).resize(size, Image.Resampling.NEAREST) for place in places)
    return [marked, *(np.asarray(parts).astype(np.int64) + 1 for parts in cut)]


def _objects(numbers: NDArray[np.int16], smallest: int) -> NDArray[np.int64]:
    sizes = np.bincount(numbers.ravel())
    found = []
    for number, box in enumerate(find_objects(numbers.astype(np.int32)), start=1):
        if box is not None and smallest <= sizes[number] < _LARGEST * numbers.size:
            found.append((number, box[0].start, box[1].start, box[0].stop, box[1].stop, sizes[number]))
    return np.array(found, np.int64).reshape(-1, 6)


def _picture(pack: Mapping[str, NDArray[Any]], name: str, at: int) -> Image.Image:
    return Image.open(io.BytesIO(_stored(pack, name, at)), formats=["JPEG", "PNG"])


def _stored(pack: Mapping[str, NDArray[Any]], name: str, at: int) -> bytes:
    ends = pack[f"{name}_at"]
    return pack[name][ends[at] : ends[at + 1]].tobytes()


def _source(pack: Mapping[str, NDArray[Any]], number: int, name: str) -> Source:
    images = [int(at) for at in np.flatnonzero(pack["dataset"] == number)]
    digest = hashlib.sha256()
    for at in images:
        digest.update(_stored(pack, "image", at))
        digest.update(_stored(pack, "mask", at))
    return Source(name, len(images), digest.hexdigest())
