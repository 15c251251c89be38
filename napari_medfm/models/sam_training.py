"""Segment Anything's mask decoder as something that can be trained on stored embeddings."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from napari_medfm.models.adaptable import GridPrompts
from napari_medfm.models.recipes import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class SamTrainable:
    """A copy of a ``MaskDecoder`` as a `TrainableDecoder`, looks one after the other as the package has it.

    Attributes
    ----------
    module : MaskDecoder
        The copy.
    sam : Sam
        The model's own; stays as it is.
    recipe : Recipe
        When it makes three masks.
    side : int
        Pixels along a side of the encoder's square.
    """

    MOVING: ClassVar[tuple[str, ...]] = (
        "iou_token",
        "mask_tokens",
        "output_upscaling",
        "output_hypernetworks_mlps",
        "iou_prediction_head",
    )
    """What moves: tokens, upscaling, and what becomes of tokens. The attention, most of the decoder, stays."""

    module: nn.Module
    sam: Any
    recipe: Recipe
    side: int
    batch: int = 1

    @classmethod
    def of(cls, sam: Any, recipe: Recipe, side: int) -> Self:
        """Copy the decoder of a model."""
        module = copy.deepcopy(sam.mask_decoder)  # as it answers: nothing in it trains in a way of its own
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name.startswith(cls.MOVING))
        return cls(module, sam, recipe, side)

    @property
    def cells(self) -> int:
        """Side of the grid of logits."""
        size: int = self.sam.prompt_encoder.mask_input_size[0]
        return size

    def answer(self, features: Tensor, prompts: GridPrompts, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Answer prompts; candidates come best first. See `TrainableDecoder`."""
        answers = [
            self._best_first(features[at][None], self._placed(prompts, at), _at(previous, at))
            for at in range(len(features))
        ]
        logits, quality = (torch.cat(parts) for parts in zip(*answers, strict=True))
        return logits, quality

    def _best_first(self, features: Tensor, prompts: GridPrompts, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        ambiguous = prompts.signs.tolist() == [[1]] and prompts.boxes is None and previous is None
        logits, quality = self._ask(features, prompts, previous, three=self.recipe.gives_three(ambiguous))
        order = torch.argsort(quality.detach(), dim=1, descending=True)[0]
        return logits[:, order], quality[:, order]

    def _ask(
        self, features: Tensor, prompts: GridPrompts, previous: Tensor | None, *, three: bool
    ) -> tuple[Tensor, Tensor]:
        """Return logits (1, candidates, cells, cells) and qualities (1, candidates) of one look."""
        encoder = self.sam.prompt_encoder
        points = (prompts.places, prompts.signs) if prompts.places.shape[1] else None
        sparse, dense = encoder(points=points, boxes=prompts.boxes, masks=previous)
        logits, quality = self.module(features, encoder.get_dense_pe(), sparse, dense, three)
        return logits, quality

    def _placed(self, prompts: GridPrompts, at: int) -> GridPrompts:
        """Prompts of one look in (x, y) of the encoder's square, whose pixel centres the prompt encoder adds."""
        pixels = self.side / self.cells
        places = (prompts.places[at][None].flip(-1) + 0.5) * pixels - 0.5
        boxes = None if prompts.boxes is None else prompts.boxes[at][None, (1, 0, 3, 2)] * pixels
        return GridPrompts(places, prompts.signs[at][None], boxes)


def _at(previous: Tensor | None, at: int) -> Tensor | None:
    return None if previous is None else previous[at][None]
