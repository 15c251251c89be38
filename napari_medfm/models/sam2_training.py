"""The mask decoder of Segment Anything 2 as something that can be trained on stored embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.models.adaptable import GridPrompts
from napari_medfm.models.sam2_layout import CHANNELS
from napari_medfm.models.sam_training import SamTrainable

_FINER = (4, 2, 1)  # cells of each level in one of the coarsest, along each axis


@dataclass(frozen=True, slots=True, eq=False)
class Sam2Trainable(SamTrainable):
    """A copy of a ``Sam2MaskDecoder`` as a `TrainableDecoder`; its features are all levels, see `join`."""

    MOVING: ClassVar[tuple[str, ...]] = (
        "iou_token",
        "mask_tokens",
        "upscale_",
        "output_hypernetworks_mlps",
        "iou_prediction_head",
    )
    """As of `SamTrainable`; ``conv_s0`` and ``conv_s1`` make embeddings, and must not move."""

    def _ask(
        self, features: Tensor, prompts: GridPrompts, previous: Tensor | None, *, three: bool
    ) -> tuple[Tensor, Tensor]:
        *fine, coarse = part(features)
        places, signs = prompts.places, prompts.signs
        if not places.shape[1] and prompts.boxes is None:  # at least a point that is none must be there
            places, signs = places.new_zeros((1, 1, 2)), signs.new_full((1, 1), -1)
        sparse, dense = self.sam.prompt_encoder(
            input_points=places[:, None] if places.shape[1] else None,
            input_labels=signs[:, None] if places.shape[1] else None,
            input_boxes=None if prompts.boxes is None else prompts.boxes[:, None],
            input_masks=previous,
        )
        logits, quality, *_ = self.module(
            image_embeddings=coarse,
            image_positional_embeddings=self.sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=three,
            high_resolution_features=fine,
        )
        return logits[:, 0], quality[:, 0]


def join(levels: Sequence[Tensor]) -> Tensor:
    """Return the levels of an embedding, (channels, h, w) each and from fine to coarse, on the grid of the coarsest.

    Nothing is lost: cells of a finer level that lie in one of the coarsest become channels of it, 512 + 256 + 256.
    """
    return torch.cat([functional.pixel_unshuffle(level, by) for level, by in zip(levels, _FINER, strict=True)])


def part(features: Tensor) -> list[Tensor]:
    """Return the levels that `join` put together, (b, channels, h, w) each, of (b, all channels, h, w)."""
    channels = [count * by**2 for count, by in zip(CHANNELS.values(), _FINER, strict=True)]
    levels = torch.split(features, channels, dim=1)
    return [functional.pixel_shuffle(level, by) for level, by in zip(levels, _FINER, strict=True)]
