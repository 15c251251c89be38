"""An evaluation does everything once, goes on where it was stopped, and survives what cannot be read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import EvaluationError, ModelError
from napari_medfm.evaluation import FLOORS, Evaluation, Failure, Plan, TargetRules, Trial, read_manifest, with_floors
from napari_medfm.evaluation.logbook import FILE_NAME
from napari_medfm.inference import Predictor
from napari_medfm.models import load_model
from napari_medfm.simulation import dice
from napari_medfm.volume import open_labels, open_volume


class Fragile:
    """A model that fails on pictures of one width."""

    def __init__(self, model, width):
        self._model, self._width = model, width
        self.spec = model.spec

    def encode(self, image):
        if image.shape == (48, self._width):
            raise ModelError("fragile", "cannot encode", "Choose another.")
        return self._model.encode(image)

    def decode(self, embedding, prompts, previous=None):
        return self._model.decode(embedding, prompts, previous)


@pytest.fixture
def plan(manifest):
    return Plan(read_manifest(manifest), clicks=3, rules=TargetRules(smallest=20))


@pytest.fixture(scope="module")
def done(make_manifest, tmp_path_factory):
    """An evaluation that is through, its folder, and the last progress."""
    folder = tmp_path_factory.mktemp("evaluation")
    plan = Plan(read_manifest(make_manifest(folder)), clicks=3, rules=TargetRules(smallest=20))
    run = Evaluation(plan, with_floors([]), folder / "out")
    *_, last = run.run()
    return run, folder / "out", last


@pytest.fixture
def trials(done):
    return done[0].outcome.trials


def evaluation(plan, folder, models=()):
    return Evaluation(plan, with_floors(models), folder)


def steps(plan, folder, models=()):
    return [progress.step for progress in evaluation(plan, folder, models).run() if progress.step is not None]


def timeless(trials):
    return [(trial.key, trial.dice, trial.prompts, trial.answer) for trial in trials]


def test_every_contestant_does_every_object_under_every_protocol(done):
    run, _, last = done
    assert (last.done, last.total) == (4, 4)
    outcome = run.outcome
    objects = {("discs", 1), ("discs", 2), ("cells", 1), ("cells", 2), ("ct", 1), ("ct", 2), ("ct", 3)}
    assert len(outcome.trials) == 8 * len(FLOORS) * 2
    assert {(trial.dataset, trial.target) for trial in outcome.trials} == objects
    assert {(trial.model, trial.protocol) for trial in outcome.trials} == {
        (name, protocol) for name in FLOORS for protocol in ("ritm", "box")
    }
    assert outcome.failures == ()


def test_contestants_are_prompted_alike_until_they_answer_differently(trials):
    found = {trial.key: trial for trial in trials}
    for key, trial in found.items():
        other = found[(*key[:3], FLOORS[0], key[4])]
        assert trial.prompts[0] == other.prompts[0]


def test_the_last_mask_and_its_scores_belong_together(done, trials):
    cases = {case.number: case for case in done[0].outcome.plan.cases}
    for trial in trials:
        if trial.dataset == "cells":
            continue
        volume = open_volume(cases[trial.case].image)
        labels = open_labels(cases[trial.case].mask, volume)
        truth = trial.answer.plane.take(labels, volume.ndim) == trial.target
        assert dice(trial.answer.to_mask(truth.shape), truth) == trial.dice[-1]
        assert trial.pixels == np.count_nonzero(truth)
        assert 0 <= trial.nsd <= 1
        assert np.isfinite(trial.hd95)
        assert trial.unit == ("mm" if trial.dataset == "ct" else "px")
        assert len(trial.seconds) == len(trial.prompts) == len(trial.dice)


def test_bright_discs_are_easy(trials):
    ends = [trial.dice[-1] for trial in trials if trial.dataset != "ct"]
    assert min(ends) > 0.85


def test_it_goes_on_where_it_was_stopped(plan, trials, tmp_path):
    stopped = evaluation(plan, tmp_path / "stopped").run()
    before = [next(stopped).step for _ in range(5)]
    stopped.close()
    again = evaluation(plan, tmp_path / "stopped")
    rest = [progress.step for progress in again.run() if progress.step is not None]
    assert {trial.key for trial in before if trial}.isdisjoint({trial.key for trial in rest})
    assert timeless(again.outcome.trials) == timeless(trials)


def test_what_is_finished_is_not_even_opened_again(plan, tmp_path):
    first = steps(plan, tmp_path / "out")
    for case in plan.cases:
        case.image.unlink()
    again = evaluation(plan, tmp_path / "out")
    assert [progress.step for progress in again.run()] == [None] * 4
    assert timeless(again.outcome.trials) == timeless(first)


def test_an_image_that_cannot_be_read_is_told_and_the_rest_goes_on(plan, tmp_path):
    broken = plan.cases[0].image
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    run = evaluation(plan, tmp_path / "out")
    found = [progress.step for progress in run.run() if progress.step is not None]
    (failure,) = run.outcome.failures
    assert isinstance(found[0], Failure)
    assert (failure.dataset, failure.image, failure.model) == ("discs", "one.png", "")
    assert "one.png" in failure.reason
    assert {trial.case for trial in run.outcome.trials} == {case.number for case in plan.cases[1:]}
    broken.write_bytes(whole)
    mended = steps(plan, tmp_path / "out")
    assert {step.case for step in mended if isinstance(step, Trial)} == {plan.cases[0].number}


def test_a_model_that_fails_is_told_and_the_others_go_on(plan, tmp_path):
    run = evaluation(plan, tmp_path, [Predictor(Fragile(load_model("random_walker"), width=64))])
    for _ in run.run():
        pass
    assert {(failure.image, failure.model) for failure in run.outcome.failures} >= {("one.png", "random_walker")}
    assert {trial.model for trial in run.outcome.trials if trial.image == "one.png"} == {"disc_or_otsu"}


def test_another_plan_in_the_same_folder_is_refused(plan, tmp_path):
    evaluation(plan, tmp_path)
    with pytest.raises(EvaluationError, match=r"other settings \(clicks, seed\)"):
        evaluation(Plan(plan.cases, clicks=4, rules=plan.rules, seed=1), tmp_path)


@pytest.mark.parametrize("change", [{"targets": "components"}, {"ignore": 1}, {"choice": 0}, {"dataset": "other"}])
def test_other_images_or_objects_in_the_same_folder_are_refused(plan, tmp_path, change):
    evaluation(plan, tmp_path)
    cases = replace(plan.cases[0], **change), *plan.cases[1:]
    with pytest.raises(EvaluationError, match=r"other settings \(images digest\)"):
        evaluation(replace(plan, cases=cases), tmp_path)


def test_no_folder_stands_in_the_record(done):
    _, folder, _ = done
    record = (folder / FILE_NAME).read_text()
    assert "one.png" in record
    assert "Mrs Smith" not in record
    assert str(folder) not in record
    assert all(json.loads(line) for line in record.splitlines())


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"protocols": ("ritm", "guess")}, "guess: is no protocol"), ({"protocols": ()}, "nothing to do")],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan, values, reason):
    with pytest.raises(EvaluationError, match=reason):
        Plan(plan.cases, **values)


def test_each_protocol_has_a_cap_of_its_own(plan):
    assert [Plan(plan.cases).cap(name) for name in ("ritm", "box", "scribble")] == [20, 5, 10]
    assert plan.cap("ritm") == 3


@pytest.mark.shared_data
def test_real_images_are_evaluated(shared_data, tmp_path):
    wanted = {"faz_octa", "msd_hippocampus_mr_3d"}
    cases = [case for case in read_manifest(shared_data / "manifest.csv") if case.dataset in wanted]
    chosen = tuple(next(case for case in cases if case.dataset == name) for name in sorted(wanted))
    found = steps(Plan(chosen, ("box",), clicks=1, rules=TargetRules(objects=1)), tmp_path)
    assert {(trial.dataset, trial.unit) for trial in found} == {("faz_octa", "px"), ("msd_hippocampus_mr_3d", "mm")}
    assert min(trial.dice[0] for trial in found) > 0.4
