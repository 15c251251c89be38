"""Segment Anything 2.1 (Ravi et al., 2024) on the classes of ``transformers``, and MedSAM2 (Ma et al., 2025).

Their image models: a slice is answered as ``SAM2ImagePredictor`` answers an image. The memory that follows an object
through a video is not used.
"""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_medfm.models.base import ImageEmbedding
from napari_medfm.models.checks import check_image
from napari_medfm.models.recipes import RECIPES
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.sam2_layout import CHANNELS, Hiera, assemble, build, networks
from napari_medfm.models.sam2_training import Sam2Trainable, join
from napari_medfm.models.sam_base import SamBase
from napari_medfm.models.sam_prompts import DecoderInputs
from napari_medfm.models.transforms import Frame
from napari_medfm.models.weights import load_state_dict, weights_of
from napari_medfm.models.zoo import SAM2_FAMILY

TINY = SAM2_FAMILY["sam2-tiny"]
_LARGEST_LOGIT = 32.0  # as the authors' predictor cuts off what it hands back as a mask


def load(
    weights: Path | str | None = None,
    *,
    model: str = TINY.name,
    name: str = "",
    title: str = "",
    sha256: str = "",
    device: str | None = None,
    precision: str = "float16",
) -> "Sam2":
    """Load a model of the Segment Anything 2 family.

    Parameters
    ----------
    weights : Path or str, optional
        A state dict in the authors' layout or that of ``transformers``, see `load_state_dict`; by default the file
        that was downloaded before. The size is recognised from it.
    model : str
        Whose weights they are, of `napari_medfm.models.zoo.SAM2_FAMILY`: the layout does not tell.
    name, title : str, optional
        Of a checkpoint of one's own; by default those of `model`.
    sha256 : str, optional
        The digest the file must have.
    device : str, optional
        See `choose_device`.
    precision : str
        Number format of the embeddings, ``float16`` or ``float32``.

    Raises
    ------
    WeightsError
        No file was given or downloaded, or it was refused.
    ModelError
        The extra ``sam2`` is not installed.
    """
    networks()  # or else refused before anything large is read
    family = SAM2_FAMILY[model]
    weights = weights or weights_of(family)
    side = RECIPES[family.facts.recipe].side
    sam = build(load_state_dict(weights, sha256=sha256), side, Path(weights).name)
    return Sam2(sam, family.renamed(name, title), device=device, precision=precision)


def build_small_sam2(seed: int = 0, side: int = 128) -> Any:
    """Return a small ``Sam2Model`` with random weights, the same for the same seed.

    The real architecture with a tiny image encoder, for tests and benchmarks: it segments nothing, but takes every
    path that the real weights take.

    Parameters
    ----------
    seed : int
        Of the weights; the global random state is left as it was.
    side : int
        Of the square that the encoder sees, a multiple of 32.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = assemble(SMALL, side)
        for module in sam.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
                module.reset_parameters()  # of the library's own, answers hardly depend on prompts
        for key, parameter in sam.named_parameters():
            if "pos_embed" in key or key == "no_memory_embedding":  # zero when new
                nn.init.normal_(parameter, std=0.5)
    return sam.eval()


SMALL = Hiera(16, 1, (1, 1, 2, 1), (3,))
"""The image encoder of `build_small_sam2`."""


class Sam2(SamBase):
    """Any ``Sam2Model`` of ``transformers``; its embeddings have three levels, see `CHANNELS`.

    More than a click gets the decoder's single mask, or, where that is unstable (less than 98 % of its area stays when
    its logits are cut at 0.05 instead of -0.05), the best of the three that a first click gets; so do both the
    authors' predictor and ``transformers``. The decoder computes in float32.

    Parameters
    ----------
    sam : Sam2Model
        With its weights.
    entry, device, precision, reduced
        See `SamBase`.
    """

    ENCODES = ("vision_encoder.", "no_memory_embedding", "mask_decoder.conv_s")

    def __init__(
        self,
        sam: Any,
        entry: ModelEntry = TINY,
        *,
        device: str | None = None,
        precision: str = "float16",
        reduced: bool | None = None,
    ) -> None:
        super().__init__(sam, entry, device=device, precision=precision, reduced=reduced)

    def encode_steps(self, image: NDArray[np.uint8], aspect: float = 1.0) -> Generator[None, None, ImageEmbedding]:
        """Encode an image, a block of the encoder at a time. See `EncodesInSteps`."""
        check_image(image)
        shape = (image.shape[0], image.shape[1])
        backbone = self._sam.vision_encoder.backbone
        pixels = self._frame(shape, aspect).image(image)
        x = self._advance(partial(_begin, backbone), pixels)
        stages = []
        for number, block in enumerate(backbone.blocks):
            yield
            x = self._advance(block, x)
            if number in backbone.stage_ends:
                stages.append(x)
        yield
        levels = self._advance(partial(_pyramid, self._sam), stages)
        stored = [level[0].float().contiguous().cpu().numpy().astype(self._spec.precision) for level in levels]
        return ImageEmbedding(dict(zip(CHANNELS, stored, strict=True)), shape, self._spec.encoder_digest, aspect=aspect)

    def _advance(self, block: Callable[[Any], Any], x: Tensor | list[Tensor]) -> Any:
        return self._home.run(lambda: self._run(block, x))

    @torch.inference_mode()
    def _run(self, block: Callable[[Any], Any], x: Tensor | list[Tensor]) -> Any:
        device = self._home.device
        with self._autocast():
            return block(x.to(device) if isinstance(x, Tensor) else [level.to(device) for level in x])

    def trainable_decoder(self) -> Sam2Trainable:
        """Return a copy of the decoder. See `Adaptable`."""
        return Sam2Trainable.of(self._sam, self._recipe, self._side)

    @property
    def _side(self) -> int:
        side: int = self._sam.config.prompt_encoder_config.image_size
        return side

    @property
    def _numbers(self) -> int:
        sides = (self._side // stride for stride in (4, 8, 16))
        return sum(channels * side**2 for channels, side in zip(CHANNELS.values(), sides, strict=True))

    @property
    def _seasoning(self) -> tuple[str, ...]:
        return *super()._seasoning, f"{self._side} pixels"

    def _answer(self, embedding: ImageEmbedding, inputs: DecoderInputs, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        answer = self._sam(
            image_embeddings=self._home.keep(embedding, lambda: self._levels(embedding), 2 * embedding.nbytes),
            input_points=self._tensor(inputs.points)[None, None] if len(inputs.labels) else None,
            input_labels=torch.as_tensor(inputs.labels, device=self._home.device)[None, None]
            if len(inputs.labels)
            else None,
            input_boxes=None if inputs.box is None else self._tensor(inputs.box)[None, None],
            input_masks=None if inputs.logits is None else self._tensor(inputs.logits)[None, None],
            multimask_output=self._recipe.gives_three(inputs.ambiguous),
        )
        low_res = answer.pred_masks[0, 0]
        masks = frame.masks(low_res[None])[0]
        return low_res.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT), answer.iou_scores[0, 0], masks

    def _joined(self, embedding: ImageEmbedding) -> Tensor:
        return join([level[0] for level in self._levels(embedding)])

    def _levels(self, embedding: ImageEmbedding) -> list[Tensor]:
        # The store may hand out arrays that nobody may write to; torch asks for ones that it may: `_tensor` copies.
        return [self._tensor(embedding.arrays[level])[None] for level in CHANNELS]

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.as_tensor(values.astype(np.float32), device=self._home.device)


def _begin(backbone: Any, pixels: Tensor) -> Tensor:
    x: Tensor = backbone.patch_embed(pixels)
    placed: Tensor = x + backbone._get_pos_embed(x.shape[1:3])
    return placed


def _pyramid(sam: Any, stages: list[Tensor]) -> list[Tensor]:
    """Return three levels from fine to coarse, as the decoder takes them: it has seen no memory."""
    levels, _ = sam.vision_encoder.neck(stages)
    coarse, half, fine = levels[-len(CHANNELS) :]
    told = coarse + sam.no_memory_embedding.view(1, -1, 1, 1)
    return [sam.mask_decoder.conv_s0(fine), sam.mask_decoder.conv_s1(half), told]
