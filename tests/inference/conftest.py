import numpy as np
import pytest

from napari_medfm.errors import PromptError
from napari_medfm.inference import EmbeddingKey, Predictor
from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec

_BLOCK = 4


class BlockMeans:
    """A small model in numpy: blocks whose mean is nearest that of the clicks on the object.

    Remembers how many images it encoded, and which prompts it was given.
    """

    def __init__(self, encoder_digest="b" * 64, cacheable=True, prompt_kinds=("point", "box")):
        self.encoded = 0
        self.asked = None
        self.spec = ModelSpec(
            name="block_means",
            title="Block means",
            ndim=2,
            prompt_kinds=frozenset(prompt_kinds),
            input_size=0,
            preprocessing="uint8",
            embedding_bytes=0,
            cacheable=cacheable,
            precision="float16",
            tier="classical",
            origin="no training",
            licence="BSD-3-Clause",
            commercial_use=True,
            encoder_digest=encoder_digest,
        )

    def encode(self, image, aspect=1.0):
        self.encoded += 1
        rows, columns = image.shape[:2]
        grey = image.reshape(rows, columns, -1).mean(axis=2)
        padded = np.pad(grey, ((0, -rows % _BLOCK), (0, -columns % _BLOCK)), mode="edge")
        blocks = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).mean(axis=(1, 3))
        return ImageEmbedding(
            {"means": blocks.astype(np.float16)}, (rows, columns), self.spec.encoder_digest, aspect=aspect
        )

    def decode(self, embedding, prompts, previous=None):
        self.asked = prompts
        means = embedding.arrays["means"].astype(np.float32)
        clicks = [prompt for prompt in prompts if prompt.kind == "point"]
        if not prompts:
            raise PromptError("prompts", "there is none", "Click on the object first.")
        values = [(means[self._block(click.position)], click.positive) for click in clicks]
        inside = np.mean([value for value, positive in values if positive] or [255.0])
        outside = np.mean([value for value, positive in values if not positive] or [0.0])
        logits = (np.abs(means - outside) - np.abs(means - inside)) / 16
        if previous is not None:
            logits = (logits + previous.logits) / 2
        fine = np.repeat(np.repeat(logits, _BLOCK, axis=0), _BLOCK, axis=1)
        rows, columns = embedding.image_shape
        mask = fine[:rows, :columns] > 0
        if prompts.box is not None:
            (top, left), (bottom, right) = prompts.box.start, prompts.box.stop
            kept = np.zeros_like(mask)
            kept[round(top) : round(bottom), round(left) : round(right)] = True
            mask &= kept
        return MaskPrediction(mask[None], logits[None], np.array([0.5], np.float32))

    @staticmethod
    def _block(position):
        row, column = position
        return round(row) // _BLOCK, round(column) // _BLOCK


@pytest.fixture
def model():
    return BlockMeans()


@pytest.fixture
def predictor(model):
    return Predictor(model)


@pytest.fixture
def image():
    """A bright square, rows 8..23 and columns 12..35, in a dark image of 40 x 50."""
    image = np.full((40, 50), 20, np.uint8)
    image[8:24, 12:36] = 220
    return image


@pytest.fixture
def key(model):
    return EmbeddingKey("f" * 64, 0, 3, "-100.0:200.0", model.spec.encoder_digest, model.spec.precision)
