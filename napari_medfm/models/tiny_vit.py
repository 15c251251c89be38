"""TinyViT (Wu et al., ECCV 2022) as an image encoder of Segment Anything, with the weights' published names.

Two kinds are about. MobileSAM (Zhang et al., 2023) puts it behind two convolutions that halve the image; LiteMedSAM
(Ma et al., 2024) behind two that look at single pixels of a small one. Neither halves before its last stage, as the
classifier does, so that 64 x 64 cells are left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class TinyVitShape:
    """Size of an encoder.

    Attributes
    ----------
    halves_first : bool
        Whether the convolutions before the first stage halve the image twice, as MobileSAM's.
    widths, depths : tuple of int
        Channels and blocks of each stage.
    heads, windows : tuple of int
        Attention heads of each stage and sides of the windows they look into; the first stage has none.
    channels : int
        Of the embedding.
    """

    halves_first: bool = True
    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (2, 4, 5, 10)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    channels: int = 256

    @property
    def stride(self) -> int:
        """Pixels of the image for each cell of the embedding, along each axis."""
        return 16 if self.halves_first else 4


class TinyVit(nn.Module):
    """The encoder.

    Parameters
    ----------
    shape : TinyVitShape
        Its size.
    img_size : int
        Side of the square it sees, in pixels; the name is that of ``Sam``'s other encoders.
    """

    def __init__(self, shape: TinyVitShape, img_size: int) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_embed = _Stem(shape)
        self.layers = nn.ModuleList()
        strides = (2, 2, 1)
        for stage, width in enumerate(shape.widths):
            blocks: list[nn.Module] = [_block(shape, stage) for _ in range(shape.depths[stage])]
            last = stage == len(shape.widths) - 1
            reduction = None if last else _Reduction(width, shape.widths[stage + 1], strides[stage])
            self.layers.append(_Stage(blocks, reduction))
        self.neck = nn.Sequential(
            nn.Conv2d(shape.widths[-1], shape.channels, 1, bias=False),
            _ChannelNorm(shape.channels),
            nn.Conv2d(shape.channels, shape.channels, 3, padding=1, bias=False),
            _ChannelNorm(shape.channels),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the embedding (b, channels, side / stride, side / stride) of images (b, 3, side, side)."""
        x = self.patch_embed(image)
        for stage in self.layers:
            x = stage(x)
        embedding: Tensor = self.neck(x)
        return embedding


class _ConvNorm(nn.Sequential):
    def __init__(self, inside: int, outside: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outside))


class _ChannelNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return last.permute(0, 3, 1, 2)


class _Stem(nn.Module):
    def __init__(self, shape: TinyVitShape) -> None:
        super().__init__()
        kernel, stride = (3, 2) if shape.halves_first else (1, 1)
        width = shape.widths[0]
        self.seq = nn.Sequential(
            _ConvNorm(3, width // 2, kernel, stride), nn.GELU(), _ConvNorm(width // 2, width, kernel, stride)
        )

    def forward(self, image: Tensor) -> Tensor:
        x: Tensor = self.seq(image)
        return x


class _Stage(nn.Module):
    def __init__(self, blocks: Sequence[nn.Module], reduction: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = reduction

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _Reduction(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(inside, outside)
        self.conv2 = _ConvNorm(outside, outside, 3, stride, groups=outside)
        self.conv3 = _ConvNorm(outside, outside)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return self.conv3(x)  # type: ignore[no-any-return]


class _Bottleneck(nn.Module):
    """Convolutions of the first stage."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = expansion * width
        self.conv1 = _ConvNorm(width, hidden)
        self.conv2 = _ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = _ConvNorm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(y))


class _Attention(nn.Module):
    """Attention within a window, with a bias for each distance of two cells."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        count, cells, width = x.shape
        # Query, key and value of one head lie together.
        each = self.qkv(self.norm(x)).view(count, cells, self.heads, -1).transpose(1, 2)
        query, key, value = each.chunk(3, dim=-1)
        bias = self.attention_biases[:, _distances(self.window, x.device)]
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(found.transpose(1, 2).reshape(count, cells, width))  # type: ignore[no-any-return]


class _Mlp(nn.Module):
    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, expansion * width)
        self.fc2 = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(self.norm(x))))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Attention in windows, a convolution across their borders, and a perceptron."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(width, heads, window)
        self.mlp = _Mlp(width)
        self.local_conv = _ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(x)
        x = self.local_conv(x)
        last = x.permute(0, 2, 3, 1)
        mixed: Tensor = last + self.mlp(last)
        return mixed.permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        count, width, rows, columns = x.shape
        side = self.window
        # Cells that fill the last windows up are zeros, and are attended to as well: it was trained so.
        padded = functional.pad(x, (0, -columns % side, 0, -rows % side))
        down, across = padded.shape[2] // side, padded.shape[3] // side
        windows = padded.view(count, width, down, side, across, side).permute(0, 2, 4, 3, 5, 1)
        found = self.attn(windows.reshape(-1, side * side, width))
        whole = found.view(count, down, across, side, side, width).permute(0, 5, 1, 3, 2, 4)
        return whole.reshape(padded.shape)[:, :, :rows, :columns]  # type: ignore[no-any-return]


def _block(shape: TinyVitShape, stage: int) -> nn.Module:
    width = shape.widths[stage]
    return _Block(width, shape.heads[stage], shape.windows[stage]) if stage else _Bottleneck(width)


@cache
def _distances(window: int, device: torch.device) -> Tensor:
    """Which bias belongs to each pair of cells, (cells, cells): numbered as they are met, row by row."""
    cells = list(product(range(window), repeat=2))
    numbers: dict[tuple[int, int], int] = {}
    pairs = [(abs(a - c), abs(b - d)) for (a, b), (c, d) in product(cells, repeat=2)]
    return torch.tensor([numbers.setdefault(pair, len(numbers)) for pair in pairs], device=device).view(len(cells), -1)
