"""Squares of an image as a network sees them: the picture, the coordinates and the way back in one value."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_RUNG = 1.25  # ratio of the sides that regions may have
_STEPS = 8  # places per side where regions may begin


@dataclass(frozen=True, slots=True)
class View:
    """A square of an image, seen at `side` x `side` pixels; what lies beyond the image is black.

    Attributes
    ----------
    start : (int, int)
        (row, column) of its first pixel, inside the image.
    extent : int
        Its side in pixels of the image.
    side : int
        Its side as the network sees it.
    image_shape : (int, int)
        (rows, columns) of the image.
    """

    start: tuple[int, int]
    extent: int
    side: int
    image_shape: tuple[int, int]

    @classmethod
    def whole(cls, image_shape: tuple[int, int], side: int) -> Self:
        """Return the view of a whole image."""
        return cls((0, 0), max(image_shape), side, image_shape)

    @classmethod
    def around(
        cls, corners: NDArray[np.float64], image_shape: tuple[int, int], side: int, *, margin: float, smallest: int
    ) -> Self:
        """Return the view of an object: one of few, so that an object that changes a little keeps its view.

        Parameters
        ----------
        corners : ndarray, (2, 2)
            First and last (row, column) of the object.
        image_shape : (int, int)
            (rows, columns) of the image.
        side : int
            Side as the network sees it.
        margin : float
            Side of the view in sides of the object, at least.
        smallest : int
            Side of the view in pixels, at least.
        """
        wanted = max(float(smallest), margin * float(np.ptp(corners, axis=0).max() + 1))
        extent = int(np.ceil(smallest * _RUNG ** np.ceil(np.log(wanted / smallest) / np.log(_RUNG))))
        if extent * _RUNG >= max(image_shape):
            return cls.whole(image_shape, side)
        step = max(1, extent // _STEPS)
        first = corners.mean(axis=0) + 0.5 - extent / 2
        rounded = np.round(first / step) * step
        start = np.clip(rounded, 0, np.maximum(0, np.subtract(image_shape, extent))).astype(int)
        return cls((int(start[0]), int(start[1])), extent, side, image_shape)

    @property
    def is_whole(self) -> bool:
        """Whether all of the image is in it."""
        return self.start == (0, 0) and self.extent >= max(self.image_shape)

    @property
    def covered(self) -> tuple[slice, slice]:
        """The part of the image in it."""
        return tuple(  # type: ignore[return-value]
            slice(first, min(first + self.extent, size))
            for first, size in zip(self.start, self.image_shape, strict=True)
        )

    def picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the network sees, (side, side, 3)."""
        part = image[self.covered]
        rows, columns = self._seen
        scaled = np.asarray(
            Image.fromarray(np.ascontiguousarray(part)).resize((columns, rows), Image.Resampling.BILINEAR)
        )
        square = np.zeros((self.side, self.side, 3), dtype=np.uint8)
        square[:rows, :columns] = scaled if scaled.ndim == 3 else scaled[..., None]
        return square

    def positions(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return voxel coordinates (n, 2) of the image as coordinates of the view; pixel centres at whole numbers."""
        return self.edges(positions + 0.5) - 0.5

    def edges(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return corners (n, 2), where pixel k reaches from k to k + 1, in the view's own pixels."""
        scaled: NDArray[np.float64] = (corners - np.asarray(self.start)) * (self.side / self.extent)
        return scaled

    def shares(self, mask: NDArray[np.bool_], cells: int) -> NDArray[np.float32]:
        """Return the share of each of cells x cells cells that an image's mask covers."""
        part = Image.fromarray(mask[self.covered].astype(np.uint8) * 255)
        rows, columns = self._cells(cells)
        square = np.zeros((cells, cells), dtype=np.float32)
        square[:rows, :columns] = np.asarray(part.resize((columns, rows), Image.Resampling.BOX), np.float32) / 255
        return square

    def paste(self, logits: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        """Return logits (cells, cells) of the view as logits (rows, columns) of the image.

        Parameters
        ----------
        logits : ndarray of float32, (cells, cells)
            On a grid over the view.
        outside : float
            What stands where the view does not reach.
        """
        cells = logits.shape[0]
        whole = np.full(self.image_shape, outside, dtype=np.float32)
        covered = self.covered
        size = [part.stop - part.start for part in covered]
        box = (0.0, 0.0, size[1] * cells / self.extent, size[0] * cells / self.extent)
        resized = Image.fromarray(logits).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
        whole[covered] = np.asarray(resized)
        return whole

    @property
    def _seen(self) -> tuple[int, int]:
        return self._cells(self.side)

    def _cells(self, cells: int) -> tuple[int, int]:
        """Rows and columns of a grid over the view that the image reaches into."""
        covered = self.covered
        rows, columns = ((part.stop - part.start) * cells / self.extent for part in covered)
        return max(1, round(rows)), max(1, round(columns))
