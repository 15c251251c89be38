"""Segment Anything's mask decoder in fewer sums, on the weights of the package's own.

Prompts are few and cells of the image are many. Wherever both meet, the weights are multiplied with the prompts
first: attention needs neither keys nor values nor queries of 4096 cells then, only products of the cells with a few
vectors. Upscaling is two products without moving a pixel, and only the masks that were asked for are made.
"""

from dataclasses import dataclass
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn
from torch.nn import functional

MANY = 32
"""Points and corners from which on the package's own way is the shorter one."""

Weights = tuple[Tensor, Tensor]
"""Of a product: (outside, inside) and (outside,)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The image's side, (cells, channels): exactly, and twice as products take it, without and with positions."""

    exact: Tensor
    plain: Tensor
    placed: Tensor


class SamDecoder:
    """Answers prompts as ``MaskDecoder`` does.

    Parameters
    ----------
    decoder : MaskDecoder
        Whose weights are used; copies of some are made.
    positions : Tensor, (1, channels, rows, columns)
        Of the cells, from ``PromptEncoder.get_dense_pe``.
    dtype : torch.dtype
        Of products over the image: float32 or bfloat16; sums, norms and the prompts' side are float32.
    """

    def __init__(self, decoder: MaskDecoder, positions: Tensor, dtype: torch.dtype) -> None:
        self._decoder, self._positions, self._dtype = decoder, positions, dtype
        self._layers: Any = decoder.transformer.layers
        self._places = _cells(positions[0])
        first, _, _, second, _ = decoder.output_upscaling
        self._up = self._unfolded(first), self._unfolded(second)

    def answer(self, features: Tensor, dense: Tensor, sparse: Tensor, *, three: bool) -> tuple[Tensor, Tensor]:
        """Return low-resolution logits (1, masks, 4 rows, 4 columns) and predicted qualities (1, masks).

        Parameters
        ----------
        features : Tensor, (channels, rows, columns)
            The embedding.
        dense : Tensor, (1, channels, rows, columns)
            What a mask, or none, became.
        sparse : Tensor, (1, n, channels)
            What points and boxes became.
        three : bool
            Whether to make the three masks for ambiguous prompts, or the one.
        """
        decoder = self._decoder
        if sparse.shape[1] > MANY:
            logits, qualities = decoder(features[None], self._positions, sparse, dense, three)
            return logits, qualities
        asked = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, sparse[0]])
        queries, cells = asked, self._meeting(_cells(features + dense[0]))
        for layer in self._layers:
            queries, cells = self._exchange(layer, queries, asked, cells)
        transformer = decoder.transformer
        found = _look(transformer.final_attn_token_to_image, queries + asked, cells)
        queries = transformer.norm_final_attn(queries + found)
        chosen = list(range(1, decoder.num_mask_tokens) if three else range(1))
        weights = torch.stack([decoder.output_hypernetworks_mlps[i](queries[1 + i]) for i in chosen])
        qualities = decoder.iou_prediction_head(queries[:1])[:, chosen]
        return self._draw(cells.plain, weights, (features.shape[1], features.shape[2]))[None], qualities

    def _meeting(self, exact: Tensor) -> _Cells:
        return _Cells(exact, exact.to(self._dtype), (exact + self._places).to(self._dtype))

    def _exchange(self, layer: Any, queries: Tensor, asked: Tensor, cells: _Cells) -> tuple[Tensor, _Cells]:
        """One layer: the prompts look at each other and at the image, and the image at the prompts."""
        if layer.skip_first_layer_pe:
            queries = _converse(layer.self_attn, queries, queries)
        else:
            queries = queries + _converse(layer.self_attn, queries + asked, queries)
        queries = layer.norm1(queries)
        queries = layer.norm2(queries + _look(layer.cross_attn_token_to_image, queries + asked, cells))
        queries = layer.norm3(queries + layer.mlp(queries))
        told = _tell(layer.cross_attn_image_to_token, queries + asked, queries, cells)
        return queries, self._meeting(layer.norm4(cells.exact + told))

    def _draw(self, cells: Tensor, weights: Tensor, grid: tuple[int, int]) -> Tensor:
        """Upscale twice, each cell to 2 x 2, and weigh the channels as the prompts say, (masks, channels)."""
        norm = self._decoder.output_upscaling[1]
        quarters = functional.linear(cells, *self._up[0]).view(len(cells), 4, -1)
        normed = functional.layer_norm(quarters.float(), quarters.shape[-1:], norm.weight, norm.bias, norm.eps)
        fine = functional.gelu(normed.to(self._dtype)).flatten(0, 1)
        fine = functional.gelu(functional.linear(fine, *self._up[1])).view(-1, weights.shape[1])
        drawn = (fine @ weights.t().to(self._dtype)).float()
        rows, columns = grid
        # (row, column, row within 2, column within 2, and again, mask) into an image.
        parts = drawn.view(rows, columns, 2, 2, 2, 2, -1).permute(6, 0, 2, 4, 1, 3, 5)
        return parts.reshape(-1, 4 * rows, 4 * columns)

    def _unfolded(self, upscaling: nn.ConvTranspose2d) -> Weights:
        """A transposed convolution of 2 x 2 without overlap is a product for each of the four."""
        weight = upscaling.weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()
        return weight.to(self._dtype), upscaling.get_parameter("bias").repeat(4).to(self._dtype)


def _cells(image: Tensor) -> Tensor:
    """Return (channels, rows, columns) as (cells, channels)."""
    return image.flatten(1).t().contiguous()


def _heads(attention: Any, values: Tensor) -> Tensor:
    """Return (n, channels) as (heads, n, channels of each)."""
    return values.view(len(values), attention.num_heads, -1).transpose(0, 1)


def _shares(attention: Any, product: nn.Linear) -> Tensor:
    """Return the weights by which each head comes from a value, (heads, channels of each, inside)."""
    return product.weight.view(attention.num_heads, -1, product.weight.shape[1])


def _converse(attention: Any, queries: Tensor, values: Tensor) -> Tensor:
    """Attention of the prompts to each other."""
    q, k, v = (
        _heads(attention, product(x))
        for product, x in ((attention.q_proj, queries), (attention.k_proj, queries), (attention.v_proj, values))
    )
    found = functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    joined: Tensor = attention.out_proj(found.transpose(0, 1).flatten(1))
    return joined


def _look(attention: Any, queries: Tensor, cells: _Cells) -> Tensor:
    """Attention of the prompts to the image.

    A key is W x, and q . W x is (W' q) . x: the cells meet one vector for each prompt and head. What the bias adds
    is the same for all cells and falls out of the softmax. A mean of values is the value of the mean.
    """
    query = _heads(attention, attention.q_proj(queries))
    probes = (query @ _shares(attention, attention.k_proj)) * query.shape[-1] ** -0.5
    scores = probes.flatten(0, 1).to(cells.placed.dtype) @ cells.placed.t()
    weights = torch.softmax(scores.float(), dim=1).to(cells.plain.dtype)
    means = (weights @ cells.plain).float().view(*probes.shape)
    found = means @ _shares(attention, attention.v_proj).transpose(1, 2)
    joined: Tensor = attention.out_proj(found.transpose(0, 1).flatten(1) + attention.v_proj.bias)
    return joined


def _tell(attention: Any, queries: Tensor, values: Tensor, cells: _Cells) -> Tensor:
    """Attention of the image to the prompts, (cells, channels), float32.

    Again the prompts are multiplied with the weights first: with those of the cells' queries, and with those by
    which what is found comes back.
    """
    key, value = _heads(attention, attention.k_proj(queries)), _heads(attention, attention.v_proj(values))
    scale = key.shape[-1] ** -0.5
    probes = (key @ _shares(attention, attention.q_proj)).flatten(0, 1) * scale
    offsets = (key * attention.q_proj.bias.view(len(key), 1, -1)).sum(dim=2).flatten() * scale
    # Cells last: softmax over a few prompts is slow where they lie beside each other.
    scores = (probes.to(cells.placed.dtype) @ cells.placed.t()).float() + offsets[:, None]
    weights = torch.softmax(scores.view(len(key), -1, len(cells.placed)), dim=1).flatten(0, 1)
    back = attention.out_proj.weight.view(-1, len(key), key.shape[-1]).permute(1, 2, 0)
    told: Tensor = torch.addmm(attention.out_proj.bias, weights.t(), (value @ back).flatten(0, 1))
    return told
