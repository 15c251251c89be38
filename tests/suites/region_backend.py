"""What every model of volumes must do: inherit `RegionSuite` and say which model."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save
from suites.backend import assert_same

from napari_medfm.errors import ModelError, PromptError
from napari_medfm.inference import MemoryStore, Predictor, answer_steps
from napari_medfm.inference.regions import lattice_of
from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelSpec, PromptableModel, RegionModel
from napari_medfm.models.steps import finish
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.volume import Plane, Volume, array_geometry

SHAPE = (24, 40, 36)
CENTRE = (12, 20, 18)


def ball_volume(shape=SHAPE, centre=CENTRE, spacing=(2.5, 1.25, 1.25), radius=14.0):
    """Return a bright ball in a noisy volume, in HU."""
    grid = np.indices(shape).reshape(3, -1).T
    inside = np.linalg.norm((grid - centre) * spacing, axis=1).reshape(shape) <= radius
    values = np.where(inside, 120, -80) + np.random.default_rng(3).normal(0, 20, shape)
    return Volume(values.astype(np.int16), array_geometry(shape, spacing), name="ball", modality="CT")


def click(voxel=CENTRE, axis=0, positive=True):
    """Return a click on a voxel (z, y, x), made on the plane across an axis."""
    plane = Plane(axis, voxel[axis])
    return Point(plane, plane.from_voxel(tuple(map(float, voxel))), positive)


class RegionSuite:
    """Conformance of a `RegionModel`.

    A subclass provides the fixture ``model``. Masks are not looked at for their sense: weights may be random.
    """

    @pytest.fixture
    def region(self, model):
        """The region around the middle of the ball."""
        lattice = lattice_of(model.recipe, ball_volume())
        return lattice.around(lattice.positions(CENTRE), model.recipe.size)

    @pytest.fixture
    def image(self, model, region):
        """Its values."""
        return region.read(ball_volume().array, model.recipe.fill)

    @pytest.fixture
    def embedding(self, model, image, region):
        """Its embedding."""
        return replace(model.encode(image), region=region)

    def test_follows_the_protocol(self, model):
        assert isinstance(model, PromptableModel)
        assert isinstance(model, RegionModel)

    def test_its_spec_and_recipe_state_facts_that_make_sense(self, model):
        spec, recipe = model.spec, model.recipe
        assert isinstance(spec, ModelSpec)
        assert spec.name
        assert spec.title
        assert spec.ndim == 3
        assert "point" in spec.prompt_kinds
        assert spec.input_size == recipe.side > 2 * recipe.margin >= 0
        assert recipe.preprocessing == spec.preprocessing
        assert recipe.spacing is None or recipe.spacing > 0
        assert len(bytes.fromhex(spec.encoder_digest)) == len(bytes.fromhex(spec.model_digest)) == 32

    def test_encodes_and_answers_a_region(self, model, embedding, region):
        assert isinstance(embedding, ImageEmbedding)
        assert embedding.shape == region.size
        assert embedding.encoder_digest == model.spec.encoder_digest
        answer = model.decode(embedding, PromptSet((click(),)))
        assert isinstance(answer, MaskPrediction)
        count = len(answer.masks)
        assert answer.masks.shape == (count, *region.size)
        assert answer.low_res.shape[0] == count
        assert answer.low_res.ndim == 4
        assert (answer.masks.dtype, answer.low_res.dtype, answer.qualities.dtype) == (bool, np.float32, np.float32)
        assert np.isfinite(answer.low_res).all()
        assert answer.best == 0
        assert ((answer.qualities >= 0) & (answer.qualities <= 1)).all()

    def test_the_embedding_takes_the_memory_and_type_its_spec_says(self, model, embedding):
        assert embedding.nbytes == model.spec.embedding_bytes
        assert {str(array.dtype) for array in embedding.arrays.values()} == {model.spec.precision}

    @pytest.mark.parametrize("change", ["type", "shape", "not a number", "slice"])
    def test_refuses_what_is_no_region(self, model, image, change):
        spoilt = {
            "type": image.astype(np.float64),
            "shape": image[:-1],
            "not a number": np.where(image == image.max(), np.float32(np.nan), image),
            "slice": np.zeros((8, 8), np.uint8),
        }[change]
        with pytest.raises(ModelError, match="volumes"):
            model.encode(spoilt)

    def test_encodes_and_answers_the_same_again_on_any_thread(self, model, image, embedding, region):
        prompts = PromptSet((click(), click((3, 5, 6), positive=False)))
        with ThreadPoolExecutor(max_workers=1) as other:
            there = other.submit(lambda: model.decode(replace(model.encode(image), region=region), prompts)).result()
        assert_same(there, model.decode(embedding, prompts))
        assert_same(there, model.decode(embedding, prompts))

    def test_interrupted_between_its_steps_it_encodes_the_same(self, model, image, embedding):
        if not hasattr(model, "encode_steps"):
            pytest.skip("encodes at once")
        assert model.recipe.steps > 1
        steps = model.encode_steps(image)
        other = model.encode_steps(image[::-1].copy())
        for _ in range(model.recipe.steps // 2):
            next(steps)
            next(other)
        assert save(dict(finish(steps).arrays)) == save(dict(embedding.arrays))

    def test_answering_changes_nothing_it_was_given(self, model, image, embedding):
        prompts = PromptSet((click(), click((3, 5, 6))))
        before, kept = save(dict(embedding.arrays)), model.decode(embedding, prompts)
        copy = MaskPrediction(kept.masks.copy(), kept.low_res.copy(), kept.qualities.copy())
        image[:] = 0
        model.decode(embedding, prompts.add(click((12, 9, 9), positive=False)), kept)
        assert save(dict(embedding.arrays)) == before
        assert_same(kept, copy)

    def test_an_embedding_that_was_stored_answers_the_same(self, model, embedding):
        arrays = load(save(dict(embedding.arrays)))
        for array in arrays.values():
            array.setflags(write=False)
        prompts = PromptSet((click(),))
        assert_same(model.decode(replace(embedding, arrays=arrays), prompts), model.decode(embedding, prompts))

    def test_refuses_the_embedding_of_another_encoder_and_one_that_does_not_tell_its_region(self, model, embedding):
        for spoilt in (replace(embedding, encoder_digest="0" * 64), replace(embedding, region=None)):
            with pytest.raises(ModelError):
                model.decode(spoilt, PromptSet((click(),)))

    @pytest.mark.parametrize(
        "prompts",
        [
            (),
            (Point(Plane(0, 24), (3.0, 3.0)),),
            (Point(Plane(2, 36), (3.0, 3.0)),),
            (Point(Plane(1, 3), (3.0, 36.0)),),
            (Point(Plane(0, 3), (float("nan"), 3.0)),),
        ],
        ids=["none", "slice beyond", "sagittal slice beyond", "beside the slice", "not a number"],
    )
    def test_refuses_prompts_outside_the_volume(self, model, embedding, prompts):
        with pytest.raises(PromptError):
            model.decode(embedding, PromptSet(prompts))

    def test_a_click_is_the_same_on_every_plane(self, model, embedding):
        answers = [model.decode(embedding, PromptSet((click(axis=axis),))) for axis in (0, 1, 2)]
        assert_same(answers[0], answers[1])
        assert_same(answers[0], answers[2])

    def test_where_a_click_lies_and_what_it_says_matters(self, model, embedding):
        first = model.decode(embedding, PromptSet((click(),)))
        moved = model.decode(embedding, PromptSet((click((10, 14, 16)),)))
        corrected = model.decode(embedding, PromptSet((click(), click((10, 14, 16), positive=False))))
        assert not np.array_equal(first.low_res, moved.low_res)
        assert not np.array_equal(first.low_res, corrected.low_res)

    def test_prompts_beyond_the_region_are_left_out(self, model):
        far = ball_volume((24, 400, 36))
        lattice = lattice_of(model.recipe, far)
        region = lattice.around(lattice.positions(CENTRE), model.recipe.size)
        embedding = replace(model.encode(region.read(far.array, model.recipe.fill)), region=region)
        alone = model.decode(embedding, PromptSet((click(),)))
        assert_same(alone, model.decode(embedding, PromptSet((click(), click((12, 390, 18), positive=False)))))
        assert not model.decode(embedding, PromptSet((click((12, 390, 18)),))).mask.any()

    def test_nothing_positive_means_nothing(self, model, embedding):
        answer = model.decode(embedding, PromptSet((click(positive=False),)))
        assert not answer.mask.any()
        assert answer.quality == 0

    def test_takes_a_previous_answer_and_one_of_another_model(self, model, embedding, region):
        prompts = PromptSet((click(),))
        previous = model.decode(embedding, prompts)
        foreign = MaskPrediction(previous.masks, np.zeros((1, 3, 4, 5), np.float32), previous.qualities[:1])
        for last in (previous, foreign):
            answer = model.decode(embedding, prompts.add(click((12, 9, 9), positive=False)), last)
            assert answer.masks.shape[1:] == region.size

    @pytest.mark.parametrize(
        "prompt",
        [
            Box(Plane(0, 12), (10.0, 8.0), (30.0, 28.0)),
            Scribble(Plane(1, 20), ((10.0, 12.0), (14.0, 24.0))),
            Lasso(Plane(2, 18), ((8.0, 12.0), (16.0, 12.0), (12.0, 28.0))),
            MaskPrompt.from_mask(Plane(0, 12), np.pad(np.ones((12, 12), bool), ((14, 14), (12, 12)))),
        ],
        ids=lambda prompt: prompt.kind,
    )
    def test_a_predictor_asks_it_with_every_kind_of_prompt(self, model, prompt):
        predictor = Predictor(model, MemoryStore(10**9))
        answer = finish(answer_steps(predictor, ball_volume(), "f" * 64, PromptSet((prompt,))))
        assert answer.mask.shape == tuple(part.stop - part.start for part in answer.box)
        assert answer.parts
