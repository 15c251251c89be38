"""The process that `kill_recover.py` kills: annotates headless, at random, and says what has been acknowledged.

Every line on standard output is one acknowledgement, written after the call that made the change has returned:
number and digest of the journal's last event, and a digest of all that the session holds.
"""

import argparse
import hashlib
import json
import sqlite3
import sys
from pathlib import Path

import numpy as np

from napari_medfm import AnnotationSession, Point, Predictor, load_model, open_volume
from napari_medfm.inference import DiskStore, MemoryStore, TieredStore, open_lane
from napari_medfm.models import PromptableModel
from napari_medfm.prompts import Box, Scribble
from napari_medfm.session import LiveSegmentation, SessionState
from napari_medfm.session.changes import diff, encode
from napari_medfm.volume import Plane, fingerprint


def content_digest(session: AnnotationSession) -> str:
    """Return a digest of all that a session holds: voxels, what lies beneath, hand marks, state, undo and redo."""
    digest = hashlib.sha256()
    for array in (session.labels, session.beneath, session.hand):
        digest.update(np.ascontiguousarray(array).tobytes())
    known = sorted(encode((change,)) for change in diff(SessionState(), session.state))
    steps = [[step.number for step in steps] for steps in (session.history.done, session.history.undone)]
    digest.update(json.dumps([known, steps]).encode())
    return digest.hexdigest()


class Annotator:
    """Does one random thing after another to a session, as a person in a hurry would.

    Parameters
    ----------
    session : AnnotationSession
        What is annotated.
    live : LiveSegmentation
        Answers its prompts.
    out : Path
        Label file that is saved now and then.
    seed : int
        Of its choices.
    """

    def __init__(self, session: AnnotationSession, live: LiveSegmentation, out: Path, seed: int) -> None:
        self._session, self._live, self._out = session, live, out
        self._random = np.random.default_rng(seed)
        self._actions = {
            self._prompt: 10, self._paint: 6, self._undo: 3, self._redo: 2, self._save: 2, self._embed: 3,
            self._accept: 2, self._add: 1, self._delete: 0.5, self._reset: 0.5,
        }  # fmt: skip

    def step(self) -> str:
        """Do one thing and return its name."""
        weights = np.array(list(self._actions.values()))
        action = list(self._actions)[self._random.choice(len(weights), p=weights / weights.sum())]
        action()
        return action.__name__.strip("_")

    def _plane(self) -> Plane:
        axis = int(self._random.choice(3, p=(0.8, 0.1, 0.1)))
        return Plane(axis, int(self._random.integers(self._session.volume.shape[axis])))

    def _spot(self, plane: Plane) -> tuple[float, float]:
        rows, columns = plane.shape(self._session.volume.shape)
        return float(self._random.uniform(0, rows - 1)), float(self._random.uniform(0, columns - 1))

    def _prompt(self) -> None:
        plane = self._plane()
        first, second = self._spot(plane), self._spot(plane)
        low, high = np.minimum(first, second), np.maximum(first, second) + 1
        positive = bool(self._random.random() < 0.7)
        kinds = (
            Point(plane, first, positive),
            Scribble(plane, (first, second), positive),
            Box(plane, (low[0], low[1]), (high[0], high[1])),
        )
        self._live.add_prompt(kinds[self._random.choice(3, p=(0.7, 0.15, 0.15))])
        self._live.wait()

    def _paint(self) -> None:
        number = self._session.state.active or self._session.add_object()
        start = [int(self._random.integers(size - 4)) for size in self._session.volume.shape]
        region = tuple(slice(at, at + int(self._random.integers(1, 5))) for at in start)
        mask = np.ones([part.stop - part.start for part in region], bool)
        self._session.write_voxels(number, region, mask, add=bool(self._random.random() < 0.7))

    def _undo(self) -> None:
        self._session.undo()

    def _redo(self) -> None:
        self._session.redo()

    def _save(self) -> None:
        self._session.save_labels(self._out)

    def _embed(self) -> None:
        plane = self._plane()
        self._live.show(plane, 1)

    def _accept(self) -> None:
        if self._session.state.active is not None:
            self._session.accept()

    def _add(self) -> None:
        self._session.add_object()

    def _delete(self) -> None:
        if self._session.state.objects:
            self._session.delete_object(int(self._random.choice(list(self._session.state.objects))))

    def _reset(self) -> None:
        if self._session.state.active is not None:
            self._session.reset()


def small_sam() -> PromptableModel:
    """Return a model with embeddings worth caching; imported here, for torch takes its time."""
    from napari_medfm.models.backends.sam import SamModel, build_small_sam

    return SamModel(build_small_sam(seed=1))


def main() -> None:
    """Annotate until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()

    volume = open_volume(options.image)
    digest = fingerprint(volume)
    sessions = options.folder / "sessions"
    known = AnnotationSession.exists(digest, sessions)
    session = (AnnotationSession.resume if known else AnnotationSession.create)(volume, digest, folder=sessions)
    model = small_sam() if options.seed % 4 == 0 else load_model("random_walker")
    store = TieredStore([MemoryStore(10**7), DiskStore(options.folder / "cache" / "embeddings", 10**9)])
    live = LiveSegmentation(session, Predictor(model, store), open_lane())
    annotator = Annotator(session, live, options.folder / "labels.nii.gz", options.seed)
    journal = sqlite3.connect(f"{session.path.as_uri()}?mode=ro", uri=True)
    name = "opened"
    while True:
        row = journal.execute("SELECT seq, hex(digest) FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        seq, head = row or (0, "")
        line = {"seq": seq, "digest": head, "content": content_digest(session), "after": name}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        name = annotator.step()


if __name__ == "__main__":
    main()
