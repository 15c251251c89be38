"""Adapting: small steps, the same for the same seed, to be stopped at any moment."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_medfm.adaptation import Adaptation, AdaptedModel, Recipe, SupportSet, SupportSlice, adaptable
from napari_medfm.adaptation.head_training import HeadTraining
from napari_medfm.errors import AdapterError
from napari_medfm.models import load_model
from napari_medfm.simulation import dice

from .discs import QUICK, disc, support_on

BRIEF = replace(QUICK, copies=0, head_steps=4, decoder_steps=3)


def phases(told):
    return list(dict.fromkeys(each.phase for each in told))


def test_the_phases_follow_each_other(adaptation):
    assert phases(adaptation[1]) == ["prepare", "head", "decoder", "judge", "settle"]


def test_loss_validation_and_time_are_told(adaptation):
    told = adaptation[1]
    losses = [each.loss for each in told if each.phase == "head" and each.validation is None]
    assert len(losses) == QUICK.head_steps
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    validations = [each.validation for each in told if each.validation is not None]
    assert len(validations) == 1
    assert all(later.seconds >= earlier.seconds for earlier, later in pairwise(told))
    assert told[0].left > told[-1].left


def test_the_structure_is_found_on_slices_that_were_not_labelled(compact, adapter):
    adapted = AdaptedModel(compact, adapter)
    scores = []
    for seed in range(10, 14):
        image, mask = disc(seed)
        scores.append(dice(adapted.find(compact.encode(image)).mask, mask))
    assert np.mean(scores) > 0.85


def test_the_readout_compares_with_the_model_before(adapter, support):
    readout = adapter.facts.readout
    assert readout.title == support.positives[1].title
    assert readout.dice_after > 0.8
    assert readout.dice_after > readout.dice_before
    assert readout.clicks_after == 0  # what was found is good enough
    assert adapter.improved is (readout.clicks_after <= readout.clicks_before)


def test_the_adapter_says_what_it_was_made_from(adapter, compact, support):
    facts = adapter.facts
    assert facts.base_digest == compact.spec.model_digest
    assert facts.licence == compact.spec.licence
    assert 0.5 < facts.head_dice <= 1
    assert facts.support == tuple(each.digest for each in support.slices)
    assert facts.steps == QUICK.head_steps + QUICK.decoder_steps + QUICK.head_steps


def test_there_is_a_preview_before_training(compact, support):
    adapting = Adaptation(compact, support, BRIEF)
    steps = adapting.steps()
    assert adapting.preview is None
    assert next(each for each in steps if each.phase == "head").done == 1
    logits = adapting.preview(compact.look(support.slices[1].embedding).features)
    assert logits.isfinite().all()
    steps.close()


def test_equal_seeds_give_equal_adapters(compact, support):
    digests = []
    for seed in (4, 4, 5):
        adapting = Adaptation(compact, support, replace(BRIEF, seed=seed))
        list(adapting.steps())
        digests.append(adapting.adapter.digest)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_cancelling_leaves_nothing(compact, support):
    before = compact.spec.model_digest
    adapting = Adaptation(compact, support, BRIEF)
    steps = adapting.steps()
    next(each for each in steps if each.phase == "decoder")
    steps.close()
    assert adapting.adapter is None
    assert compact.spec.model_digest == before


def test_stopping_keeps_what_was_learned_and_judges_it(compact, support):
    adapting = Adaptation(compact, support, QUICK)
    told = []
    for each in adapting.steps():
        told.append(each)
        if each.phase == "head" and each.done == 9:
            adapting.stop()
    assert phases(told) == ["prepare", "head", "decoder", "judge"]
    assert adapting.adapter.facts.steps == 9
    assert adapting.adapter.facts.readout is not None


def test_when_time_is_up_training_ends(compact, support):
    adapting = Adaptation(compact, support, replace(QUICK, seconds=1e-6))
    list(adapting.steps())
    assert adapting.adapter.facts.steps == 1


def test_one_slice_cannot_be_judged_by(compact):
    adapting = Adaptation(compact, support_on(compact, (1,)), BRIEF)
    told = list(adapting.steps())
    assert phases(told) == ["prepare", "head", "decoder"]
    assert adapting.adapter.facts.readout is None
    assert adapting.adapter.facts.head_dice is None
    assert not adapting.adapter.improved


def test_negative_slices_teach_what_the_structure_is_not(compact, support):
    image, _ = disc(7)
    dark = np.minimum(image, 100)
    with_empty = SupportSet("disc", (*support.slices, SupportSlice.empty(compact.encode(dark))))
    adapting = Adaptation(compact, with_empty, replace(QUICK, head_steps=30, decoder_steps=0))
    list(adapting.steps())
    assert not adapting.adapter.decoder
    assert not AdaptedModel(compact, adapting.adapter).find(compact.encode(dark)).mask.any()


def test_smaller_batches_are_taken_when_memory_runs_out(compact, support, monkeypatch):
    step, sizes = HeadTraining.step, []

    def short_of_memory(self, progress):
        sizes.append(self.batch)
        if self.batch > 1:
            raise torch.OutOfMemoryError("not enough")
        return step(self, progress)

    monkeypatch.setattr(HeadTraining, "step", short_of_memory)
    adapting = Adaptation(compact, support, replace(BRIEF, decoder_steps=0))
    list(adapting.steps())
    assert sizes[:3] == [3, 1, 1]
    assert adapting.adapter is not None


def test_it_is_said_when_memory_does_not_suffice_at_all(compact, support, monkeypatch):
    def no_memory(self, progress):
        raise torch.OutOfMemoryError("not enough")

    monkeypatch.setattr(HeadTraining, "step", no_memory)
    with pytest.raises(AdapterError, match="needs more memory"):
        list(Adaptation(compact, support, BRIEF).steps())


def test_slices_of_another_encoder_are_refused(sam, support):
    with pytest.raises(AdapterError, match="embeddings of another model"):
        Adaptation(sam, support)


def test_a_model_without_a_decoder_to_train_is_refused(sam):
    assert adaptable(sam) is sam
    with pytest.raises(AdapterError, match="has no decoder that could be trained"):
        adaptable(load_model("random_walker"))


@pytest.mark.parametrize("family", ["sam", "sam2"])
def test_the_sam_families_are_adapted_too(family, request):
    sam = request.getfixturevalue(family)
    adapting = Adaptation(sam, support_on(sam), replace(QUICK, head_steps=40, decoder_steps=2))
    told = list(adapting.steps())
    assert phases(told) == ["prepare", "head", "decoder", "judge", "settle"]
    moving = sam.trainable_decoder().MOVING
    assert {each for name in adapting.adapter.decoder for each in moving if name.startswith(each)} == set(moving)
    assert all(name.startswith(moving) for name in adapting.adapter.decoder)
    losses = [each.loss for each in told if each.phase == "head" and each.validation is None]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    image, mask = disc(1)
    assert dice(AdaptedModel(sam, adapting.adapter).find(sam.encode(image)).first, mask) > 0.6


def test_the_default_recipe_is_a_value():
    assert Recipe() == Recipe()
