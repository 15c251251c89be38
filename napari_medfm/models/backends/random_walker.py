"""Random walker (Grady, IEEE TPAMI 2006): a classical method without weights, the floor of every comparison.

Prompts are seeds, and so is the border of a crop around them, as background.
How large the object is, a click does not say: the walk is solved on small grids
at many crop sizes, and the answer is the outline that agrees best with all the
outlines that follow edges of the image (`_choose`). It is then drawn again on a
finer grid around it (`_refine`).
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.models.crops import Crop
from napari_medfm.models.seeds import Positions, extent, plant
from napari_medfm.models.walk import Array, EdgeWeights, cuts, probabilities
from napari_medfm.models.zoo import RANDOM_WALKER
from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet, voxel_at

# Chosen by Dice after 1, 3 and 5 clicks on 27 data sets of CT, MR, ultrasound, photographs and
# microscopy; each may be halved or doubled without a difference that could be measured.
_COARSE, _FINE = 32, 80  # cells of the grids
_SMALLEST, _STEP = 4, 1.4  # pixels around the prompts, and the ratio to the next larger crop
_COARSE_DISC, _FINE_DISC = 1.5, 2.0  # cells around a click that are a seed
_GRACE = 2.0  # edges of weight 1 added to every outline, so that short ones need to be clearer
_EDGES_MATTER = 6.0  # how fast belief in an outline falls with its mean weight
_USUAL, _SPREAD = 0.1, 1.5  # side of an object in sides of the image, and the spread of its logarithm
_TRUST, _TRUST_DRAWN = 5e-4, 1e-2  # in the outline found on the coarse grid, and in one that a person drew
_CHANGED = 0.1  # of probability that counts as a change
_MARGIN = 0.5  # around the outline found, in its longer side
_THUMBNAIL = 128
_CANDIDATES, _DISTINCT = 3, 0.8

_FACTS = RANDOM_WALKER.facts
_DIGEST = hashlib.sha256(b"random_walker: the image itself, uint8").hexdigest()
SPEC = ModelSpec(
    name=RANDOM_WALKER.name,
    title=_FACTS.title,
    ndim=2,
    prompt_kinds=frozenset({"point", "box", "scribble", "lasso", "mask"}),
    input_size=0,
    preprocessing="uint8",
    embedding_bytes=0,
    cacheable=False,
    precision="uint8",
    tier=_FACTS.tier,
    origin=_FACTS.origin,
    licence=_FACTS.licence,
    commercial_use=_FACTS.commercial_use,
    encoder_digest=_DIGEST,
    model_digest=_DIGEST,
)


def load() -> "RandomWalker":
    """Return the model; there is nothing to load."""
    return RandomWalker()


class RandomWalker:
    """The random walker as a `PromptableModel`; its embedding is the image.

    A single prompt gets up to three candidates. The quality of a candidate is the
    Dice to be expected with the other outlines that might be meant. Later prompts
    win over earlier ones; without a positive prompt the answer is empty.
    """

    spec = SPEC

    def encode(self, image: NDArray[np.uint8], aspect: float = 1.0) -> ImageEmbedding:
        """Keep a copy of the image. See `PromptableModel.encode`.

        It walks from pixel to pixel, whatever their shape.
        """
        check_image(image)
        return ImageEmbedding(
            {"image": image.copy()}, (image.shape[0], image.shape[1]), SPEC.encoder_digest, aspect=aspect
        )

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Walk from the prompts. See `PromptableModel.decode`.

        The previous answer is not used: it follows from the prompts, and so a prompt
        that was moved or removed leaves no trace.
        """
        check_embedding(embedding, SPEC.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        image = embedding.arrays["image"]
        telling = prompts.where(lambda prompt: not isinstance(prompt, MaskPrompt) or bool(prompt.runs))
        scene = _Scene(image, _contrast(image), telling)
        thumbnail = _thumbnail(scene.shape)
        answers = _answers(scene) if has_positive(telling) else []
        if not answers:
            return empty_prediction(scene.shape, thumbnail.grid)
        return MaskPrediction(
            masks=np.stack([answer.probability >= 0.5 for answer in answers]),
            low_res=np.stack([_logits(thumbnail, answer.probability) for answer in answers]),
            qualities=np.asarray([answer.quality for answer in answers], dtype=np.float32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What one answer is made from."""

    image: NDArray[np.uint8]
    contrast: float
    prompts: PromptSet

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    @property
    def longest(self) -> int:
        return max(self.shape)

    @property
    def extent(self) -> Positions:
        """First and last (row, column) of what the positive prompts cover, (2, 2); empty if nothing."""
        return extent(self.prompts.where(lambda prompt: prompt.positive), self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """A guess at the object: `belief` of at least 0.5 on the grid of a crop."""

    crop: Crop
    belief: Array
    cut: float = 0.0
    quality: float = 0.0

    @property
    def area(self) -> float:
        """Pixels of the image."""
        return float((self.belief >= 0.5).sum()) * self.crop.cell_area

    @property
    def corners(self) -> Positions:
        """First and last (row, column) in the image, (2, 2)."""
        cells = np.argwhere(self.belief >= 0.5)
        cell = np.divide(self.crop.size, self.crop.grid)
        corners = np.stack((cells.min(axis=0), cells.max(axis=0) + 1)) * cell + self.crop.start
        return np.asarray(corners - np.array([[0], [1]]), dtype=float)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """Probability of every pixel of the image, (rows, columns), and the Dice to be expected."""

    probability: NDArray[np.float32]
    quality: float


def _answers(scene: _Scene) -> list[_Answer]:
    """Best first."""
    drawn = _union(scene)
    if drawn.any():
        return [_correct(drawn, scene)]
    return [_Answer(_refine(outline, scene), outline.quality) for outline in _choose(list(_outlines(scene)), scene)]


def _outlines(scene: _Scene) -> Iterator[_Outline]:
    """Walk at every crop size; take the half-way outline, and the one that follows edges best."""
    extent = scene.extent
    for margin in _margins(scene) if len(extent) else ():
        crop = Crop.around(extent[0], extent[1], margin, scene.shape, _COARSE)
        seeds = plant(scene.prompts, crop, scene.shape, _COARSE_DISC)
        if not (seeds > 0).any():
            continue
        weights = EdgeWeights.of(crop.image(scene.image), scene.contrast)
        probability = probabilities(weights, seeds)
        weight, count = cuts(weights, probability)
        mean = (weight + _GRACE) / (count + _GRACE)
        levels = np.sort(probability, axis=None)[::-1]
        for size in _sizes(levels, mean, int((seeds > 0).sum())):
            yield _Outline(crop, _around_half(probability, levels[size - 1]), float(mean[size - 1]))


def _margins(scene: _Scene) -> list[float]:
    """Pixels to see around the prompts: all sizes, but just a little around a box."""
    boxes = [prompt for prompt in scene.prompts if isinstance(prompt, Box)]
    if boxes:
        return [max(2.0, 0.1 * float(np.ptp(scene.extent, axis=0).max()))]
    steps = max(1, math.ceil(math.log(max(1.0, 0.6 * scene.longest / _SMALLEST), _STEP)))
    return [_SMALLEST * _STEP**step for step in range(steps)]


def _sizes(levels: Array, mean_cuts: Array, seeded: int) -> set[int]:
    """Cells of the outlines worth considering, seeds always among them."""
    half, last = int((levels >= 0.5).sum()), int((levels > 0.02).sum())
    return {half, seeded + int(np.argmin(mean_cuts[seeded - 1 : last]))}


def _around_half(probability: Array, level: float) -> Array:
    """Stretch so that `level` becomes 0.5."""
    above = (probability - level) / max(1 - level, 1e-9)
    below = (probability - level) / max(level, 1e-9)
    return np.asarray(0.5 + 0.5 * np.where(probability >= level, above, below))


def _choose(outlines: list[_Outline], scene: _Scene) -> list[_Outline]:
    """Return the outlines of which the highest Dice is to be expected, best first.

    Each outline is believed to be the one that is meant the more, the better it
    follows edges; around a lone prompt, the more usual its size, too. They are
    nested, or nearly: their areas tell the Dice between them.
    """
    if not outlines:
        return []
    areas = np.asarray([outline.area for outline in outlines])
    # The more prompts, the more they tell themselves.
    belief = -_EDGES_MATTER / math.sqrt(len(scene.prompts)) * np.asarray([outline.cut for outline in outlines])
    if len(scene.prompts) == 1:
        belief -= 0.5 * (np.log(np.sqrt(areas) / scene.longest / _USUAL) / _SPREAD) ** 2
    share = np.exp(belief - belief.max())
    dice = 2 * np.minimum.outer(areas, areas) / np.add.outer(areas, areas)
    expected = dice @ share / share.sum()
    chosen: list[int] = []
    for index in np.argsort(-expected, kind="stable").tolist():
        if all(dice[index, other] < _DISTINCT for other in chosen):
            chosen.append(index)
    wanted = _CANDIDATES if len(scene.prompts) == 1 and isinstance(scene.prompts[0], Point) else 1
    return [replace(outlines[index], quality=float(expected[index])) for index in chosen[:wanted]]


def _refine(outline: _Outline, scene: _Scene) -> NDArray[np.float32]:
    """Walk again on a fine grid around an outline, held to it a little."""
    crop = _fine_crop(outline.corners, scene)
    prior = np.asarray(outline.crop.onto(outline.belief, crop) >= 0.5, dtype=np.float64)
    return _heed(scene, _walk_fine(scene, scene.prompts, crop, prior, _TRUST))


def _correct(drawn: NDArray[np.bool_], scene: _Scene) -> _Answer:
    """Change a drawn mask where the other prompts change what a walk from the mask alone would find."""
    cells = np.argwhere(drawn)
    crop = _fine_crop(np.stack((cells.min(axis=0), cells.max(axis=0))).astype(np.float64), scene)
    share = crop.shares(drawn)
    before = _walk_fine(scene, PromptSet(), crop, share, _TRUST_DRAWN)
    after = _walk_fine(scene, scene.prompts, crop, share, _TRUST_DRAWN)
    gained = (after >= 0.5) & (after - before > _CHANGED)
    lost = (after < 0.5) & (before - after > _CHANGED)
    mask = _heed(scene, np.where(drawn, 1.0, 0.0).astype(np.float32) * ~lost + gained * ~drawn)
    inside = mask >= 0.5
    return _Answer(np.clip(mask, 0.05, 0.95), float(np.maximum(after, 0.5)[inside].mean()) if inside.any() else 0.0)


def _fine_crop(corners: Positions, scene: _Scene) -> Crop:
    known = np.concatenate((corners, scene.extent))
    first, last = known.min(axis=0), known.max(axis=0)
    return Crop.around(first, last, _MARGIN * float((last - first).max()) + 6, scene.shape, _FINE)


def _walk_fine(scene: _Scene, prompts: PromptSet, crop: Crop, prior: Array, trust: float) -> NDArray[np.float32]:
    """Probability of every pixel of the image; 0 beyond the crop."""
    seeds = plant(prompts, crop, scene.shape, _FINE_DISC)
    weights = EdgeWeights.of(crop.image(scene.image), scene.contrast)
    whole = np.zeros(scene.shape, dtype=np.float32)
    crop.paste(probabilities(weights, seeds, prior, trust), whole)
    return whole


def _heed(scene: _Scene, probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the very pixels that were clicked what the click said."""
    for point in scene.prompts.points:
        probability[voxel_at(point.position)] = float(point.positive)
    return probability


def _union(scene: _Scene) -> NDArray[np.bool_]:
    mask = np.zeros(scene.shape, dtype=np.bool_)
    for prompt in scene.prompts:
        if isinstance(prompt, MaskPrompt):
            mask |= prompt.to_mask(scene.shape)
    return mask


def _contrast(image: NDArray[np.uint8]) -> float:
    """Standard deviation of an image's brightness, from a sample of its pixels."""
    stride = max(1, max(image.shape) // _THUMBNAIL)
    return float(image[::stride, ::stride].std(axis=(0, 1)).mean())


def _thumbnail(image_shape: tuple[int, int]) -> Crop:
    return Crop.around(np.zeros(2), np.subtract(image_shape, 1.0), 0, image_shape, _THUMBNAIL)


def _logits(thumbnail: Crop, probability: NDArray[np.float32]) -> NDArray[np.float32]:
    picture = Image.fromarray(probability).resize(thumbnail.grid[::-1], Image.Resampling.BOX)
    share = np.clip(np.asarray(picture), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(share / (1 - share)), dtype=np.float32)
