"""The head and the prototypes."""

import pytest
import torch

from napari_medfm.adaptation.networks import FINER, Head, Prototypes


def features(seed=0, side=8):
    return torch.randn(6, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_head_answers_on_a_finer_grid():
    head = Head.fitted([features()], seed=0)
    assert head(features()[None]).shape == (1, 1, 8 * FINER, 8 * FINER)


def test_equal_seeds_give_equal_heads_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, second, other = (Head.fitted([features()], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.join.weight, second.join.weight)
    assert not torch.equal(first.join.weight, other.join.weight)


@pytest.mark.parametrize("placed", [True, False])
def test_a_head_is_restored_from_its_state(placed):
    head = Head.fitted([features(), features(1)], seed=0, placed=placed)
    again = Head.restored(head.state_dict())
    assert torch.equal(again(features()[None]), head(features()[None]))
    assert not any(each.requires_grad for each in again.parameters())


def test_only_a_placed_head_knows_where_it_looks():
    even = torch.ones(1, 6, 64, 64)
    inner = slice(56, 72, 2 * FINER)  # where the edge is out of sight, one answer of each kind of cell
    placed, free = (Head.fitted([features()], 0, placed=placed)(even)[0, 0, inner, inner] for placed in (True, False))
    assert placed.std() > 1e-3
    assert free.std() < 1e-5


def test_prototypes_find_what_looks_alike():
    truth = torch.zeros(8, 8)
    truth[2:5, 2:5] = 1
    kinds = torch.eye(6)[:, :2]  # the structure, and all else
    picture = torch.where(truth > 0, kinds[:, :1, None], kinds[:, 1:, None])
    found = Prototypes.of([picture + 0.1 * features()], [truth]).find(picture.flip(2))
    assert torch.equal(found > 0, truth.flip(1) > 0)


def test_prototypes_leave_out_what_is_not_known():
    truth = torch.full((8, 8), torch.nan)
    truth[:4] = 0
    truth[:2, :2] = 1
    kinds = torch.eye(6)[:, :3]
    picture = torch.where(truth == 1, kinds[:, :1, None], kinds[:, 1:2, None])
    picture = torch.where(truth.isnan(), kinds[:, 2:, None], picture)
    prototypes = Prototypes.of([picture], [truth])
    assert torch.equal(prototypes.mean[2], torch.tensor(0.0))
