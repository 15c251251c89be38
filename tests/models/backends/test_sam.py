"""Segment Anything: the suite on a small one with random weights, and equality with the package's predictor."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything import SamPredictor, sam_model_registry
from suites.backend import PLANE, SHAPES, BackendSuite, assert_same, click, disc_image, noise_image
from torch import nn

from napari_medfm.errors import ModelError, WeightsError
from napari_medfm.models import MaskPrediction, available_models, load_model, sam_attention, sam_layouts
from napari_medfm.models.backends.sam import SamModel, build_small_sam, load
from napari_medfm.models.weights import state_digest
from napari_medfm.prompts import Box, Lasso, MaskPrompt, PromptSet, Scribble, as_points

SMALL = build_small_sam(seed=1, image_size=128)
ORIGINAL = copy.deepcopy(SMALL)  # whose attention is the package's own
MODEL = SamModel(SMALL, device="cpu")
EXACT = SamModel(SMALL, device="cpu", precision="float32", reduced=False)
IMAGES = {
    "square": (64, 64),
    "tall": (90, 50),
    "wide": (40, 100, 3),
    "tiny": (9, 7),
    "larger": (200, 260),
    "odd": (129, 127, 3),
}
TOLERANCE = 1e-4  # the encoder sums in another order
# Each as shares of the image: points (row, column, positive), box (top, left, bottom, right).
PROMPTS = {
    "a point": ([(0.4, 0.6, True)], None),
    "points": ([(0.4, 0.6, True), (0.5, 0.2, True), (0.71, 0.33, True)], None),
    "negative points": ([(0.4, 0.6, True), (0.1, 0.1, False), (0.8, 0.9, False)], None),
    "a box": ([], (0.2, 0.3, 0.7, 0.9)),
    "a box and points": ([(0.4, 0.6, True), (0.25, 0.35, False)], (0.2, 0.3, 0.7, 0.9)),
    "a box over all": ([], (0.0, 0.0, 1.0, 1.0)),
}


def prompts_of(case, shape):
    """Return a case of `PROMPTS` for an image as ours and as ``SamPredictor.predict``'s arguments."""
    points, box = PROMPTS[case]
    rows, columns = shape
    clicks = [click(row * (rows - 1), column * (columns - 1), positive) for row, column, positive in points]
    arguments = {}
    if clicks:
        arguments["point_coords"] = np.array([point.position[::-1] for point in clicks])
        arguments["point_labels"] = np.array([int(point.positive) for point in clicks])
    if box is None:
        return PromptSet(tuple(clicks)), arguments
    top, left, bottom, right = np.array(box) * (rows, columns, rows, columns)
    arguments["box"] = np.array([left, top, right, bottom])
    return PromptSet((Box(PLANE, (top, left), (bottom, right)), *clicks)), arguments


def upstream(sam, image):
    """Return the package's own predictor, with the image set."""
    predictor = SamPredictor(sam)
    predictor.set_image(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
    return predictor


def assert_equals_upstream(answer, expected):
    """Assert that an answer is ``SamPredictor.predict``'s, best first."""
    masks, qualities, low_res = expected
    order = np.argsort(-qualities, kind="stable")
    assert np.allclose(answer.low_res, low_res[order], atol=TOLERANCE)
    assert np.allclose(answer.qualities, qualities[order].clip(0, 1), atol=TOLERANCE)
    assert (answer.masks != masks[order]).mean() < 1e-3  # where a logit is nearly 0


class TestConformance(BackendSuite):
    """The whole suite, but for what random weights cannot do."""

    segments = False

    @pytest.fixture
    def model(self):
        return MODEL


class TestEqualsThePackagesPredictor:
    @pytest.mark.parametrize("case", PROMPTS)
    @pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES)
    def test_masks_logits_and_qualities(self, shape, case):
        image = noise_image(shape)
        prompts, arguments = prompts_of(case, shape[:2])
        answer = EXACT.decode(EXACT.encode(image), prompts)
        expected = upstream(ORIGINAL, image).predict(**arguments, multimask_output=case == "a point")
        assert len(answer.masks) == (3 if case == "a point" else 1)
        assert_equals_upstream(answer, expected)

    def test_the_answers_say_something(self):
        """So that equality above is not that of empty masks."""
        image = noise_image((90, 50))
        embedding = EXACT.encode(image)
        answers = [EXACT.decode(embedding, prompts_of(case, (90, 50))[0]) for case in PROMPTS]
        assert len({answer.low_res[0].tobytes() for answer in answers}) == len(PROMPTS)
        assert any(0 < answer.masks.mean() < 1 for answer in answers)

    @pytest.mark.parametrize("case", PROMPTS)
    def test_also_when_refining_the_previous_answer(self, case):
        image, _ = disc_image((70, 100))
        prompts, arguments = prompts_of(case, image.shape)
        embedding, predictor = EXACT.encode(image), upstream(ORIGINAL, image)
        previous = EXACT.decode(embedding, PromptSet((click(30, 36),)))
        answer = EXACT.decode(embedding, prompts, previous)
        expected = predictor.predict(**arguments, mask_input=previous.low_res[:1], multimask_output=False)
        assert_equals_upstream(answer, expected)
        assert not np.array_equal(answer.low_res, EXACT.decode(embedding, prompts).low_res[:1])

    @pytest.mark.parametrize(
        "drawn",
        [
            Scribble(PLANE, ((26.0, 30.0), (30.0, 36.0), (34.0, 42.0))),
            Lasso(PLANE, ((22.0, 30.0), (22.0, 42.0), (38.0, 42.0), (38.0, 30.0))),
        ],
        ids=["scribble", "lasso"],
    )
    def test_scribbles_and_lassos_go_in_as_points(self, drawn):
        image, _ = disc_image()
        points = as_points(PromptSet((drawn,)), image.shape).points
        arguments = {
            "point_coords": np.array([point.position[::-1] for point in points]),
            "point_labels": np.array([int(point.positive) for point in points]),
        }
        answer = EXACT.decode(EXACT.encode(image), PromptSet((drawn,)))
        expected = upstream(ORIGINAL, image).predict(**arguments, multimask_output=len(points) == 1)
        assert_equals_upstream(answer, expected)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_full_vit_b_from_a_file_of_weights(self, tmp_path):
        torch.manual_seed(0)
        original = sam_model_registry["vit_b"]()
        for name, parameter in original.named_parameters():
            if "pos" in name:  # zero when new
                nn.init.normal_(parameter, std=0.5)
        torch.save(original.state_dict(), tmp_path / "sam_vit_b.pth")
        model = load(weights=tmp_path / "sam_vit_b.pth", device="cpu", precision="float32")
        image = noise_image((180, 240))
        reduced, predictor = model.encode(image).arrays["features"], upstream(original.eval(), image)
        wanted = predictor.get_image_embedding()[0].numpy()
        assert cosines(reduced, wanted).min() > 0.999
        model = SamModel(model._sam, device="cpu", precision="float32", reduced=False)
        embedding = model.encode(image)
        assert np.allclose(embedding.arrays["features"], wanted, atol=TOLERANCE)
        for case in PROMPTS:
            prompts, arguments = prompts_of(case, image.shape)
            answer = model.decode(embedding, prompts)
            expected = predictor.predict(**arguments, multimask_output=case == "a point")
            assert_equals_upstream(answer, expected)
        previous = model.decode(embedding, prompts_of("a point", image.shape)[0])
        prompts, arguments = prompts_of("negative points", image.shape)
        refined = predictor.predict(**arguments, mask_input=previous.low_res[:1], multimask_output=False)
        assert_equals_upstream(model.decode(embedding, prompts, previous), refined)


def cosines(features, others):
    """Return the cosine of the two vectors at every position."""
    products = [(a * b).sum(axis=0) for a, b in ((features, others), (features, features), (others, others))]
    return products[0] / np.sqrt(products[1] * products[2])


class TestPrecision:
    @pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES)
    def test_the_encoder_equals_the_packages_own_exactly_or_reduced(self, shape):
        image = noise_image(shape)
        wanted = upstream(ORIGINAL, image).get_image_embedding()[0].numpy()
        exact = EXACT.encode(image).arrays["features"]
        assert np.allclose(exact, wanted, atol=TOLERANCE)
        reduced = SamModel(SMALL, device="cpu", precision="float32", reduced=True).encode(image).arrays["features"]
        assert cosines(reduced, wanted).min() > 0.999
        assert not np.allclose(reduced, wanted, atol=TOLERANCE)

    @pytest.mark.parametrize("numbers", [1, 5_000, 40_000])
    def test_bands_of_any_height_give_the_same(self, numbers, monkeypatch):
        image = noise_image((60, 90))
        whole = EXACT.encode(image).arrays["features"]
        monkeypatch.setattr(sam_attention, "_LARGEST_BIAS", numbers)
        assert np.allclose(EXACT.encode(image).arrays["features"], whole, atol=TOLERANCE)

    def test_embeddings_stored_as_float16_answer_nearly_the_same(self):
        image, _ = disc_image((90, 70))
        half, full = MODEL.encode(image), EXACT.encode(image)
        assert half.arrays["features"].dtype == np.float16
        assert half.nbytes * 2 == full.nbytes
        for case in PROMPTS:
            prompts, _ = prompts_of(case, image.shape)
            stored, exact = MODEL.decode(half, prompts), EXACT.decode(full, prompts)
            spread = exact.low_res.max() - exact.low_res.min()
            assert np.abs(stored.low_res - exact.low_res).max() < 0.01 * spread
            assert np.allclose(stored.qualities, exact.qualities, atol=0.01)
            assert (stored.masks != exact.masks).mean() < 0.01

    def test_the_encoder_is_the_same_in_either_precision(self):
        assert MODEL.spec.encoder_digest == EXACT.spec.encoder_digest

    def test_refuses_a_precision_it_cannot_store(self):
        with pytest.raises(ModelError, match=r"'bfloat16'.*float16 or float32"):
            SamModel(SMALL, device="cpu", precision="bfloat16")

    def test_falls_back_to_the_cpu_when_a_device_is_not_there_and_says_so(self, caplog):
        assert SamModel(SMALL, device="cuda:99").device == "cpu"
        assert "device cuda:99 is not available: running on the CPU" in caplog.text


class TestMaskPrompts:
    def test_a_mask_alone_brings_its_bounding_box(self):
        image, truth = disc_image()
        mask = MaskPrompt.from_mask(PLANE, truth)
        inside = np.argwhere(truth)
        box = Box(PLANE, tuple(map(float, inside.min(axis=0))), tuple(map(float, inside.max(axis=0) + 1)))
        embedding = EXACT.encode(image)
        alone, both = EXACT.decode(embedding, PromptSet((mask,))), EXACT.decode(embedding, PromptSet((mask, box)))
        assert_same(alone, both)
        assert not np.array_equal(alone.low_res, EXACT.decode(embedding, PromptSet((box,))).low_res)

    def test_the_previous_answer_of_another_model_goes_in_as_its_mask(self):
        image, truth = disc_image()
        embedding = EXACT.encode(image)
        foreign = MaskPrediction(truth[None], np.zeros((1, 7, 5), np.float32), np.ones(1, np.float32))
        mask = MaskPrompt.from_mask(PLANE, truth)
        corrected = PromptSet((click(30, 36), click(50, 10, positive=False)))
        assert_same(EXACT.decode(embedding, corrected, foreign), EXACT.decode(embedding, corrected.add(mask)))


class TestSmallBuild:
    def test_the_same_seed_makes_the_same_weights_and_another_seed_others(self):
        same, other = build_small_sam(1, 128).state_dict(), build_small_sam(2, 128).state_dict()
        assert state_digest(same) == state_digest(SMALL.state_dict())
        assert state_digest(other) != state_digest(same)

    def test_leaves_the_global_random_state_as_it_was(self):
        before = torch.random.get_rng_state()
        build_small_sam(5, 64)
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize("side", [64, 128, 256])
    def test_its_spec_follows_its_size(self, side):
        spec = SamModel(build_small_sam(0, side), device="cpu").spec
        assert spec.input_size == side
        assert spec.embedding_bytes == 256 * (side // 16) ** 2 * 2

    def test_every_digest_follows_the_weights_it_stands_for(self):
        other = build_small_sam(1, 128)
        with torch.no_grad():
            other.mask_decoder.iou_token.weight.add_(1)
        decoder = SamModel(other, device="cpu").spec
        assert decoder.encoder_digest == MODEL.spec.encoder_digest
        assert decoder.model_digest != MODEL.spec.model_digest
        encoder = SamModel(build_small_sam(2, 128), device="cpu").spec
        assert encoder.encoder_digest != MODEL.spec.encoder_digest


class TestArchitecture:
    @pytest.mark.parametrize(("name", "vit"), [*zip(("vit_b", "vit_l", "vit_h"), sam_layouts.VITS, strict=True)])
    def test_has_the_weights_of_the_packages_own_build(self, name, vit):
        with torch.device("meta"):  # shapes without values, whatever the size
            expected = sam_model_registry[name]().state_dict()
            found = sam_layouts.assemble(vit, 1024).state_dict()
        assert list(found) == list(expected)
        assert all(found[key].shape == expected[key].shape for key in expected)

    @pytest.mark.parametrize("side", [256, 1024])
    @pytest.mark.parametrize("vit", sam_layouts.VITS, ids=["vit_b", "vit_l", "vit_h"])
    def test_is_recognised_with_its_image_size_from_the_weights(self, vit, side):
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in sam_layouts.assemble(vit, side).state_dict().items()}
        sam = sam_layouts.build({key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}, "model.pth")
        assert len(sam.image_encoder.blocks) == vit.depth
        assert sam.image_encoder.img_size == side
        assert sam.prompt_encoder.mask_input_size == (side // 4, side // 4)
        assert not any(tensor.is_meta for tensor in (*sam.parameters(), *sam.buffers()))


@pytest.fixture
def small_vit(monkeypatch):
    """Let the loader know an encoder small enough for a test."""
    monkeypatch.setattr(sam_layouts, "VITS", (*sam_layouts.VITS, sam_layouts.Vit(64, 2, 2, (1,), window=8)))


@pytest.mark.usefixtures("small_vit")
class TestLoading:
    @pytest.mark.parametrize("side", [64, 128])
    @pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
    def test_a_model_from_a_file_answers_as_the_one_it_was_saved_from(self, tmp_path, name, side):
        sam = build_small_sam(3, side)
        if name.endswith("pth"):
            torch.save(
                {"model_state": {f"sam.{key}": value for key, value in sam.state_dict().items()}}, tmp_path / name
            )
        else:
            save_file(sam.state_dict(), tmp_path / name)
        loaded, original = load_model("sam", weights=tmp_path / name, device="cpu"), SamModel(sam, device="cpu")
        assert loaded.spec == original.spec
        image, _ = disc_image()
        prompts = PromptSet((click(30, 36),))
        assert_same(loaded.decode(loaded.encode(image), prompts), original.decode(original.encode(image), prompts))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda state: state.pop("mask_decoder.iou_token.weight"), "lacks 1 of the model's weights"),
            (lambda state: state.update(extra=torch.ones(1)), "has unknown 1 of the model's weights"),
            (lambda state: state.update({"mask_decoder.iou_token.weight": torch.ones(2, 256)}), "has shape"),
            (lambda state: state.pop("image_encoder.pos_embed"), "is not of a Segment Anything"),
            (lambda state: state.update({"image_encoder.pos_embed": torch.ones(1, 8, 8, 63)}), "is not of a Segment"),
            (lambda state: state.update({"image_encoder.pos_embed": torch.ones(1, 8, 4, 64)}), "is not of a Segment"),
            (lambda state: state.update({"image_encoder.pos_embed": torch.ones(64)}), "is not of a Segment"),
            (lambda state: state["image_encoder.neck.0.weight"].fill_(float("nan")), "holds NaN"),
        ],
        ids=["missing", "unexpected", "shape", "no encoder", "unknown width", "not square", "not a grid", "nan"],
    )
    def test_weights_that_do_not_fit_are_refused_by_name(self, tmp_path, change, reason):
        state = build_small_sam(0, 128).state_dict()
        change(state)
        torch.save(state, tmp_path / "mine.pth")
        with pytest.raises(WeightsError, match=reason) as caught:
            load(weights=tmp_path / "mine.pth", device="cpu")
        assert caught.value.subject == "mine.pth"
        assert caught.value.next_step
        assert str(tmp_path) not in str(caught.value)

    def test_the_digest_of_the_file_is_checked(self, tmp_path):
        torch.save(build_small_sam(0, 64).state_dict(), tmp_path / "mine.pth")
        with pytest.raises(WeightsError, match="has SHA-256"):
            load(weights=tmp_path / "mine.pth", sha256="0" * 64, device="cpu")


def test_its_spec_says_what_the_registry_says():
    entry = next(entry for entry in available_models() if entry.name == MODEL.spec.name)
    for fact in ("title", "tier", "origin", "licence", "commercial_use"):
        assert getattr(MODEL.spec, fact) == getattr(entry.facts, fact)
    assert MODEL.spec.cacheable
    assert set(MODEL.encode(noise_image(SHAPES["odd"])).arrays) == {"features"}
