"""Training learns, stops at any moment, and goes on as if it had not stopped."""

import itertools
import json

import pytest
import torch

from napari_medfm.errors import PretrainingError
from napari_medfm.models.compact_network import CompactShape
from napari_medfm.pretraining import Bank, Budget, Machine, Recipe, Record, Trainer, read_records
from napari_medfm.pretraining.pack import write_pack
from napari_medfm.pretraining.records import write_records
from napari_medfm.pretraining.trainer import BEFORE_DECAY, CHECKPOINT, LOG

from .drawings import draw_all

NARROW = CompactShape(coarse=16, fine=8, middle=16, deep=16, key=8, stamp=8, candidates=2)
SMALL = Recipe(images=2, objects=2, side=64, early_side=64, warm_up=5)
STEPS = 8


def trainer(bank, folder, *, samples=STEPS * SMALL.samples, recipe=SMALL, **options):
    folder.mkdir(exist_ok=True)
    return Trainer(bank, recipe, Budget(samples=samples), folder, shape=NARROW, **options)


def weights(trained):
    return {key: value.clone() for key, value in trained.state.average.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def unbroken(bank, tmp_path_factory):
    """Return the weights of a training that was not stopped."""
    trained = trainer(bank, tmp_path_factory.mktemp("unbroken"))
    list(trained.run())
    return weights(trained)


def test_the_loss_falls_when_the_same_few_images_come_again_and_again(bank, tmp_path):
    recipe = Recipe(images=2, objects=2, side=64, early_side=64, warm_up=10, learning_rate=3e-3, pseudo=0, shapes=0)
    trained = trainer(bank, tmp_path, samples=100 * recipe.samples, recipe=recipe)
    list(trained.run())
    first, last = trained.records
    assert (first.steps, last.steps) == (50, 100)
    assert last.loss < 0.85 * first.loss
    assert last.last_iou > first.last_iou + 0.1


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(bank, tmp_path, unbroken):
    for stop in (1, 3):
        steps = trainer(bank, tmp_path).run()
        for _ in itertools.islice(steps, stop):
            pass
        steps.close()
    last = trainer(bank, tmp_path)
    assert (last.state.steps, last.state.samples) == (4, 4 * SMALL.samples)
    list(last.run())
    assert last.state.steps == STEPS
    assert same(weights(last), unbroken)


def test_another_seed_gives_other_weights(bank, tmp_path, unbroken):
    other = trainer(bank, tmp_path, recipe=Recipe(images=2, objects=2, side=64, early_side=64, warm_up=5, seed=1))
    list(other.run())
    assert not same(weights(other), unbroken)


def test_what_was_not_saved_before_a_crash_is_done_and_told_again(bank, tmp_path, unbroken):
    steps = trainer(bank, tmp_path).run()
    next(steps)
    steps.close()
    write_records(tmp_path / LOG, [Record(1, 4, 0.1, 64, 1, 0, 0, 0, 1), Record(5, 20, 0.2, 64, 1, 0, 0, 0, 1)])
    crashed = trainer(bank, tmp_path)
    assert [record.steps for record in crashed.records] == [1]
    next(crashed.run())  # and its generator is gone
    last = trainer(bank, tmp_path)
    list(last.run())
    assert same(weights(last), unbroken)
    assert [record.steps for record in read_records(tmp_path / LOG)] == [1, STEPS]


def test_a_training_that_is_over_does_nothing(bank, tmp_path):
    list(trainer(bank, tmp_path).run())
    before = (tmp_path / CHECKPOINT).read_bytes()
    assert list(trainer(bank, tmp_path).run()) == []
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_with_minutes_the_schedule_follows_the_clock_and_sleep_does_not_count(bank, tmp_path):
    ticks = iter([0.0, 5.0, 10.0, 10_000.0, *(10_000.0 + 5 * k for k in range(1, 99))])
    trained = Trainer(
        bank, SMALL, Budget(minutes=0.5), tmp_path, machine=Machine(clock=lambda: next(ticks)), shape=NARROW
    )
    shares = [round(progress.share * 30) for progress in trained.run()]
    assert shares == [5, 10, 20, 25, 30]
    assert trained.records[-1].minutes == pytest.approx(0.5)
    assert trained.records[-1].samples_per_second == pytest.approx(5 * SMALL.samples / 30)


def test_it_saves_every_few_minutes_and_at_the_end(bank, tmp_path):
    ticks = itertools.count(0.0, 90.0)
    machine = Machine(clock=lambda: next(ticks))
    trained = Trainer(bank, SMALL, Budget(minutes=5 / 6), tmp_path, machine=machine, shape=NARROW)
    assert [at for at, progress in enumerate(trained.run(), start=1) if progress.saved] == [3, 5]
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, BEFORE_DECAY, LOG}


def test_the_state_before_the_learning_rate_falls_is_kept(bank, tmp_path):
    list(trainer(bank, tmp_path).run())
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / BEFORE_DECAY).read_bytes())
    again = trainer(bank, tmp_path)
    assert again.state.samples == 24  # the first step after 0.7 of 32
    assert len(list(again.run())) == 2


def test_the_log_is_json_lines(bank, tmp_path):
    trained = trainer(bank, tmp_path)
    list(trained.run())
    (line,) = (tmp_path / LOG).read_text().splitlines()
    assert json.loads(line)["samples"] == STEPS * SMALL.samples
    assert read_records(tmp_path / LOG) == tuple(trained.records)


def test_other_images_are_refused(bank, tmp_path):
    list(trainer(bank, tmp_path, samples=4).run())
    write_pack(tmp_path / "other.npz", draw_all()[:5])
    with pytest.raises(PretrainingError, match=r"checkpoint\.pt: was trained on other images"):
        trainer(Bank.open(tmp_path / "other.npz"), tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_refused_and_stays(content, bank, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(PretrainingError, match=r"checkpoint\.pt: is a damaged checkpoint"):
        trainer(bank, tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == content


def test_a_checkpoint_of_another_network_or_of_none_is_refused(bank, tmp_path):
    list(trainer(bank, tmp_path, samples=4).run())
    with pytest.raises(PretrainingError, match="of another network"):
        Trainer(bank, SMALL, Budget(samples=4), tmp_path, shape=CompactShape(coarse=8, middle=8, deep=8))
    torch.save({"weights": torch.zeros(3)}, tmp_path / CHECKPOINT)
    with pytest.raises(PretrainingError, match="is no checkpoint of a training"):
        trainer(bank, tmp_path)


def test_a_log_of_something_else_is_refused(bank, tmp_path):
    (tmp_path / LOG).write_text('{"message": "hello"}\n')
    with pytest.raises(PretrainingError, match=r"log\.jsonl: is no log of a training"):
        trainer(bank, tmp_path)


def test_in_bfloat16_it_learns_as_well_and_keeps_float32_weights(bank, tmp_path):
    trained = trainer(bank, tmp_path, machine=Machine(precision="bfloat16"))
    before = weights(trained)
    list(trained.run())
    after = weights(trained)
    assert not same(before, after)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in after.values())


def test_a_gradient_that_is_not_finite_changes_nothing(bank, tmp_path):
    trained = trainer(bank, tmp_path)
    before = {key: value.clone() for key, value in trained.state.network.state_dict().items()}
    parameter = next(trained.state.network.parameters())
    trained.state.apply(parameter.sum() * torch.inf, rate=1.0, kept=0.5)
    assert same(before, trained.state.network.state_dict())
