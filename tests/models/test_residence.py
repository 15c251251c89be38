"""A device whose memory ends gives up its tier, then moves the network to the CPU; the work is done all the same."""

import pytest
import torch

from napari_medfm.errors import ModelError
from napari_medfm.models.residence import Residence

ELSEWHERE = torch.device("meta")
"""A device that every machine has and that is not the CPU."""


class Works:
    """Work that runs out of memory so many times before it succeeds."""

    def __init__(self, failures):
        self.failures, self.tries = failures, 0

    def __call__(self):
        self.tries += 1
        if self.tries <= self.failures:
            raise torch.OutOfMemoryError("out of memory")
        return "done"


@pytest.fixture
def places():
    return []


@pytest.fixture
def home(places):
    home = Residence("Big model", ELSEWHERE, places.append, budget_bytes=100)
    home.keep("a", object, 60)
    return home


def test_work_that_fits_changes_nothing(home, places):
    assert home.run(Works(0)) == "done"
    assert (home.kept_bytes, places) == (60, [ELSEWHERE])


def test_first_the_tier_is_given_up(home, places):
    assert home.run(Works(1)) == "done"
    assert (home.kept_bytes, places, home.device) == (0, [ELSEWHERE], ELSEWHERE)


def test_then_the_network_moves_to_the_cpu_for_good_and_says_so(home, places, caplog):
    assert home.run(Works(2)) == "done"
    assert places == [ELSEWHERE, torch.device("cpu")]
    assert home.device == torch.device("cpu")
    assert "Big model: the memory of meta does not suffice; it goes on on the CPU" in caplog.text
    assert home.run(Works(2)) == "done"
    assert len(places) == 2


def test_at_last_it_is_an_error_that_says_what_to_do(home):
    with pytest.raises(ModelError, match=r"Big model: needs more memory than there is\. Close other programs"):
        home.run(Works(3))


def test_other_errors_are_not_taken_for_it(home, places):
    def fail():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        home.run(fail)
    assert home.kept_bytes == 60


def test_the_least_recently_used_makes_room_on_the_device(home):
    made = []

    def make(name):
        return lambda: made.append(name) or name

    home.make_room()
    for name in ("a", "b", "a", "c", "a", "b"):
        assert home.keep(name, make(name), 40) == name
    assert made == ["a", "b", "c", "b"]
    assert home.kept_bytes == 80


def test_what_is_larger_than_the_budget_is_made_and_not_kept(home):
    assert home.keep("large", lambda: "large", 1000) == "large"
    assert home.kept_bytes == 0


def test_on_the_cpu_nothing_is_kept_twice():
    home = Residence("Small model", torch.device("cpu"), lambda device: None)
    made = [home.keep("a", object, 10) for _ in range(2)]
    assert made[0] is not made[1]
    assert home.kept_bytes == 0
