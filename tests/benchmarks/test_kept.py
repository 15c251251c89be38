"""A long benchmark goes on where it was stopped."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import kept

    yield kept
    sys.modules.pop("kept")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state"


def test_what_was_measured_is_not_measured_again(kept, file):
    result = {"seconds": 3.5, "scores": {"prompt-free": [0.5, 0.75]}}
    assert kept.Kept(file, {"seed": 1}).get("liver", lambda: result) == result
    again = kept.Kept(file, {"seed": 1})
    assert again.get("liver", pytest.fail) == result
    assert again.get("aorta", dict) == {}


def test_results_of_other_settings_are_refused(kept, file):
    kept.Kept(file, {"seed": 1})
    with pytest.raises(SystemExit, match="other settings"):
        kept.Kept(file, {"seed": 2})


def test_without_a_file_nothing_is_kept(kept):
    assert kept.Kept(None, {}).get("liver", dict) == {}
