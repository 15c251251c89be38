"""A part of an image on a small grid: the image, the coordinates and the way back in one value."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of an image, seen on a grid of at most `side` cells a side; never enlarged.

    Attributes
    ----------
    start, stop : (int, int)
        (row, column) of the first pixel inside and of the first pixel beyond.
    grid : (int, int)
        (rows, columns) of cells, evenly spread over the rectangle.
    """

    start: tuple[int, int]
    stop: tuple[int, int]
    grid: tuple[int, int]

    @classmethod
    def around(
        cls,
        first: NDArray[np.float64],
        last: NDArray[np.float64],
        margin: float,
        image_shape: tuple[int, int],
        side: int,
    ) -> Self:
        """Return the part of an image from `margin` before `first` to `margin` beyond `last`.

        Parameters
        ----------
        first, last : ndarray, (2,)
            (row, column) voxel coordinates, both inside.
        margin : float
            Pixels to add on every side, as far as the image goes.
        image_shape : (int, int)
            (rows, columns).
        side : int
            Cells along the longer side at most.
        """
        limits = np.asarray(image_shape)
        start = np.clip(np.floor(first - margin + 0.5), 0, limits - 1).astype(int)
        stop = np.clip(np.floor(last + margin + 0.5) + 1, start + 1, limits).astype(int)
        size = stop - start
        grid = np.maximum(1, np.round(size * min(1.0, side / size.max()))).astype(int)
        return cls(_pair(start), _pair(stop), _pair(grid))

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the rectangle in pixels."""
        return self.stop[0] - self.start[0], self.stop[1] - self.start[1]

    @property
    def cell_area(self) -> float:
        """Pixels in one cell."""
        return float(np.prod(np.divide(self.size, self.grid)))

    def positions(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return voxel coordinates (..., 2) of the image as coordinates of the grid, cell centres at whole numbers."""
        scaled: NDArray[np.float64] = (positions + 0.5 - np.asarray(self.start)) * np.divide(self.grid, self.size) - 0.5
        return scaled

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the mean of the image in each cell, rounded, (rows, columns, channels)."""
        cells = np.asarray(self._reduced(image[self._slices]), dtype=np.float64)
        return cells if cells.ndim == 3 else cells[..., None]

    def shares(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the share of each cell that an image's mask covers."""
        return np.asarray(self._reduced(mask[self._slices].astype(np.uint8) * 255), dtype=np.float64) / 255

    def onto(self, values: NDArray[np.float64], other: "Crop") -> NDArray[np.float64]:
        """Return values on this grid at the cells of another crop, interpolated; beyond the edge the nearest."""
        axes = [
            (np.arange(cells) + 0.5) * size / cells - 0.5 + start
            for cells, size, start in zip(other.grid, other.size, other.start, strict=True)
        ]
        places = self.positions(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        there: NDArray[np.float64] = map_coordinates(values, np.moveaxis(places, -1, 0), order=1, mode="nearest")
        return there

    def paste(self, values: NDArray[np.float64], whole: NDArray[np.float32]) -> None:
        """Write values on the grid into an array of the image's shape, interpolated between cell centres."""
        picture = Image.fromarray(values.astype(np.float32))
        whole[self._slices] = np.asarray(picture.resize(self.size[::-1], Image.Resampling.BILINEAR))

    @property
    def _slices(self) -> tuple[slice, slice]:
        return slice(self.start[0], self.stop[0]), slice(self.start[1], self.stop[1])

    def _reduced(self, part: NDArray[np.uint8]) -> Image.Image:
        # At least 4 x 4 pixels are averaged in a cell; of more than 8 x 8 some are left out, for speed.
        stride = max(1, int(min(np.divide(self.size, self.grid)) // 4))
        sample = part[stride // 2 :: stride, stride // 2 :: stride]
        picture = Image.fromarray(np.ascontiguousarray(sample))
        return picture.resize(self.grid[::-1], Image.Resampling.BOX)


def _pair(values: NDArray[np.int_]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
