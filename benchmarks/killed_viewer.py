"""The process that `kill_recover.py` kills in the real viewer: a person in a hurry, with mouse and keys.

Every line on standard output is one acknowledgement, as those of `killed_headless.py`. It is written inside the
signal that follows a change: for a stroke of napari's brush, while its paint event is being handled.
"""

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

import driver
import numpy as np
from killed_headless import content_digest

from napari_medfm import register_model
from napari_medfm.session import AnnotationSession

MODEL = "small-sam"
PAUSE_MS = 5
PATIENCE = 120.0
"""Seconds until the image must be open; a busy machine takes its time to load a model."""


class Witness:
    """Writes a line for every change, as soon as the program says that it is safe.

    Parameters
    ----------
    session : AnnotationSession
        What is annotated.
    """

    def __init__(self, session: AnnotationSession) -> None:
        self.doing = "opened"
        self._session = session
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else the program prints goes elsewhere
        self._journal = sqlite3.connect(f"{session.path.as_uri()}?mode=ro", uri=True)
        session.events.history_changed.connect(self.acknowledge)

    def acknowledge(self) -> None:
        """Write a line: number and digest of the journal's last event, digest of all there is, what was done."""
        row = self._journal.execute("SELECT seq, hex(digest) FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        line = {"seq": row[0], "digest": row[1], "content": content_digest(self._session), "after": self.doing}
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


class Person:
    """Does one random thing after another in a viewer, often before the last one is answered.

    Parameters
    ----------
    desk : Desk
        The viewer, with an image open.
    witness : Witness
        Told what is being done.
    out : Path
        Label file that is saved now and then.
    seed : int
        Of its choices.
    """

    def __init__(self, desk: driver.Desk, witness: Witness, out: Path, seed: int) -> None:
        self._desk, self._witness, self._out = desk, witness, out
        self._case, self._canvas = desk.case, desk.canvas()
        from canvas import CONTROL, NONE, SHIFT
        from qtpy.QtCore import Qt

        self._keys, self._bare, self._shift, self._control = Qt.Key, NONE, SHIFT, CONTROL
        self._random = np.random.default_rng(seed)
        self._actions = {
            self._click: 8, self._box: 2, self._scribble: 2, self._brush: 7, self._eraser: 3, self._undo: 3,
            self._redo: 2, self._accept: 2, self._next: 1, self._save: 1, self._scroll: 4, self._planes: 1,
            self._embed: 1, self._wait: 2,
        }  # fmt: skip

    def step(self) -> None:
        """Do one thing."""
        weights = np.array(list(self._actions.values()))
        action = list(self._actions)[self._random.choice(len(weights), p=weights / weights.sum())]
        self._witness.doing = action.__name__.strip("_")
        action()
        driver.settle(PAUSE_MS)

    def _spot(self) -> tuple[float, ...]:
        plane, shape = self._case.workspace.bridge.plane, self._case.session.volume.shape
        return plane.to_voxel(tuple(self._random.uniform(0, np.array(plane.shape(shape)) - 1)), len(shape))

    def _path(self, points: int) -> list[tuple[float, ...]]:
        """Return some places on the slice, near one another."""
        ends = np.array([self._spot(), self._spot()])
        ends[1] = ends[0] + (ends[1] - ends[0]) / 3
        return [tuple(ends[0] + (ends[1] - ends[0]) * part) for part in np.linspace(0, 1, points)]

    def _sign(self):
        return self._shift if self._random.random() < 0.3 else self._bare

    def _click(self) -> None:
        self._canvas.key(self._keys.Key_P)
        self._canvas.click(self._spot(), self._sign())

    def _box(self) -> None:
        self._canvas.key(self._keys.Key_B)
        self._canvas.drag(self._path(3), self._sign())

    def _scribble(self) -> None:
        self._canvas.key(self._keys.Key_S)
        self._canvas.drag(self._path(5), self._sign())

    def _brush(self) -> None:
        self._stroke(self._keys.Key_2)

    def _eraser(self) -> None:
        self._stroke(self._keys.Key_1)

    def _stroke(self, key) -> None:
        self._canvas.key(key)
        self._canvas.layer.brush_size = int(self._random.integers(1, 25))
        self._canvas.drag(self._path(int(self._random.integers(2, 8))))

    def _undo(self) -> None:
        self._canvas.key(self._keys.Key_Z, self._control)

    def _redo(self) -> None:
        self._canvas.key(self._keys.Key_Z, self._control | self._shift)

    def _accept(self) -> None:
        self._canvas.key(self._keys.Key_Return)

    def _next(self) -> None:
        self._canvas.key(self._keys.Key_N)

    def _save(self) -> None:
        self._desk.widget.annotator.save(self._out)

    def _scroll(self) -> None:
        plane, shape = self._case.workspace.bridge.plane, self._case.session.volume.shape
        self._desk.viewer.dims.set_current_step(plane.axis, int(self._random.integers(shape[plane.axis])))

    def _planes(self) -> None:
        self._canvas.key(self._keys.Key_A)

    def _embed(self) -> None:
        press(self._desk.widget.panel.progress.embed)

    def _wait(self) -> None:
        driver.wait(lambda: not self._case.live.busy)


def press(button) -> None:
    """Click on a button of the panel."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def open_case(image: Path, model: str) -> driver.Desk:
    """Open the image in a viewer with the panel; an earlier session is resumed, as the panel offers."""
    desk = driver.Desk(model)
    resume = desk.widget.panel.resume.resume
    desk.viewer.open(str(image), plugin="napari-medfm")
    driver.wait(lambda: desk.case is not None or resume.isVisible(), PATIENCE)
    if desk.case is None:
        press(resume)
    driver.wait(lambda: desk.case is not None, PATIENCE)
    return desk


def main() -> None:
    """Annotate until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()

    driver.ensure_display()
    os.environ["MEDFM_DATA_DIR"] = str(options.folder)
    os.environ["MEDFM_CACHE_DIR"] = str(options.folder / "cache")
    os.environ["NAPARI_CONFIG"] = str(options.folder / "napari.yaml")
    register_model(MODEL, "killed_headless:small_sam")
    desk = open_case(options.image, MODEL if options.seed % 4 == 0 else "")
    witness = Witness(desk.case.session)
    person = Person(desk, witness, options.folder / "labels.nii.gz", options.seed)
    witness.acknowledge()
    while True:
        person.step()


if __name__ == "__main__":
    main()
