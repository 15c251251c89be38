"""The comparison with another project: it says how to make what it needs, and sides answer in turns."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medfm.models import sam_layouts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

ECHO = """
import sys
sys.path.insert(0, {sides!r})
from lines import Lines

class Echo:
    def __init__(self, lines):
        self.lines = lines

    def count(self, upto):
        for number in range(upto):
            print("a library talks")
            self.lines.pause(number)
        return "done"

lines = Lines()
lines.serve(Echo(lines))
"""


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import peers

    yield peers
    for name in ("peers", "report"):
        sys.modules.pop(name)


def leave_with(peers, *arguments):
    with pytest.raises(SystemExit) as leaving:
        peers.report.main("peers", peers.measure, peers._options, arguments)
    return leaving.value.code


@pytest.fixture
def without_micro_sam(tmp_path):
    """Return a Python that finds no installed packages."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    script.chmod(0o700)
    return script


@pytest.mark.skipif(sys.platform == "win32", reason="the Python without packages is a shell script")
def test_a_python_without_micro_sam_is_refused_and_the_command_that_makes_one_is_told(peers, without_micro_sam):
    reason = leave_with(peers, "--quick", "--peer-python", str(without_micro_sam))
    assert "has no micro-sam" in reason
    assert peers.MAKE in reason


def test_a_run_without_the_peers_python_says_what_is_missing_and_how_to_make_it(peers):
    reason = leave_with(peers)
    assert "--peer-python" in reason
    assert peers.MAKE in reason


def test_a_python_that_is_not_there_is_refused(peers, tmp_path):
    assert "is no Python" in leave_with(peers, "--peer-python", str(tmp_path / "python"))


def test_the_command_told_is_the_documented_one(peers):
    assert peers.MAKE in peers.__doc__
    assert peers.MAKE in (BENCHMARKS.parent / "CONTRIBUTING.md").read_text()


def test_both_sides_see_the_same_grey_values_although_micro_sam_stretches_each_slice(peers):
    volume = peers.phantom(3)
    assert (volume.shape, volume.dtype) == ((3, 512, 512), np.uint8)
    stretched = (volume.astype(np.float32) / (np.float32(255) + 1e-7) * 255).astype(np.uint8)
    np.testing.assert_array_equal(stretched, volume)


@pytest.fixture
def echo(peers, tmp_path):
    script = tmp_path / "echo_side.py"
    script.write_text(ECHO.format(sides=str(BENCHMARKS / "sides")))
    with peers.Side(sys.executable, str(script), {}) as side:
        yield side


def test_a_side_pauses_until_it_may_go_on_and_what_libraries_print_is_no_answer(echo):
    assert echo.ask("count", upto=2) == 0
    assert echo.ask() == 1
    assert echo.ask() == "done"


def test_the_slices_of_two_sides_are_paired_in_turns(peers):
    assert peers.precompute(Counting([1.0, 2.0, 4.0]), Counting([3.0, 5.0, 6.0]), 2) == [(3.0, 6.0), (4.0, 8.0)]


class Counting:
    """Answers with what it was given, in order."""

    def __init__(self, seconds):
        self.left = list(seconds)

    def send(self, do=""):
        """Take any request."""

    def answer(self):
        return self.left.pop(0)

    def ask(self, do=""):
        return self.answer()


def test_a_side_that_ends_early_ends_the_run_and_is_named(echo):
    with pytest.raises(SystemExit, match="echo_side"):
        echo.ask("unheard_of")


def test_our_side_embeds_loads_and_answers(peers, tmp_path):
    torch.manual_seed(0)
    weights, volume = tmp_path / "lite.pth", tmp_path / "volume.npy"
    torch.save(sam_layouts.assemble(sam_layouts.LITE, 256).state_dict(), weights)
    np.save(volume, np.arange(2 * 40 * 40, dtype=np.uint8).reshape(2, 40, 40))
    root = str(BENCHMARKS.parent)
    with peers.Side(sys.executable, "medfm_side.py", {"PYTHONPATH": os.pathsep.join([root, *sys.path])}) as side:
        side.ask("prepare", weights=str(weights), volume=str(volume), folder=str(tmp_path), threads=1)
        assert min(side.ask("precompute"), side.ask(), side.ask()) > 0
        assert min(side.ask("load_first", index=0), side.ask("load_again", index=1)) > 0
        assert len(side.ask("prompt", kind="click", position=[20.0, 20.0], times=2)) == 2
        work = peers.Work(tmp_path, sys.executable, 1)
        peers.PROMPTS = {"box": [5.0, 5.0, 30.0, 30.0]}
        mask, features = peers.answers(work, side, "box")
        side.ask("be_exact", index=1)
        same, exact = peers.answers(work, side, "box")
    assert mask.shape == same.shape == (40, 40)
    assert peers.smallest_cosine(features, exact) > 0.999
    assert peers.bytes_per_slice(tmp_path / "embeddings", 2) > features.nbytes / 2
