"""Colours change, places do not, and grey pictures stay grey."""

import torch

from napari_medfm.pretraining import augmentation
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


def test_some_curves_rise_everywhere_and_others_turn_parts_of_the_range_about():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    rising = []
    for step in range(80):
        curved = augmentation._curved(ramp, Chance.of(0, step))[0, 0, 0]
        assert 0 <= curved.min() <= curved.max() <= 1
        rising.append(bool((curved.diff() >= -1e-6).all()))
    assert 0.55 < sum(rising) / 80 < 0.9


def test_shading_varies_slowly_and_speckle_from_grain_to_grain():
    plain = torch.ones(40, 3, 64, 64)
    for factor, rough in ((augmentation._shading, False), (augmentation._speckle, True)):
        field = factor(plain, Chance.of(0, 0))
        steps = field.diff(dim=-1).abs().mean(dim=(1, 2, 3)) / field.std(dim=(1, 2, 3)).clamp_min(1e-6)
        touched = field.std(dim=(1, 2, 3)) > 1e-3
        assert 0 < touched.sum() < 40
        assert ((steps[touched] > 0.1) == rough).all()


def test_a_coarser_picture_keeps_its_mean_and_loses_its_detail():
    fine = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    coarse = augmentation._coarser(fine, Chance.of(0, 0))
    assert abs(coarse.mean() - fine.mean()) < 0.02
    assert coarse.std() < 0.3 * fine.std()


def test_some_are_inverted_and_most_are_not():
    found = changed()[:, 0, 0]
    inverted = found[:, 11:21, 11:21].mean((-2, -1)) < found[:, :9, :].mean((-2, -1))
    assert 0.03 < inverted.float().mean() < 0.3


def test_grey_pictures_stay_grey_and_coloured_ones_change_their_colour():
    found = changed()
    spread = found.mean(dim=(-2, -1)).amax(-1) - found.mean(dim=(-2, -1)).amin(-1)
    assert spread[:, 0].max() < 1e-5
    assert spread[:, 1].std() > 0.02
