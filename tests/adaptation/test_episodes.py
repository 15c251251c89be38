"""Training of the decoder by simulated interaction."""

import numpy as np
import pytest
import torch

from napari_medfm.adaptation import Variation
from napari_medfm.adaptation.episodes import SURE, DecoderTraining
from napari_medfm.adaptation.examples import prepare
from napari_medfm.adaptation.objective import answer_loss, kept_loss, mask_loss

from .discs import support_on

ORIGINALS = Variation(copies=0)


@pytest.fixture(scope="module")
def examples(compact, support):
    return list(prepare(compact, support, ORIGINALS, cells=96))[-1]


def training_on(model, examples, seed=0, **how):
    objects = [(each, torch.where(each.truth[0] > 0.5, SURE, -SURE)) for each in examples.objects]
    decoders = model.trainable_decoder(), model.trainable_decoder()
    return DecoderTraining(*decoders, objects, batch=2, seed=seed, **how)


@torch.no_grad()
def distance(model, moved):
    before = dict(model.trainable_decoder().module.named_parameters())
    return sum(float((value - before[name]).norm()) for name, value in moved.items())


def test_the_looks_are_those_of_the_model(compact, support, examples):
    count = sum(1 + len(compact.look_closer(each.embedding, each.mask)) for each in support.slices)
    assert len(examples.objects) == count
    assert {tuple(each.truth.shape) for each in examples.objects} == {(1, 96, 96)}


def test_examples_of_a_slice_can_be_left_out(support, examples):
    rest = examples.without(support.slices[0].digest)
    assert {each.slice for each in rest.wholes} == {1, 2}
    assert {each.slice for each in rest.objects} == {1, 2}


def test_nothing_has_moved_before_the_first_step(compact, examples):
    assert distance(compact, training_on(compact, examples).moved) == 0


@pytest.mark.parametrize("at_a_loss", [False, True])
def test_every_kind_of_step_can_be_taken(compact, examples, at_a_loss):
    training = training_on(compact, examples, at_a_loss=at_a_loss)
    losses = [training.step(done / 12) for done in range(12)]
    assert np.isfinite(losses).all()
    assert 0 < distance(compact, training.moved) < 50


def test_equal_seeds_move_alike(compact, examples):
    moved = []
    for _ in range(2):
        training = training_on(compact, examples, seed=2)
        for _ in range(3):
            training.step(0.5)
        moved.append(training.moved)
    assert all(torch.equal(value, moved[1][name]) for name, value in moved[0].items())


def test_of_the_sam_family_the_attention_stays(sam):
    examples = list(prepare(sam, support_on(sam, (1, 2)), ORIGINALS, cells=sam.trainable_decoder().cells))[-1]
    training = training_on(sam, examples)
    assert training.batch == 1
    training.step(0.5)
    assert not any(name.startswith("transformer") for name in training.moved)
    assert distance(sam, training.moved) > 0


def test_what_is_not_known_is_not_learned():
    truth, known = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    truth[..., :2, :] = 1
    known[..., 3, :] = 0
    right = torch.where(truth > 0, 9.0, -9.0)
    wrong = right.clone()
    wrong[..., 3, :] = 9.0
    assert float(mask_loss(wrong, truth, known)) == float(mask_loss(right, truth, known))
    assert float(mask_loss(wrong, truth, torch.ones_like(known))) > float(mask_loss(right, truth, known)) + 1


def test_an_ambiguous_prompt_may_be_answered_by_any_candidate():
    truth, known = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    logits = torch.cat([torch.full((1, 1, 4, 4), -9.0), torch.full((1, 1, 4, 4), 9.0)], dim=1)
    quality = torch.tensor([[1 / 17, 1.0]])  # IoU, one cell added to both parts of the ratio
    assert float(answer_loss(logits, quality, truth, known, settled=False)) < 0.01
    assert float(answer_loss(logits, quality, truth, known, settled=True)) > 1


def test_answers_that_stay_cost_less_than_those_that_change():
    before, quality = torch.linspace(-4, 4, 32).view(1, 2, 4, 4), torch.tensor([[0.7, 0.4]])
    same = float(kept_loss(before, quality, before, quality))
    assert float(kept_loss(before + 2, quality, before, quality)) > same + 0.1
    assert float(kept_loss(before, quality + 0.3, before, quality)) > same + 0.05
