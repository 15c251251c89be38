"""Which architecture a state dict of the Segment Anything family belongs to, put together and filled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from napari_medfm.errors import WeightsError
from napari_medfm.models.tiny_vit import TinyVit, TinyVitShape
from napari_medfm.models.weights import fit

CHANNELS = 256
"""Of every member's embedding."""

_PIXEL_MEAN, _PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")
"""Weights of the classifier that MobileSAM's file still holds."""


@dataclass(frozen=True, slots=True)
class Vit:
    """Shape of the original image encoder.

    Attributes
    ----------
    width, depth, heads : int
        Channels, blocks and attention heads.
    global_blocks : tuple of int
        Which blocks see the whole image; the others see windows.
    window : int
        Their side in cells.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    stride: int = 16


VITS = (
    Vit(768, 12, 12, (2, 5, 8, 11)),
    Vit(1024, 24, 16, (5, 11, 17, 23)),
    Vit(1280, 32, 16, (7, 15, 23, 31)),
)
"""ViT-B, L and H."""

MOBILE, LITE = TinyVitShape(), TinyVitShape(halves_first=False)
"""TinyViT of MobileSAM, for squares of 1024 pixels, and of LiteMedSAM, for 256."""

_SIDES = {MOBILE: 1024, LITE: 256}


def build(tensors: Mapping[str, Tensor], subject: str) -> Sam:
    """Build the model that a state dict belongs to, without making weights first, and fill it.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        From `napari_medfm.models.weights.load_state_dict`.
    subject : str
        File name, for messages.

    Raises
    ------
    WeightsError
        It is of none of these architectures, or does not fit.
    """
    layout, side = _recognise(tensors, subject)
    used = {key: tensor for key, tensor in tensors.items() if not key.startswith(_UNUSED)}
    with torch.device("meta"):
        sam = assemble(layout, side)
    fit(sam, used, subject)
    # Not part of the state dict, and so still without values.
    sam.pixel_mean = torch.tensor(_PIXEL_MEAN).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(_PIXEL_STD).view(-1, 1, 1)
    return sam


def assemble(layout: Vit | TinyVitShape, image_size: int) -> Sam:
    """Put the package's classes together as its own builder does, for any image size, with random weights."""
    grid = image_size // layout.stride
    return Sam(
        image_encoder=_encoder(layout, image_size),
        prompt_encoder=PromptEncoder(
            embed_dim=CHANNELS,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8),
            transformer_dim=CHANNELS,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
        pixel_mean=list(_PIXEL_MEAN),
        pixel_std=list(_PIXEL_STD),
    )


def encoder_blocks(encoder: Any) -> list[Callable[[Tensor], Tensor]]:
    """Return an encoder as functions to be called one after the other: what runs between two is not interrupted."""
    if isinstance(encoder, TinyVit):
        return [encoder.patch_embed, *encoder.layers, encoder.neck]

    def begin(image: Tensor) -> Tensor:
        x: Tensor = encoder.patch_embed(image)
        return x if encoder.pos_embed is None else x + encoder.pos_embed

    def end(x: Tensor) -> Tensor:
        embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
        return embedding

    return [begin, *encoder.blocks, end]


def _encoder(layout: Vit | TinyVitShape, image_size: int) -> nn.Module:
    if isinstance(layout, TinyVitShape):
        return TinyVit(layout, image_size)
    encoder: nn.Module = ImageEncoderViT(
        depth=layout.depth,
        embed_dim=layout.width,
        img_size=image_size,
        mlp_ratio=4,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=layout.heads,
        patch_size=layout.stride,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=layout.global_blocks,
        window_size=layout.window,
        out_chans=CHANNELS,
    )
    return encoder


def _recognise(tensors: Mapping[str, Tensor], subject: str) -> tuple[Vit | TinyVitShape, int]:
    """Return an architecture, and the side of the square it sees."""
    first = tensors.get("image_encoder.patch_embed.seq.0.c.weight")
    if first is not None and first.ndim == 4:
        tiny = MOBILE if first.shape[-1] > 1 else LITE
        return tiny, _SIDES[tiny]
    position = tensors.get("image_encoder.pos_embed")
    grid = tuple(position.shape) if position is not None else ()
    vit = next((vit for vit in VITS if len(grid) == 4 and vit.width == grid[3]), None)
    if vit is None or grid[1] != grid[2]:
        reason = "is not of a Segment Anything ViT-B, L or H, nor of MobileSAM or LiteMedSAM"
        raise WeightsError(subject, reason, "Choose weights such as sam_vit_b_01ec64.pth.")
    return vit, grid[1] * vit.stride
