"""The built-in model: the suite on random and on the shipped weights, small objects and large images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import distance_transform_edt, gaussian_filter
from suites.backend import PLANE, BackendSuite, click, disc_image, noise_image

from napari_medfm.errors import WeightsError
from napari_medfm.evaluation import expert_masks
from napari_medfm.files import sha256_file
from napari_medfm.inference import pixel_aspect
from napari_medfm.models import MaskPrediction
from napari_medfm.models.backends import compact as backend
from napari_medfm.models.backends.compact import SHA256, WEIGHTS, CompactModel, load
from napari_medfm.models.compact_network import CompactNetwork
from napari_medfm.prompts import Box, MaskPrompt, PromptSet
from napari_medfm.session import read_classes
from napari_medfm.simulation import dice, run_robot
from napari_medfm.volume import Plane, automatic_window, open_labels, open_volume


def random_network():
    """Return the network with seeded weights of which a click at least reaches the logits."""
    torch.manual_seed(3)
    return CompactNetwork()


SAMPLES = Path(__file__).parents[3] / "sample_volumes"
NETWORK = random_network()
MODEL = CompactModel(NETWORK, device="cpu")
SHIPPED = load(device="cpu")


class Watched(CompactModel):
    """Remembers what was encoded."""

    def __init__(self):
        super().__init__(NETWORK, device="cpu")
        self.encoded = []

    def _encode(self, picture):
        self.encoded.append(picture)
        return super()._encode(picture)


class TestRandomCompact(BackendSuite):
    """With random weights."""

    segments = False

    @pytest.fixture
    def model(self):
        """The model under test."""
        return MODEL


class TestShippedCompact(BackendSuite):
    """With the weights of the package."""

    @pytest.fixture
    def model(self):
        """The model under test."""
        return SHIPPED


@pytest.fixture
def watched():
    """A model that remembers what it encoded."""
    return Watched()


def known(mask):
    """Return a drawn mask as a prompt."""
    return MaskPrompt.from_mask(PLANE, mask)


def small_object(shape, at=(300, 200), size=6):
    """Return a mask of a small square."""
    mask = np.zeros(shape, bool)
    mask[at[0] : at[0] + size, at[1] : at[1] + size] = True
    return mask


def test_a_small_object_is_looked_at_closely_and_only_once(watched):
    image = noise_image((512, 512))
    embedding = watched.encode(image)
    mask = small_object((512, 512))
    for row in (301, 303, 304):
        watched.decode(embedding, PromptSet((known(mask), click(row, 203))))
    assert len(watched.encoded) == 2
    closer = watched.encoded[1]
    assert closer.shape == (192, 192, 3)
    side = 48  # pixels of the image that fill the view
    part = image[303 - side // 2 : 303 + side // 2, 203 - side // 2 : 203 + side // 2]
    assert abs(float(closer.mean()) - float(part.mean())) < 8


def test_a_large_object_needs_no_second_look(watched):
    embedding = watched.encode(noise_image((200, 200)))
    watched.decode(embedding, PromptSet((known(small_object((200, 200), (20, 20), 150)), click(50, 50))))
    assert len(watched.encoded) == 1


def test_a_box_says_where_to_look(watched):
    embedding = watched.encode(noise_image((512, 512)))
    answer = watched.decode(embedding, PromptSet((Box(PLANE, (300, 200), (320, 220)),)))
    assert len(watched.encoded) == 2
    rows, columns = np.nonzero(answer.mask)
    assert not rows.size or (rows.min() > 250 and rows.max() < 370 and columns.min() > 150 and columns.max() < 270)


def test_two_images_do_not_share_their_closer_looks(watched):
    prompts = PromptSet((known(small_object((512, 512))), click(302, 202)))
    for image in (noise_image((512, 512)), 255 - noise_image((512, 512))):
        watched.decode(watched.encode(image), prompts)
    assert len(watched.encoded) == 4


def test_the_last_answer_wins_over_an_earlier_drawing_but_not_over_a_later_one(watched):
    image, _ = disc_image((128, 128), (64, 64), 30)
    embedding = watched.encode(image)
    corner = known(small_object((128, 128), (5, 5), 35))
    mask = small_object((128, 128), (50, 50), 30)[None]
    previous = MaskPrediction(mask, np.zeros((1, 2, 2), np.float32), np.ones(1, np.float32))
    after_click = watched.decode(embedding, PromptSet((corner, click(100, 100))), previous)
    without = watched.decode(embedding, PromptSet((click(100, 100),)), previous)
    assert np.array_equal(after_click.mask, without.mask)
    drawn_later = watched.decode(embedding, PromptSet((click(100, 100), corner)), previous)
    assert drawn_later.mask[6:39, 6:39].all()
    assert not after_click.mask[6:39, 6:39].all()


def test_what_was_clicked_is_as_the_click_says(watched):
    embedding = watched.encode(noise_image((90, 70)))
    answer = watched.decode(embedding, PromptSet((click(30, 36), click(60, 20, positive=False))))
    assert answer.mask[30, 36]
    assert not answer.mask[60, 20]


def test_a_photograph_keeps_a_picture_of_at_most_2048_pixels_and_is_answered_at_its_own_size(watched):
    rows, columns = np.mgrid[:1500, :3000]
    image = np.stack([rows // 8, columns // 12, (rows + columns) // 20], axis=-1).astype(np.uint8)
    embedding = watched.encode(image)
    assert embedding.nbytes < 2e6
    answer = watched.decode(embedding, PromptSet((click(1400, 2900),)))
    assert answer.mask.shape == (1500, 3000)
    assert answer.mask[1400, 2900]


def test_the_embedding_of_a_slice_takes_less_than_a_megabyte(watched):
    image, _ = disc_image((512, 512), (200, 200), 90)
    assert watched.encode(image).nbytes < 1e6


def test_other_weights_of_the_same_network_can_be_loaded(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in NETWORK.state_dict().items()}, path)
    model = load(path, device="cpu")
    image, _ = disc_image()
    prompts = PromptSet((click(30, 36), click(8, 8)))  # of a lone click, candidates that are alike may change places
    there = model.decode(model.encode(image), prompts)
    here = MODEL.decode(MODEL.encode(image), prompts)
    assert there.low_res == pytest.approx(here.low_res, abs=0.2)
    assert model.spec.encoder_digest != MODEL.spec.encoder_digest
    assert (model.spec.weights_sha256, SHIPPED.spec.weights_sha256) == ("", SHA256)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        load(path, device="cpu")


def test_the_shipped_weights_are_the_ones_that_were_measured_and_small_enough():
    assert sha256_file(WEIGHTS) == SHA256
    assert WEIGHTS.stat().st_size < 12e6


def test_a_spoilt_file_of_the_package_is_refused(tmp_path, monkeypatch):
    spoilt = tmp_path / "compact.safetensors"
    spoilt.write_bytes(WEIGHTS.read_bytes()[:-1] + b"!")
    monkeypatch.setattr(backend, "WEIGHTS", spoilt)
    with pytest.raises(WeightsError, match="SHA-256"):
        load(device="cpu")


def test_a_lesion_of_six_pixels_in_a_large_slice_can_be_clicked():
    image = np.random.default_rng(1).normal(90, 6, (512, 512))
    truth = small_object((512, 512))
    image[truth] += 70
    image = gaussian_filter(image, 0.7).clip(0, 255).astype(np.uint8)
    answer = SHIPPED.decode(SHIPPED.encode(image), PromptSet((click(302, 202),)))
    assert dice(answer.mask, truth) > 0.7


@pytest.mark.parametrize("axis", [1, 2])
def test_thick_slices_are_seen_in_proportion_from_the_other_planes(axis):
    volume = open_volume(SAMPLES / "abdomen_ct.nii.gz")
    expert = open_labels(SAMPLES / "abdomen_ct_labels.nii.gz", volume) == 2  # the spleen
    index = int(expert.sum(axis=tuple({0, 1, 2} - {axis})).argmax())
    plane = Plane(axis, index)
    image, truth = automatic_window(volume).to_uint8(volume.plane(plane)), plane.take(expert)
    aspect = pixel_aspect(volume, plane)
    assert aspect > 2
    embedding = SHIPPED.encode(image, aspect)
    high, wide = SHIPPED.picture(embedding).shape[:2]
    assert high / wide == pytest.approx(aspect * image.shape[0] / image.shape[1], rel=0.02)
    deepest = np.unravel_index(distance_transform_edt(truth, (aspect, 1)).argmax(), truth.shape)
    answer = SHIPPED.decode(embedding, PromptSet((click(*map(float, deepest)),)))
    assert answer.mask.shape == truth.shape
    assert dice(answer.mask, truth) > 0.8


@pytest.mark.parametrize(("name", "floor"), [("spleen", 0.85), ("left kidney", 0.85)])
def test_a_few_clicks_are_enough_for_an_organ_of_the_ct_phantom(name, floor):
    volume = open_volume(SAMPLES / "abdomen_ct.nii.gz")
    expert = open_labels(SAMPLES / "abdomen_ct_labels.nii.gz", volume)
    masks = expert_masks(expert, read_classes(SAMPLES / "abdomen_ct_classes.csv"))
    index = int(masks[name].sum(axis=(1, 2)).argmax())
    embedding = SHIPPED.encode(automatic_window(volume).to_uint8(volume.plane(Plane(0, index))))
    last = []

    def answer(prompts, _):
        last.append(SHIPPED.decode(embedding, prompts, last[-1] if last else None))
        return last[-1].mask

    assert run_robot(answer, masks[name][index], max_clicks=3).after_clicks(3)[-1] > floor
