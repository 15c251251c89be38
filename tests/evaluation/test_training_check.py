from functools import partial

import numpy as np
import pytest

from napari_medfm.errors import EvaluationError
from napari_medfm.evaluation.training_check import Meaning, Sample, TrainingCheck, normalised

IGNORE = 3
MEANING = Meaning({"organ": frozenset({1, 2}), "lesion": frozenset({2})}, IGNORE)


def sample(seed, shape=(40, 48), *, mirrored=False):
    """Return a bright organ with a brighter lesion; mirrored, its labels lie beside it."""
    rng = np.random.default_rng(seed)
    grid = np.ogrid[tuple(slice(size) for size in shape)]
    middle = [rng.integers(10, size - 10) for size in shape[-2:]]
    away = sum((g - m) ** 2 for g, m in zip(grid[-2:], middle, strict=True))
    labels = np.zeros(shape, np.uint8)
    labels[np.broadcast_to(away <= 64, shape)] = 1
    labels[np.broadcast_to(away <= 20, shape)] = 2
    image = np.array([0, 60, 160])[labels] + rng.normal(0, 10, shape)
    return Sample(f"c{seed}", normalised([image]), labels[..., ::-1].copy() if mirrored else labels)


def check(make=sample, **changes):
    sources = [partial(make, seed) for seed in range(8)]
    options = {"seconds": 100, "steps": 120} | changes
    return TrainingCheck(sources[:5], sources[5:], MEANING, **options)


def trained(each):
    shares = [share for share, _ in each.train()]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    return {score.name: score.dice for score in each.scores()}


def test_a_sound_set_can_be_learned_nested_classes_too():
    scores = trained(check())
    assert scores["organ"] > 0.8
    assert scores["lesion"] > 0.5


def test_labels_beside_their_organs_cannot():
    assert trained(check(partial(sample, mirrored=True)))["organ"] < 0.5


def test_what_nobody_decided_neither_teaches_nor_counts():
    def half(seed):
        each = sample(seed)
        wrong = each.labels.copy()
        wrong[:20] = IGNORE
        return Sample(each.id, each.image, wrong)

    one = check(half, steps=1)
    *_, known = one._draw()
    assert 0 < float(known.mean()) < 1
    assert all(len(case) <= 2 for case in one.judge())


def test_volumes_are_learned_in_three_dimensions_and_the_same_seed_gives_the_same_again():
    make = partial(sample, shape=(6, 24, 24))
    first, second = (trained(check(make, steps=2, seed=4)) for _ in range(2))
    assert first == second


def test_it_stops_when_its_time_is_over():
    each = check(steps=None, seconds=1e-9)
    assert len(list(each.train())) <= 1


def test_only_as_many_cases_are_held_as_fit_the_memory_and_at_least_one():
    assert check(memory=sample(0).bytes * 3).used == 3
    assert check(memory=1).used == 1


def test_without_patients_to_judge_by_it_is_refused():
    with pytest.raises(EvaluationError, match="none to judge by"):
        TrainingCheck([partial(sample, 0)], [], MEANING, seconds=1)
