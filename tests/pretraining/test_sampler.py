"""Views show objects where they are, and every data set as often as any other."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.pretraining import Bank, Choice, Sampler
from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.pack import Picture, write_pack

PLAIN = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def view(bank, affine, side, number=1, image=0):
    pictures, targets = Sampler(bank).view([Choice(image, 0, (number,), np.asarray(affine, float))], side)
    return pictures[0], targets[0, 0]


def test_a_plain_view_shows_image_and_object_exactly(bank):
    picture, target = view(bank, PLAIN, bank.side)
    assert torch.allclose(picture, bank.pictures[0].float(), atol=1e-2)
    assert torch.equal(target, (bank.layers[0, 0] == 1).float())


@pytest.mark.parametrize(
    ("affine", "moved"),
    [
        ([[-1, 0, 0], [0, 1, 0]], lambda image: image.flip(-1)),
        ([[1, 0, 0], [0, -1, 0]], lambda image: image.flip(-2)),
        ([[0, -1, 0], [1, 0, 0]], lambda image: torch.rot90(image, 1, (-2, -1))),
        (
            [[0.5, 0, 0.5], [0, 0.5, -0.5]],
            lambda image: image[..., :48, 48:].repeat_interleave(2, -1).repeat_interleave(2, -2),
        ),
    ],
    ids=["mirrored", "upside down", "turned by 90 degrees", "zoomed into a corner"],
)
def test_targets_lie_on_their_object_under_a_known_affine(bank, affine, moved):
    for number in (1, 2):
        _, target = view(bank, affine, bank.side, number)
        assert torch.equal(target, moved((bank.layers[0, 0] == number).float()))


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-math.pi, math.pi), zoom=st.floats(0.3, 1.2), x=st.floats(-0.4, 0.4), y=st.floats(-0.4, 0.4))
def test_image_and_target_are_moved_alike_by_any_affine(bank, angle, zoom, x, y):
    turned = zoom * np.array(
        [[math.cos(angle), -math.sin(angle), x / zoom], [math.sin(angle), math.cos(angle), y / zoom]]
    )
    picture, target = view(bank, turned, 64)
    # Object 1 is drawn at 190, the others at 50 and 120: halfway lies 155.
    bright = picture[0] > 155
    differing = (bright != (target > 0.5)).float().mean()
    assert differing < 0.05


def test_a_target_is_soft_where_a_pixel_holds_both(bank):
    _, target = view(bank, PLAIN, bank.side // 2)
    assert set(target.unique().tolist()) <= {0, 0.25, 0.5, 0.75, 1}
    assert target.sum() * 4 == (bank.layers[0, 0] == 1).sum()


def test_image_and_target_are_bent_alike(bank):
    rng = np.random.default_rng(0)
    plain, _ = view(bank, PLAIN, 96)
    for cells in (3, 5, 7):
        bend = rng.normal(0, 0.05, (2, cells, cells))
        pictures, targets = Sampler(bank).view([Choice(0, 0, (1,), PLAIN, bend)], 96)
        assert not torch.allclose(pictures[0], plain, atol=1)
        assert ((pictures[0, 0] > 155) != (targets[0, 0] > 0.5)).float().mean() < 0.03


def test_some_views_are_bent(bank):
    bent = [Sampler(bank).choose(1, Chance.of(0, step)).bend is not None for step in range(600)]
    assert np.mean(bent) == pytest.approx(0.4, abs=0.06)


def test_data_sets_are_drawn_equally_often_whatever_their_size(bank):
    sampler = Sampler(bank)
    names = Counter(sampler.choose(1, Chance.of(0, step)).image >= 12 for step in range(1200))
    assert 0.45 < names[True] / 1200 < 0.55


def test_a_share_of_the_objects_are_superpixels(bank):
    for share in (0.0, 0.3):
        layers = [Sampler(bank, pseudo=share).choose(1, Chance.of(0, step)).layer for step in range(1500)]
        assert np.mean([layer > 0 for layer in layers]) == pytest.approx(share, abs=0.05)


def test_a_view_holds_the_object_that_was_chosen_and_ranges_from_whole_images_to_lesions(bank):
    sampler = Sampler(bank, pseudo=0)
    shares = []
    for step in range(120):
        choice = sampler.choose(1, Chance.of(1, step))
        _, targets = sampler.view([choice], 64)
        shares.append(targets.mean().item())
    assert min(shares) > 0
    assert min(shares) < 0.05
    assert max(shares) > 0.4


def test_some_views_show_a_part_of_an_object_that_branches(tmp_path):
    vessel = np.zeros((96, 96), np.uint16)
    vessel[8:88, 46:50] = vessel[46:50, 8:88] = 1
    write_pack(tmp_path / "pack.npz", [Picture("vessels", np.where(vessel > 0, 190, 60).astype(np.uint8), vessel)])
    bank = Bank.open(tmp_path / "pack.npz")
    sampler = Sampler(bank, pseudo=0)
    shown = []
    for step in range(100):
        _, targets = sampler.view([sampler.choose(1, Chance.of(2, step))], 64)
        # Enlarged, a branch is wide; its ends lie beyond the view.
        edges = torch.cat([targets[0, 0, 0], targets[0, 0, -1], targets[0, 0, :, 0], targets[0, 0, :, -1]])
        shown.append(bool(edges.any()) and bool(targets.any()))
        assert targets.any()
    assert 0.2 < np.mean(shown) < 0.6


def test_further_objects_are_others_of_the_view_mostly(bank):
    choices = [Sampler(bank, pseudo=0).choose(2, Chance.of(0, step)) for step in range(300)]
    assert 0.3 < np.mean([len(set(choice.numbers)) == 2 for choice in choices]) < 0.9
    assert all(set(choice.numbers) <= {1, 2} for choice in choices)


def test_a_batch_is_the_same_again_for_the_same_chance(bank):
    sampler = Sampler(bank, shapes=0.5)
    first, again, other = (sampler.draw(3, 2, 64, Chance.of(4, step)) for step in (1, 1, 2))
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.pictures, other.pictures)


def test_a_batch_has_pictures_of_minus_one_to_one_and_targets_of_zero_to_one(bank):
    batch = Sampler(bank).draw(5, 2, 64, Chance.of(0, 0))
    assert batch.pictures.shape == (5, 3, 64, 64)
    assert batch.targets.shape == (5, 2, 64, 64)
    assert -1 <= batch.pictures.min() < batch.pictures.max() <= 1
    assert 0 == batch.targets.min() < batch.targets.max() == 1
