"""The attention of Segment Anything's image encoder without its matrix: fused, and with the same weights.

The package's own forms a matrix of all pairs of cells for every head, 0.8 GB in a global block of ViT-B at 1024
pixels, several times over. Here torch's fused kernel does the same sum a band of rows at a time.
"""

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor, nn
from torch.nn import functional

_LARGEST_BIAS = 1 << 24
"""Numbers in the bias of one band, over all images and heads."""


def fuse_attention(encoder: nn.Module) -> None:
    """Let every block of an encoder compute its attention so, in place; names and values of its weights stay."""
    for block in encoder.blocks if isinstance(encoder, ImageEncoderViT) else ():
        if isinstance(block.attn, Attention):
            block.attn = _FusedAttention(block.attn)


class _FusedAttention(nn.Module):
    """Attention with biases that depend on how far apart two cells are, along each axis (Li et al., CVPR 2022)."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads: int = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w

    def forward(self, x: Tensor) -> Tensor:
        count, rows, columns, width = x.shape
        mixed = self.qkv(x).reshape(count, rows * columns, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        grid = query.reshape(count, self.heads, rows, columns, -1)
        down = torch.einsum("bhijd,ikd->bhijk", grid, self._table(self.rel_pos_h, rows, x))
        across = torch.einsum("bhijd,jkd->bhijk", grid, self._table(self.rel_pos_w, columns, x))
        found = torch.empty_like(query)
        # A band is a number of rows of the image: its queries see all keys.
        band = max(1, _LARGEST_BIAS // (count * self.heads * columns * rows * columns))
        for first in range(0, rows, band):
            cells = slice(first * columns, (first + band) * columns)
            bias = down[:, :, first : first + band, :, :, None] + across[:, :, first : first + band, :, None, :]
            found[:, :, cells] = functional.scaled_dot_product_attention(
                query[:, :, cells], key, value, attn_mask=bias.flatten(4).flatten(2, 3)
            )
        joined: Tensor = self.proj(found.transpose(1, 2).reshape(count, rows, columns, width))
        return joined

    def _table(self, distances: Tensor, size: int, like: Tensor) -> Tensor:
        table: Tensor = get_rel_pos(size, size, distances)
        return table.to(like.device)
