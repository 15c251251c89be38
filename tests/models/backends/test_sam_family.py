"""Models with the layout of Segment Anything, each asked by its own recipe: written out here, and the whole suite."""

import numpy as np
import pytest
import torch
from skimage.transform import resize
from suites.backend import PLANE, BackendSuite, click, noise_image
from torch.nn import functional

from napari_medfm.models import available_models, load_model, sam_layouts
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.models.catalogue import SAM_FAMILY
from napari_medfm.models.recipes import RECIPES
from napari_medfm.models.tiny_vit import TinyVitShape
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


def decoded(features, points=None, boxes=None, *, multimask):
    """Return the decoder's logits and qualities."""
    sparse, dense = SMALL.prompt_encoder(points=points, boxes=boxes, masks=None)
    positions = SMALL.prompt_encoder.get_dense_pe()
    return SMALL.mask_decoder(
        image_embeddings=features,
        image_pe=positions,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


@torch.inference_mode()
def test_a_box_is_answered_as_by_the_script_of_medsam():
    image = noise_image((90, 120))
    box = Box(PLANE, (20.0, 30.0), (70.0, 100.0))
    square = resize(np.stack([image] * 3, -1), (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True)
    square = square.astype(np.uint8)
    unit = (square - square.min()) / np.clip(square.max() - square.min(), 1e-8, None)
    features = SMALL.image_encoder(torch.tensor(unit).float().permute(2, 0, 1)[None])
    corners = np.array([30, 20, 100, 70]) / np.array([120, 90, 120, 90]) * SIDE
    low_res, _ = decoded(features, boxes=torch.tensor(corners)[None].float(), multimask=False)
    enlarged = functional.interpolate(torch.sigmoid(low_res), (90, 120), mode="bilinear", align_corners=False)
    model = family("medsam")
    answer = model.decode(model.encode(image), PromptSet((box,)))
    assert len(answer.masks) == 1
    assert np.allclose(answer.low_res, low_res[0].numpy(), atol=1e-5)
    differing = answer.masks[0] != (enlarged[0, 0] > 0.5).numpy()
    assert differing.mean() < 1e-3
    assert answer.masks.any()


@torch.inference_mode()
def test_clicks_are_answered_as_by_the_predictor_of_scribbleprompt():
    image = noise_image((90, 120))
    unit = torch.tensor(image / 255.0, dtype=torch.float32)[None, None]
    stretched = functional.interpolate(unit, size=(SIDE, SIDE), mode="bilinear").repeat(1, 3, 1, 1)
    features = SMALL.image_encoder(SMALL.preprocess(255 * stretched))
    places = torch.tensor([[[40.0, 30.0], [100.0, 80.0]]]) * torch.tensor([SIDE / 120, SIDE / 90])
    low_res, qualities = decoded(features, (places, torch.tensor([[1, 0]])), multimask=True)
    best = int(qualities.argmax())
    expected = SMALL.postprocess_masks(low_res, (SIDE, SIDE), (90, 120))[0, best] > 0
    model = family("scribbleprompt-sam")
    answer = model.decode(model.encode(image), PromptSet((click(30, 40), click(80, 100, False))))
    assert len(answer.masks) == 1
    assert np.allclose(answer.logits, low_res[0, best].numpy(), atol=1e-5)
    assert (answer.mask != expected.numpy()).mean() < 1e-3


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
