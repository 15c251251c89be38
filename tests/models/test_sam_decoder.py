"""The decoder that multiplies weights with prompts first equals the package's own."""

import pytest
import torch

from napari_medfm.models.backends.sam import build_small_sam
from napari_medfm.models.sam_decoder import MANY, SamDecoder

SAM = build_small_sam(seed=4, image_size=128)
GRID = 128 // 16


def prompted(points, box=None, mask=None):
    coordinates = torch.rand((1, points, 2), generator=torch.Generator().manual_seed(2)) * 128
    labels = torch.arange(points)[None] % 2
    return SAM.prompt_encoder(points=(coordinates, labels) if points else None, boxes=box, masks=mask)


def decoder(dtype):
    return SamDecoder(SAM.mask_decoder, SAM.prompt_encoder.get_dense_pe(), dtype)


def expected(features, sparse, dense, *, three):
    return SAM.mask_decoder(
        image_embeddings=features[None],
        image_pe=SAM.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=three,
    )


@pytest.fixture(scope="module")
def features():
    return torch.randn((256, GRID, GRID), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize(
    ("points", "box", "masked"), [(1, False, False), (3, True, False), (0, True, False), (2, False, True)]
)
@torch.inference_mode()
def test_logits_and_qualities_equal_the_packages(features, points, box, masked, three):
    corners = torch.tensor([[20.0, 30.0, 90.0, 100.0]]) if box else None
    mask = torch.randn((1, 1, 4 * GRID, 4 * GRID), generator=torch.Generator().manual_seed(3)) if masked else None
    sparse, dense = prompted(points, corners, mask)
    logits, qualities = expected(features, sparse, dense, three=three)
    found, worth = decoder(torch.float32).answer(features, dense, sparse, three=three)
    assert found.shape == logits.shape == (1, 3 if three else 1, 4 * GRID, 4 * GRID)
    assert torch.allclose(found, logits, atol=1e-5)
    assert torch.allclose(worth, qualities, atol=1e-5)


@torch.inference_mode()
def test_in_bfloat16_it_is_nearly_the_same(features):
    sparse, dense = prompted(2)
    logits, qualities = expected(features, sparse, dense, three=True)
    found, worth = decoder(torch.bfloat16).answer(features, dense, sparse, three=True)
    assert found.dtype == worth.dtype == torch.float32
    assert (found - logits).abs().max() < 0.1 * logits.std()
    assert torch.allclose(worth, qualities, atol=1e-2)


@pytest.mark.parametrize("points", [MANY - 1, MANY, 300])
@torch.inference_mode()
def test_many_points_are_answered_the_same(features, points):
    sparse, dense = prompted(points)
    logits, qualities = expected(features, sparse, dense, three=False)
    found, worth = decoder(torch.float32).answer(features, dense, sparse, three=False)
    assert torch.allclose(found, logits, atol=1e-5)
    assert torch.allclose(worth, qualities, atol=1e-5)
