"""VISTA3D answers as the authors' own pipeline does, written anew here on MONAI's transforms, network and inferer."""

import numpy as np
import pytest
import torch
from monai.apps.vista3d.inferer import point_based_window_inferer
from monai.apps.vista3d.transforms import VistaPostTransformd
from monai.data import MetaTensor
from monai.networks.nets.vista3d import vista3d132
from monai.transforms import Compose, Invertd, Orientationd, ScaleIntensityRanged, Spacingd
from safetensors.torch import save_file
from suites.region_backend import RegionSuite

from napari_medfm.errors import WeightsError
from napari_medfm.inference import MemoryStore, Predictor, answer_steps
from napari_medfm.models import load_model
from napari_medfm.models.backends.vista3d import Vista3d, build_small_vista3d
from napari_medfm.models.steps import finish
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.volume import Plane, Volume
from napari_medfm.volume.orientation import canonical_geometry, source_grid, to_canonical, to_source

# What the authors' inferer says of its own result.
pytestmark = pytest.mark.filterwarnings("ignore:Setting affine, but the applied meta:UserWarning:monai")

SIDE = 64
AFFINE = np.array([[0, -1.1, 0, 40.0], [-0.9, 0, 0, 70.0], [0, 0, 2.5, -30.0], [0, 0, 0, 1.0]])


def scan(shape=(120, 96, 70)):
    """Return a smooth random image in HU as its file holds it."""
    coarse = np.random.default_rng(1).normal(0, 400, [size // 5 + 1 for size in shape])
    fine = coarse.repeat(5, 0).repeat(5, 1).repeat(5, 2)[tuple(map(slice, shape))]
    return (fine + np.random.default_rng(2).normal(0, 30, shape)).astype(np.float32)


def published(network, array, points, labels, first=0):
    """Return the mask of the published recipe, on the file's voxels, and the logits behind it.

    Each point from `first` on has a window of its own; their logits are averaged.
    """
    preprocess = Compose(
        [
            Spacingd("image", (1.5, 1.5, 1.5), mode="bilinear"),
            ScaleIntensityRanged("image", -963.8247715525971, 1053.678477684517, 0.0, 1.0, clip=True),
            Orientationd("image", "RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        ]
    )
    seen = preprocess({"image": MetaTensor(torch.as_tensor(array)[None], affine=AFFINE)})
    image = seen["image"]
    there = np.linalg.inv(image.affine.numpy()) @ AFFINE
    places = torch.as_tensor(np.asarray(points) @ there[:3, :3].T + there[:3, 3], dtype=torch.float32)[None]
    signs = torch.as_tensor([labels])
    with torch.inference_mode():
        logits = point_based_window_inferer(
            image[None], (SIDE,) * 3, network, places, signs, transpose=True, point_start=first
        )
    kept = torch.nan_to_num(logits.clone(), nan=-1.0)[0].as_tensor()
    seen["pred"] = MetaTensor(kept, affine=image.affine)
    seen |= {"points": places, "point_labels": signs, "label_prompt": None}
    seen = VistaPostTransformd("pred")(seen)
    undone = Invertd("pred", preprocess, orig_keys="image", nearest_interp=True)(seen)
    return undone["pred"][0].numpy() > 0, logits[0, 0].numpy()


def ours(model, array, points, labels):
    """Return the mask on the file's voxels, and the answers on each region, by our own way."""
    source = source_grid(array.shape, AFFINE)
    volume = Volume(to_canonical(array, source), canonical_geometry(source), modality="CT")
    prompts = []
    for point, label, axis in zip(points, labels, (0, 1, 2), strict=False):
        voxel = volume.geometry.to_voxel(AFFINE[:3, :3] @ point + AFFINE[:3, 3])
        plane = Plane(axis, round(float(voxel[axis])))
        prompts.append(Point(plane, plane.from_voxel(tuple(voxel.tolist())), bool(label)))
    predictor = Predictor(model, MemoryStore(10**9))
    answer = finish(answer_steps(predictor, volume, "f" * 64, PromptSet(tuple(prompts))))
    mask = np.zeros(volume.shape, bool)
    mask[answer.box] = answer.mask
    return to_source(mask, source), answer.parts


class TestConformance(RegionSuite):
    """The whole suite on a small network."""

    @pytest.fixture
    def model(self):
        return Vista3d(build_small_vista3d(1), side=32, device="cpu")


@pytest.fixture(scope="module")
def network():
    return build_small_vista3d(8)


@pytest.mark.parametrize(
    ("points", "labels", "first", "seed"),
    [
        ([(60, 48, 35)], [1], 0, 6),
        ([(3, 5, 4)], [1], 0, 8),
        ([(66, 40, 30), (60, 48, 35)], [0, 1], 1, 6),
        ([(30, 30, 20), (95, 70, 60)], [1, 1], 0, 8),
    ],
    ids=["one click", "in a corner", "two clicks", "two so far apart that each has a region"],
)
def test_equals_the_published_recipe_on_monais_own_network(points, labels, first, seed):
    small = build_small_vista3d(seed)
    model = Vista3d(small, side=SIDE, device="cpu", precision="float32", reduced=False)
    expected, logits = published(small, scan(), points, labels, first)
    mask, parts = ours(model, scan(), points, labels)
    assert 0.05 < expected.mean() < 0.9
    assert np.count_nonzero(mask != expected) <= 5  # where the logit is 0 but for rounding
    if len(parts) == 1:
        region, answered = parts[0].region, parts[0].prediction.logits
        seen = logits[tuple(slice(start, start + SIDE) for start in region.origin)]
        assert seen.shape == answered.shape
        assert np.abs(seen - answered).max() < 1e-5 * np.abs(answered).max()


def test_half_precision_changes_next_to_nothing(network):
    exact = Vista3d(network, side=SIDE, device="cpu", precision="float32", reduced=False)
    stored = Vista3d(network, side=SIDE, device="cpu", reduced=False)
    (one, _), (other, _) = (ours(model, scan(), [(3, 5, 4)], [1]) for model in (exact, stored))
    assert one.any()
    assert np.mean(one != other) < 1e-3


def test_its_own_cache_in_monai_is_never_used(network):
    model = Vista3d(network, side=SIDE, device="cpu")
    ours(model, scan(), [(60, 48, 35)], [1])
    assert network.image_embeddings is None


def test_weights_come_from_a_file_and_only_those_of_this_architecture(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_file(network.state_dict(), path)
    model = load_model("vista3d", weights=path, device="cpu")
    assert model.spec.encoder_digest == Vista3d(build_small_vista3d(8), device="cpu").spec.encoder_digest
    assert model.spec.encoder_digest != Vista3d(build_small_vista3d(5), device="cpu").spec.encoder_digest
    state = network.state_dict()
    del state["point_head.supported_embed.weight"]
    save_file(state, path)
    with pytest.raises(WeightsError, match="lacks 1"):
        load_model("vista3d", weights=path, device="cpu")
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="lacks"):
        load_model("vista3d", weights=path, device="cpu")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_full_network_equals_monais():
    torch.manual_seed(0)
    full = vista3d132().eval()
    model = Vista3d(full, side=SIDE, device="cpu", precision="float32", reduced=False)
    points = [(66, 40, 30), (60, 48, 35)]
    expected, logits = published(full, scan(), points, [0, 1], 1)
    mask, (part,) = ours(model, scan(), points, [0, 1])
    seen = logits[tuple(slice(start, start + SIDE) for start in part.region.origin)]
    assert np.abs(seen - part.prediction.logits).max() < 1e-4 * np.abs(seen).max()
    assert np.mean(mask != expected) < 1e-4
    assert model.spec.embedding_bytes == 48 * 32**3 * 4
