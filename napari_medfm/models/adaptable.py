"""What a model offers so that its decoder can be trained on embeddings that were made once.

The encoder stays as it is, so that every stored embedding stays valid. A model that offers nothing of
this can still be given a head of its own (`napari_medfm.adaptation`): its embeddings are all that needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from napari_medfm.models.base import ImageEmbedding, PromptableModel


@dataclass(frozen=True, slots=True)
class Square:
    """Where the square that a decoder sees lies in its image, in pixels of the image.

    Attributes
    ----------
    start : (float, float)
        (row, column) of its first corner, inside the image.
    extent : (float, float)
        Height and width; it may reach beyond the image.
    image_shape : (int, int)
        (rows, columns) of the image.
    """

    start: tuple[float, float]
    extent: tuple[float, float]
    image_shape: tuple[int, int]

    def shares(self, mask: NDArray[np.bool_], cells: int) -> NDArray[np.float32]:
        """Return the share of each of cells x cells that an image's mask covers; 0 beyond the image."""
        return self.gather(mask.astype(np.float32), cells)

    def gather(self, values: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
        """Return the mean of an image's values, (rows, columns), in each of cells x cells; 0 beyond the image."""
        rows, columns = (max(1, min(cells, round(size))) for size in self._reach(cells))
        part = Image.fromarray(np.ascontiguousarray(values[self._covered], dtype=np.float32))
        square = np.zeros((cells, cells), dtype=np.float32)
        square[:rows, :columns] = np.asarray(part.resize((columns, rows), Image.Resampling.BOX))
        return square

    def spread(self, values: NDArray[np.float32], outside: float = 0.0) -> NDArray[np.float32]:
        """Return values (cells, cells) of the square as values (rows, columns) of the image.

        Parameters
        ----------
        values : ndarray of float32, (cells, cells)
            On a grid over the square.
        outside : float
            What stands where the square does not reach.
        """
        whole = np.full(self.image_shape, outside, dtype=np.float32)
        rows, columns = whole[self._covered].shape
        height, width = (min(float(len(values)), size) for size in self._reach(len(values)))
        picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        resized = picture.resize((columns, rows), Image.Resampling.BILINEAR, box=(0.0, 0.0, width, height))
        whole[self._covered] = np.asarray(resized)
        return whole

    @property
    def _covered(self) -> tuple[slice, slice]:
        rows, columns = (
            slice(round(first), min(round(first + extent), size))
            for first, extent, size in zip(self.start, self.extent, self.image_shape, strict=True)
        )
        return rows, columns

    def _reach(self, cells: int) -> tuple[float, float]:
        """Cells along each axis that the image reaches into."""
        rows, columns = (
            (part.stop - part.start) * cells / extent for part, extent in zip(self._covered, self.extent, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the decoder sees of an image, or of a part of it.

    Attributes
    ----------
    features : Tensor of float32, (channels, h, w)
        On the model's device.
    square : Square
        Where it lies.
    """

    features: Tensor
    square: Square


@dataclass(frozen=True, slots=True, eq=False)
class GridPrompts:
    """Prompts for several looks at once, on the decoder's grid of logits; cell centres at whole numbers.

    Attributes
    ----------
    places : Tensor, (b, n, 2)
        (row, column) of clicks.
    signs : Tensor of int64, (b, n)
        1 adds, 0 removes, -1 is no click.
    boxes : Tensor, (b, 4), or None
        (first row, first column, last row + 1, last column + 1) of edges, where cell k reaches from k to k + 1.
    """

    places: Tensor
    signs: Tensor
    boxes: Tensor | None = None


class TrainableDecoder(Protocol):
    """A copy of a model's decoder that may be changed, and how it is called."""

    @property
    def module(self) -> nn.Module:
        """What is trained; parameters that are not to move do not require a gradient."""

    @property
    def cells(self) -> int:
        """Side of the grid of its logits."""

    @property
    def batch(self) -> int:
        """How many looks one step of training may take at most."""

    def answer(self, features: Tensor, prompts: GridPrompts, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Answer prompts, as the model does.

        Parameters
        ----------
        features : Tensor, (b, channels, h, w)
            Of looks.
        prompts : GridPrompts
            What is pointed at in each.
        previous : Tensor, (b, 1, cells, cells), or None
            Logits of the mask that is to be corrected.

        Returns
        -------
        tuple of Tensor
            Logits (b, candidates, cells, cells), and each one's expected quality (b, candidates), 0..1. The
            first candidate is what the model gives where the prompts leave no doubt.
        """


@runtime_checkable
class Adaptable(PromptableModel, Protocol):
    """A model whose decoder can be trained and exchanged.

    Called from the device lane only, like everything else of a model.
    """

    @property
    def patience(self) -> float:
        """Seconds that adapting may take on two cores, so that a person waits for it."""

    def picture(self, embedding: ImageEmbedding) -> NDArray[np.uint8] | None:
        """Return the image, perhaps smaller, (rows, columns[, 3]); None if embeddings do not keep it."""

    def look(self, embedding: ImageEmbedding) -> Look:
        """Return what the decoder sees of the image as a whole."""

    def look_closer(self, embedding: ImageEmbedding, mask: NDArray[np.bool_]) -> tuple[Look, ...]:
        """Return what the decoder sees around an object besides, (rows, columns); nothing if it sees wholes only."""

    def trainable_decoder(self) -> TrainableDecoder:
        """Return a copy of the decoder to be trained."""

    def with_decoder(self, tensors: Mapping[str, Tensor]) -> PromptableModel:
        """Return a model that shares everything with this one but the decoder's parameters that are given.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            By the names that they have in the module of `trainable_decoder`.
        """
