"""VISTA3D (He et al., CVPR 2025) on the network of MONAI: organs and lesions of CT volumes by clicks in any plane.

The encoder runs once for a region, and its features at half the region's resolution are kept: the rest of the point
head answers every click from them. MONAI's own cache of features holds one region and does not look which; it is
not used. Neither are the classes that the model knows by number.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.networks.nets import SegResNetDS2
from monai.networks.nets.vista3d import VISTA3D, ClassMappingClassify, PointMappingSAM, vista3d132
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_medfm.errors import ModelError
from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec, RegionRecipe
from napari_medfm.models.checks import check_embedding, check_placed, check_region, empty_prediction, placed_points
from napari_medfm.models.devices import choose_device, computes_bfloat16
from napari_medfm.models.recipes import REGION_RECIPES
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.residence import Residence
from napari_medfm.models.steps import finish
from napari_medfm.models.weights import fit, load_state_dict, state_digest, weights_of
from napari_medfm.models.zoo import VISTA_3D
from napari_medfm.prompts import PromptSet

_ENCODER = "image_encoder.encoder."
_LOW, _HIGH = -963.8247715525971, 1053.678477684517  # HU that become 0 and 1
_Layer = Callable[[Tensor, list[Tensor]], Tensor]
"""What comes next, given what came before and what waits to be added."""

_TOGETHER = 8  # channels that are enlarged at once: all of them would take three times 400 MB


def load(
    weights: Path | str | None = None,
    *,
    name: str = "",
    title: str = "",
    sha256: str = "",
    device: str | None = None,
    precision: str = "float16",
) -> "Vista3d":
    """Load VISTA3D.

    Parameters
    ----------
    weights : Path or str, optional
        A state dict of ``vista3d132``, see `load_state_dict`; by default the file that was downloaded before. One
        of a network of other widths will do, too.
    name, title : str, optional
        Of a checkpoint of one's own.
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
    weights = weights or weights_of(VISTA_3D)
    tensors = load_state_dict(weights, sha256=sha256)
    with torch.device("meta"):
        network = _network_of(tensors)
    fit(network, tensors, Path(weights).name)
    return Vista3d(network, VISTA_3D.renamed(name, title), device=device, precision=precision)


def build_small_vista3d(seed: int = 0) -> VISTA3D:
    """Return a small network with random weights, the same for the same seed.

    The real architecture with 8 channels instead of 48 and three levels instead of five, for tests and benchmarks: it
    segments nothing, but takes every path that the real weights take.

    Parameters
    ----------
    seed : int
        Of the weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(8, (1, 2, 1), 8).eval()


def _network_of(tensors: Mapping[str, Tensor]) -> VISTA3D:
    """Return the network that a state dict is of; the published one if it is of none."""
    first, classes = tensors.get(f"{_ENCODER}conv_init.weight"), tensors.get("point_head.class_embeddings.weight")
    if first is None or classes is None:
        return vista3d132()
    blocks = Counter(key.split(".")[3] for key in tensors if key.startswith(f"{_ENCODER}layers.") and ".conv1." in key)
    return _network(len(first), tuple(blocks[level] for level in sorted(blocks, key=int)), len(classes))


def _network(width: int, blocks: tuple[int, ...], classes: int) -> VISTA3D:
    """Return a network as ``vista3d132`` makes it, but of other widths."""
    encoder = SegResNetDS2(
        in_channels=1, blocks_down=blocks, norm="instance", out_channels=width, init_filters=width, dsdepth=1
    )
    head = PointMappingSAM(feature_size=width, n_classes=classes)
    return VISTA3D(encoder, ClassMappingClassify(n_classes=classes, feature_size=width), head)


class Vista3d:
    """A `VISTA3D` of MONAI as a `RegionModel`, asked by clicks only.

    Parameters
    ----------
    network : VISTA3D
        With its weights; moved to the device.
    entry : ModelEntry
        Whose weights they are.
    side : int, optional
        Points along each axis of a region, a multiple of what the encoder divides by; by default as published.
    device : str, optional
        See `choose_device`.
    precision : str
        Number format of the embeddings, ``float16`` or ``float32``.
    reduced : bool, optional
        Whether the encoder computes in bfloat16; by default where the device does so itself. The point head computes
        in float32.
    """

    def __init__(
        self,
        network: VISTA3D,
        entry: ModelEntry = VISTA_3D,
        *,
        side: int = 0,
        device: str | None = None,
        precision: str = "float16",
        reduced: bool | None = None,
    ) -> None:
        if precision not in {"float16", "float32"}:
            raise ModelError(entry.name, f"cannot store embeddings as {precision!r}", "Choose float16 or float32.")
        published = REGION_RECIPES[entry.facts.recipe]
        side = side or published.side
        self._wanted = reduced
        self._network = network.eval().requires_grad_(requires_grad=False)
        steps = len(list(self._layers())) + 1
        self._recipe = replace(published, side=side, margin=published.margin * side // published.side, steps=steps)
        self._spec = _spec(network, precision, entry, self._recipe)
        self._home = Residence(self._spec.title, choose_device(device), self._settle)

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._spec

    @property
    def recipe(self) -> RegionRecipe:
        """How it sees an image; see `RegionModel`."""
        return self._recipe

    @property
    def device(self) -> str:
        """The device it runs on, such as ``cpu`` or ``cuda:0``."""
        return str(self._home.device)

    def encode(self, image: NDArray[np.float32]) -> ImageEmbedding:
        """Encode a region of a CT volume in HU, (x, y, z). See `RegionModel`."""
        return finish(self.encode_steps(image))

    def encode_steps(self, image: NDArray[np.float32]) -> Generator[None, None, ImageEmbedding]:
        """Encode a region, a convolution or two at a time. See `EncodesInSteps`."""
        check_region(image, self._recipe.size)
        scaled = np.clip((image - np.float32(_LOW)) / np.float32(_HIGH - _LOW), 0, 1)
        x = torch.as_tensor(scaled)[None, None]
        skips: list[Tensor] = []
        for layer in self._layers():
            x = self._home.run(partial(self._run, layer, x, skips))
            yield
        low = self._home.run(partial(self._run, partial(_plainly, self._network.point_head.feat_downsample), x, skips))
        kept = low[0].float().cpu().numpy().astype(self._spec.precision)
        return ImageEmbedding({"features": np.ascontiguousarray(kept)}, image.shape, self._spec.encoder_digest)

    @torch.inference_mode()
    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer the clicks that lie in the region; the last answer is not needed. See `RegionModel`.

        Its quality is the mean probability of the voxels that it takes.
        """
        check_embedding(embedding, self._spec.encoder_digest)
        region = check_placed(prompts, embedding)
        positions, positive = placed_points(prompts, region)
        if not positive.any():
            return empty_prediction(region.size, region.size)
        logits = self._home.run(lambda: self._answer(embedding, positions, positive)).cpu().numpy()
        mask = logits > 0
        quality = float((1 / (1 + np.exp(-logits[mask]))).mean()) if mask.any() else 0.0
        return MaskPrediction(mask[None], logits[None], np.array([quality], np.float32))

    @torch.inference_mode()
    def _run(self, layer: _Layer, x: Tensor, skips: list[Tensor]) -> Tensor:
        device = self._home.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._reduced):
            return layer(x.to(device), skips)

    def _layers(self) -> Iterator[_Layer]:
        """Yield the encoder as ``SegResNetDS2.forward`` has it, without the branch that knows classes."""
        whole = self._network.image_encoder
        yield partial(_plainly, whole.encoder.conv_init)
        *upper, lowest = whole.encoder.layers
        for level in upper:
            yield from _halves(level["blocks"])
            yield partial(_downwards, level["downsample"])
        yield from _halves(lowest["blocks"])
        for level in whole.up_layers:
            yield partial(_upwards, level["upsample"])
            yield from _halves(level["blocks"])
        yield partial(_plainly, whole.up_layers[-1]["head"])

    def _settle(self, device: torch.device) -> None:
        """Move to a device."""
        self._reduced = computes_bfloat16(device) if self._wanted is None else self._wanted
        self._network = self._network.to(device)

    def _answer(self, embedding: ImageEmbedding, positions: NDArray[np.float64], positive: NDArray[np.bool_]) -> Tensor:
        """Return logits (x, y, z)."""
        device = self._home.device
        kept = self._home.keep(embedding, lambda: self._features(embedding), 2 * embedding.nbytes)
        points = torch.as_tensor(positions, dtype=torch.float32, device=device)[None]
        labels = torch.as_tensor(positive.astype(np.int64), device=device)[None]
        head = self._network.point_head
        channels, *grid = kept.shape[1:]
        hidden, source = head.transformer(
            kept, head.pe_layer(tuple(grid))[None], _tokens(head, points, labels, self._recipe.size)
        )
        mixture = head.output_hypernetworks_mlps(hidden[:, 0])[0]
        return _enlarged(head.output_upscaling, source.transpose(1, 2).reshape(1, channels, *grid), mixture)

    def _features(self, embedding: ImageEmbedding) -> Tensor:
        # The store may hand out arrays that nobody may write to; torch asks for ones that it may.
        features = embedding.arrays["features"].astype(np.float32)
        return torch.as_tensor(features, device=self._home.device)[None]


def _plainly(module: nn.Module, x: Tensor, _waiting: list[Tensor]) -> Tensor:
    result: Tensor = module(x)
    return result


def _downwards(module: nn.Module, x: Tensor, waiting: list[Tensor]) -> Tensor:
    result: Tensor = module(x)
    waiting.append(x)
    return result


def _upwards(module: nn.Module, x: Tensor, waiting: list[Tensor]) -> Tensor:
    result: Tensor = module(x)
    result = result + waiting[-1].to(result.device)
    waiting.pop()
    return result


def _halves(blocks: Any) -> Iterator[_Layer]:
    """Each residual block as two layers."""
    for block in blocks:
        yield partial(_first_half, block)
        yield partial(_second_half, block)


def _first_half(block: Any, x: Tensor, waiting: list[Tensor]) -> Tensor:
    result: Tensor = block.conv1(block.act1(block.norm1(x)))
    waiting.append(x)
    return result


def _second_half(block: Any, x: Tensor, waiting: list[Tensor]) -> Tensor:
    result: Tensor = block.conv2(block.act2(block.norm2(x)))
    result += waiting[-1].to(result.device)
    waiting.pop()
    return result


def _tokens(head: PointMappingSAM, points: Tensor, positive: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return what stands for the answer, the clicks and a class that is known, (1, n, channels)."""
    places = head.pe_layer.forward_with_coords(points + 0.5, size)
    signs = torch.cat([embedding.weight for embedding in head.point_embeddings])
    ends = head.mask_tokens.weight[None], head.supported_embed.weight[None]
    return torch.cat([ends[0], places + signs[positive], ends[1]], dim=1)


def _enlarged(layers: nn.Sequential, features: Tensor, mixture: Tensor) -> Tensor:
    """Return the logits at full resolution, (x, y, z).

    The last convolution makes channels that are then mixed to one: mixing its weights comes to the same, and costs a
    part in as many as there are channels.
    """
    grow, norm, activate, last = cast("tuple[Any, Any, nn.Module, Any]", tuple(layers))
    weight = torch.einsum("o,oixyz->ixyz", mixture, last.weight)[None]
    logits = mixture @ last.bias
    for start in range(0, len(mixture), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        grown = functional.conv_transpose3d(
            features, grow.weight[:, part], grow.bias[part], grow.stride, grow.padding, grow.output_padding
        )
        grown = activate(functional.instance_norm(grown, eps=norm.eps))
        logits = logits + functional.conv3d(grown, weight[:, part], padding=last.padding)
    answer: Tensor = logits[0, 0]
    return answer


def _spec(network: VISTA3D, precision: str, entry: ModelEntry, recipe: RegionRecipe) -> ModelSpec:
    facts = entry.facts
    state = network.state_dict()
    encodes = (_ENCODER, "image_encoder.up_layers.", "point_head.feat_downsample.")
    encoder = {key: tensor for key, tensor in state.items() if key.startswith(encodes)}
    channels = network.point_head.feat_downsample[0].out_channels
    return ModelSpec(
        name=entry.name,
        title=facts.title,
        ndim=3,
        prompt_kinds=frozenset({"point"}),
        input_size=recipe.side,
        preprocessing=recipe.preprocessing,
        embedding_bytes=channels * (recipe.side // 2) ** 3 * np.dtype(precision).itemsize,
        cacheable=True,
        precision=precision,
        tier=facts.tier,
        origin=facts.origin,
        licence=facts.licence,
        commercial_use=facts.commercial_use,
        encoder_digest=state_digest(encoder, recipe.preprocessing, f"{recipe.side} points"),
        model_digest=state_digest(state, recipe.preprocessing, f"{recipe.side} points"),
        quality_meaning="mean probability",
    )
