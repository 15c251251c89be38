"""What a phantom is: named structures on a voxel grid, made one slice after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume import Geometry

Slice = tuple[NDArray[Any], NDArray[np.uint8]]
"""Image and labels, (rows, columns) each."""


class Structure(NamedTuple):
    """One labelled structure; its label is its place in the list, counted from 1."""

    name: str
    colour: str
    parent: str = ""


@dataclass(frozen=True)
class Phantom:
    """A synthetic examination with its ground truth.

    Attributes
    ----------
    name : str
        Stem of its files.
    modality : str
        ``CT``, ``MR`` or ``US``.
    structures : tuple of Structure
        What the labels mean.
    geometry : Geometry
        Voxel grid, (z, y, x) or (y, x).
    draw : callable
        Makes a slice from its index; the same index always gives the same slice.
    tolerance : int
        Grey values that another processor or numpy may round differently.
    """

    name: str
    modality: str
    structures: tuple[Structure, ...]
    geometry: Geometry
    draw: Callable[[int], Slice]
    tolerance: int = 1

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.geometry.shape[0] if self.geometry.ndim == 3 else 1

    def draw_all(self) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return image and labels in the shape of the geometry."""
        images, labels = zip(*(self.draw(index) for index in range(self.count)), strict=True)
        shape = self.geometry.shape
        return np.stack(images).reshape(shape), np.stack(labels).reshape(shape)
