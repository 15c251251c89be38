"""Synthetic shapes are drawn where their target says, and change nothing elsewhere."""

import torch

from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.shapes import add_shapes


def drawn(share, seed=0):
    pictures, targets = torch.full((12, 3, 64, 64), 100.0), torch.zeros(12, 2, 64, 64)
    pictures[::2] = 140.0  # so that the texture of another picture differs
    before = pictures.clone()
    add_shapes(pictures, targets, share, Chance.of(seed, 0))
    return before, pictures, targets


def test_a_shape_is_the_only_object_and_its_border_is_where_the_picture_changes():
    before, pictures, targets = drawn(1.0)
    for at in range(12):
        assert torch.equal(targets[at, 0], targets[at, 1])
        change = (pictures[at] - before[at]).abs().amax(0)
        inside = targets[at, 0] > 0
        near = torch.nn.functional.max_pool2d(targets[at, :1], 5, 1, 2)[0] > 0
        assert inside.any()
        assert not change[~near].any()
        assert change[inside].mean() > 1


def test_as_many_pictures_get_one_as_asked_for():
    assert not drawn(0.0)[2].any()
    found = sum((drawn(0.25, seed)[2].amax(dim=(1, 2, 3)) > 0).float().mean().item() for seed in range(40)) / 40
    assert 0.18 < found < 0.32
