"""Segment Anything (Kirillov et al., ICCV 2023) on the classes of the ``segment_anything`` package.

ViT-B, L and H, at any image size, and the two kinds of TinyViT, recognised from the weights: the original ones, whose
answers equal ``SamPredictor``'s, and every model that kept decoder and layout, each asked by its own `Recipe`.
"""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from napari_medfm.errors import ModelError
from napari_medfm.models.adaptable import Look, Square
from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.models.devices import choose_device, computes_bfloat16
from napari_medfm.models.recipes import RECIPES, Recipe
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.residence import Residence
from napari_medfm.models.sam_attention import fuse_attention
from napari_medfm.models.sam_decoder import SamDecoder
from napari_medfm.models.sam_layouts import CHANNELS, Vit, assemble, build, encoder_blocks
from napari_medfm.models.sam_prompts import DecoderInputs, translate
from napari_medfm.models.sam_training import SamTrainable
from napari_medfm.models.steps import finish
from napari_medfm.models.tiny_vit import TinyVit
from napari_medfm.models.transforms import Frame
from napari_medfm.models.weights import load_state_dict, state_digest, weights_of
from napari_medfm.models.zoo import SAM, SAM_FAMILY
from napari_medfm.prompts import PromptSet
from napari_medfm.settings import load_settings

_TOGETHER = 4  # images that are encoded together on a device other than the CPU


def load(
    weights: Path | str | None = None,
    *,
    model: str = SAM.name,
    name: str = "",
    title: str = "",
    sha256: str = "",
    device: str | None = None,
    precision: str = "float16",
) -> "SamModel":
    """Load a model of the Segment Anything family.

    Parameters
    ----------
    weights : Path or str, optional
        A state dict, see `load_state_dict`; by default the file that was downloaded before.
    model : str
        Whose weights they are, of `napari_medfm.models.zoo.SAM_FAMILY`: the layout does not tell.
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
    """
    family = SAM_FAMILY[model]
    weights = weights or weights_of(family)
    sam = build(load_state_dict(weights, sha256=sha256), Path(weights).name)
    entry = replace(family, name=name or family.name, facts=replace(family.facts, title=title or family.facts.title))
    return SamModel(sam, entry, device=device, precision=precision)


def build_small_sam(seed: int = 0, image_size: int = 256, *, width: int = 64, depth: int = 2, heads: int = 2) -> Sam:
    """Return a small Segment Anything with random weights, the same for the same seed.

    The real architecture with a tiny image encoder, for tests and benchmarks: it
    segments nothing, but takes every path that the real weights take.

    Parameters
    ----------
    seed : int
        Of the weights; the global random state is left as it was.
    image_size : int
        Side of the square the encoder sees, a multiple of 16.
    width, depth, heads : int
        Channels, blocks and attention heads of the image encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = assemble(Vit(width, depth, heads, (depth - 1,), window=8), image_size)
        for name, parameter in sam.named_parameters():
            if "pos" in name:  # zero when new: without them every position looks the same
                nn.init.normal_(parameter, std=0.5)
    return sam.eval()


class SamModel:
    """Any built ``Sam`` as a `PromptableModel`.

    How prompts go in says `napari_medfm.models.sam_prompts.translate`. A first click by itself is ambiguous and gets
    three candidates, anything more one.

    Parameters
    ----------
    sam : Sam
        With its weights; moved to the device.
    entry : ModelEntry
        Whose weights they are; its facts name the recipe.
    device : str, optional
        See `choose_device`.
    precision : str
        Number format of the embeddings, ``float16`` or ``float32``.
    reduced : bool, optional
        Whether products over the image are computed in bfloat16; by default where the device does so itself.
    """

    def __init__(
        self,
        sam: Sam,
        entry: ModelEntry = SAM,
        *,
        device: str | None = None,
        precision: str = "float16",
        reduced: bool | None = None,
    ) -> None:
        if precision not in {"float16", "float32"}:
            raise ModelError(entry.name, f"cannot store embeddings as {precision!r}", "Choose float16 or float32.")
        self._wanted = reduced
        self._recipe = RECIPES[entry.facts.recipe]
        self._spec = _spec(sam, precision, entry, self._recipe)
        self._sam = sam.eval().requires_grad_(requires_grad=False)
        fuse_attention(self._sam.image_encoder)
        self._home = Residence(self._spec.title, choose_device(device), self._settle)
        self._batch_size = 1 if self._home.device.type == "cpu" else _TOGETHER
        if load_settings().compiled and self._home.device.type == "cuda":
            self._compile()

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._spec

    @property
    def device(self) -> str:
        """The device it runs on, such as ``cpu`` or ``cuda:0``."""
        return str(self._home.device)

    @property
    def batch_size(self) -> int:
        """How many images are encoded together, see `EncodesBatches`."""
        return self._batch_size

    def encode(self, image: NDArray[np.uint8]) -> ImageEmbedding:
        """Encode an image; features are (256, cells, cells). See `PromptableModel.encode`."""
        return finish(self.encode_steps(image))

    def encode_steps(self, image: NDArray[np.uint8]) -> Generator[None, None, ImageEmbedding]:
        """Encode an image, a block of the encoder at a time. See `EncodesInSteps`."""
        (embedding,) = yield from self.encode_batch_steps([image])
        return embedding

    def encode_batch_steps(self, images: Sequence[NDArray[np.uint8]]) -> Generator[None, None, list[ImageEmbedding]]:
        """Encode images of one shape together; fewer at a time once memory runs out. See `EncodesBatches`."""
        for image in images:
            check_image(image)
        if len(images) == 1:
            return (yield from self._encode(images, self._home.run))
        try:
            return (yield from self._encode(images, lambda work: work()))
        except torch.OutOfMemoryError:
            self._home.make_room()
        half = self._batch_size = len(images) // 2
        first = yield from self.encode_batch_steps(images[:half])
        return [*first, *(yield from self.encode_batch_steps(images[half:]))]

    def _encode(
        self, images: Sequence[NDArray[np.uint8]], run: Callable[[Callable[[], Tensor]], Tensor]
    ) -> Generator[None, None, list[ImageEmbedding]]:
        shape = images[0].shape[0], images[0].shape[1]
        frame = self._recipe.frame(shape, self._spec.input_size)
        x = torch.cat([frame.image(image) for image in images])
        for number, block in enumerate(encoder_blocks(self._sam.image_encoder)):
            if number:
                yield
            x = run(partial(self._advance, block, x))
        stored = x.float().cpu().numpy().astype(self._spec.precision)
        digest = self._spec.encoder_digest
        return [ImageEmbedding({"features": np.ascontiguousarray(one)}, shape, digest) for one in stored]

    @torch.inference_mode()
    def _advance(self, block: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        device = self._home.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._reduced):
            return block(x.to(device))

    def _compile(self, backend: str = "inductor") -> None:
        """Compile the encoder's blocks and warm them up: it takes a while now, and not when a slice is waited for."""
        if isinstance(self._sam.image_encoder, TinyVit):
            return  # small already
        for block in self._sam.image_encoder.blocks:
            block.compile(backend=backend)
        for count in {1, self._batch_size}:
            finish(self.encode_batch_steps([np.zeros((64, 64), np.uint8)] * count))

    def _settle(self, device: torch.device) -> None:
        """Move to a device, and make anew what depends on it."""
        self._reduced = computes_bfloat16(device) if self._wanted is None else self._wanted
        self._sam = self._sam.to(device)
        if isinstance(self._sam.image_encoder, TinyVit):  # a fifth faster so; the others have hardly a convolution
            self._sam.image_encoder.to(memory_format=torch.channels_last)
        self._batch_size = 1
        with torch.inference_mode():
            dtype = torch.bfloat16 if self._reduced else torch.float32
            self._decoder = SamDecoder(self._sam.mask_decoder, self._sam.prompt_encoder.get_dense_pe(), dtype)

    @torch.inference_mode()
    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer prompts; candidates come best first. See `PromptableModel.decode`."""
        check_embedding(embedding, self._spec.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        frame = self._recipe.frame(embedding.image_shape, self._spec.input_size)
        mask_size = self._sam.prompt_encoder.mask_input_size
        inputs = translate(prompts, previous, frame, self._spec.prompt_kinds, mask_size)
        if not has_positive(prompts) or inputs.empty:
            return empty_prediction(embedding.image_shape, mask_size)
        low_res, qualities, masks = self._home.run(lambda: self._answer(embedding, inputs, frame))
        order = torch.argsort(qualities[0], descending=True, stable=True)[: None if inputs.ambiguous else 1]
        best_first = (masks[0, order], low_res[0, order], qualities[0, order].clamp(0, 1))
        return MaskPrediction(*(tensor.cpu().numpy() for tensor in best_first))

    def picture(self, embedding: ImageEmbedding) -> None:
        """Return nothing: embeddings do not keep the image. See `Adaptable`."""

    def look(self, embedding: ImageEmbedding) -> Look:
        """Return the features of the image as a whole. See `Adaptable`."""
        check_embedding(embedding, self._spec.encoder_digest)
        side = self._spec.input_size
        scale = self._recipe.frame(embedding.image_shape, side).points(np.ones((1, 2)))[0]
        square = Square((0.0, 0.0), (side / scale[1], side / scale[0]), embedding.image_shape)
        return Look(self._features(embedding), square)

    def look_closer(self, embedding: ImageEmbedding, mask: NDArray[np.bool_]) -> tuple[Look, ...]:
        """Return nothing: the encoder sees whole images only. See `Adaptable`."""
        return ()

    def trainable_decoder(self) -> SamTrainable:
        """Return a copy of the decoder. See `Adaptable`."""
        return SamTrainable.of(self._sam, self._recipe)

    def with_decoder(self, tensors: Mapping[str, Tensor]) -> "SamModel":
        """Return a model with the same encoder. See `Adaptable`."""
        other, sam = copy.copy(self), copy.copy(self._sam)
        sam._modules = {**self._sam._modules, "mask_decoder": copy.deepcopy(self._sam.mask_decoder)}
        sam.mask_decoder.load_state_dict({**sam.mask_decoder.state_dict(), **tensors})
        other._sam = sam
        other._home = Residence(self._spec.title, self._home.device, other._settle)
        other._batch_size = self._batch_size
        return other

    def _answer(self, embedding: ImageEmbedding, inputs: DecoderInputs, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, qualities and masks of the candidates, with a leading axis of 1."""
        sparse, dense = self._sam.prompt_encoder(
            points=(self._tensor(inputs.points), self._tensor(inputs.labels)) if len(inputs.labels) else None,
            boxes=None if inputs.box is None else self._tensor(inputs.box),
            masks=None if inputs.logits is None else self._tensor(inputs.logits[None]),
        )
        three = self._recipe.gives_three(inputs.ambiguous)
        # On a device it stays there between questions; what is kept is the embedding's own object.
        features = self._home.keep(embedding, lambda: self._features(embedding), 2 * embedding.nbytes)
        low_res, qualities = self._decoder.answer(features, dense, sparse, three=three)
        return low_res, qualities, frame.masks(low_res)

    def _features(self, embedding: ImageEmbedding) -> Tensor:
        # The store may hand out an array that nobody may write to; torch asks for one that it may.
        features = torch.from_numpy(np.require(embedding.arrays["features"], requirements=["C", "W"]))
        return features.to(self._home.device, torch.float32)

    def _tensor(self, values: NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int_]) -> Tensor:
        dtype = torch.int32 if values.dtype.kind == "i" else torch.float32
        return torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=self._home.device)[None]


def _spec(sam: Sam, precision: str, entry: ModelEntry, recipe: Recipe) -> ModelSpec:
    facts = entry.facts
    state = sam.state_dict()
    encoder = {key: tensor for key, tensor in state.items() if key.startswith("image_encoder.")}
    side = sam.image_encoder.img_size
    cells = np.prod(sam.prompt_encoder.image_embedding_size).item()
    return ModelSpec(
        name=entry.name,
        title=facts.title,
        ndim=2,
        prompt_kinds=recipe.prompt_kinds,
        input_size=side,
        preprocessing=recipe.preprocessing,
        embedding_bytes=CHANNELS * cells * np.dtype(precision).itemsize,
        cacheable=True,
        precision=precision,
        tier=facts.tier,
        origin=facts.origin,
        licence=facts.licence,
        commercial_use=facts.commercial_use,
        encoder_digest=state_digest(encoder, recipe.preprocessing),
        model_digest=state_digest(state, recipe.preprocessing),
    )
