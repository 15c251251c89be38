"""What every model must do: inherit `BackendSuite` and say which model."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from napari_medfm.errors import ModelError, PromptError
from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec, PromptableModel
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

PLANE = Plane(0, 3)
SHAPES = {
    "grey": (64, 64),
    "rgb": (64, 64, 3),
    "odd": (61, 47),
    "wide": (33, 120, 3),
    "tall": (130, 40),
    "tiny": (8, 8),
    "one pixel wide": (50, 1),
    "one pixel high": (1, 50, 3),
    "one pixel": (1, 1),
}


def disc_image(shape=(64, 64), centre=(30, 36), radius=12):
    """Return a bright disc on a dark, noisy background, and its mask."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    truth = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2
    noise = np.random.default_rng(5).normal(0, 6, shape)
    return np.clip(np.where(truth, 170, 60) + noise, 0, 255).astype(np.uint8), truth


def noise_image(shape):
    """Return uint8 noise."""
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


def click(row, column, positive=True):
    """Return a point on the suite's plane."""
    return Point(PLANE, (float(row), float(column)), positive)


def prompt_of(kind):
    """Return a prompt of each kind on the disc of `disc_image`."""
    return {
        "point": click(30, 36),
        "box": Box(PLANE, (17.0, 23.0), (44.0, 50.0)),
        "scribble": Scribble(PLANE, ((26.0, 30.0), (30.0, 36.0), (34.0, 42.0))),
        "lasso": Lasso(PLANE, ((22.0, 30.0), (22.0, 42.0), (38.0, 42.0), (38.0, 30.0))),
        "mask": MaskPrompt.from_mask(PLANE, disc_image()[1]),
    }[kind]


def assert_same(one, other):
    """Assert that two answers are equal, bit for bit."""
    assert np.array_equal(one.masks, other.masks)
    assert np.array_equal(one.low_res, other.low_res)
    assert np.array_equal(one.qualities, other.qualities)


class BackendSuite:
    """Conformance of a `PromptableModel` on slices.

    A subclass provides the fixture ``model``. A model with random weights sets
    ``segments`` to False: then only the form of its answers is tested.
    """

    segments = True

    @pytest.fixture
    def embedding(self, model):
        """The embedding of a bright disc on a dark background."""
        return model.encode(disc_image()[0])

    def test_follows_the_protocol(self, model):
        assert isinstance(model, PromptableModel)

    def test_its_spec_states_facts_that_make_sense(self, model):
        spec = model.spec
        assert isinstance(spec, ModelSpec)
        assert spec.name
        assert spec.title
        assert spec.ndim == 2
        assert "point" in spec.prompt_kinds
        assert spec.input_size >= 0
        assert spec.preprocessing
        assert len(bytes.fromhex(spec.encoder_digest)) == 32
        assert len(bytes.fromhex(spec.model_digest)) == 32
        assert np.dtype(spec.precision).itemsize > 0

    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
    def test_encodes_and_answers_images_of_every_shape(self, model, shape):
        embedding = model.encode(noise_image(shape))
        assert isinstance(embedding, ImageEmbedding)
        assert embedding.image_shape == shape[:2]
        assert embedding.encoder_digest == model.spec.encoder_digest
        answer = model.decode(embedding, PromptSet((click(shape[0] // 2, shape[1] // 2),)))
        assert isinstance(answer, MaskPrediction)
        count = len(answer.masks)
        assert answer.masks.shape == (count, *shape[:2])
        assert answer.low_res.shape[0] == count
        assert answer.low_res.ndim == 3
        assert answer.qualities.shape == (count,)
        assert (answer.masks.dtype, answer.low_res.dtype, answer.qualities.dtype) == (bool, np.float32, np.float32)
        assert np.isfinite(answer.low_res).all()

    def test_the_embedding_takes_the_memory_and_type_its_spec_says(self, model, embedding):
        if model.spec.embedding_bytes:
            assert embedding.nbytes == model.spec.embedding_bytes
        types = {str(array.dtype) for array in embedding.arrays.values()}
        assert model.spec.precision in types
        assert types <= {model.spec.precision, "uint8"}  # a picture may be kept beside the features

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((8, 8), np.float32),
            np.zeros((8, 8, 4), np.uint8),
            np.zeros(8, np.uint8),
            np.zeros((0, 8), np.uint8),
        ],
        ids=["float", "four channels", "1-d", "empty"],
    )
    def test_refuses_what_is_not_a_windowed_image(self, model, image):
        with pytest.raises(ModelError, match="window"):
            model.encode(image)

    def test_encodes_and_answers_the_same_again(self, model, embedding):
        prompts = PromptSet((click(30, 36), click(5, 5, positive=False)))
        again = model.encode(disc_image()[0])
        assert_same(model.decode(embedding, prompts), model.decode(again, prompts))
        assert_same(model.decode(embedding, prompts), model.decode(embedding, prompts))

    def test_the_embedding_stays_when_the_image_is_changed(self, model):
        image, _ = disc_image()
        embedding = model.encode(image)
        before = save(dict(embedding.arrays))
        image[:] = 0
        assert save(dict(embedding.arrays)) == before

    def test_answering_changes_neither_embedding_nor_prompts_nor_the_previous_answer(self, model, embedding):
        prompts = PromptSet((prompt_of("box"), click(30, 36)))
        before = save(dict(embedding.arrays))
        previous = model.decode(embedding, PromptSet((click(30, 36),)))
        kept = MaskPrediction(previous.masks.copy(), previous.low_res.copy(), previous.qualities.copy())
        model.decode(embedding, prompts, previous)
        assert save(dict(embedding.arrays)) == before
        assert prompts == PromptSet((prompt_of("box"), click(30, 36)))
        assert_same(previous, kept)

    def test_an_embedding_that_was_stored_answers_the_same(self, model, embedding):
        arrays = load(save(dict(embedding.arrays)))
        for array in arrays.values():
            array.setflags(write=False)
        stored = replace(embedding, arrays=arrays)
        prompts = PromptSet((click(30, 36),))
        assert_same(model.decode(stored, prompts), model.decode(embedding, prompts))

    def test_the_thread_that_calls_does_not_matter(self, model, embedding):
        prompts = PromptSet((click(30, 36),))
        with ThreadPoolExecutor(max_workers=1) as other:
            there = other.submit(lambda: model.decode(model.encode(disc_image()[0]), prompts)).result()
        assert_same(there, model.decode(embedding, prompts))

    def test_refuses_the_embedding_of_another_encoder(self, model, embedding):
        with pytest.raises(ModelError, match="another encoder"):
            model.decode(replace(embedding, encoder_digest="0" * 64), PromptSet((click(30, 36),)))

    def test_refuses_an_empty_prompt_set(self, model, embedding):
        with pytest.raises(PromptError):
            model.decode(embedding, PromptSet())

    @pytest.mark.parametrize(
        "prompt",
        [
            click(-1, 5),
            click(5, 64),
            click(float("nan"), 5),
            Box(PLANE, (70.0, 70.0), (80.0, 80.0)),
            Box(PLANE, (20.0, 20.0), (20.0, 30.0)),
            Scribble(PLANE, ((-9.0, -9.0), (-5.0, -9.0))),
            MaskPrompt(PLANE, (60, 60), (10, 10), (0, 100)),
        ],
        ids=["before", "beyond", "not a number", "box outside", "box empty", "scribble outside", "mask too large"],
    )
    def test_refuses_prompts_outside_the_image(self, model, embedding, prompt):
        with pytest.raises(PromptError):
            model.decode(embedding, PromptSet((click(30, 36), prompt)))

    def test_refuses_prompts_on_several_planes(self, model, embedding):
        with pytest.raises(PromptError, match="plane"):
            model.decode(embedding, PromptSet((click(30, 36), Point(Plane(0, 4), (30.0, 36.0)))))

    def test_nothing_positive_means_nothing(self, model, embedding):
        answer = model.decode(embedding, PromptSet((click(30, 36, positive=False),)))
        assert not answer.mask.any()
        assert answer.quality == 0

    @pytest.mark.parametrize("kind", ["point", "box", "scribble", "lasso", "mask"])
    def test_takes_the_kinds_of_prompt_it_declares(self, model, embedding, kind):
        if kind not in model.spec.prompt_kinds:
            pytest.skip(f"takes no {kind}")
        _, truth = disc_image()
        answer = model.decode(embedding, PromptSet((prompt_of(kind),)))
        assert answer.mask.shape == truth.shape
        if self.segments:
            assert dice(answer.mask, truth) > 0.9

    def test_takes_a_previous_answer_and_one_of_another_model(self, model, embedding):
        prompts = PromptSet((click(30, 36),))
        previous = model.decode(embedding, prompts)
        foreign = MaskPrediction(previous.masks, np.zeros((len(previous.masks), 7, 5), np.float32), previous.qualities)
        corrected = prompts.add(click(50, 10, positive=False))
        for last in (previous, foreign):
            answer = model.decode(embedding, corrected, last)
            assert answer.masks.shape[1:] == (64, 64)

    def test_candidates_come_best_first(self, model, embedding):
        answer = model.decode(embedding, PromptSet((click(30, 36),)))
        assert answer.best == 0
        assert np.all(np.diff(answer.qualities) <= 0)
        assert np.all((answer.qualities >= 0) & (answer.qualities <= 1))
        assert np.array_equal(answer.mask, answer.masks[0])

    def test_more_than_a_click_leaves_one_candidate(self, model, embedding):
        answer = model.decode(embedding, PromptSet((click(30, 36), click(5, 5, positive=False))))
        assert len(answer.masks) == 1

    @pytest.mark.parametrize("rgb", [False, True], ids=["grey", "rgb"])
    def test_a_click_finds_a_clear_cut_object_and_lies_in_it(self, model, rgb):
        if not self.segments:
            pytest.skip("random weights segment nothing")
        image, truth = disc_image((90, 70), (50, 30), 14)
        embedding = model.encode(np.stack([image, image // 2, 255 - image], axis=-1) if rgb else image)
        answer = model.decode(embedding, PromptSet((click(47, 33),)))
        assert answer.mask[47, 33]
        assert dice(answer.mask, truth) > 0.9

    def test_corrections_are_heeded(self, model):
        """Two discs that touch: the second click takes the other one in, or keeps it out."""
        if not self.segments:
            pytest.skip("random weights segment nothing")
        image, left = disc_image((80, 120), (40, 40), 18)
        _, right = disc_image((80, 120), (40, 74), 18)
        image[right] = image[left][: right.sum()]
        embedding = model.encode(image)
        both = model.decode(embedding, PromptSet((click(40, 40), click(40, 74))))
        one = model.decode(embedding, PromptSet((click(40, 40), click(40, 74, positive=False))))
        assert dice(both.mask, left | right) > 0.9
        assert dice(one.mask, left) > 0.85
        assert not one.mask[40, 74]
