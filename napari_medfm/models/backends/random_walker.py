"""Random walker (Grady 2006): a classical method without weights, the floor of every comparison.

L. Grady, "Random Walks for Image Segmentation", IEEE TPAMI 28(11), 2006. Each
pixel is given the probability that a random walk, which avoids steps across
edges of the image, reaches a seed of the object before a seed of the
background. Prompts are the seeds; the border of a crop around them is background.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage
from skimage import draw

from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Prompt, PromptSet, Scribble

_SIDE = 96
_BETA = 90.0
SPEC = ModelSpec(
    name="random_walker",
    title="Random walker",
    ndim=2,
    prompt_kinds=frozenset({"point", "box", "scribble", "lasso", "mask"}),
    input_size=0,
    preprocessing="uint8",
    embedding_bytes=0,
    cacheable=False,
    precision="uint8",
    tier="classical",
    origin="no training",
    licence="BSD-3-Clause",
    commercial_use=True,
    encoder_digest=hashlib.sha256(b"random_walker uint8").hexdigest(),
)


def load() -> "RandomWalker":
    """Return the model; there is nothing to load."""
    return RandomWalker()


class RandomWalker:
    """The random walker as a `PromptableModel`; encoding keeps the image as it is."""

    spec = SPEC

    def encode(self, image: NDArray[np.uint8]) -> ImageEmbedding:
        """Keep the image. See `PromptableModel.encode`."""
        check_image(image)
        rows, columns = image.shape[:2]
        return ImageEmbedding({"image": image.copy()}, (rows, columns), SPEC.encoder_digest)

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Walk from the prompts. See `PromptableModel.decode`."""
        check_embedding(embedding, SPEC.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        crop = _crop(prompts, embedding.image_shape, previous)
        if not has_positive(prompts):
            return empty_prediction(embedding.image_shape, crop.grid)
        seeds = _seeds(prompts, crop)
        image = crop.sample(embedding.arrays["image"])
        probability = _walk(image, seeds)
        low_res = np.log(np.clip(probability, 1e-4, 1 - 1e-4) / np.clip(1 - probability, 1e-4, 1 - 1e-4))
        mask = crop.paste(probability, embedding.image_shape) >= 0.5
        quality = float(probability[probability >= 0.5].mean()) if mask.any() else 0.0
        return MaskPrediction(mask[None], low_res[None].astype(np.float32), np.asarray([quality], np.float32))


@dataclass(frozen=True, slots=True)
class _Crop:
    start: tuple[int, int]
    stop: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        rows, columns = self.stop[0] - self.start[0], self.stop[1] - self.start[1]
        scale = max(1.0, max(rows, columns) / _SIDE)
        return max(1, round(rows / scale)), max(1, round(columns / scale))

    @property
    def scale(self) -> NDArray[np.float64]:
        return np.asarray(self.grid) / (np.asarray(self.stop) - np.asarray(self.start))

    def to_grid(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        return (positions + 0.5 - np.asarray(self.start)) * self.scale - 0.5

    def sample(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        part = image[self.start[0] : self.stop[0], self.start[1] : self.stop[1]].astype(float)
        part = part[..., None] if part.ndim == 2 else part
        blurred = ndimage.gaussian_filter(part, (*(np.maximum(0, 1 / self.scale - 1) / 2), 0))
        return ndimage.zoom(blurred, (*self.scale, 1), order=1, grid_mode=True, mode="nearest")

    def paste(self, probability: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
        whole = np.zeros(shape)
        size = np.asarray(self.stop) - np.asarray(self.start)
        fine = ndimage.zoom(probability, size / np.asarray(probability.shape), order=1, grid_mode=True, mode="nearest")
        whole[self.start[0] : self.stop[0], self.start[1] : self.stop[1]] = fine
        return whole


def _crop(prompts: PromptSet, shape: tuple[int, int], previous: MaskPrediction | None) -> _Crop:
    where = np.concatenate([_positions(prompt, shape) for prompt in prompts])
    if previous is not None and previous.mask.any():
        where = np.concatenate([where, np.argwhere(previous.mask)])
    low, high = where.min(axis=0), where.max(axis=0)
    margin = 16 + (high - low).max() * 0.25 + 0.1 * max(shape)
    start = np.clip(np.floor(low - margin), 0, shape).astype(int)
    stop = np.clip(np.ceil(high + margin) + 1, 0, shape).astype(int)
    return _Crop(tuple(start.tolist()), tuple(stop.tolist()))


def _positions(prompt: Prompt, shape: tuple[int, int]) -> NDArray[np.float64]:
    match prompt:
        case Point():
            return np.asarray([prompt.position], dtype=float)
        case Box():
            return np.asarray([prompt.start, prompt.stop], dtype=float)
        case Scribble() | Lasso():
            return np.asarray(prompt.path, dtype=float)
        case MaskPrompt():
            return np.argwhere(prompt.to_mask(shape)).astype(float)


def _seeds(prompts: PromptSet, crop: _Crop) -> NDArray[np.int8]:
    seeds = np.zeros(crop.grid, dtype=np.int8)
    seeds[[0, -1]] = seeds[:, [0, -1]] = -1
    for prompt in sorted(prompts, key=lambda prompt: prompt.kind == "point"):
        if isinstance(prompt, Point):
            row, column = crop.to_grid(np.asarray(prompt.position))
            seeds[draw.disk((row, column), 2.0, shape=seeds.shape)] = 1 if prompt.positive else -1
        elif isinstance(prompt, Box):
            low, high = crop.to_grid(np.asarray(prompt.start)), crop.to_grid(np.asarray(prompt.stop))
            outside = np.ones(seeds.shape, dtype=bool)
            outside[draw.rectangle(np.ceil(low).astype(int), np.floor(high).astype(int), shape=seeds.shape)] = False
            seeds[outside] = -1
            seeds[draw.disk((low + high) / 2, 2.0, shape=seeds.shape)] = 1
        elif isinstance(prompt, Scribble | Lasso):
            path = crop.to_grid(np.asarray(prompt.path, dtype=float))
            closed = np.concatenate([path, path[:1]]) if isinstance(prompt, Lasso) else path
            inside = np.zeros(seeds.shape, dtype=bool)
            for (r0, c0), (r1, c1) in pairwise(closed):
                steps = int(max(abs(r1 - r0), abs(c1 - c0))) + 2
                rows = np.clip(np.linspace(r0, r1, steps).round(), 0, seeds.shape[0] - 1).astype(int)
                inside[rows, np.clip(np.linspace(c0, c1, steps).round(), 0, seeds.shape[1] - 1).astype(int)] = True
            if isinstance(prompt, Lasso):
                inside[draw.polygon(path[:, 0], path[:, 1], shape=seeds.shape)] = True
            seeds[inside] = 1 if prompt.positive else -1
    return seeds


def _walk(image: NDArray[np.float64], seeds: NDArray[np.int8]) -> NDArray[np.float64]:
    """Probability of reaching a positive seed first; image (rows, columns, channels)."""
    rows, columns = seeds.shape
    spread = image.std(axis=(0, 1)).mean() + 1e-6
    down = np.exp(-_BETA / 10 * (np.diff(image, axis=0) ** 2).mean(-1) / spread**2) + 1e-6
    right = np.exp(-_BETA / 10 * (np.diff(image, axis=1) ** 2).mean(-1) / spread**2) + 1e-6
    diagonal = np.zeros((rows, columns))
    diagonal[1:] += down
    diagonal[:-1] += down
    diagonal[:, 1:] += right
    diagonal[:, :-1] += right
    pull = np.where(seeds != 0, 1e6, 0.0)
    bands = np.zeros((columns + 1, rows * columns))
    bands[0] = (diagonal + pull).ravel()
    bands[1] = np.pad(-right, ((0, 0), (0, 1))).ravel()
    bands[columns] = np.pad(-down, ((0, 1), (0, 0))).ravel()
    source = (pull * (seeds > 0)).ravel()
    solved: NDArray[np.float64] = linalg.solveh_banded(bands, source, lower=True, check_finite=False)
    return solved.reshape(rows, columns).clip(0, 1)
