"""Objects change how they stand out, where they are, and nothing else does."""

import pytest
import torch

from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.disguise import disguise


def scene():
    """Pictures of different grey with two squares in each, and their targets."""
    pictures = torch.linspace(60, 180, 8)[:, None, None, None].expand(-1, 3, 48, 48).clone()
    targets = torch.zeros(8, 2, 48, 48)
    targets[:, 0, 8:20, 8:20] = 1
    targets[:, 1, 30:40, 30:40] = 1
    return pictures, targets


def disguised(recontrasted, transplanted, seed=0):
    pictures, targets = scene()
    disguise(pictures, targets, recontrasted, transplanted, Chance.of(seed, 0))
    return pictures, targets


def test_objects_become_brighter_or_darker_and_the_rest_stays():
    before, targets = scene()
    pictures, after = disguised(1.0, 0.0)
    change = pictures - before
    assert torch.equal(after, targets)
    assert not change[:, :, 24:28].any()  # between the squares
    inner = change[:, 0, 10:18, 10:18].flatten(1)
    assert torch.allclose(inner.amax(1), inner.amin(1))
    assert (inner[:, 0].abs() > 1).sum() >= 6
    others = change[:, 0, 32:38, 32:38].mean((1, 2))
    assert 0 < (others != 0).sum() < 8, "sometimes one object changes, sometimes all do"


def test_a_transplanted_object_lies_before_another_picture_and_is_alone():
    before, targets = scene()
    pictures, after = disguised(0.0, 1.0)
    assert torch.equal(after[:, 0], targets[:, 0])
    assert torch.equal(after[:, 1], targets[:, 0])
    assert torch.allclose(pictures[:, :, 10:18, 10:18], before[:, :, 10:18, 10:18])
    assert torch.allclose(pictures[:, :, 24:, 24:], before.roll(1, dims=0)[:, :, 24:, 24:])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_as_many_pictures_change_as_asked_for(share):
    before, _ = scene()
    changed = [(disguised(share, 0.0, seed)[0] != before).any(dim=(1, 2, 3)).float().mean() for seed in range(60)]
    assert sum(changed) / 60 == pytest.approx(share, abs=0.08)
