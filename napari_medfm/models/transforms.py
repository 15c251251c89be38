"""Image transforms that carry their coordinates and their inverse, so that the three cannot drift apart.

Models with the weights of one architecture differ in nothing but these, and answer nonsense behind another's.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import resize
from torch import Tensor
from torch.nn import functional

_MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
_STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)

_LARGE = 2_000_000  # pixels


class Frame(Protocol):
    """How an image is put into the square that an encoder sees."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """(rows, columns) of the image."""

    @property
    def side(self) -> int:
        """Side of the square in pixels."""

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, float32 (1, 3, side, side), of a uint8 image (rows, columns[, 3])."""

    def points(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2) positions in (row, column) as (x, y) in the square."""

    def masks(self, low_res: Tensor) -> Tensor:
        """Return what is inside by the decoder's logits (1, c, h, w), as bool (1, c, rows, columns)."""

    def low_res(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
        """Return an image's mask as the share of it in each cell of a size x size grid over the square."""


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
    aspect : float
        Height of the image's pixels in their width; those of the square are square.
    """

    image_shape: tuple[int, int]
    side: int
    aspect: float = 1.0

    @property
    def scaled_shape(self) -> tuple[int, int]:
        """(rows, columns) of the scaled image within the square."""
        rows, columns = self.image_shape[0] * self.aspect, self.image_shape[1]
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
        """Return what is inside, see `Frame.masks`."""
        rows, columns = self.scaled_shape
        square = functional.interpolate(low_res, (self.side, self.side), mode="bilinear", align_corners=False)
        return _inside(square[..., :rows, :columns], self.image_shape)

    def low_res(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
        """Return an image's mask as the share of it in each cell of a size x size grid over the square."""
        rows, columns = self.scaled_shape
        square = torch.zeros((1, 1, self.side, self.side))
        whole = torch.from_numpy(mask.astype(np.float32))[None, None]
        square[..., :rows, :columns] = functional.interpolate(whole, (rows, columns), mode="area")
        shares: NDArray[np.float32] = functional.interpolate(square, (size, size), mode="area")[0, 0].numpy()
        return shares


@dataclass(frozen=True, slots=True)
class AreaUnit(LongestSide):
    """Scale the longest side to `side` by areas, bring values to 0..1, pad with zeros below and to the right.

    The transform of LiteMedSAM (Ma et al., CVPR 2024 challenge: Segment Anything in Medical Images on Laptop). Its
    OpenCV rounds areas differently: some values differ by 1 of 255. Answers are cut out of the square at the
    decoder's own resolution.
    """

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, see `Frame.image`."""
        rows, columns = self.scaled_shape
        enlarges = rows > self.image_shape[0]
        how = Image.Resampling.BILINEAR if enlarges else Image.Resampling.BOX
        scaled = _unit(np.asarray(Image.fromarray(image).resize((columns, rows), how)))
        square = np.zeros((self.side, self.side, 3), dtype=np.float32)
        square[:rows, :columns] = scaled
        return _channels_first(square)

    def masks(self, low_res: Tensor) -> Tensor:
        """Return what is inside, see `Frame.masks`."""
        # Logits stand on a grid as fine as the square: 256 x 256.
        scale = low_res.shape[-1] / self.side
        rows, columns = (max(1, round(size * scale)) for size in self.scaled_shape)
        return _inside(low_res[..., :rows, :columns], self.image_shape)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What transforms share that make every image a square, whatever its shape.

    Attributes
    ----------
    image_shape : (int, int)
        (rows, columns) of the image.
    side : int
        Side of the square the encoder sees, in pixels.
    aspect : float
        Height of the image's pixels in their width; has no say here.
    """

    image_shape: tuple[int, int]
    side: int
    aspect: float = 1.0

    def points(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 2) positions in (row, column) as (x, y) in the square."""
        return (positions * (self.side / np.asarray(self.image_shape, dtype=np.float64)))[:, ::-1]

    def low_res(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
        """Return an image's mask as the share of it in each cell, see `Frame.low_res`."""
        whole = Image.fromarray(mask.astype(np.float32))
        return np.array(whole.resize((size, size), Image.Resampling.BOX), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class CubicUnit(Stretch):
    """Stretch to a square by cubic splines, bring values to 0..1: the transform of MedSAM.

    Ma et al., Nature Communications 2024; as its inference script: back to uint8 after stretching, no mean or
    standard deviation, probabilities enlarged instead of logits.
    """

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, see `Frame.image`."""
        square = (self.side, self.side)
        stretched = resize(image, square, order=3, preserve_range=True, anti_aliasing=True)
        return _channels_first(_unit(stretched.astype(np.uint8)))

    def masks(self, low_res: Tensor) -> Tensor:
        """Return what is inside, see `Frame.masks`."""
        return _inside(torch.sigmoid(low_res) - 0.5, self.image_shape)


@dataclass(frozen=True, slots=True)
class LinearGrey(Stretch):
    """Stretch the grey image to a square linearly, normalise as SAM does: the transform of ScribblePrompt-SAM.

    Wong et al., ECCV 2024. Colour becomes grey (ITU-R 601), because it was trained on one channel.
    """

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, see `Frame.image`."""
        grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float32) / 255
        square = (self.side, self.side)
        stretched = functional.interpolate(
            torch.from_numpy(grey)[None, None], square, mode="bilinear", align_corners=False
        )
        mean, std = (torch.from_numpy(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
        return (255 * stretched.repeat(1, 3, 1, 1) - mean) / std

    def masks(self, low_res: Tensor) -> Tensor:
        """Return what is inside, see `Frame.masks`."""
        square = functional.interpolate(low_res, (self.side, self.side), mode="bilinear", align_corners=False)
        return _inside(square, self.image_shape)


@dataclass(frozen=True, slots=True)
class LinearColour(Stretch):
    """Stretch to a square linearly, smoothed where it shrinks, and normalise: the transform of SAM 2.

    Ravi et al., 2024; as their image predictor: values are brought to 0..1 first and stretched as float32, as
    torchvision's ``Resize`` does, so that nothing is rounded in between.
    """

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, see `Frame.image`."""
        unit = torch.from_numpy(_in_colour(image).copy()).permute(2, 0, 1)[None].to(torch.float32) / 255
        square = (self.side, self.side)
        stretched = functional.interpolate(unit, square, mode="bilinear", align_corners=False, antialias=True)
        return _normalised(stretched)

    def masks(self, low_res: Tensor) -> Tensor:
        """Return what is inside, see `Frame.masks`."""
        return _inside(low_res, self.image_shape)


@dataclass(frozen=True, slots=True)
class CubicColour(LinearColour):
    """Stretch to a square by cubic splines on uint8, and normalise: the transform of MedSAM2 (Ma et al., 2025).

    Its inference scripts use Pillow's ``resize`` as it is without arguments.
    """

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Return the encoder's input, see `Frame.image`."""
        stretched = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BICUBIC)
        return _normalised(_channels_first(_in_colour(np.asarray(stretched))) / 255)


def _in_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _normalised(unit: Tensor) -> Tensor:
    """Normalise values of 0..1 by the mean and standard deviation of ImageNet, as torchvision does."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (unit - mean) / std


def _inside(scores: Tensor, shape: tuple[int, int]) -> Tensor:
    """Where scores (1, c, h, w) are positive once they are enlarged to (1, c, rows, columns), bilinearly.

    Of a large image only the part is enlarged that can be positive: a click on a photograph of 12 million pixels need
    not wait for all of them.
    """
    if shape[0] * shape[1] < _LARGE:
        return functional.interpolate(scores, shape, mode="bilinear", align_corners=False) > 0
    found = torch.zeros((*scores.shape[:2], *shape), dtype=torch.bool, device=scores.device)
    positive = (scores > 0).flatten(0, 1).any(dim=0)
    if positive.any():
        rows, columns = (_reach(positive.any(dim=1 - axis), shape[axis]) for axis in (0, 1))
        part = _resampled(_resampled(scores, rows, shape[0], axis=2), columns, shape[1], axis=3)
        found[..., rows, columns] = part > 0
    return found


def _reach(cells: Tensor, size: int) -> slice:
    """Pixels along an axis that any positive cell has a share in."""
    places = cells.nonzero()[:, 0]
    scale = size / len(cells)
    start, stop = (int(places[0]) - 0.5) * scale - 0.5, (int(places[-1]) + 1.5) * scale - 0.5
    return slice(max(0, math.floor(start)), min(size, math.ceil(stop) + 1))


def _resampled(scores: Tensor, part: slice, size: int, *, axis: int) -> Tensor:
    """Enlarge an axis to `size` linearly between the middles of cells, and return a part of it."""
    cells = scores.shape[axis]
    pixels = torch.arange(part.start, part.stop, device=scores.device, dtype=torch.float32)
    places = ((pixels + 0.5) * (cells / size) - 0.5).clamp_min(0)
    lower = places.floor().long()
    upper = (lower + 1).clamp_max(cells - 1)
    share = (places - lower).view([-1 if at == axis else 1 for at in range(4)])
    return torch.lerp(scores.index_select(axis, lower), scores.index_select(axis, upper), share)


def _unit(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Bring values to 0..1, all channels alike, and grey to three channels."""
    low, high = float(values.min()), float(values.max())
    unit: NDArray[np.float64] = (values.astype(np.float64) - low) / max(high - low, 1e-8)
    return unit if unit.ndim == 3 else np.repeat(unit[..., None], 3, axis=2)


def _channels_first(square: NDArray[np.floating] | NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(square.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
