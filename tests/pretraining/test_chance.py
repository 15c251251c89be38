"""Every step draws what it would have drawn without a stop."""

import torch

from napari_medfm.pretraining.chance import Chance


def test_a_step_draws_the_same_again_and_another_step_something_else():
    first, again, other = Chance.of(5, 7), Chance.of(5, 7), Chance.of(5, 8)
    assert first.decisions.random() == again.decisions.random() != other.decisions.random()
    numbers = first.uniform(4), again.uniform(4), other.uniform(4)
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])


def test_a_place_is_drawn_where_weight_is_and_anywhere_where_none_is():
    weights = torch.zeros(2, 5, 8)
    weights[0, 3, 6] = 1
    places = torch.cat([Chance.of(0, step).place(weights) for step in range(40)])
    assert places[::2].unique(dim=0).tolist() == [[3, 6]]
    assert len(places[1::2].unique(dim=0)) > 10


def test_numbers_lie_between_their_ends():
    numbers = Chance.of(0, 0).uniform(1000, low=-3, high=2)
    assert -3 <= numbers.min() < -2.9
    assert 1.9 < numbers.max() <= 2


def test_something_happens_as_often_as_it_is_probable():
    chance = Chance.of(0, 0)
    assert 0.25 < sum(chance.happens(0.3) for _ in range(2000)) / 2000 < 0.35
    assert 0.25 < chance.some(2000, 0.3).float().mean() < 0.35
    assert 0.35 < sum(chance.sign(0.7) for _ in range(2000)) / 2000 < 0.45
