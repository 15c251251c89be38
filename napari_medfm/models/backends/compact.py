"""The built-in model: small, trained on medical images, with its weights inside the package.

An image is encoded once as a whole. What is small in it is looked at again: the answer on the whole image says
where the object lies, and a square around it is encoded and answered more finely (zoom-in; Sofiiuk et al., ICIP
2022). Squares are few and kept, so that further clicks on the same object decode once.
"""

import copy
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_medfm.models.adaptable import GridPrompts, Look, Square
from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.models.compact_maps import PromptMaps, prompt_maps
from napari_medfm.models.compact_network import MAP_STRIDE, CompactNetwork, Decoder
from napari_medfm.models.devices import choose_device, computes_bfloat16
from napari_medfm.models.recent import Recent
from napari_medfm.models.registry import ModelEntry
from napari_medfm.models.residence import Residence
from napari_medfm.models.views import View
from napari_medfm.models.weights import fit, load_state_dict, state_digest
from napari_medfm.models.zoo import COMPACT
from napari_medfm.prompts import MaskPrompt, PromptSet, voxel_at

WEIGHTS = Path(__file__).parents[1] / "shipped" / "compact.safetensors"
"""The weights that ship with the package; ``models/cards/compact.md`` tells how they were made."""
SHA256 = "84ef276bb72c81fe818d1d3e6b758e39b6a04ce267f51dfbd34f2920b0a2e091"
"""Digest of that file."""

_PREPROCESSING = "view 192 black pad -1..1"
_SIDE = 192
_CELLS = _SIDE // MAP_STRIDE
_MARGIN, _SMALLEST = 2.0, 48  # of a square around an object: in sides of the object, in pixels at least
_FIRST_MARGIN, _BOX_MARGIN = 2.5, 4.0  # after a lone click, and around a box alone: less is known of the object
_UNSURE, _NEAR = 0.6, 0.25  # a lone click answered worse than this is looked at again, in this share of the picture
_PICTURE = 2048  # pixels of the longer side that are kept of an image
_QUALITY = 95  # of the JPEG that is kept, chroma not thinned out
_KEPT = 32  # squares, 0.7 MB each
_OUTSIDE = -12.0  # logit where nothing was looked at
_SURE = 7.0  # logit of what was drawn
_PATIENCE = 20.0  # s that adapting may take


def load(
    weights: Path | str | None = None,
    *,
    name: str = COMPACT.name,
    title: str = COMPACT.facts.title,
    sha256: str = "",
    device: str | None = None,
) -> "CompactModel":
    """Load the built-in model.

    Parameters
    ----------
    weights : Path or str, optional
        Other weights of the same network, such as newly trained ones; by default those of the package.
    name, title : str
        Of a checkpoint of one's own.
    sha256 : str, optional
        The digest that file must have; the package's own file is always checked.
    device : str, optional
        See `choose_device`.

    Raises
    ------
    WeightsError
        The file was refused.
    """
    path, expected = (WEIGHTS, SHA256) if weights is None else (Path(weights), sha256)
    with torch.device("meta"):
        network = CompactNetwork()
    fit(network, load_state_dict(path, sha256=expected), path.name)
    facts = replace(COMPACT.facts, title=title)
    return CompactModel(network, replace(COMPACT, name=name, facts=facts), device=device, sha256=expected)


class CompactModel:
    """A `CompactNetwork` as a `PromptableModel`.

    Parameters
    ----------
    network : CompactNetwork
        With its weights; moved to the device.
    entry : ModelEntry
        Name and facts.
    device : str, optional
        See `choose_device`.
    sha256 : str, optional
        The digest of the file its weights come from, if that was checked.
    """

    def __init__(
        self, network: CompactNetwork, entry: ModelEntry = COMPACT, *, device: str | None = None, sha256: str = ""
    ) -> None:
        self._spec = _spec(network, entry, sha256)
        self._network = network.eval().requires_grad_(requires_grad=False)
        self._pictures: Recent[NDArray[np.uint8]] = Recent(4)
        self._home = Residence(self._spec.title, choose_device(device), self._settle)

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._spec

    @property
    def device(self) -> str:
        """The device it runs on, such as ``cpu`` or ``cuda:0``."""
        return str(self._home.device)

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8], aspect: float = 1.0) -> ImageEmbedding:
        """Encode an image as a whole and keep a picture of it, to look at parts later. See `PromptableModel.encode`.

        ``features`` are float16 (80, 48, 48), ``picture`` is a JPEG of square pixels, at most 2048 a side.
        """
        check_image(image)
        shape = (image.shape[0], image.shape[1])
        picture = _squared(image, aspect)
        whole = View.whole(picture.shape[:2], _SIDE)
        # In C order, which files of arrays expect; the network's own puts channels last.
        found = self._home.run(lambda: self._encode(whole.picture(picture)))
        features = found[0].to(torch.float16).contiguous().cpu().numpy()
        arrays = {"features": features, "picture": _packed(picture)}
        return ImageEmbedding(arrays, shape, self._spec.encoder_digest, aspect=aspect)

    @torch.inference_mode()
    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer prompts; candidates come best first. See `PromptableModel.decode`.

        Of the previous answer only the mask counts.
        """
        check_embedding(embedding, self._spec.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        telling = prompts.where(lambda prompt: not isinstance(prompt, MaskPrompt) or bool(prompt.runs))
        if not has_positive(telling):
            return empty_prediction(embedding.image_shape, (_CELLS, _CELLS))
        scene = _Scene(embedding, self._picture(embedding), telling)
        answers = self._home.run(lambda: self._answers(scene, scene.known(previous)))
        return _prediction(scene, answers)

    def _settle(self, device: torch.device) -> None:
        """Move to a device."""
        self._fast = computes_bfloat16(device)  # of the decoder only: embeddings are the same everywhere
        self._network = self._network.to(device).to(memory_format=torch.channels_last)
        self._features: Recent[Tensor] = Recent(_KEPT)

    def _answers(self, scene: "_Scene", known: NDArray[np.bool_] | None) -> list["_Answer"]:
        """Best first."""
        if known is not None and scene.is_drawn:  # by hand, and nothing is to be corrected in it
            return [_Answer(np.where(known, _SURE, -_SURE).astype(np.float32), 1.0)]
        if known is not None:
            return self._look(scene, scene.view(known), known)[:1]
        if scene.prompts.box is not None:  # which says where to look
            return self._look(scene, scene.view(scene.nothing, _BOX_MARGIN), None)
        answers = self._from_afar(scene)
        if not scene.ambiguous or answers[0].quality >= _UNSURE:
            return answers
        nearer = self._look(scene, scene.near, None)[0]
        return sorted([nearer, *answers], key=lambda answer: -answer.quality)

    def _from_afar(self, scene: "_Scene") -> list["_Answer"]:
        """The answers on the whole picture, the best one finer if it is small."""
        first = self._look(scene, scene.whole, None)
        guess = first[0].logits > 0
        view = scene.view(guess, _FIRST_MARGIN)
        if view.is_whole or not guess.any():
            return first
        finer = self._look(scene, view, guess)[0]
        return [_Answer(finer.logits, max(finer.quality, first[0].quality)), *first[1:]]

    def _look(self, scene: "_Scene", view: View, known: NDArray[np.bool_] | None) -> list["_Answer"]:
        """Answer the prompts in one view; several candidates if nothing is known but one prompt."""
        maps = scene.maps(view, known)
        features = self._seen(scene, view)
        with torch.autocast(self._home.device.type, torch.bfloat16, enabled=self._fast):
            logits, worth = self._network.decoder(features, maps.to(self._home.device))
        quality = torch.sigmoid(worth[0].float()).cpu().numpy()
        order = np.argsort(-quality, kind="stable") if known is None and scene.ambiguous else np.zeros(1, int)
        found = logits[0].float().cpu().numpy()
        return [_Answer(view.paste(found[at], _OUTSIDE), float(quality[at])) for at in order]

    def _seen(self, scene: "_Scene", view: View) -> Tensor:
        if view.is_whole:
            stored = torch.from_numpy(np.require(scene.embedding.arrays["features"], requirements=["C", "W"]))
            return stored[None].to(self._home.device, torch.float32, memory_format=torch.channels_last)
        key = (_digest(scene.embedding), view)
        return self._features.get(key, lambda: self._encode(view.picture(scene.picture)))

    def _encode(self, picture: NDArray[np.uint8]) -> Tensor:
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].to(self._home.device, torch.float32)
        features: Tensor = self._network.encoder((image / 127.5 - 1).contiguous(memory_format=torch.channels_last))
        return features

    @property
    def patience(self) -> float:
        """Seconds that adapting may take. See `Adaptable`."""
        return _PATIENCE

    def picture(self, embedding: ImageEmbedding) -> NDArray[np.uint8]:
        """Return the picture that is kept of the image. See `Adaptable`."""
        return self._picture(embedding)

    def look(self, embedding: ImageEmbedding) -> Look:
        """Return the features of the image as a whole. See `Adaptable`."""
        return self._look_at(embedding, View.whole(self._picture(embedding).shape[:2], _SIDE))

    def look_closer(self, embedding: ImageEmbedding, mask: NDArray[np.bool_]) -> tuple[Look, ...]:
        """Return the features of the squares that `decode` would look at. See `Adaptable`."""
        picture = self._picture(embedding)
        inside = np.argwhere(mask)
        if not inside.size:
            return ()
        span = np.stack((inside.min(axis=0), inside.max(axis=0))) * np.divide(picture.shape[:2], mask.shape)
        shape = picture.shape[0], picture.shape[1]
        views = [View.around(span, shape, _SIDE, margin=each, smallest=_SMALLEST) for each in (_MARGIN, _BOX_MARGIN)]
        return tuple(self._look_at(embedding, view) for view in dict.fromkeys(views) if not view.is_whole)

    def trainable_decoder(self) -> "CompactDecoder":
        """Return a copy of the decoder. See `Adaptable`."""
        return CompactDecoder(copy.deepcopy(self._network.decoder).float().requires_grad_(), self._fast)

    def with_decoder(self, tensors: Mapping[str, Tensor]) -> "CompactModel":
        """Return a model with the same encoder. See `Adaptable`."""
        other = copy.copy(self)
        network = copy.copy(self._network)
        network._modules = {**self._network._modules, "decoder": copy.deepcopy(self._network.decoder)}
        network.decoder.load_state_dict({**network.decoder.state_dict(), **tensors})
        other._network = network
        other._home = Residence(self._spec.title, self._home.device, other._settle)
        return other

    @torch.inference_mode(False)
    def _look_at(self, embedding: ImageEmbedding, view: View) -> Look:
        picture = self._picture(embedding)
        with torch.no_grad():
            features = self._seen(_Scene(embedding, picture, PromptSet()), view)[0].clone()
        ratio = np.divide(embedding.image_shape, picture.shape[:2])
        start, extent = np.asarray(view.start) * ratio, view.extent * ratio
        square = Square((start[0], start[1]), (extent[0], extent[1]), embedding.image_shape)
        return Look(features.float(), square)

    def _picture(self, embedding: ImageEmbedding) -> NDArray[np.uint8]:
        return self._pictures.get(_digest(embedding), lambda: _unpacked(embedding.arrays["picture"]))


@dataclass(frozen=True, slots=True, eq=False)
class CompactDecoder:
    """A `Decoder` as a `TrainableDecoder`; all of it moves."""

    module: Decoder
    fast: bool = False
    cells: int = _CELLS
    batch: int = 2

    def answer(self, features: Tensor, prompts: GridPrompts, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Answer prompts drawn as maps. See `TrainableDecoder`."""
        known = None if previous is None else torch.sigmoid(previous)
        boxes = None if prompts.boxes is None else prompts.boxes * MAP_STRIDE
        places = (prompts.places + 0.5) * MAP_STRIDE - 0.5
        maps = prompt_maps(places, prompts.signs, boxes, known, self.cells, MAP_STRIDE)
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.fast):
            logits, worth = self.module(features.contiguous(memory_format=torch.channels_last), maps)
        return logits.float(), torch.sigmoid(worth.float())


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """Logits over the picture, (rows, columns), and the expected IoU."""

    logits: NDArray[np.float32]
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What one answer is made from; positions and masks are those of the picture."""

    embedding: ImageEmbedding
    picture: NDArray[np.uint8]
    prompts: PromptSet

    @property
    def shape(self) -> tuple[int, int]:
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def whole(self) -> View:
        return View.whole(self.shape, _SIDE)

    @property
    def is_drawn(self) -> bool:
        return all(isinstance(prompt, MaskPrompt) for prompt in self.prompts)

    @property
    def near(self) -> View:
        """The view of what was pointed at and little beside it."""
        smallest = max(_SMALLEST, round(_NEAR * max(self.shape)))
        pointed = self._maps.corners
        assert pointed is not None
        return View.around(pointed, self.shape, _SIDE, margin=1.0, smallest=smallest)

    @property
    def nothing(self) -> NDArray[np.bool_]:
        return np.zeros(self.shape, dtype=np.bool_)

    @property
    def ambiguous(self) -> bool:
        return len(self.prompts) == 1 and self.prompts[0].kind == "point"

    def known(self, previous: MaskPrediction | None) -> NDArray[np.bool_] | None:
        """What is known of the mask before: the last answer, and what was drawn since."""
        earlier = previous is not None and previous.mask.any()
        recent = tuple(self.prompts)[-1:] if earlier else tuple(self.prompts)
        shape = self.embedding.image_shape
        areas = [prompt.to_mask(shape) for prompt in recent if isinstance(prompt, MaskPrompt)]
        if previous is not None and earlier:
            areas.append(previous.mask)
        return self._onto_picture(np.logical_or.reduce(areas)) if areas else None

    def view(self, mask: NDArray[np.bool_], margin: float = _MARGIN) -> View:
        """Return the view of a mask and of everything that was pointed at."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        corners = [np.array([[rows[0], columns[0]], [rows[-1], columns[-1]]], float)] if rows.size else []
        pointed = self._maps.corners
        if pointed is not None:
            corners.append(pointed)
        ends = np.concatenate(corners)
        span = np.stack((ends.min(axis=0), ends.max(axis=0)))
        return View.around(span, self.shape, _SIDE, margin=margin, smallest=_SMALLEST)

    def maps(self, view: View, known: NDArray[np.bool_] | None) -> Tensor:
        return self._maps.draw(view, _CELLS, known)

    @property
    def _maps(self) -> PromptMaps:
        return PromptMaps.of(self.prompts, self.embedding.image_shape, self.shape)

    def _onto_picture(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if mask.shape == self.shape:
            return mask
        reduced = Image.fromarray(mask.astype(np.uint8) * 255).resize(self.shape[::-1], Image.Resampling.BOX)
        return np.asarray(reduced) >= 128


def _prediction(scene: _Scene, answers: list[_Answer]) -> MaskPrediction:
    whole = View.whole(scene.embedding.image_shape, _CELLS)
    logits = [_onto_image(answer.logits, scene.embedding.image_shape) for answer in answers]
    masks = [_heeded(values > 0, scene.prompts) for values in logits]
    cells = [_thumbnail(values, whole) for values in logits]
    qualities = np.asarray([answer.quality for answer in answers], dtype=np.float32)
    order = np.argsort(-qualities, kind="stable")
    return MaskPrediction(np.stack(masks)[order], np.stack(cells)[order], qualities[order])


def _heeded(mask: NDArray[np.bool_], prompts: PromptSet) -> NDArray[np.bool_]:
    """Give the very pixels that were clicked what the click said, and a mask that was just drawn, too."""
    last = prompts[len(prompts) - 1]
    if isinstance(last, MaskPrompt):
        mask |= last.to_mask(mask.shape)
    for point in prompts.points:
        mask[voxel_at(point.position)] = point.positive
    return mask


def _onto_image(logits: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if logits.shape == shape:
        return logits
    return np.asarray(Image.fromarray(logits).resize(shape[::-1], Image.Resampling.BILINEAR))


def _thumbnail(logits: NDArray[np.float32], whole: View) -> NDArray[np.float32]:
    rows, columns = (max(1, round(size * _CELLS / whole.extent)) for size in logits.shape)
    square = np.full((_CELLS, _CELLS), _OUTSIDE, dtype=np.float32)
    square[:rows, :columns] = np.asarray(Image.fromarray(logits).resize((columns, rows), Image.Resampling.BOX))
    return square


def _squared(image: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """Return a picture of square pixels, as fine as the finer side of the image's, of at most so many a side."""
    sizes = image.shape[0] * max(aspect, 1.0), image.shape[1] * max(1 / aspect, 1.0)
    longest = max(sizes)
    if longest <= _PICTURE and aspect == 1:
        return image
    rows, columns = (max(1, round(size * min(1.0, _PICTURE / longest))) for size in sizes)
    how = Image.Resampling.BOX if aspect == 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((columns, rows), how))


def _packed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(packed.tobytes()), formats=["JPEG"]))


def _digest(embedding: ImageEmbedding) -> bytes:
    return hashlib.blake2b(embedding.arrays["picture"].tobytes(), digest_size=16).digest()


def _spec(network: CompactNetwork, entry: ModelEntry, sha256: str) -> ModelSpec:
    facts = entry.facts
    state = network.state_dict()
    encoder = {key: tensor for key, tensor in state.items() if key.startswith("encoder.")}
    return ModelSpec(
        name=entry.name,
        title=facts.title,
        ndim=2,
        prompt_kinds=frozenset({"point", "box", "scribble", "mask"}),
        input_size=_SIDE,
        preprocessing=_PREPROCESSING,
        embedding_bytes=0,
        cacheable=True,
        precision="float16",
        tier=facts.tier,
        origin=facts.origin,
        licence=facts.licence,
        commercial_use=facts.commercial_use,
        encoder_digest=state_digest(encoder, _PREPROCESSING),
        weights_sha256=sha256,
        model_digest=state_digest(state, _PREPROCESSING),
    )
