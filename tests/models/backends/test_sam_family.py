"""Models with the layout of Segment Anything, each asked by its own recipe: written out here, and the whole suite."""

import numpy as np
import pytest
import torch
from references import Question, SamReference
from suites.backend import PLANE, BackendSuite, click, noise_image

from napari_medfm.models import available_models, load_model, sam_layouts
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.models.recipes import RECIPES
from napari_medfm.models.tiny_vit import TinyVitShape
from napari_medfm.models.zoo import SAM_FAMILY
from napari_medfm.prompts import Box, PromptSet, Scribble, rasterize

SIDE = 128
SMALL = build_small_sam(seed=1, image_size=SIDE)
OTHERS = sorted(SAM_FAMILY.keys() - {"sam"})


def family(name, precision="float32"):
    return SamModel(SMALL, SAM_FAMILY[name], device="cpu", precision=precision, reduced=False)


@pytest.mark.parametrize("name", OTHERS)
class TestConformance(BackendSuite):
    """The whole suite, but for what random weights cannot do."""

    segments = False

    @pytest.fixture
    def model(self, name):
        return family(name, "float16")


TINY = {
    "widths": (16, 24, 32, 48),
    "depths": (1, 1, 1, 1),
    "heads": (1, 2, 2, 3),
    "windows": (3, 3, 5, 4),
}


@pytest.mark.parametrize(("name", "halves_first", "side"), [("mobile-sam", True, 128), ("lite-medsam", False, 32)])
class TestConformanceOfTinyVit(BackendSuite):
    """The same with their own encoder."""

    segments = False

    @pytest.fixture
    def model(self, name, halves_first, side):
        torch.manual_seed(0)
        sam = sam_layouts.assemble(TinyVitShape(halves_first, **TINY), side)
        return SamModel(sam, SAM_FAMILY[name], device="cpu")


def asked_as_by_its_authors(recipe, image, question):
    """Return the encoder's input and the answer of the authors' recipe."""
    reference = SamReference(SMALL, recipe)
    tensor = reference.recipe.tensor(image, SIDE)
    return tensor, reference.answer(reference.features(tensor), image.shape, question)


def assert_answers(name, image, prompts, question):
    tensor, expected = asked_as_by_its_authors(SAM_FAMILY[name].facts.recipe, image, question)
    model = family(name)
    assert torch.allclose(RECIPES[name].frame(image.shape, SIDE).image(image), tensor, atol=1e-5)
    answer = model.decode(model.encode(image), prompts)
    assert answer.masks.shape == expected.masks.shape
    assert np.allclose(answer.low_res, expected.logits, atol=1e-5)
    assert (answer.masks != expected.masks).mean() < 1e-3
    assert answer.masks.any()


def test_a_box_is_answered_as_by_the_script_of_medsam():
    box = Box(PLANE, (20.0, 30.0), (70.0, 100.0))
    assert_answers("medsam", noise_image((90, 120)), PromptSet((box,)), Question(box=(30, 20, 100, 70)))


def test_clicks_are_answered_as_by_the_predictor_of_scribbleprompt():
    clicks = PromptSet((click(30, 40), click(80, 100, False)))
    question = Question(points=((40, 30), (100, 80)), labels=(1, 0))
    assert_answers("scribbleprompt-sam", noise_image((90, 120)), clicks, question)


def test_a_stroke_is_as_many_clicks_as_it_has_pixels_for_scribbleprompt():
    image = noise_image((90, 120))
    stroke = Scribble(PLANE, ((20.0, 20.0), (40.0, 60.0)))
    pixels = [click(row, column) for row, column in np.argwhere(rasterize(stroke, (90, 120)))]
    model = family("scribbleprompt-sam")
    embedding = model.encode(image)
    drawn, clicked = (model.decode(embedding, PromptSet(prompts)) for prompts in ((stroke,), tuple(pixels)))
    assert len(pixels) > 30
    assert np.array_equal(drawn.low_res, clicked.low_res)


@pytest.mark.parametrize("layout", [None, TinyVitShape(**TINY)], ids=["vit", "tiny vit"])
def test_the_encoder_can_be_interrupted_between_its_blocks(layout):
    torch.manual_seed(0)
    model = SamModel(SMALL if layout is None else sam_layouts.assemble(layout, SIDE), device="cpu")
    image = noise_image((90, 120))
    found, between = [], 0

    def steps():
        found.append((yield from model.encode_steps(image)))

    for _ in steps():
        between += 1
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        model.decode(model.encode(image), PromptSet((click(10, 10),)))  # whatever else runs there
    assert between >= 3
    assert np.array_equal(found[0].arrays["features"], model.encode(image).arrays["features"])


def test_every_member_has_a_recipe_and_sees_the_same_image_its_own_way():
    image = noise_image((90, 120))
    digests = {}
    for name, entry in SAM_FAMILY.items():
        assert entry.facts.recipe in RECIPES
        model = family(name)
        assert (model.spec.name, model.spec.title) == (name, entry.facts.title)
        digests.setdefault(entry.facts.recipe, set()).add(model.spec.encoder_digest)
        assert np.isfinite(model.encode(image).arrays["features"]).all()
    # The same weights behind another preprocessing are another encoder: a cache never mixes them.
    assert all(len(found) == 1 for found in digests.values())
    assert len(set.union(*digests.values())) == len(digests) == 4


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_loaded_from_a_file_under_its_own_name(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sam_layouts, "VITS", (*sam_layouts.VITS, sam_layouts.Vit(64, 2, 2, (1,), window=8)))
    torch.save({"model": SMALL.state_dict()}, tmp_path / "weights.pt")
    model = load_model(name, weights=tmp_path / "weights.pt", device="cpu")
    assert model.spec == family(name, "float16").spec
    assert name in {entry.name for entry in available_models()}
