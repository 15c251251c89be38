"""What is done is kept line by line, and belongs to one set of settings."""

import pytest

from napari_medfm.errors import EvaluationError, WriteError
from napari_medfm.evaluation.logbook import FILE_NAME, Logbook

from .datasets import make_trial

SETTINGS = {"seed": 0, "protocols": ["ritm"], "models": {"m": "digest"}}


def test_trials_and_finished_cases_are_there_when_it_is_opened_again(tmp_path):
    first = Logbook(tmp_path / "out", SETTINGS)
    trials = [make_trial(case=1), make_trial((0.3,), case=2)]
    for trial in trials:
        first.add(trial)
    first.finish(1)
    again = Logbook(tmp_path / "out", SETTINGS)
    assert list(again.trials.values()) == trials
    assert again.finished == {1}


def test_a_line_that_was_cut_off_is_lost_and_nothing_else(tmp_path):
    logbook = Logbook(tmp_path, SETTINGS)
    logbook.add(make_trial(case=1))
    kept = (tmp_path / FILE_NAME).read_bytes()
    logbook.add(make_trial(case=2))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-30])
    again = Logbook(tmp_path, SETTINGS)
    assert [key[0] for key in again.trials] == [1]
    assert path.read_bytes() == kept
    again.add(make_trial(case=3))
    assert [key[0] for key in Logbook(tmp_path, SETTINGS).trials] == [1, 3]


def test_a_file_cut_off_in_its_first_line_is_begun_anew(tmp_path):
    Logbook(tmp_path, SETTINGS)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    assert Logbook(tmp_path, SETTINGS).trials == {}
    assert path.read_bytes() == whole


def test_other_settings_are_refused_and_named(tmp_path):
    Logbook(tmp_path, SETTINGS).add(make_trial())
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(
        EvaluationError, match=r"trials\.jsonl: is of an evaluation with other settings \(models, seed\)"
    ):
        Logbook(tmp_path, {**SETTINGS, "seed": 1, "models": {"m": "other"}})
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_damaged_line_is_counted(tmp_path):
    Logbook(tmp_path, SETTINGS).add(make_trial())
    with (tmp_path / FILE_NAME).open("ab") as stream:
        stream.write(b'{"trial": {}}\n')
    with pytest.raises(EvaluationError, match=r"trials\.jsonl, line 3: is damaged"):
        Logbook(tmp_path, SETTINGS)


def test_a_file_that_is_no_record_is_refused(tmp_path):
    (tmp_path / FILE_NAME).write_text("groceries\n")
    with pytest.raises(EvaluationError, match="is no record of an evaluation"):
        Logbook(tmp_path, SETTINGS)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(WriteError, match="out: is no folder"):
        Logbook(tmp_path / "out", SETTINGS)
