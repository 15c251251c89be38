"""A model with an adapter: the same where it should be, better where it was taught."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.adaptation import AdaptedModel, Adapter
from napari_medfm.errors import AdapterError, ModelError
from napari_medfm.models import EncodesInSteps, PromptableModel
from napari_medfm.models.steps import finish
from napari_medfm.prompts import Box, Point, PromptSet
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

from .discs import disc

IMAGE, MASK = disc(21)
CENTRE = tuple(np.argwhere(MASK).mean(axis=0))
PLANE = Plane()
PROMPTS = {
    "click": PromptSet((Point(PLANE, CENTRE),)),
    "clicks": PromptSet((Point(PLANE, CENTRE), Point(PLANE, (3.0, 3.0), positive=False))),
    "box": PromptSet((Box(PLANE, (10.0, 10.0), (60.0, 60.0)),)),
}


@pytest.fixture
def adapted(compact, adapter):
    return AdaptedModel(compact, adapter)


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)
def test_with_the_adapter_off_answers_are_bit_equal(compact, adapted, prompts):
    embedding = compact.encode(IMAGE)
    adapted.active = False
    before = None
    for _ in range(2):
        expected, found = (model.decode(embedding, prompts, before) for model in (compact, adapted))
        for name in ("masks", "low_res", "qualities"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        before = expected
    assert adapted.spec == compact.spec


def test_with_the_adapter_on_answers_change(compact, adapted):
    embedding = compact.encode(IMAGE)
    found, plain = (model.decode(embedding, PROMPTS["box"]) for model in (adapted, compact))
    assert not np.array_equal(found.low_res, plain.low_res)


def test_it_is_a_model_that_encodes_as_its_base(compact, adapted):
    assert isinstance(adapted, PromptableModel)
    assert isinstance(adapted, EncodesInSteps)
    for embedding in (adapted.encode(IMAGE), finish(adapted.encode_steps(IMAGE))):
        np.testing.assert_array_equal(embedding.arrays["features"], compact.encode(IMAGE).arrays["features"])


def test_stored_embeddings_stay_valid_and_records_tell_the_difference(compact, adapted, adapter):
    assert adapted.spec.encoder_digest == compact.spec.encoder_digest
    assert adapted.spec.model_digest != compact.spec.model_digest
    assert replace(adapted.spec, model_digest=compact.spec.model_digest) == compact.spec
    assert adapted.adapter.digest == adapter.digest


def test_a_click_on_what_was_found_is_understood(adapted):
    embedding = adapted.encode(IMAGE)
    assert dice(adapted.decode(embedding, PROMPTS["click"]).mask, MASK) > 0.85


def test_a_click_is_taken_as_it_is_where_the_head_was_at_a_loss(compact, adapter):
    embedding, decoding = compact.encode(IMAGE), compact.with_decoder(adapter.decoder)
    plain = decoding.decode(embedding, PROMPTS["click"]).low_res
    for score, is_plain in ((0.1, True), (0.9, False)):
        adapted = AdaptedModel(compact, Adapter(replace(adapter.facts, head_dice=score), adapter.tensors))
        assert np.array_equal(adapted.decode(embedding, PROMPTS["click"]).low_res, plain) is is_plain


def test_clicks_where_nothing_of_the_structure_is_seen_are_answered_by_the_base(compact, adapted):
    embedding = adapted.encode(IMAGE)
    far = tuple(float(index) for index in np.unravel_index(adapted.probability(embedding).argmin(), IMAGE.shape))
    elsewhere = PromptSet((Point(PLANE, far), Point(PLANE, CENTRE, positive=False)))
    found, plain = (model.decode(embedding, elsewhere) for model in (adapted, compact))
    np.testing.assert_array_equal(found.low_res, plain.low_res)
    both = elsewhere.add(Point(PLANE, CENTRE))
    found, plain = (model.decode(embedding, both, plain) for model in (adapted, compact))
    assert not np.array_equal(found.low_res, plain.low_res)


def test_the_probability_is_high_inside(adapted):
    probability = adapted.probability(adapted.encode(IMAGE))
    assert probability.shape == IMAGE.shape
    assert probability[MASK].mean() > 0.7
    assert probability[~MASK].mean() < 0.2


def test_an_embedding_of_another_encoder_is_refused(adapted, sam):
    with pytest.raises(ModelError, match="another encoder"):
        adapted.find(sam.encode(IMAGE))


def test_an_adapter_of_another_model_is_refused(adapter, sam):
    with pytest.raises(AdapterError, match=r"was made on compact and does not fit sam.*Choose compact"):
        AdaptedModel(sam, adapter)


def test_other_weights_of_the_same_model_are_another_model(adapter, compact):
    facts = replace(adapter.facts, base_digest="0" * 64)
    with pytest.raises(AdapterError, match="does not fit other weights of it"):
        AdaptedModel(compact, Adapter(facts, adapter.tensors))


@pytest.mark.parametrize("lost", ["head.join.weight", "head.mean", "head.norm.bias"])
def test_an_adapter_that_lacks_a_tensor_is_refused(adapter, compact, lost):
    tensors = {name: value for name, value in adapter.tensors.items() if name != lost}
    with pytest.raises(AdapterError, match="does not hold the tensors"):
        AdaptedModel(compact, Adapter(adapter.facts, tensors))


def test_a_removing_click_is_heeded_even_where_the_head_is_sure(adapted):
    embedding = adapted.encode(IMAGE)
    removed = (CENTRE[0] + 4, CENTRE[1])
    prompts = PromptSet((Point(PLANE, CENTRE), Point(PLANE, removed, positive=False)))
    mask = adapted.decode(embedding, prompts).mask
    assert not mask[round(removed[0]), round(removed[1])]
    assert mask[round(CENTRE[0]), round(CENTRE[1])]
