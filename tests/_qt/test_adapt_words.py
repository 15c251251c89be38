from dataclasses import replace

import pytest

from napari_medfm._qt.adapt_words import (
    describe_licence,
    describe_readout,
    describe_training,
    describe_unfinished,
    describe_version,
)
from napari_medfm.adaptation import AdapterFacts, Listed, Progress, Readout
from napari_medfm.session import Undertaking, Work

READOUT = Readout("axial slice 7", 0.6123, 0.881, 4.0, 1.0)
FACTS = AdapterFacts("liver", "compact", "b", "e", "p", "BSD-3-Clause", True, ("s",), False, False, True, 9, 1.0, 0)


def test_a_better_model_is_told_with_its_figures():
    text = describe_readout(replace(FACTS, readout=READOUT))
    assert "On axial slice 7, which it had not seen: found by itself with Dice 0.88 (0.61 before)" in text
    assert "clicks to Dice 0.85: 4 before, 1 now. Better" in text


def test_a_model_that_is_not_better_leaves_the_base_active():
    text = describe_readout(replace(FACTS, readout=replace(READOUT, clicks_after=10.0)))
    assert text.endswith("more than 9 now. Not better: the base model stays active.")


def test_without_a_slice_to_try_it_on_that_is_said():
    assert describe_readout(FACTS).endswith("the base model stays active. Label another slice.")
    assert describe_readout(FACTS, kept=1).endswith("version 1 is kept. Label another slice.")


def test_a_version_that_is_kept_instead_is_named():
    text = describe_readout(replace(FACTS, readout=replace(READOUT, clicks_after=10.0)), kept=1)
    assert text.endswith("Not better than the base model: version 1 is kept.")


def test_a_version_tells_its_structure_only_if_it_is_another(tmp_path):
    listed = Listed(tmp_path / "0002.safetensors", 2, replace(FACTS, readout=READOUT), "d")
    assert describe_version(listed, "liver", "b") == "version 2 · Dice 0.88"
    assert describe_version(listed, "spleen", "b") == "liver · version 2 · Dice 0.88"


def test_a_version_of_another_model_names_it(tmp_path):
    listed = Listed(tmp_path / "0002.safetensors", 2, replace(FACTS, readout=READOUT), "d")
    assert describe_version(listed, "liver", "x") == "version 2 · Dice 0.88 · for compact"


@pytest.mark.parametrize(("work", "word"), [(Work.ADAPT, "learns from the marked slices"), (Work.FILL, "filled again")])
def test_what_was_interrupted_is_told_with_what_going_on_does(work, word):
    text = describe_unfinished(Undertaking(work, "liver"))
    assert "liver" in text
    assert word in text


def test_the_licence_of_the_base_is_told():
    assert describe_licence(FACTS) == "Made on compact (BSD-3-Clause)"
    assert describe_licence(replace(FACTS, commercial_use=False)).endswith("no commercial use)")


def test_progress_tells_phase_and_time():
    assert describe_training(Progress("head", 3, 10, left=12.2)) == "Learning to find it · 12 s left"
