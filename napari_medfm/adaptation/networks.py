"""What finds a structure without being asked: a light head on the embedding, and the map of the nearest prototype."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

FINER = 2
"""Cells of the head's answer per cell of the features, along each axis."""

_WIDTH = 48
_PROTOTYPES = 8  # of what is not the structure; half as many of what is
_ROUNDS = 8  # of k-means
_SHARPNESS = 12.0  # of the difference of two cosines


class Head(nn.Module):
    """From features (b, channels, h, w) to logits (b, 1, 2 h, 2 w) of the structure.

    A 1 x 1 bottleneck, two wide blocks at half the resolution and one narrow one at the full one. It is told where
    each cell lies: in one patient, liver and spleen differ more in their place than in their texture.

    Parameters
    ----------
    channels : int
        Of the features.
    placed : bool
        Whether it is told where each cell lies; under a microscope that would only mislead.
    """

    def __init__(self, channels: int, *, placed: bool = True) -> None:
        super().__init__()
        self.placed = placed
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self.join = nn.Conv2d(channels + 2 * placed, _WIDTH, 1)
        self.down = nn.Conv2d(_WIDTH, _WIDTH, 2, 2)
        self.wide = nn.Sequential(_Wide(_WIDTH), _Wide(_WIDTH))
        self.up = nn.Conv2d(_WIDTH, _WIDTH, 1)
        self.narrow = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.norm = nn.GroupNorm(1, _WIDTH)
        self.out = nn.Conv2d(_WIDTH, FINER**2, 1)

    @classmethod
    def fitted(cls, looks: Sequence[Tensor], seed: int, *, placed: bool = True) -> Self:
        """Return a new head for features like these, (channels, h, w) each; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = cls(looks[0].shape[0], placed=placed)
        cells = torch.cat([look.flatten(1) for look in looks], dim=1)
        head.mean.copy_(cells.mean(dim=1)[:, None, None])
        head.scale.copy_(1 / cells.std(dim=1).clamp_min(1e-4)[:, None, None])
        return head.to(looks[0].device).to(memory_format=torch.channels_last)  # a quarter faster on CPUs

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the head of a state dict.

        Raises
        ------
        RuntimeError
            It is no such state dict.
        """
        channels = tensors["mean"].shape[0]
        head = cls(channels, placed=tensors["join.weight"].shape[1] > channels)
        head.load_state_dict(dict(tensors))
        return head.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)

    def forward(self, features: Tensor) -> Tensor:
        """Find the structure."""
        plain = (features.contiguous(memory_format=torch.channels_last) - self.mean) * self.scale
        seen = torch.cat([plain, _places(features)], dim=1) if self.placed else plain
        fine = functional.silu(self.join(seen))
        coarse = self.wide(self.down(fine))
        coarse = functional.interpolate(self.up(coarse), fine.shape[-2:], mode="bilinear", align_corners=False)
        joined = fine + coarse
        joined = joined + functional.silu(self.narrow(self.norm(joined)))
        return functional.pixel_shuffle(self.out(joined), FINER)


class _Wide(nn.Module):
    """Block of ConvNeXt (Liu et al., CVPR 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.project = nn.Conv2d(2 * width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = functional.silu(self.expand(self.norm(self.depthwise(features))))
        mixed: Tensor = features + self.project(hidden)
        return mixed


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """Typical features of a structure and of all else; nothing is trained (nearest prototype; Snell et al., 2017).

    Attributes
    ----------
    mean : Tensor, (channels,)
        Taken off all features before they are compared.
    inside, outside : Tensor, (n, channels)
        Of length 1.
    """

    mean: Tensor
    inside: Tensor
    outside: Tensor

    @classmethod
    def of(cls, looks: Sequence[Tensor], truths: Sequence[Tensor], seed: int = 0) -> Self:
        """Find typical features by k-means on the sphere.

        Parameters
        ----------
        looks : sequence of Tensor, (channels, h, w)
            Features.
        truths : sequence of Tensor, (h, w)
            Share of each cell that belongs to the structure; NaN where that is not known.
        seed : int
            Of the first guess.
        """
        cells = torch.cat([look.flatten(1).T for look in looks])
        shares = torch.cat([truth.flatten() for truth in truths])
        known = ~shares.isnan()
        mean = cells[known].mean(dim=0)
        sphere = functional.normalize(cells - mean, dim=1)
        threshold = torch.clamp(shares[known].max() * 0.5, max=0.5)
        rng = torch.Generator().manual_seed(seed)
        inside = _centres(sphere[known & (shares >= threshold)], _PROTOTYPES // 2, rng)
        return cls(mean, inside, _centres(sphere[known & (shares < 0.1 * threshold + 1e-6)], _PROTOTYPES, rng))

    def find(self, features: Tensor) -> Tensor:
        """Return logits (h, w) of the structure from features (channels, h, w)."""
        sphere = functional.normalize(features.flatten(1).T - self.mean, dim=1)
        likeness = (sphere @ self.inside.T).amax(dim=1) - (sphere @ self.outside.T).amax(dim=1)
        return (_SHARPNESS * likeness).view(features.shape[1:])


def _centres(points: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return centres of length 1 of points of length 1."""
    if not len(points):
        return points.new_zeros(1, points.shape[1])
    chosen = torch.randperm(len(points), generator=rng)[:count]
    centres = points[chosen]
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(sums.norm(dim=1, keepdim=True) > 0, functional.normalize(sums, dim=1), centres)
    return centres


def _places(features: Tensor) -> Tensor:
    """Return where each cell lies, -1..1, (b, 2, h, w)."""
    axes = [torch.linspace(-1, 1, size, device=features.device) for size in features.shape[-2:]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return grid[None].expand(len(features), -1, -1, -1)
