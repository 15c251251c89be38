"""Models take part as they answer in the session; the floors always do."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import EvaluationError
from napari_medfm.evaluation import FLOORS, with_floors
from napari_medfm.evaluation.contestants import ModelContestant
from napari_medfm.inference import Predictor, open_lane
from napari_medfm.models import load_model
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.simulation import next_click
from napari_medfm.volume import Plane, automatic_window, fingerprint

PLANE = Plane(0, 5)


@pytest.fixture
def sam():
    """The real architecture, small and with seeded random weights; it refines its last answer."""
    return Predictor(SamModel(build_small_sam(image_size=64, width=32, depth=1)))


def names(contestants):
    return [contestant.facts.name for contestant in contestants]


def test_the_floors_stand_behind_the_models(sam):
    assert names(with_floors([sam])) == ["sam", *FLOORS]
    assert names(with_floors([])) == list(FLOORS)


def test_the_random_walker_takes_part_once():
    assert names(with_floors([Predictor(load_model("random_walker"))])) == list(FLOORS)


def test_a_model_that_is_named_twice_is_refused(sam):
    with pytest.raises(EvaluationError, match="sam: takes part twice"):
        with_floors([sam, sam])


def test_a_model_of_regions_is_refused(sam, monkeypatch):
    monkeypatch.setattr(SamModel, "spec", replace(sam.spec, ndim=3))
    with pytest.raises(EvaluationError, match=r"works on 3-D regions, which cannot be evaluated yet"):
        with_floors([sam])


def test_facts_are_those_of_the_spec(sam):
    facts = with_floors([sam])[0].facts
    spec = sam.spec
    assert (facts.tier, facts.origin, facts.licence) == (spec.tier, spec.origin, spec.licence)
    assert facts.digest == spec.model_digest


@pytest.mark.parametrize("name", ["sam", "random_walker"])
def test_its_answers_are_those_that_a_person_gets_in_the_session(name, sam, small_volume, small_labels):
    predictor = sam if name == "sam" else Predictor(load_model(name))
    truth = small_labels[PLANE.index] > 0
    image = automatic_window(small_volume).to_uint8(small_volume.plane(PLANE))
    answer = ModelContestant(predictor).look_at(image).answer_for(truth)
    prompts, mask = PromptSet(), np.zeros_like(truth)
    with AnnotationSession.create(small_volume, fingerprint(small_volume)) as session, open_lane() as lane:
        live = LiveSegmentation(session, predictor, lane)
        number = session.add_object()
        for _ in range(4):
            click = next_click(mask, truth, [point.position for point in prompts.points], PLANE)
            if click is None:
                break
            prompts = prompts.add(click)
            mask = answer(prompts, mask)
            live.add_prompt(click)
            assert live.wait()
            assert np.array_equal(mask, session.object_mask(number, PLANE))
        live.close()
    assert mask.any()
    assert len(prompts) > 1


def test_every_object_is_begun_without_the_answer_to_another(sam, small_volume, small_labels):
    image = automatic_window(small_volume).to_uint8(small_volume.plane(PLANE))
    look = ModelContestant(sam).look_at(image)
    truth = small_labels[PLANE.index] == 3
    click = PromptSet((Point(PLANE, (26.0, 48.0)),))
    first = look.answer_for(truth)(click, None)
    look.answer_for(truth)(click, None)
    assert np.array_equal(look.answer_for(truth)(click, None), first)
