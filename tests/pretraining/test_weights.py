"""What a training leaves is what the built-in model loads, and says where it comes from."""

import numpy as np
import pytest
import torch

from napari_medfm.errors import WeightsError
from napari_medfm.models.backends import compact
from napari_medfm.models.compact_network import CompactNetwork
from napari_medfm.pretraining import Provenance, Source, read_provenance, write_weights
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.volume import Plane

FROM = Provenance("napari-medfm pretrain --samples 12", 0.5, 12, (Source("mine", 3, "ab" * 32),))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CompactNetwork()


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "weights.safetensors", network, FROM)


def test_the_built_in_model_loads_them_and_answers(path):
    model = compact.load(path)
    embedding = model.encode(np.random.default_rng(0).integers(0, 255, (80, 90), np.uint8))
    answer = model.decode(embedding, PromptSet().add(Point(Plane(), (40.0, 45.0), True)))
    assert answer.masks.shape[1:] == (80, 90)


def test_they_are_small_and_say_where_they_come_from(path):
    assert path.stat().st_size < 12e6
    assert read_provenance(path) == FROM


def test_anyone_the_umask_allows_may_read_them(path, tmp_path):
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_other_weights_do_not_say_where_they_come_from(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"hello")
    with pytest.raises(WeightsError, match=r"w\.safetensors: does not say"):
        read_provenance(tmp_path / "w.safetensors")


def test_weights_that_are_not_finite_are_never_left(network, tmp_path):
    broken = CompactNetwork()
    broken.load_state_dict(network.state_dict())
    with torch.no_grad():
        broken.encoder.stem.bias[0] = 1e9  # beyond float16
    with pytest.raises(WeightsError, match="infinite"):
        write_weights(tmp_path / "weights.safetensors", broken, FROM)
    assert list(tmp_path.iterdir()) == []
