"""The third family of models: image and prompts enter together, so nothing of the network can be computed ahead.

`EarlyFusion` has the inputs of ScribblePrompt-UNet (Wong et al., ECCV 2024): 128x128, channels image, box, positive,
negative, previous logits. Its network is small and its weights are random. What it keeps of an image is the prepared
image; every answer is a whole pass.
"""

import hashlib
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.checks import check_embedding, check_image, check_prompts, empty_prediction, has_positive
from napari_medfm.prompts import Box, rasterize

SIDE = 128
CHANNELS = 5


def build(seed=0):
    """Return the network, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (CHANNELS, 16, 16, 1)
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.PReLU()]
        return nn.Sequential(*layers[:-1]).eval()


def _digest(network):
    digest = hashlib.sha256(b"grey 128")
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def _square(values):
    """Stretch (rows, columns) to the network's side, as (1, 1, 128, 128)."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None, None]
    return functional.interpolate(tensor, (SIDE, SIDE), mode="bilinear", align_corners=False)


class EarlyFusion:
    """A `PromptableModel` without an encoder worth the name."""

    def __init__(self, seed=0):
        self._network = build(seed)
        digest = _digest(self._network)
        self.passes = 0
        self.spec = ModelSpec(
            name="early-fusion",
            title="Early fusion (random weights)",
            ndim=2,
            prompt_kinds=frozenset({"point", "box", "scribble", "lasso", "mask"}),
            input_size=SIDE,
            preprocessing="stretch linear grey 0..1",
            embedding_bytes=SIDE * SIDE * 4,
            cacheable=False,
            precision="float32",
            tier="general medical",
            origin="from scratch",
            licence="BSD-3-Clause",
            commercial_use=True,
            encoder_digest=digest,
            model_digest=digest,
        )

    def encode(self, image):
        """Prepare the image; see `PromptableModel.encode`."""
        check_image(image)
        grey = image.mean(axis=2) if image.ndim == 3 else image
        prepared = _square(grey / 255)[0, 0].numpy().copy()
        return ImageEmbedding({"image": prepared}, image.shape[:2], self.spec.encoder_digest)

    @torch.inference_mode()
    def decode(self, embedding, prompts, previous=None):
        """Run the whole network; see `PromptableModel.decode`."""
        check_embedding(embedding, self.spec.encoder_digest)
        check_prompts(prompts, embedding.image_shape)
        shape = embedding.image_shape
        drawn = [(prompt, rasterize(prompt, shape)) for prompt in prompts]
        if not has_positive(prompts) or not any(mask.any() for prompt, mask in drawn if prompt.positive):
            return empty_prediction(shape, (SIDE, SIDE))
        channels = [torch.from_numpy(embedding.arrays["image"].copy())[None, None]]
        kinds = (
            lambda prompt: isinstance(prompt, Box),
            lambda prompt: prompt.positive and not isinstance(prompt, Box),
            lambda prompt: not prompt.positive,
        )
        for belongs in kinds:
            masks = [mask for prompt, mask in drawn if belongs(prompt)]
            channels.append(_square(np.logical_or.reduce([np.zeros(shape, bool), *masks])))
        usable = previous is not None and previous.logits.shape == (SIDE, SIDE)
        channels.append(
            torch.from_numpy(previous.logits.copy())[None, None] if usable else torch.zeros(1, 1, SIDE, SIDE)
        )
        self.passes += 1
        logits = self._network(torch.cat(channels, dim=1))
        masks = functional.interpolate(logits, shape, mode="bilinear", align_corners=False) > 0
        quality = torch.sigmoid(logits.abs().mean()).item()
        return MaskPrediction(masks[0].numpy(), logits[0].numpy(), np.array([quality], np.float32))
