"""The process that `kill_recover.py` kills while a model is taught: training, filling, accepting, at random.

What was interrupted when the program ended last is done again first, if it is offered. Every line on standard output is
one acknowledgement, as those of `killed_headless.py`, with the digests of all adapters that were told to be saved; the
first one says what was offered.
"""

import argparse
import json
import queue
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from killed_headless import content_digest

from napari_medfm import AnnotationSession, MedfmError, Predictor, load_model, open_volume
from napari_medfm.adaptation import AdapterLibrary, Recipe
from napari_medfm.inference import DiskStore, MemoryStore, TieredStore, open_lane
from napari_medfm.session import LiveSegmentation, Proposals, Teaching, Workshop
from napari_medfm.session.notes import noted_adapters
from napari_medfm.volume import Plane, fingerprint, open_labels
from napari_medfm.workers import Lane

STRUCTURE = "liver"
QUICK = Recipe(copies=1, head_steps=30, decoder_steps=6)
MASK = Path(__file__).parents[1] / "sample_volumes" / "abdomen_ct_labels.nii.gz"
FIRST = 3  # labelled slices before anything is learned


class Teacher:
    """Labels a slice, adapts, fills, accepts, as it comes.

    Parameters
    ----------
    folder : Path
        Holds journal, cache and adapters.
    image : Path
        What is annotated.
    seed : int
        Of its choices.
    """

    def __init__(self, folder: Path, image: Path, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        volume = open_volume(image)
        self._truth = open_labels(MASK, volume) == 1
        digest, sessions = fingerprint(volume), folder / "sessions"
        known = AnnotationSession.exists(digest, sessions)
        self.session = (AnnotationSession.resume if known else AnnotationSession.create)(
            volume, digest, folder=sessions
        )
        store = TieredStore([MemoryStore(10**8), DiskStore(folder / "cache" / "embeddings", 10**9)])
        proposals = Proposals(self.session)
        lane, dispatch = open_lane(), self._inbox.put
        live = LiveSegmentation(
            self.session, Predictor(load_model("compact"), store), lane, dispatch=dispatch, proposals=proposals
        )
        self._library = AdapterLibrary(folder / "adapters")
        workshop = Workshop(lane, Lane("files"), self._library, dispatch)
        self._teaching = Teaching.begin(self.session, live, proposals, workshop)
        self._proposals = proposals
        if STRUCTURE not in {each.name for each in self.session.state.classes}:
            self._teaching.name(STRUCTURE)
        self._teaching.choose(STRUCTURE)
        self._restore()
        self.saved = [each.digest for each in self._library.list()]
        self._teaching.adapting.events.finished.connect(lambda listed: self.saved.append(listed.digest))

    @property
    def offered(self) -> str:
        """What was interrupted, and may be done again; empty for nothing."""
        offer = self._teaching.unfinished.offer
        return "" if offer is None else offer.work.value

    def go_on(self) -> str:
        """Do again what is offered, and return its name."""
        name = f"{self.offered} again"
        try:
            self._teaching.go_on()
        except MedfmError:
            return f"{name} refused"
        self._run()
        return name

    def step(self) -> str:
        """Do one thing and return its name."""
        actions = [self._label] if self._teaching.examples.positives < FIRST else [self._adapt]
        if self._teaching.adapting.in_use is not None:
            actions = [self._label, self._adapt, self._fill, self._fill, self._accept, self._accept, self._undo]
        action = actions[int(self._random.integers(len(actions)))]
        try:
            action()
        except MedfmError:
            return f"{action.__name__.strip('_')} refused"
        return action.__name__.strip("_")

    def _restore(self) -> None:
        """Wait until the adapter that was in use is in use again; if it is not, that is a fault."""
        noted = noted_adapters(self.session).get(STRUCTURE)
        self._run(lambda: noted is None or self._teaching.adapting.in_use is not None)
        if noted is not None:
            assert self._teaching.adapting.in_use.listed.digest == noted[0]

    def _run(self, until: Callable[[], bool] = lambda: True) -> None:
        teaching = self._teaching
        while teaching.adapting.busy or teaching.filling.busy or not until() or not self._inbox.empty():
            self._inbox.get(timeout=120)()

    def _label(self) -> None:
        held = np.flatnonzero(self._truth.any(axis=(1, 2)))
        plane = Plane(0, int(self._random.choice(held)))
        number = min(self.session.state.objects, default=None) or self.session.add_object(STRUCTURE)
        region = plane.region(self._truth.shape)
        self.session.write_voxels(number, region, self._truth[region])
        self.session.confirm_slice(STRUCTURE, plane)

    def _adapt(self) -> None:
        adapting, before = self._teaching.adapting, len(self.saved)
        adapting.adapt(QUICK)
        self._run(lambda: len(self.saved) > before and adapting.in_use is not None)

    def _fill(self) -> None:
        self._teaching.fill(Plane(0, int(self._random.integers(len(self._truth)))))
        self._run()

    def _accept(self) -> None:
        planes = list(self._proposals.slices(STRUCTURE))
        if planes and self._random.random() < 0.6:
            self._proposals.accept_slice(STRUCTURE, planes[int(self._random.integers(len(planes)))])
        else:
            self._proposals.accept_above(STRUCTURE, 0.7)

    def _undo(self) -> None:
        self.session.undo()


def main() -> None:
    """Teach until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    teacher = Teacher(options.folder, options.image, options.seed)
    journal = sqlite3.connect(f"{teacher.session.path.as_uri()}?mode=ro", uri=True)
    name, offered = "opened", teacher.offered
    while True:
        seq, head = journal.execute("SELECT seq, hex(digest) FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        line = {"seq": seq, "digest": head, "content": content_digest(teacher.session), "after": name}
        sys.stdout.write(json.dumps({**line, "adapters": teacher.saved, "offered": offered}) + "\n")
        sys.stdout.flush()
        name, offered = (teacher.go_on() if offered else teacher.step()), ""


if __name__ == "__main__":
    main()
