"""The network of the built-in model: a convolutional encoder and a light decoder that sees prompts as maps.

The encoder is MobileNetV2 (Sandler et al., CVPR 2018, table 2), its five levels joined from the coarsest to
the finest (feature pyramid; Lin et al., CVPR 2017). The decoder stacks its features with maps of what was
pointed at, so that a click acts where it was made (RITM; Sofiiuk et al., ICIP 2022), and with the likeness of
every place to the places that were clicked. Blocks are those of ConvNeXt (Liu et al., CVPR 2022).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Pixels of the input per position of the features."""
MAP_STRIDE = 2
"""Pixels of the input per position of prompt maps and logits."""
MAPS = ("added", "removed", "added far", "removed far", "box", "previous", "has previous")
"""What each prompt map holds."""

_LEVELS = (24, 32, 96, 320)
# Expansion, channels, stride of each block of MobileNetV2, and the blocks that end a level.
_BLOCKS = (
    *((1, 16, 1), (6, 24, 2), (6, 24, 1)),
    *((6, 32, 2), (6, 32, 1), (6, 32, 1)),
    *((6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1)),
    *((6, 96, 1), (6, 96, 1), (6, 96, 1)),
    *((6, 160, 2), (6, 160, 1), (6, 160, 1), (6, 320, 1)),
)
_LEVEL_ENDS = (0, 2, 5, 12, 16)


@dataclass(frozen=True, slots=True)
class CompactShape:
    """Widths of the network.

    Attributes
    ----------
    coarse, fine : int
        Channels of the features: of their meaning and of their detail.
    middle, deep : int
        Channels of the decoder at strides 8 and 16.
    key : int
        Channels in which places are compared with the clicked ones.
    stamp : int
        Channels of the prompts.
    candidates : int
        Answers to an ambiguous prompt.
    """

    coarse: int = 64
    fine: int = 16
    middle: int = 128
    deep: int = 192
    key: int = 32
    stamp: int = 32
    candidates: int = 4

    @property
    def features(self) -> int:
        """Channels of what the encoder returns."""
        return self.coarse + self.fine


class CompactNetwork(nn.Module):
    """Encoder and decoder.

    Parameters
    ----------
    shape : CompactShape
        Widths of the layers.
    """

    def __init__(self, shape: CompactShape | None = None) -> None:
        super().__init__()
        self.shape = shape or CompactShape()
        self.encoder = Encoder(self.shape)
        self.decoder = Decoder(self.shape)


class Encoder(nn.Module):
    """From (b, 3, h, w) in -1..1, sides multiples of 32, to features (b, channels, h / 4, w / 4)."""

    def __init__(self, shape: CompactShape) -> None:
        super().__init__()
        width = shape.coarse
        self.stem = nn.Conv2d(3, 32, 3, 2)
        inputs = (32, *(channels for _, channels, _ in _BLOCKS))
        self.blocks = nn.ModuleList(_Bottleneck(inputs[at], *block) for at, block in enumerate(_BLOCKS))
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in _LEVELS)
        self.smooth = nn.ModuleList(_Mix(width, kernel=5) for _ in _LEVELS[1:])
        self.norm = nn.GroupNorm(1, width)
        self.fine = nn.Conv2d(16, shape.fine, 2, 2)

    def forward(self, image: Tensor) -> Tensor:
        """Encode images."""
        finest, *levels = self._levels(image)
        joined: Tensor = self.lateral[-1](levels[-1])
        for at in (2, 1, 0):
            joined = self.smooth[at](_enlarged(joined, levels[at]) + self.lateral[at](levels[at]))
        return torch.cat([self.norm(joined), self.fine(finest)], dim=1)

    def _levels(self, image: Tensor) -> list[Tensor]:
        features = functional.relu6(self.stem(_padded(image)))
        levels = []
        for at, block in enumerate(self.blocks):
            features = block(features)
            if at in _LEVEL_ENDS:
                levels.append(features)
        return levels


class Decoder(nn.Module):
    """From features and prompt maps to candidates and what they are worth."""

    def __init__(self, shape: CompactShape) -> None:
        super().__init__()
        width, middle, deep = shape.coarse, shape.middle, shape.deep
        seen = shape.features + shape.stamp
        self.stamp = nn.Conv2d(4 * len(MAPS), shape.stamp, 1)
        self.key = nn.Conv2d(width, shape.key, 1)
        self.join = nn.Conv2d(seen + 3, width, 1)
        self.four = _Refine(width)
        self.down8 = nn.Conv2d(width, middle, 2, 2)
        self.eight = nn.Sequential(_Mix(middle), _Mix(middle))
        self.down16 = nn.Conv2d(middle, deep, 2, 2)
        self.sixteen = nn.ModuleList(_Mix(deep) for _ in range(3))
        self.film = nn.Linear(2 * deep, 2 * deep)
        self.up8 = nn.Conv2d(deep, middle, 1)
        self.eight2 = _Mix(middle)
        self.up4 = nn.Conv2d(middle, width, 1)
        self.skip4 = nn.Conv2d(seen, width, 1)
        self.four2 = nn.Sequential(_Refine(width), _Refine(width))
        self.head = nn.Conv2d(width, 4 * shape.candidates, 1)
        self.quality = nn.Linear(2 * deep, shape.candidates)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self._coarse = width

    def forward(self, features: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Decode prompts.

        Parameters
        ----------
        features : Tensor, (b, channels, h, w)
            From the encoder.
        maps : Tensor, (b, 7, 2 h, 2 w)
            See `MAPS`.

        Returns
        -------
        tuple of Tensor
            Logits (b, candidates, 2 h, 2 w) and the logit of the expected IoU (b, candidates).
        """
        stamp = functional.silu(self.stamp(_channels_last(functional.pixel_unshuffle(maps, 2))))
        x4 = self.four(self.join(torch.cat([features, stamp, self._likeness(features, maps)], dim=1)))
        x8 = self.eight(self.down8(x4))
        x16 = self.sixteen[0](self.down16(x8))
        scale, shift = self.film(_pooled(x16))[:, :, None, None].chunk(2, dim=1)
        x16 = self.sixteen[2](self.sixteen[1](x16 * (1 + scale) + shift))
        y8 = self.eight2(x8 + _enlarged(self.up8(x16), x8))
        y4 = x4 + _enlarged(self.up4(y8), x4) + self.skip4(torch.cat([features, stamp], dim=1))
        logits = functional.pixel_shuffle(self.head(self.four2(y4)), 2)
        return logits, self.quality(_pooled(x16))

    def _likeness(self, features: Tensor, maps: Tensor) -> Tensor:
        """Cosine between every place and the mean of the added, the removed and the masked ones, (b, 3, h, w)."""
        keys = functional.normalize(self.key(features[:, : self._coarse]).float(), dim=1)
        weights = functional.avg_pool2d(maps[:, (0, 1, 5)].float(), 2)
        total = weights.sum(dim=(2, 3)).clamp_min(1e-4)
        means = torch.einsum("bchw,bkhw->bkc", keys, weights) / total[..., None]
        return torch.einsum("bchw,bkc->bkhw", keys, means).to(features.dtype)


class _Bottleneck(nn.Module):
    """Inverted residual of MobileNetV2, normalisation folded in."""

    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Conv2d(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 0 if stride == 2 else 1, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)
        self._halves, self._skips = stride == 2, stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        hidden = features if self.expand is None else functional.relu6(self.expand(features))
        hidden = functional.relu6(self.depthwise(_padded(hidden) if self._halves else hidden))
        outputs: Tensor = self.project(hidden)
        return features + outputs if self._skips else outputs


class _Mix(nn.Module):
    """Block of ConvNeXt."""

    def __init__(self, width: int, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.project = nn.Conv2d(2 * width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = functional.silu(self.expand(self.norm(self.depthwise(features))))
        mixed: Tensor = features + self.project(hidden)
        return mixed


class _Refine(nn.Module):
    """Residual convolution for the finest level, where wide blocks would cost most."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + functional.silu(self.conv(self.norm(features)))


def _padded(features: Tensor) -> Tensor:
    """Pad below and to the right, as the weights of the encoder were trained (TensorFlow's SAME)."""
    return functional.pad(features, (0, 1, 0, 1))


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _pooled(features: Tensor) -> Tensor:
    return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
