"""A process that annotates is killed with SIGKILL at random moments; nothing it was told is done may be missing."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_medfm.session import AnnotationSession, verify
from napari_medfm.volume import Volume, array_geometry

from .conftest import FINGERPRINT

SHAPE = (4, 40, 40)
KILLS = 10

NURSERY = """
import os
import sys
from pathlib import Path

import numpy as np

from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, checkpoints, resolve
from napari_medfm.volume import Plane, Volume, array_geometry


def annotate(folder, fingerprint, seed):
    checkpoints.LAG = 5
    shape = (4, 40, 40)
    volume = Volume(np.zeros(shape, np.int16), array_geometry(shape))
    known = AnnotationSession.exists(fingerprint, folder)
    session = (AnnotationSession.resume if known else AnnotationSession.create)(volume, fingerprint, folder=folder)
    rng = np.random.default_rng(seed)

    def click():
        plane = Plane(0, int(rng.integers(4)))
        session.add_prompt(Point(plane, (float(rng.integers(40)), float(rng.integers(40)))))
        session.apply_mask(resolve(session.state, plane), rng.random((40, 40)) < 0.3, model="random")

    def paint():
        number = session.state.active or session.add_object()
        region = (slice(0, 4), slice(0, 20), slice(0, 20))
        session.write_voxels(number, region, rng.random((4, 20, 20)) < 0.2, add=bool(rng.integers(2)))

    acts = [click, click, paint, session.undo, session.redo, session.add_object]
    while True:
        seq, digest = session._ledger.journal.head
        print(seq, digest.hex(), int(session.labels.astype(np.int64).sum()), int(session.hand.sum()), flush=True)
        acts[rng.integers(len(acts))]()


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        annotate(Path(sys.argv[1]), sys.argv[2], int(line))
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def annotate_until_killed(nursery, seed, after):
    """Let a process annotate, kill it after some acknowledgements, and return all it gave."""
    nursery.stdin.write(f"{seed}\n")
    nursery.stdin.flush()
    child = int(nursery.stdout.readline())
    lines = [nursery.stdout.readline() for _ in range(after)]
    os.kill(child, signal.SIGKILL)
    while (line := nursery.stdout.readline()) != "ended\n":  # what it still said before the kill reached it counts, too
        assert line, f"the nursery itself ended, with {nursery.poll()}"
        lines.append(line)
    return [line.split() for line in lines]


@pytest.fixture
def nursery(tmp_path):
    """Return a process that imports everything once, and forks one that annotates for every seed it is told."""
    arguments = [sys.executable, "-c", NURSERY, str(tmp_path), FINGERPRINT]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        yield nursery
        nursery.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_nothing_acknowledged_is_lost_however_often_the_process_is_killed(nursery, tmp_path):
    volume = Volume(np.zeros(SHAPE, np.int16), array_geometry(SHAPE))
    rng = random.Random(3)
    for seed in range(KILLS):
        *_, (seq, digest, labels, hand) = annotate_until_killed(nursery, seed, after=rng.randrange(1, 40))
        assert verify(tmp_path / f"{FINGERPRINT}.medfm").intact
        with AnnotationSession.resume(volume, FINGERPRINT, tmp_path) as session:
            assert not session.read_only
            journal = session._ledger.journal
            assert journal.event(int(seq)).digest.hex() == digest
            if journal.head[0] == int(seq):  # nothing was written after the last acknowledgement
                assert int(session.labels.astype(np.int64).sum()) == int(labels)
                assert int(session.hand.sum()) == int(hand)
