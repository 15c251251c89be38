"""An encoder begins with MobileNetV2's weights, all of them or none; or with random ones that let signals through."""

import numpy as np
import pytest
import torch

from napari_medfm.errors import WeightsError
from napari_medfm.models.compact_network import CompactNetwork
from napari_medfm.pretraining.start import load_imagenet, scale_backbone

NAMES = {"expand": "expand", "depthwise": "dw", "project": "project"}


@pytest.fixture
def arrays():
    """Return weights under the names of the file, random."""
    encoder = CompactNetwork().encoder
    found = {f"stem.{key}": value for key, value in encoder.stem.state_dict().items()}
    for at, block in enumerate(encoder.blocks):
        for key, value in block.state_dict().items():
            part, end = key.split(".")
            found[f"block{at}.{NAMES[part]}.{end}"] = value
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=value.shape).astype(np.float32) for name, value in found.items()}


def test_random_weights_let_signals_through_to_the_deepest_block():
    torch.manual_seed(0)
    encoder = CompactNetwork().encoder
    spreads = []

    def note(block, inputs, output):
        spreads.append(output.std(dim=(0, 2, 3)).mean().item())  # over images and places: constants are no signal

    for block in encoder.blocks:
        block.register_forward_hook(note)
    images = torch.rand(2, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        encoder(images)
        assert spreads[-1] < 0.05  # without it they fade
        spreads.clear()
        scale_backbone(encoder)
        encoder(images)
    assert len(spreads) == 17
    assert 0.1 < min(spreads) < max(spreads) < 10


def test_every_block_gets_its_weights_and_the_rest_stays(arrays, tmp_path):
    encoder = CompactNetwork().encoder
    before = encoder.lateral[0].weight.clone()
    np.savez(tmp_path / "w.npz", **arrays)
    load_imagenet(encoder, tmp_path / "w.npz")
    assert torch.equal(encoder.stem.weight, torch.from_numpy(arrays["stem.weight"]))
    assert torch.equal(encoder.blocks[0].depthwise.bias, torch.from_numpy(arrays["block0.dw.bias"]))
    assert torch.equal(encoder.blocks[16].project.weight, torch.from_numpy(arrays["block16.project.weight"]))
    assert torch.equal(encoder.lateral[0].weight, before)


@pytest.mark.parametrize("damage", ["missing", "lacks one", "another shape", "no npz"])
def test_other_files_are_refused_and_change_nothing(damage, arrays, tmp_path):
    path = tmp_path / "w.npz"
    if damage == "lacks one":
        arrays.pop("block3.dw.bias")
    if damage == "another shape":
        arrays["block16.project.bias"] = np.zeros(7, np.float32)
    if damage == "no npz":
        path.write_bytes(b"hello")
    elif damage != "missing":
        np.savez(path, **arrays)
    encoder = CompactNetwork().encoder
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(WeightsError, match=r"^w\.npz: "):
        load_imagenet(encoder, path)
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


@pytest.mark.shared_data
def test_the_weights_it_is_meant_for_fit(shared_data):
    encoder = CompactNetwork().encoder
    load_imagenet(encoder, shared_data / "weights" / "mobilenet_v2_imagenet.npz")
    assert encoder.blocks[16].project.weight.std() > 0.01
