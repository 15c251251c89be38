"""Segment Anything's mask decoder with what no prompt changes done once, on the weights of the package's own.

The same sums in another order: projections of the image that a layer needs together are one product, the image's
first ones are kept with the embedding, upscaling is two products without moving a pixel, and only the masks that
were asked for are made.
"""

from dataclasses import dataclass
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn
from torch.nn import functional

Weights = tuple[Tensor, Tensor]
"""Of a product: (outside, inside) and (outside,)."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageTerms:
    """What the decoder makes of an image before it sees a prompt; see `SamDecoder.prepare`.

    Attributes
    ----------
    keys : Tensor, (cells, channels)
        The embedding, cell by cell, with what stands for no mask.
    first : Tensor, (cells, 3 x channels / 2)
        Keys for the prompts, queries of the image, and values, in the first layer.
    grid : (int, int)
        (rows, columns) of cells.
    """

    keys: Tensor
    first: Tensor
    grid: tuple[int, int]


class SamDecoder:
    """Answers prompts as ``MaskDecoder`` does.

    Parameters
    ----------
    decoder : MaskDecoder
        Whose weights are used; copies of some are made.
    positions : Tensor, (1, channels, rows, columns)
        Of the cells, from ``PromptEncoder.get_dense_pe``.
    no_mask : Tensor, (channels,)
        What is added to the embedding where no mask is given.
    dtype : torch.dtype
        Of products over the image: float32 or bfloat16; sums, norms and the prompts' side are float32.
    """

    def __init__(self, decoder: MaskDecoder, positions: Tensor, no_mask: Tensor, dtype: torch.dtype) -> None:
        self._decoder, self._dtype, self._no_mask = decoder, dtype, no_mask
        self._layers: Any = decoder.transformer.layers
        self._places = positions[0].flatten(1).t()
        self._joint = [self._joined(layer) for layer in self._layers]
        final = decoder.transformer.final_attn_token_to_image
        self._final = self._stacked(final.k_proj), self._stacked(final.v_proj)
        self._back = [self._stacked(layer.cross_attn_image_to_token.out_proj) for layer in self._layers]
        up = decoder.output_upscaling
        self._up = self._unfolded(up[0]), self._unfolded(up[3])

    def prepare(self, features: Tensor, dense: Tensor | None = None) -> ImageTerms:
        """Return what no point and no box changes.

        Parameters
        ----------
        features : Tensor, (channels, rows, columns)
            The embedding.
        dense : Tensor, (1, channels, rows, columns), optional
            What a mask became; by default there is none.
        """
        grid = features.shape[1], features.shape[2]
        given = self._no_mask if dense is None else dense[0].flatten(1).t()
        keys = features.flatten(1).t() + given
        return ImageTerms(keys, self._project(0, keys), grid)

    def answer(self, image: ImageTerms, sparse: Tensor, *, three: bool) -> tuple[Tensor, Tensor]:
        """Return low-resolution logits (1, masks, 4 rows, 4 columns) and predicted qualities (1, masks).

        Parameters
        ----------
        image : ImageTerms
            From `prepare`.
        sparse : Tensor, (1, n, channels)
            What points and boxes became.
        three : bool
            Whether to make the three masks for ambiguous prompts, or the one.
        """
        decoder = self._decoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        asked = torch.cat([own, sparse[0]])
        queries, keys = asked, image.keys
        for number, layer in enumerate(self._layers):
            mixed = image.first if number == 0 else self._project(number, keys)
            queries, keys = self._exchange(layer, number, (queries, asked), keys, mixed)
        queries = self._conclude(queries, asked, keys)
        chosen = range(1, decoder.num_mask_tokens) if three else range(1)
        logits = self._draw(keys, [(decoder.output_hypernetworks_mlps[i], queries[1 + i]) for i in chosen], image.grid)
        qualities = decoder.iou_prediction_head(queries[:1])
        return logits[None], qualities[:, list(chosen)]

    def _project(self, number: int, keys: Tensor) -> Tensor:
        """Keys for the prompts, queries of the image, and values, side by side."""
        placed, plain = self._joint[number]
        return torch.cat([self._product(keys + self._places, placed), self._product(keys, plain)], dim=1)

    def _exchange(
        self, layer: Any, number: int, prompts: tuple[Tensor, Tensor], keys: Tensor, mixed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One layer: the prompts look at each other and at the image, and the image at the prompts."""
        queries, asked = prompts
        key, query, value = mixed.chunk(3, dim=1)
        if layer.skip_first_layer_pe:
            queries = _attend_self(layer.self_attn, queries, queries)
        else:
            queries = queries + _attend_self(layer.self_attn, queries + asked, queries)
        queries = layer.norm1(queries)
        looking = layer.cross_attn_token_to_image
        found = _attention(looking.q_proj(queries + asked), key, value, looking.num_heads)
        queries = layer.norm2(queries + looking.out_proj(found))
        queries = layer.norm3(queries + layer.mlp(queries))
        back = layer.cross_attn_image_to_token
        told = _attention(query, back.k_proj(queries + asked), back.v_proj(queries), back.num_heads)
        keys = layer.norm4(keys + self._product(told, self._back[number]))
        return queries, keys

    def _conclude(self, queries: Tensor, asked: Tensor, keys: Tensor) -> Tensor:
        transformer = self._decoder.transformer
        final = transformer.final_attn_token_to_image
        key, value = self._product(keys + self._places, self._final[0]), self._product(keys, self._final[1])
        found = _attention(final.q_proj(queries + asked), key, value, final.num_heads)
        ended: Tensor = transformer.norm_final_attn(queries + final.out_proj(found))
        return ended

    def _draw(self, keys: Tensor, asked: list[tuple[nn.Module, Tensor]], grid: tuple[int, int]) -> Tensor:
        """Upscale twice, each cell to 2 x 2, and weigh the channels as the prompts say."""
        norm = self._decoder.output_upscaling[1]
        quarters = self._product(keys, self._up[0]).view(len(keys), 4, -1)
        normed = functional.layer_norm(quarters.float(), quarters.shape[-1:], norm.weight, norm.bias, norm.eps)
        fine = functional.gelu(self._product(functional.gelu(normed).flatten(0, 1), self._up[1]))
        weights = torch.stack([network(token) for network, token in asked]).to(fine.dtype)
        drawn = (fine.view(-1, weights.shape[1]) @ weights.t()).float()
        rows, columns = grid
        # (row, column, row within 2, column within 2, and again, mask) into an image.
        cells = drawn.view(rows, columns, 2, 2, 2, 2, -1).permute(6, 0, 2, 4, 1, 3, 5)
        return cells.reshape(-1, 4 * rows, 4 * columns)

    def _product(self, values: Tensor, weights: Weights) -> Tensor:
        return functional.linear(values.to(self._dtype), *weights)

    def _joined(self, layer: Any) -> tuple[Weights, Weights]:
        looking, back = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        return self._stacked(looking.k_proj, back.q_proj), self._stacked(looking.v_proj)

    def _stacked(self, *products: nn.Linear) -> Weights:
        weights, biases = (torch.cat([getattr(one, name) for one in products]) for name in ("weight", "bias"))
        return weights.to(self._dtype), biases.to(self._dtype)

    def _unfolded(self, upscaling: nn.ConvTranspose2d) -> Weights:
        """A transposed convolution of 2 x 2 without overlap is a product for each of the four."""
        weight = upscaling.weight.permute(2, 3, 1, 0).flatten(0, 2)
        bias = upscaling.get_parameter("bias").repeat(4)
        return weight.contiguous().to(self._dtype), bias.to(self._dtype)


def _attend_self(attention: Any, queries: Tensor, values: Tensor) -> Tensor:
    found = _attention(
        attention.q_proj(queries), attention.k_proj(queries), attention.v_proj(values), attention.num_heads
    )
    joined: Tensor = attention.out_proj(found)
    return joined


def _attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Attention of (n, channels) to (m, channels), in the image side's precision; it comes back in the query's."""
    dtype = next((x.dtype for x in (query, key) if x.dtype != torch.float32), torch.float32)
    q, k, v = (x.to(dtype).view(1, len(x), heads, -1).transpose(1, 2) for x in (query, key, value))
    found = functional.scaled_dot_product_attention(q, k, v)
    return found.transpose(1, 2).flatten(2)[0].to(query.dtype)
