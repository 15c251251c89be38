"""The network of the built-in model."""

import pytest
import torch

from napari_medfm.models.compact_network import MAP_STRIDE, MAPS, STRIDE, CompactNetwork, CompactShape


@pytest.fixture(scope="module")
def network():
    """A network with seeded random weights."""
    torch.manual_seed(0)
    return CompactNetwork().eval()


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
@torch.inference_mode()
def test_features_and_logits_have_their_strides(network, size):
    rows, columns = size
    features = network.encoder(torch.zeros(2, 3, rows, columns))
    assert features.shape == (2, network.shape.features, rows // STRIDE, columns // STRIDE)
    maps = torch.rand(2, len(MAPS), rows // MAP_STRIDE, columns // MAP_STRIDE)
    logits, quality = network.decoder(features, maps)
    assert logits.shape == (2, network.shape.candidates, rows // MAP_STRIDE, columns // MAP_STRIDE)
    assert quality.shape == (2, network.shape.candidates)


@torch.inference_mode()
def test_prompts_change_the_answer_and_one_image_does_not_change_anothers(network):
    features = network.encoder(torch.rand(2, 3, 64, 64))
    maps = torch.zeros(2, len(MAPS), 32, 32)
    plain, _ = network.decoder(features, maps)
    maps[0, 0, 10:14, 10:14] = 1
    clicked, _ = network.decoder(features, maps)
    assert (clicked[0] - plain[0]).abs().max() > 1e-3
    assert torch.allclose(clicked[1], plain[1], atol=1e-5)


def test_it_is_as_small_as_the_package_allows(network):
    """At most 12 MB of half-precision weights."""
    assert sum(parameter.numel() for parameter in network.parameters()) * 2 < 12e6


def test_widths_can_be_chosen():
    small = CompactNetwork(CompactShape(coarse=16, fine=8, middle=24, deep=32, key=8, stamp=8, candidates=2))
    logits, quality = small.decoder(small.encoder(torch.zeros(1, 3, 32, 32)), torch.zeros(1, len(MAPS), 16, 16))
    assert logits.shape == (1, 2, 16, 16)
    assert quality.shape == (1, 2)
