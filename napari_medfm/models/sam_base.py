"""What the backends of Segment Anything and its successors share: how they are asked, and how they are adapted."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medfm.errors import ModelError
from napari_medfm.models.adaptable import Look, Square, TrainableDecoder
from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_prompts, empty_prediction, has_positive
from napari_medfm.models.devices import choose_device, computes_bfloat16
from napari_medfm.models.recipes import RECIPES
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.residence import Residence
from napari_medfm.models.sam_prompts import DecoderInputs, translate
from napari_medfm.models.steps import finish
from napari_medfm.models.transforms import Frame
from napari_medfm.models.weights import state_digest
from napari_medfm.prompts import PromptSet

_PATIENCE = 80.0  # s: a step of its decoder takes about half of one on a CPU


class SamBase(ABC):
    """A network with an image encoder, a prompt encoder and a mask decoder as a `PromptableModel`.

    How prompts go in says `napari_medfm.models.sam_prompts.translate`. A first click by itself is ambiguous and may
    get several candidates, anything more one.

    Parameters
    ----------
    sam : Module
        With its weights, and ``prompt_encoder`` and ``mask_decoder``; moved to the device.
    entry : ModelEntry
        Whose weights they are; its facts name the recipe.
    device : str, optional
        See `choose_device`.
    precision : str
        Number format of the embeddings, ``float16`` or ``float32``.
    reduced : bool, optional
        Whether products over the image are computed in bfloat16; by default where the device does so itself.
    """

    ENCODES: ClassVar[tuple[str, ...]]
    """How the names of the weights begin that embeddings depend on."""

    def __init__(
        self, sam: Any, entry: ModelEntry, *, device: str | None = None, precision: str, reduced: bool | None = None
    ) -> None:
        if precision not in {"float16", "float32"}:
            raise ModelError(entry.name, f"cannot store embeddings as {precision!r}", "Choose float16 or float32.")
        self._wanted = reduced
        self._recipe = RECIPES[entry.facts.recipe]
        self._sam = sam.eval().requires_grad_(requires_grad=False)
        self._spec = self._describe(entry, precision)
        self._home = Residence(self._spec.title, choose_device(device), self._settle)

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._spec

    @property
    def device(self) -> str:
        """The device it runs on, such as ``cpu`` or ``cuda:0``."""
        return str(self._home.device)

    def encode(self, image: NDArray[np.uint8], aspect: float = 1.0) -> ImageEmbedding:
        """Encode an image. See `PromptableModel.encode`."""
        return finish(self.encode_steps(image, aspect))

    @abstractmethod
    def encode_steps(self, image: NDArray[np.uint8], aspect: float = 1.0) -> Generator[None, None, ImageEmbedding]:
        """Encode an image, a block of the encoder at a time. See `EncodesInSteps`."""

    @torch.inference_mode()
    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer prompts; candidates come best first. See `PromptableModel.decode`."""
        check_embedding(embedding, self._spec.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        frame = self._frame(embedding.image_shape, embedding.aspect)
        mask_size = self._sam.prompt_encoder.mask_input_size
        inputs = translate(prompts, previous, frame, self._spec.prompt_kinds, mask_size)
        if not has_positive(prompts) or inputs.empty:
            return empty_prediction(embedding.image_shape, mask_size)
        low_res, qualities, masks = self._home.run(lambda: self._answer(embedding, inputs, frame))
        order = torch.argsort(qualities, descending=True, stable=True)[: None if inputs.ambiguous else 1]
        best_first = (masks[order], low_res[order], qualities[order].clamp(0, 1))
        return MaskPrediction(*(tensor.cpu().numpy() for tensor in best_first))

    @property
    def patience(self) -> float:
        """Seconds that adapting may take. See `Adaptable`."""
        return _PATIENCE

    def picture(self, embedding: ImageEmbedding) -> None:  # noqa: B027  # nothing is the answer
        """Return nothing: embeddings do not keep the image. See `Adaptable`."""

    def look(self, embedding: ImageEmbedding) -> Look:
        """Return the features of the image as a whole. See `Adaptable`."""
        check_embedding(embedding, self._spec.encoder_digest)
        side = self._spec.input_size
        scale = self._frame(embedding.image_shape, embedding.aspect).points(np.ones((1, 2)))[0]
        square = Square((0.0, 0.0), (side / scale[1], side / scale[0]), embedding.image_shape)
        return Look(self._joined(embedding), square)

    def look_closer(self, embedding: ImageEmbedding, mask: NDArray[np.bool_]) -> tuple[Look, ...]:
        """Return nothing: the encoder sees whole images only. See `Adaptable`."""
        return ()

    @abstractmethod
    def trainable_decoder(self) -> TrainableDecoder:
        """Return a copy of the decoder. See `Adaptable`."""

    def with_decoder(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return a model with the same encoder. See `Adaptable`."""
        other, sam = copy.copy(self), copy.copy(self._sam)
        sam._modules = {**self._sam._modules, "mask_decoder": copy.deepcopy(self._sam.mask_decoder)}
        sam.mask_decoder.load_state_dict({**sam.mask_decoder.state_dict(), **tensors})
        other._sam = sam
        other._home = Residence(self._spec.title, self._home.device, other._settle)
        return other

    @property
    @abstractmethod
    def _side(self) -> int:
        """Side of the square that the encoder sees, in pixels."""

    @property
    @abstractmethod
    def _numbers(self) -> int:
        """How many numbers an embedding holds."""

    @property
    def _seasoning(self) -> tuple[str, ...]:
        """What embeddings depend on besides weights."""
        return (self._recipe.preprocessing,)

    def _describe(self, entry: ModelEntry, precision: str) -> ModelSpec:
        facts, recipe, state = entry.facts, self._recipe, self._sam.state_dict()
        encoder = {key: tensor for key, tensor in state.items() if key.startswith(self.ENCODES)}
        return ModelSpec(
            name=entry.name,
            title=facts.title,
            ndim=2,
            prompt_kinds=recipe.prompt_kinds,
            input_size=self._side,
            preprocessing=recipe.preprocessing,
            embedding_bytes=self._numbers * np.dtype(precision).itemsize,
            cacheable=True,
            precision=precision,
            tier=facts.tier,
            origin=facts.origin,
            licence=facts.licence,
            commercial_use=facts.commercial_use,
            encoder_digest=state_digest(encoder, *self._seasoning),
            model_digest=state_digest(state, *self._seasoning),
        )

    @abstractmethod
    def _answer(self, embedding: ImageEmbedding, inputs: DecoderInputs, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (candidates, h, w), qualities (candidates,) and masks (candidates, rows, columns)."""

    @abstractmethod
    def _joined(self, embedding: ImageEmbedding) -> Tensor:
        """Return all features of an embedding, float32 (channels, h, w), on the device."""

    def _settle(self, device: torch.device) -> None:
        """Move to a device, and make anew what depends on it."""
        self._reduced = computes_bfloat16(device) if self._wanted is None else self._wanted
        self._sam = self._sam.to(device)

    def _frame(self, shape: tuple[int, int], aspect: float) -> Frame:
        return self._recipe.frame(shape, self._spec.input_size, aspect)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._home.device.type, torch.bfloat16, enabled=self._reduced)
