"""Segment Anything (Kirillov et al., ICCV 2023) on the classes of the ``segment_anything`` package.

ViT-B, L and H, at any image size, and the two kinds of TinyViT, recognised from the weights: the original ones, whose
answers equal ``SamPredictor``'s, and every model that kept decoder and layout, each asked by its own `Recipe`.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn

from napari_medfm.models.base import ImageEmbedding
from napari_medfm.models.checks import check_image
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.sam_attention import fuse_attention
from napari_medfm.models.sam_base import SamBase
from napari_medfm.models.sam_decoder import SamDecoder
from napari_medfm.models.sam_layouts import CHANNELS, Vit, assemble, build, encoder_blocks
from napari_medfm.models.sam_prompts import DecoderInputs
from napari_medfm.models.sam_training import SamTrainable
from napari_medfm.models.steps import finish
from napari_medfm.models.tiny_vit import TinyVit
from napari_medfm.models.transforms import Frame
from napari_medfm.models.weights import load_state_dict, weights_of
from napari_medfm.models.zoo import SAM, SAM_FAMILY
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
    return SamModel(sam, family.renamed(name, title), device=device, precision=precision)


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


class SamModel(SamBase):
    """Any built ``Sam``; its embeddings are features of (256, cells, cells).

    Parameters
    ----------
    sam : Sam
        With its weights.
    entry, device, precision, reduced
        See `SamBase`.
    """

    ENCODES = ("image_encoder.",)

    def __init__(
        self,
        sam: Sam,
        entry: ModelEntry = SAM,
        *,
        device: str | None = None,
        precision: str = "float16",
        reduced: bool | None = None,
    ) -> None:
        fuse_attention(sam.image_encoder)
        super().__init__(sam, entry, device=device, precision=precision, reduced=reduced)
        if load_settings().compiled and self._home.device.type == "cuda":
            self._compile()

    @property
    def batch_size(self) -> int:
        """How many images are encoded together, see `EncodesBatches`."""
        return self._batch_size

    def encode_steps(self, image: NDArray[np.uint8], aspect: float = 1.0) -> Generator[None, None, ImageEmbedding]:
        """Encode an image, a block of the encoder at a time. See `EncodesInSteps`."""
        (embedding,) = yield from self.encode_batch_steps([image], aspect)
        return embedding

    def encode_batch_steps(
        self, images: Sequence[NDArray[np.uint8]], aspect: float = 1.0
    ) -> Generator[None, None, list[ImageEmbedding]]:
        """Encode images of one shape together; fewer at a time once memory runs out. See `EncodesBatches`."""
        for image in images:
            check_image(image)
        if len(images) == 1:
            return (yield from self._encode(images, aspect, self._home.run))
        try:
            return (yield from self._encode(images, aspect, lambda work: work()))
        except torch.OutOfMemoryError:
            self._home.make_room()
        half = self._batch_size = len(images) // 2
        first = yield from self.encode_batch_steps(images[:half], aspect)
        return [*first, *(yield from self.encode_batch_steps(images[half:], aspect))]

    def _encode(
        self, images: Sequence[NDArray[np.uint8]], aspect: float, run: Callable[[Callable[[], Tensor]], Tensor]
    ) -> Generator[None, None, list[ImageEmbedding]]:
        shape = images[0].shape[0], images[0].shape[1]
        frame = self._frame(shape, aspect)
        x = torch.cat([frame.image(image) for image in images])
        for number, block in enumerate(encoder_blocks(self._sam.image_encoder)):
            if number:
                yield
            x = run(partial(self._advance, block, x))
        stored = x.float().cpu().numpy().astype(self._spec.precision)
        digest = self._spec.encoder_digest
        return [ImageEmbedding({"features": np.ascontiguousarray(one)}, shape, digest, aspect=aspect) for one in stored]

    @torch.inference_mode()
    def _advance(self, block: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        with self._autocast():
            return block(x.to(self._home.device))

    def _compile(self, backend: str = "inductor") -> None:
        """Compile the encoder's blocks and warm them up: it takes a while now, and not when a slice is waited for."""
        if isinstance(self._sam.image_encoder, TinyVit):
            return  # small already
        for block in self._sam.image_encoder.blocks:
            block.compile(backend=backend)
        for count in {1, self._batch_size}:
            finish(self.encode_batch_steps([np.zeros((64, 64), np.uint8)] * count))

    def _settle(self, device: torch.device) -> None:
        super()._settle(device)
        if isinstance(self._sam.image_encoder, TinyVit):  # a fifth faster so; the others have hardly a convolution
            self._sam.image_encoder.to(memory_format=torch.channels_last)
        self._batch_size = 1 if device.type == "cpu" else _TOGETHER
        with torch.inference_mode():
            dtype = torch.bfloat16 if self._reduced else torch.float32
            self._decoder = SamDecoder(self._sam.mask_decoder, self._sam.prompt_encoder.get_dense_pe(), dtype)

    def trainable_decoder(self) -> SamTrainable:
        """Return a copy of the decoder. See `Adaptable`."""
        return SamTrainable.of(self._sam, self._recipe, self._side)

    @property
    def _side(self) -> int:
        side: int = self._sam.image_encoder.img_size
        return side

    @property
    def _numbers(self) -> int:
        rows, columns = self._sam.prompt_encoder.image_embedding_size
        return CHANNELS * int(rows) * int(columns)

    def _answer(self, embedding: ImageEmbedding, inputs: DecoderInputs, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        sparse, dense = self._sam.prompt_encoder(
            points=(self._tensor(inputs.points), self._tensor(inputs.labels)) if len(inputs.labels) else None,
            boxes=None if inputs.box is None else self._tensor(inputs.box),
            masks=None if inputs.logits is None else self._tensor(inputs.logits[None]),
        )
        three = self._recipe.gives_three(inputs.ambiguous)
        # On a device it stays there between questions; what is kept is the embedding's own object.
        features = self._home.keep(embedding, lambda: self._joined(embedding), 2 * embedding.nbytes)
        low_res, qualities = self._decoder.answer(features, dense, sparse, three=three)
        return low_res[0], qualities[0], frame.masks(low_res)[0]

    def _joined(self, embedding: ImageEmbedding) -> Tensor:
        # The store may hand out an array that nobody may write to; torch asks for one that it may.
        features = torch.from_numpy(np.require(embedding.arrays["features"], requirements=["C", "W"]))
        return features.to(self._home.device, torch.float32)

    def _tensor(self, values: NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int_]) -> Tensor:
        dtype = torch.int32 if values.dtype.kind == "i" else torch.float32
        return torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=self._home.device)[None]
