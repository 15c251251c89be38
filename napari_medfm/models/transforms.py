"""Image transforms that carry their coordinates and their inverse, so that the three cannot drift apart."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

_MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
_STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LongestSide:
    """Scale the longest side to `side`, normalise, pad with zeros below and to the right.

    The transform of Segment Anything (Kirillov et al., 2023), equal to it bit by
    bit: the scaling works on uint8 and the padding comes after normalising.

    Attributes
    ----------
    image_shape : (int, int)
        (rows, columns) of the image.
    side : int
        Side of the square the encoder sees, in pixels.
    """

    image_shape: tuple[int, int]
    side: int

    @property
    def scaled_shape(self) -> tuple[int, int]:
        """(rows, columns) of the scaled image within the square."""
        rows, columns = self.image_shape
        scale = self.side * 1.0 / max(rows, columns)
        # An image 1000 times as long as wide must keep one pixel of width.
        return max(1, int(rows * scale + 0.5)), max(1, int(columns * scale + 0.5))

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, float32 (1, 3, side, side).

        Parameters
        ----------
        image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
            Grey is repeated as red, green and blue.
        """
        rows, columns = self.scaled_shape
        scaled = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        rgb = scaled if scaled.ndim == 3 else np.repeat(scaled[..., None], 3, axis=2)
        square = np.zeros((self.side, self.side, 3), dtype=np.float32)
        square[:rows, :columns] = (rgb.astype(np.float32) - _MEAN) / _STD
        return torch.from_numpy(square).permute(2, 0, 1)[None].contiguous()

    def points(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2) positions in (row, column) as (x, y) in the square."""
        return (positions * np.divide(self.scaled_shape, self.image_shape))[:, ::-1]

    def masks(self, low_res: Tensor) -> Tensor:
        """Return logits (1, c, h, w) over the square as logits (1, c, rows, columns) over the image."""
        rows, columns = self.scaled_shape
        square = functional.interpolate(low_res, (self.side, self.side), mode="bilinear", align_corners=False)
        return functional.interpolate(
            square[..., :rows, :columns], self.image_shape, mode="bilinear", align_corners=False
        )

    def low_res(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
        """Return an image's mask as the share of it in each cell of a size x size grid over the square."""
        rows, columns = self.scaled_shape
        square = torch.zeros((1, 1, self.side, self.side))
        whole = torch.from_numpy(mask.astype(np.float32))[None, None]
        square[..., :rows, :columns] = functional.interpolate(whole, (rows, columns), mode="area")
        shares: NDArray[np.float32] = functional.interpolate(square, (size, size), mode="area")[0, 0].numpy()
        return shares
