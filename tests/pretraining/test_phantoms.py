"""Three minutes on the phantoms teach a network from nothing to answer a robot user on them."""

import numpy as np
import pytest
import torch

from napari_medfm.models.backends import compact
from napari_medfm.pretraining import Bank, Budget, Machine, Provenance, Recipe, Trainer, fast_precision, write_weights
from napari_medfm.pretraining.pack import phantom_pictures, write_pack
from napari_medfm.simulation import run_robot

SMALLEST = 64  # pixels of an object that counts


def targets():
    """Return every object of at least that size on every sixth of the planes: those it was trained on."""
    found = []
    for picture in list(phantom_pictures())[::6]:
        for number in np.unique(picture.objects)[1:]:
            mask = picture.objects == number
            if mask.sum() >= SMALLEST:
                found.append((picture.image, mask))
    return found


def robot_dice(model, image, truth, clicks):
    embedding = model.encode(image)
    last = []

    def answer(prompts, previous):
        last.append(model.decode(embedding, prompts, last[-1] if last else None))
        return last[-1].mask

    return run_robot(answer, truth, max_clicks=clicks).after_clicks(clicks)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_minutes_on_the_phantoms_alone_reach_a_mean_dice_after_5_clicks(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        write_pack(tmp_path / "pack.npz", phantom_pictures())
        bank = Bank.open(tmp_path / "pack.npz")
        recipe = Recipe(side=128, early_side=96, warm_up=50, learning_rate=2e-3)
        trainer = Trainer(bank, recipe, Budget(minutes=3), tmp_path, machine=Machine(precision=fast_precision("cpu")))
        list(trainer.run())
        state = trainer.state
        facts = Provenance("a test", state.seconds / 60, state.samples, bank.sources)
        model = compact.load(write_weights(tmp_path / "weights.safetensors", state.average, facts))
        scores = [robot_dice(model, image, truth, 5) for image, truth in targets()]
    finally:
        torch.set_num_threads(threads)
    assert len(scores) > 20
    first, last = np.mean(scores, axis=0)[[0, -1]]
    print(f"{state.samples} samples, {len(scores)} objects: Dice {first:.2f} after 1 click, {last:.2f} after 5")  # noqa: T201
    assert last > 0.5
