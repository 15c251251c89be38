"""Segment Anything (Kirillov et al., ICCV 2023) on the classes of the ``segment_anything`` package.

ViT-B, L and H, at any image size, and the two kinds of TinyViT, recognised from the weights: the original ones, whose
answers equal ``SamPredictor``'s, and every model that kept decoder and layout, each asked by its own `Recipe`.
"""

import copy
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from napari_medfm.errors import ModelError, WeightsError
from napari_medfm.models.adaptable import Look, Square
from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.catalogue import SAM, SAM_FAMILY
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.models.devices import choose_device, computes_bfloat16, enough_memory
from napari_medfm.models.recipes import RECIPES, Recipe
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.sam_attention import fuse_attention
from napari_medfm.models.sam_decoder import SamDecoder
from napari_medfm.models.sam_layouts import CHANNELS, Vit, assemble, build, encoder_blocks
from napari_medfm.models.sam_training import SamTrainable
from napari_medfm.models.steps import finish
from napari_medfm.models.transforms import Frame
from napari_medfm.models.weights import load_state_dict, state_digest
from napari_medfm.prompts import MaskPrompt, Point, PromptSet, Scribble, as_points, rasterize
from napari_medfm.settings import load_settings

_SURE = 1e-3  # a mask says 0.1 % or 99.9 %: logits of about 7, as large as the decoder's own


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
        Whose weights they are, of `napari_medfm.models.catalogue.SAM_FAMILY`: the layout does not tell.
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
    weights = weights or _downloaded(model)
    sam = build(load_state_dict(weights, sha256=sha256), Path(weights).name)
    family = SAM_FAMILY[model]
    entry = replace(family, name=name or family.name, facts=replace(family.facts, title=title or family.facts.title))
    return SamModel(sam, entry, device=device, precision=precision)


def _downloaded(model: str) -> Path:
    file = SAM_FAMILY[model].facts.file
    found = None if file is None else file.find(load_settings().weights_dir)
    if found is None:
        step = "Choose one (weights=)." if file is None else f"Download it ('napari-medfm models download {model}')."
        raise WeightsError(model, "needs a file of weights", step)
    return found


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

    Points and boxes go in as they are, a box by its edges: ``start`` and ``stop``
    are its corners, as in COCO. A scribble or lasso becomes points. The previous
    answer's logits, or else a mask prompt, go in as the mask; a mask prompt alone
    brings its bounding box with it. A first click by itself is ambiguous and gets
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
        self._device = choose_device(device)
        self._reduced = computes_bfloat16(self._device) if reduced is None else reduced
        self._recipe = RECIPES[entry.facts.recipe]
        self._spec = _spec(sam, precision, entry, self._recipe)
        self._sam = sam.eval().requires_grad_(requires_grad=False).to(self._device)
        fuse_attention(self._sam.image_encoder)
        self._decoder = self._make_decoder()

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._spec

    @property
    def device(self) -> str:
        """The device it runs on, such as ``cpu`` or ``cuda:0``."""
        return str(self._device)

    def encode(self, image: NDArray[np.uint8]) -> ImageEmbedding:
        """Encode an image; features are (256, cells, cells). See `PromptableModel.encode`."""
        return finish(self.encode_steps(image))

    def encode_steps(self, image: NDArray[np.uint8]) -> Generator[None, None, ImageEmbedding]:
        """Encode an image, a block of the encoder at a time. See `EncodesInSteps`."""
        check_image(image)
        shape = (image.shape[0], image.shape[1])
        x = self._recipe.frame(shape, self._spec.input_size).image(image).to(self._device)
        for number, block in enumerate(encoder_blocks(self._sam.image_encoder)):
            if number:
                yield
            x = self._advance(block, x)
        stored = x[0].float().contiguous().cpu().numpy().astype(self._spec.precision)  # files expect C order
        return ImageEmbedding({"features": stored}, shape, self._spec.encoder_digest)

    @torch.inference_mode()
    def _advance(self, block: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        reduced = torch.autocast(self._device.type, torch.bfloat16, enabled=self._reduced)
        with enough_memory(self._spec.title), reduced:
            return block(x)

    @torch.inference_mode()
    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer prompts; candidates come best first. See `PromptableModel.decode`."""
        check_embedding(embedding, self._spec.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        frame = self._recipe.frame(embedding.image_shape, self._spec.input_size)
        inputs = self._translate(prompts, previous, frame)
        if not has_positive(prompts) or inputs.empty:
            return empty_prediction(embedding.image_shape, self._sam.prompt_encoder.mask_input_size)
        with enough_memory(self._spec.title):
            low_res, qualities = self._answer(embedding, inputs)
            masks = frame.masks(low_res) > 0
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
        return Look(_stored(embedding).to(self._device, torch.float32), square)

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
        other._decoder = other._make_decoder()
        return other

    @torch.inference_mode()
    def _make_decoder(self) -> SamDecoder:
        dtype = torch.bfloat16 if self._reduced else torch.float32
        return SamDecoder(self._sam.mask_decoder, self._sam.prompt_encoder.get_dense_pe(), dtype)

    def _translate(self, prompts: PromptSet, previous: MaskPrediction | None, frame: Frame) -> "_Inputs":
        """Say the prompts in the decoder's terms."""
        prompts = as_points(prompts, frame.image_shape, keep=self._spec.prompt_kinds)
        corners = _corners(prompts, frame.image_shape)
        places = [*prompts.points, *_stroke_pixels(prompts, frame.image_shape)]
        points = np.asarray([point.position for point in places], dtype=float).reshape(-1, 2)
        labels = [int(point.positive) for point in places]
        logits = self._mask_input(prompts, previous, frame)
        return _Inputs(
            points=(self._tensor(frame.points(points)), self._tensor(np.asarray(labels))) if labels else None,
            boxes=None if corners is None else self._tensor(frame.points(corners).reshape(4)),
            masks=None if logits is None else self._tensor(logits[None]),
            ambiguous=labels == [1] and corners is None and logits is None,
        )

    def _mask_input(
        self, prompts: PromptSet, previous: MaskPrediction | None, frame: Frame
    ) -> NDArray[np.float32] | None:
        size = self._sam.prompt_encoder.mask_input_size
        if previous is not None and previous.logits.shape == size:
            return previous.logits
        mask = _drawn(prompts, frame.image_shape) if previous is None else previous.mask
        if not mask.any():
            return None
        share = np.clip(frame.low_res(mask, size[0]), _SURE, 1 - _SURE)
        return np.asarray(np.log(share / (1 - share)), dtype=np.float32)

    def _answer(self, embedding: ImageEmbedding, inputs: "_Inputs") -> tuple[Tensor, Tensor]:
        features = _stored(embedding)
        sparse, dense = self._sam.prompt_encoder(points=inputs.points, boxes=inputs.boxes, masks=inputs.masks)
        three = self._recipe.gives_three(inputs.ambiguous)
        return self._decoder.answer(features.to(self._device, torch.float32), dense, sparse, three=three)

    def _tensor(self, values: NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int_]) -> Tensor:
        dtype = torch.int32 if values.dtype.kind == "i" else torch.float32
        return torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=self._device)[None]


def _stored(embedding: ImageEmbedding) -> Tensor:
    # The store may hand out an array that nobody may write to; torch asks for one that it may.
    return torch.from_numpy(np.require(embedding.arrays["features"], requirements=["C", "W"]))


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the prompt encoder takes: (1, n, 2) xy and (1, n) labels, (1, 4) xyxy, (1, 1, h, w) logits."""

    points: tuple[Tensor, Tensor] | None
    boxes: Tensor | None
    masks: Tensor | None
    ambiguous: bool

    @property
    def empty(self) -> bool:
        return self.points is None and self.boxes is None and self.masks is None


def _corners(prompts: PromptSet, image_shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Two (row, column) corners of the box, or of the mask if it is all there is."""
    if prompts.box is not None:
        return np.asarray((prompts.box.start, prompts.box.stop), dtype=float)
    inside = np.argwhere(_drawn(prompts, image_shape))
    if prompts.points or any(isinstance(prompt, Scribble) for prompt in prompts) or not inside.size:
        return None
    return np.asarray((inside.min(axis=0), inside.max(axis=0) + 1), dtype=float)


def _stroke_pixels(prompts: PromptSet, image_shape: tuple[int, int]) -> list[Point]:
    """Every pixel of the strokes that are left, as a click."""
    return [
        Point(stroke.plane, (float(row), float(column)), stroke.positive)
        for stroke in prompts
        if isinstance(stroke, Scribble)
        for row, column in np.argwhere(rasterize(stroke, image_shape))
    ]


def _drawn(prompts: PromptSet, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of the mask prompts."""
    masks = [prompt.to_mask(image_shape) for prompt in prompts if isinstance(prompt, MaskPrompt)]
    union: NDArray[np.bool_] = np.logical_or.reduce([np.zeros(image_shape, dtype=np.bool_), *masks])
    return union


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
