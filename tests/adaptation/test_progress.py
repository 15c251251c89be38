"""The clock of adapting, on made-up time."""

import pytest

from napari_medfm.adaptation import progress as progress_module
from napari_medfm.adaptation.progress import Clock, Progress


@pytest.fixture
def passing(monkeypatch):
    """A list whose only number is the time."""
    now = [0.0]
    monkeypatch.setattr(progress_module, "perf_counter", lambda: now[0])
    return now


def test_time_given_to_others_does_not_count(passing):
    clock = Clock(100.0, 4)
    for _ in range(2):
        clock.start()
        passing[0] += 3
        stamped = clock.stamp(Progress("head", 1, 4))
        passing[0] += 50  # between the steps
    assert stamped.seconds == 6
    assert stamped.left == 6


def test_each_phase_has_its_share_of_the_time(passing):
    clock = Clock(100.0, 4)
    clock.start()
    passing[0] = 10
    clock.begin("head")
    assert clock.share("head") == 0
    passing[0] = 26
    assert clock.share("head") == pytest.approx(0.5)
    assert not clock.is_over("head")
    passing[0] = 43
    assert clock.is_over("head")
    assert not clock.is_over("decoder")


def test_a_phase_that_begins_too_late_is_over(passing):
    clock = Clock(100.0, 4)
    clock.start()
    passing[0] = 96
    clock.begin("head")
    assert clock.share("head") == 1
    assert clock.is_over("settle")
