"""A model of volumes whose image and interactions enter together, so that nothing of the network is computed ahead.

`InteractionChannels` has the inputs of nnInteractive (Isensee et al., 2025): the image and seven channels, which are
the previous answer and, for points, strokes (lassos among them) and boxes, those that add and those that remove. A
point is a ball that fades with every interaction after it. It sees the volume's own voxels. Its network is small and
its weights are random. What it keeps of a region is the prepared image; every answer is a whole pass.
"""

import hashlib

import numpy as np
import torch
from torch import nn

from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec, RegionRecipe
from napari_medfm.models.checks import (
    check_embedding,
    check_placed,
    check_region,
    empty_prediction,
    has_positive,
)
from napari_medfm.prompts import Box, Point, rasterize

CHANNELS = 8
RADIUS = 4
FADING = 0.9


def build(seed=0):
    """Return the network, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv3d(CHANNELS, 6, 3, padding=1), nn.PReLU(), nn.Conv3d(6, 1, 3, padding=1)).eval()


class InteractionChannels:
    """A `RegionModel` without an encoder."""

    def __init__(self, seed=0, side=24):
        self._network = build(seed)
        digest = hashlib.sha256(b"z-score")
        for name, tensor in self._network.state_dict().items():
            digest.update(name.encode() + tensor.numpy().tobytes())
        self.passes = 0
        self.recipe = RegionRecipe("z-score of the region", side=side, margin=3)
        self.spec = ModelSpec(
            name="interaction-channels",
            title="Interaction channels (random weights)",
            ndim=3,
            prompt_kinds=frozenset({"point", "box", "scribble", "lasso"}),
            input_size=side,
            preprocessing=self.recipe.preprocessing,
            embedding_bytes=4 * side**3,
            cacheable=False,
            precision="float32",
            tier="general medical",
            origin="from scratch",
            licence="BSD-3-Clause",
            commercial_use=True,
            encoder_digest=digest.hexdigest(),
            model_digest=digest.hexdigest(),
        )

    def encode(self, image):
        """Prepare the region; see `RegionModel`."""
        check_region(image, self.recipe.size)
        prepared = (image - image.mean()) / max(float(image.std()), 1e-6)
        return ImageEmbedding({"image": prepared.astype(np.float32)}, image.shape, self.spec.encoder_digest)

    @torch.inference_mode()
    def decode(self, embedding, prompts, previous=None):
        """Run the whole network; see `RegionModel`."""
        check_embedding(embedding, self.spec.encoder_digest)
        region = check_placed(prompts, embedding)
        channels = np.zeros((CHANNELS, *region.size), np.float32)
        channels[0] = embedding.arrays["image"]
        usable = previous is not None and previous.mask.shape == region.size
        channels[1] = previous.mask if usable else 0
        drawn = [(prompt, drawn_in(region, prompt)) for prompt in reversed(prompts.prompts)]
        for age, (prompt, channel) in enumerate((prompt, channel) for prompt, channel in drawn if channel.any()):
            kind = 2 if isinstance(prompt, Point) else 6 if isinstance(prompt, Box) else 4
            into = channels[kind + (not prompt.positive)]
            np.maximum(into, channel * FADING**age, out=into)
        if not (has_positive(prompts) and channels[2:8:2].any()):
            return empty_prediction(region.size, region.size)
        self.passes += 1
        logits = self._network(torch.from_numpy(channels)[None])[0].numpy().copy()
        quality = float(1 / (1 + np.exp(-np.abs(logits).mean())))
        return MaskPrediction(logits > 0, logits, np.array([quality], np.float32))


def drawn_in(region, prompt):
    """Return a prompt as a channel of a region, 0..1: a point as a ball, anything else as the points it covers."""
    if isinstance(prompt, Point):
        middle = region.positions(prompt.plane.to_voxel(prompt.position))
        away = np.linalg.norm(np.indices(region.size).reshape(3, -1).T - middle, axis=1).reshape(region.size)
        return np.clip(1 - away / RADIUS, 0, 1) if region.inside(middle) else np.zeros(region.size)
    channel = np.zeros(region.size)
    shape = region.lattice.limits[::-1]
    cells = np.argwhere(rasterize(prompt, prompt.plane.shape(shape)))
    voxels = np.insert(cells, prompt.plane.axis, prompt.plane.index, axis=1)
    places = np.rint(region.positions(voxels))
    channel[tuple(places[region.inside(places)].astype(int).T)] = 1
    return channel
