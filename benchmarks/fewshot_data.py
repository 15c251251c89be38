"""Structures that the built-in model never saw, slice by slice, for ``fewshot.py``."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_medfm.evaluation import read_manifest
from napari_medfm.inference import slice_image
from napari_medfm.volume import Plane, Volume, automatic_window, open_labels, open_volume

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
_VOLUME = ("totalseg_ct_mr_3d", "example_ct.nii.gz")
_SMALLEST = 16  # pixels on a slice: the volume's are 3 mm wide
_APART = 1  # slices beside a labelled one that are not judged by, where there are enough

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """An image, uint8 (rows, columns[, 3]), and the objects on it, (rows, columns), from 1."""

    title: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]

    @property
    def mask(self) -> Mask:
        return self.labels > 0

    @property
    def objects(self) -> list[Mask]:
        return [self.labels == value for value in np.unique(self.labels) if value]


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure: where it is found, and whether up and left mean something there."""

    name: str
    read: Callable[[], tuple[Slice, ...]]
    in_volume: bool
    mirrored: bool = False


def split(structure: Structure, shots: int, tests: int, seed: int) -> tuple[list[Slice], list[Slice]]:
    """Return slices to label, and others to judge by: evenly spread in a volume, drawn at random among images."""
    slices = structure.read()
    if structure.in_volume:
        middles = (np.arange(shots) + 0.5) / shots * len(slices)
        chosen = sorted({int(middle) for middle in middles})
    else:
        rng = np.random.default_rng([seed, zlib.crc32(structure.name.encode())])
        chosen = rng.permutation(len(slices))[:shots].tolist()
    apart = _APART if structure.in_volume and len(slices) > 4 * shots else 0
    close = {index + step for index in chosen for step in range(-apart, apart + 1)}
    others = [index for index in range(len(slices)) if index not in close]
    judged = others if len(others) <= tests else [others[round(at)] for at in np.linspace(0, len(others) - 1, tests)]
    return [slices[index] for index in chosen], [slices[index] for index in judged]


@cache
def _volume() -> tuple[Volume, NDArray[np.int_]]:
    case = next(each for each in read_manifest(MANIFEST) if (each.dataset, each.image.name) == _VOLUME)
    volume = open_volume(case.image)
    return volume, np.asarray(open_labels(case.mask, volume))


@cache
def of_volume(value: int) -> tuple[Slice, ...]:
    """Return the axial slices of the example CT that hold a structure."""
    volume, expert = _volume()
    window = automatic_window(volume)
    held = [index for index in range(len(expert)) if np.count_nonzero(expert[index] == value) >= _SMALLEST]
    return tuple(
        Slice(
            f"slice {index}", slice_image(volume, Plane(0, index), window), (expert[index] == value).astype(np.uint16)
        )
        for index in held
    )


@cache
def of_images(dataset: str) -> tuple[Slice, ...]:
    """Return the images of a data set that hold its structure."""
    found = []
    for case in read_manifest(MANIFEST):
        if case.dataset == dataset:
            volume = open_volume(case.image)
            marked = np.asarray(open_labels(case.mask, volume)) > 0
            objects = label(marked, connectivity=2) if case.targets == "components" else marked
            image = slice_image(volume, Plane(0, 0), automatic_window(volume))
            found.append(Slice(case.image.name, image, objects.astype(np.uint16)))
    return tuple(each for each in found if each.mask.any())


def _structures() -> Mapping[str, Structure]:
    organs = {"liver": 5, "spleen": 1, "kidney_left": 3, "aorta": 52, "vertebra_L1": 31}
    listed = [Structure(name, lambda value=value: of_volume(value), in_volume=True) for name, value in organs.items()]
    images = {
        "msd_spleen": ("msd_spleen_ct", False),
        "optic_disc": ("idrid_optic_disc_fundus", True),
        "glomeruli": ("glomeruli_histology", True),
        "faz": ("faz_octa", True),
    }
    for name, (dataset, mirrored) in images.items():
        listed.append(Structure(name, lambda dataset=dataset: of_images(dataset), in_volume=False, mirrored=mirrored))
    return MappingProxyType({each.name: each for each in listed})


STRUCTURES = _structures()
