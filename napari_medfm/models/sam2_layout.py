"""Segment Anything 2's image model on the classes of ``transformers``: recognised from its weights, built and filled.

The published files have their authors' own names; here they are said in those of ``transformers``. What only follows
objects through videos is left out: the memory, and the pointers to objects.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_medfm.errors import ModelError, WeightsError
from napari_medfm.models.weights import fit

CHANNELS = {"stride_4": 32, "stride_8": 64, "stride_16": 256}
"""Of the three levels of an embedding, by the pixels between two of their cells."""


@dataclass(frozen=True, slots=True)
class Hiera:
    """Shape of an image encoder (Ryali et al., ICML 2023); each stage has half the cells and twice the channels.

    Attributes
    ----------
    width, heads : int
        Channels and attention heads of the first stage.
    depths : (int, int, int, int)
        Blocks of the stages.
    global_blocks : tuple of int
        Which blocks see the whole image; the others see windows.
    windows : (int, int, int, int)
        Their sides in cells.
    background : int
        Side of the grid of positions that is enlarged to the image.
    """

    width: int
    heads: int
    depths: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7


SIZES = {
    "tiny": Hiera(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": Hiera(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": Hiera(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    "large": Hiera(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}
"""As Ravi et al. (2024) published them."""

_AUTHORS = "image_encoder.trunk."
"""Only in the authors' names."""

_VIDEO = (
    # in the authors' names
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    # and in those of transformers
    "memory_temporal_positional_encoding",
    "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "occlusion_spatial_embedding_parameter",
)

# In this order: what a rule made may be changed by a later one.
_NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"patch_embed\.proj\.", "patch_embed.projection."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
        (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
        (r"mask_downscaling\.0\.", "mask_embed.conv1."),
        (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
        (r"mask_downscaling\.3\.", "mask_embed.conv2."),
        (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
        (r"mask_downscaling\.6\.", "mask_embed.conv3."),
        (r"output_upscaling\.0\.", "upscale_conv1."),
        (r"output_upscaling\.1\.", "upscale_layer_norm."),
        (r"output_upscaling\.3\.", "upscale_conv2."),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"\.norm(\d)\.", r".layer_norm\1."),
        (r"\.out_proj\.", ".o_proj."),
        # Perceptrons of two layers in blocks, of three in the decoder's heads.
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        (r"((?:_mlps\.\d|_head)\.)layers\.0\.", r"\1proj_in."),
        (r"((?:_mlps\.\d|_head)\.)layers\.2\.", r"\1proj_out."),
        (r"((?:_mlps\.\d|_head)\.)layers\.1\.", r"\1layers.0."),
    )
)

_POINT = "prompt_encoder.point_embeddings.{}.weight"
_POSITIONS = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
_OTHER = "Choose weights such as sam2.1_hiera_tiny.pt."


def networks() -> Any:
    """Return the module ``transformers``.

    Raises
    ------
    ModelError
        It is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        step = 'Install it: pip install "napari-medfm[sam2]".'
        raise ModelError("SAM 2", "needs the library transformers, which is not installed", step) from error
    return transformers


def build(tensors: Mapping[str, Tensor], side: int, subject: str) -> Any:
    """Build the ``Sam2Model`` that a state dict belongs to, without making weights first, and fill it.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        From `napari_medfm.models.weights.load_state_dict`, in either layout.
    side : int
        Of the square that the image encoder is to see, in pixels; the weights do not tell.
    subject : str
        File name, for messages.

    Raises
    ------
    WeightsError
        It is of none of `SIZES`, or does not fit.
    ModelError
        ``transformers`` is not installed.
    """
    tensors = in_names_of_transformers(tensors)
    layout = _recognise(tensors, subject)
    with torch.device("meta"):
        sam = assemble(layout, side)
    fit(sam, tensors, subject)
    return sam


def assemble(layout: Hiera, side: int) -> Any:
    """Put a ``Sam2Model`` together, for squares of any multiple of 32 pixels, with random weights; nobody is asked.

    Raises
    ------
    ModelError
        ``transformers`` is not installed.
    """
    library = networks()
    widths = [layout.width << stage for stage in range(4)]
    backbone = library.Sam2HieraDetConfig(
        hidden_size=layout.width,
        num_attention_heads=layout.heads,
        image_size=[side, side],
        window_positional_embedding_background_size=[layout.background] * 2,
        blocks_per_stage=list(layout.depths),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[layout.heads << stage for stage in range(4)],
        window_size_per_stage=list(layout.windows),
        global_attention_blocks=list(layout.global_blocks),
    )
    vision = library.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // stride] * 2 for stride in (4, 8, 16)],
    )
    prompts = library.Sam2PromptEncoderConfig(image_size=side)
    sam = library.Sam2Model(library.Sam2Config(vision_config=vision, prompt_encoder_config=prompts))
    # Two names for one thing, which are drawn twice when weights are random.
    sam.shared_image_embedding = sam.prompt_encoder.shared_embedding
    return sam


def in_names_of_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the image model's weights under the names that ``transformers`` gives them, whichever names they have."""
    renamed = _renamed if any(key.startswith(_AUTHORS) for key in tensors) else str
    named = {renamed(key): tensor for key, tensor in tensors.items() if not key.startswith(_VIDEO)}
    points = [_POINT.format(kind) for kind in range(4)]  # not it, it, and two corners
    if all(key in named for key in points):
        named["prompt_encoder.point_embed.weight"] = torch.cat([named.pop(key) for key in points])
    for one, other in (_POSITIONS, _POSITIONS[::-1]):
        if one not in named and other in named:  # two names for the same
            named[one] = named[other]
    return named


def _renamed(key: str) -> str:
    for pattern, name in _NAMES:
        key = pattern.sub(name, key)
    return key


def _recognise(tensors: Mapping[str, Tensor], subject: str) -> Hiera:
    positions = tensors.get("vision_encoder.backbone.pos_embed")
    width = positions.shape[1] if positions is not None and positions.ndim == 4 else 0
    last = re.compile(r"vision_encoder\.backbone\.blocks\.(\d+)\.layer_norm1\.weight")
    depth = sum(last.fullmatch(key) is not None for key in tensors)
    layout = next((size for size in SIZES.values() if (size.width, sum(size.depths)) == (width, depth)), None)
    if layout is None:
        raise WeightsError(subject, "is not of a SAM 2.1 tiny, small, base-plus or large, nor of MedSAM2", _OTHER)
    return layout
