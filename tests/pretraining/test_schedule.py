"""The schedule fits the budget, whatever it is."""

import pytest

from napari_medfm.pretraining import Budget, Recipe


def test_a_budget_is_spent_by_minutes_or_by_samples():
    assert Budget(minutes=2).share(seconds=30, samples=10**6) == 0.25
    assert Budget(samples=200).share(seconds=10**6, samples=50) == 0.25
    assert Budget(samples=200).share(seconds=0, samples=300) == 1


@pytest.mark.parametrize("wrong", [{}, {"minutes": 1, "samples": 1}, {"minutes": 0}, {"samples": -5}])
def test_a_budget_is_one_thing_and_not_nothing(wrong):
    with pytest.raises(ValueError, match="either minutes or samples"):
        Budget(**wrong)


@pytest.mark.parametrize("wrong", [{"side": 100}, {"early_side": 0}, {"images": 0}])
def test_a_recipe_that_the_network_cannot_take_is_refused(wrong):
    with pytest.raises(ValueError, match="multiples of 32"):
        Recipe(**wrong)


def test_the_learning_rate_rises_stays_and_falls():
    recipe = Recipe(learning_rate=1.0, warm_up=100, decay=0.3)
    assert recipe.rate_at(0.0, 0) == pytest.approx(0.01)
    assert recipe.rate_at(0.1, 49) == pytest.approx(0.5)
    assert recipe.rate_at(0.1, 100) == recipe.rate_at(0.69, 10**5) == pytest.approx(1)
    assert recipe.rate_at(0.85, 10**5) == pytest.approx(0.51)
    assert recipe.rate_at(1.0, 10**5) == pytest.approx(0.02)


def test_views_are_small_first():
    recipe = Recipe(side=256, early_side=192, early=0.5)
    assert [recipe.side_at(share) for share in (0, 0.49, 0.5, 1)] == [192, 192, 256, 256]


def test_the_moving_average_is_short_at_first():
    recipe = Recipe(longest_average=0.999)
    assert recipe.average_at(1) == pytest.approx(2 / 21)
    assert recipe.average_at(10**6) == 0.999
