"""Colours change, places do not, and grey pictures stay grey."""

import torch

from napari_medfm.pretraining.augmentation import recolour
from napari_medfm.pretraining.chance import Chance

STEPS = 60


def pictures():
    """Grey and coloured pictures with a brighter square."""
    found = torch.full((2, 3, 32, 32), 0.35)
    found[..., 10:22, 10:22] = 0.6
    found[1, 0] *= 0.5
    return found


def changed():
    grey = torch.tensor([True, False])
    return torch.stack([recolour(pictures(), grey, Chance.of(0, step)) for step in range(STEPS)])


def test_values_stay_between_black_and_white_and_none_are_lost():
    found = changed()
    assert 0 <= found.min() < found.max() <= 1
    assert found.isfinite().all()


def test_objects_stay_where_they_are():
    found = changed().mean(dim=2)
    inside, outside = found[..., 11:21, 11:21].mean((-2, -1)), found[..., :9, :].mean((-2, -1))
    assert ((inside - outside).abs() > 0.02).float().mean() > 0.95


def test_some_are_inverted_and_most_are_not():
    found = changed()[:, 0, 0]
    inverted = found[:, 11:21, 11:21].mean((-2, -1)) < found[:, :9, :].mean((-2, -1))
    assert 0.03 < inverted.float().mean() < 0.3


def test_grey_pictures_stay_grey_and_coloured_ones_change_their_colour():
    found = changed()
    spread = found.mean(dim=(-2, -1)).amax(-1) - found.mean(dim=(-2, -1)).amin(-1)
    assert spread[:, 0].max() < 1e-5
    assert spread[:, 1].std() > 0.02
