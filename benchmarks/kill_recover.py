"""Kill the program at random moments, reopen, and count what was lost.

A child annotates at random and prints one line per acknowledged change; it is killed with SIGKILL at a random
moment. Then the session is reopened and held against the last line: every acknowledged event is in the journal
with the digest it had, and voxels, state and history are those that were acknowledged (if the kill left an event that
was written but not yet acknowledged, those of the journal cut off there). The label file, if one was saved, opens;
the image file is byte-identical; every adapter that was told to be saved can be read; the cache serves nothing
damaged. What the journal says was being learned or filled is offered by the next child, which then goes on with it.
Each folder is used for several kills in a row, and only copies of its journal are opened in between, so that
children resume from what kills left. At the end of each folder its journal is verified from the first event to the
last, checkpoints included.

Children in the viewer need a display; without one the script starts itself again under ``xvfb-run``.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import driver
import numpy as np
import report
from killed_headless import content_digest

from napari_medfm import AnnotationSession, MedfmError, open_volume
from napari_medfm.adaptation import AdapterLibrary, read_adapter
from napari_medfm.files import sha256_file
from napari_medfm.inference import DiskStore
from napari_medfm.session import journal_path, verify
from napari_medfm.session.notes import unfinished
from napari_medfm.volume import Volume, fingerprint, open_labels

HERE = Path(__file__).parent
CHILDREN = {
    "headless": HERE / "killed_headless.py",
    "viewer": HERE / "killed_viewer.py",
    "teaching": HERE / "killed_teaching.py",
}
KILLS = {"headless": 160, "viewer": 40, "teaching": 20}
QUICK = {"headless": 6, "viewer": 2, "teaching": 1}
PER_FOLDER = 20
LONGEST = {"headless": 3.0, "viewer": 10.0, "teaching": 30.0}
"""Seconds a child may go on after its first acknowledgement."""
START = 180.0
"""Seconds a child may take until its first acknowledgement."""


@dataclass(frozen=True, slots=True)
class Case:
    """Where one child works."""

    kind: str
    image: Path
    folder: Path
    volume: Volume
    fingerprint: str

    @property
    def sessions(self) -> Path:
        return self.folder / "sessions"

    @property
    def embeddings(self) -> Path:
        return self.folder / "cache" / "embeddings"

    @property
    def adapters(self) -> Path:
        return self.folder / "adapters"

    @property
    def labels(self) -> Path:
        return self.folder / "labels.nii.gz"


@dataclass
class Tally:
    """What was counted so far."""

    kills: int = 0
    events: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    damaged: int = 0
    adapters: int = 0
    adapters_lost: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    not_offered: int = 0
    during: Counter[str] = field(default_factory=Counter)
    lost: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, faults: list[str]) -> None:
        """Keep what was wrong after a kill."""
        if faults:
            self.lost[name] = [*self.lost.get(name, []), *faults]


def kill_once(case: Case, seed: int, seconds: float) -> tuple[list[dict[str, object]], str]:
    """Start a child, kill it some seconds after its first acknowledgement, and return its acknowledgements.

    A child that ended before it was killed has crashed: its last message is returned with its acknowledgements.
    """
    command = [sys.executable, str(CHILDREN[case.kind]), str(case.image), "--folder", str(case.folder)]
    log = case.folder / "child.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [*command, "--seed", str(seed)], stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        lines: list[bytes] = []
        started = threading.Event()
        reader = threading.Thread(target=_drain, args=(child.stdout, lines, started))
        reader.start()
        ready = started.wait(START)
        if ready:
            threading.Event().wait(seconds)
        died = child.poll() is not None
        if not died:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        reader.join()
    messages = log.read_text(errors="replace")
    if not ready:
        msg = f"the child never began; its messages:\n{messages[-3000:]}"
        raise RuntimeError(msg)
    whole = [line for line in lines if line.endswith(b"\n")]
    crash = f"crashed: {' '.join(messages.split()[-20:])}" if died else ""
    return [json.loads(line) for line in whole], crash


def examine(case: Case, last: dict[str, object]) -> tuple[list[str], str]:
    """Return what is wrong with what a killed child left, in words, and what work it left unfinished, if any."""
    found, left = [], ""
    with tempfile.TemporaryDirectory() as folder:
        sessions = shutil.copytree(case.sessions, Path(folder) / "sessions")
        try:
            with AnnotationSession.resume(case.volume, case.fingerprint, sessions) as session:
                found += _compare(case, session.path, content_digest(session), last)
                left = next((each.work.value for each in reversed(unfinished(session))), "")
        except MedfmError as error:
            found.append(f"did not reopen: {error}")
    if case.labels.exists():
        try:
            open_labels(case.labels, like=case.volume)
        except MedfmError as error:
            found.append(f"the saved label file does not open: {error}")
    return found, left


def lost_adapters(case: Case, last: dict[str, object]) -> int:
    """Return how many adapters that were told to be saved cannot be read, or are listed but damaged."""
    readable = set()
    damaged = 0
    for listed in AdapterLibrary(case.adapters).list():
        try:
            readable.add(read_adapter(listed.path).digest)
        except MedfmError:
            damaged += 1
    return damaged + len(set(last.get("adapters", ())) - readable)


def unproven(case: Case) -> list[str]:
    """Return what verifying the whole journal of a folder finds wrong; empty if nothing is."""
    proof = verify(journal_path(case.fingerprint, case.sessions))
    return [] if proof.intact else [f"verifying the journal: {proof.reason}, event {proof.broken_event}"]


def _compare(case: Case, path: Path, digest: str, last: dict[str, object]) -> list[str]:
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as journal:
        head = journal.execute("SELECT max(seq) FROM events").fetchone()[0]
        row = journal.execute("SELECT hex(digest) FROM events WHERE seq = ?", (last["seq"],)).fetchone()
    journal.close()
    if row is None or row[0] != last["digest"]:
        return [f"acknowledged event {last['seq']} is missing or altered; the journal ends at {head}"]
    if head != last["seq"]:
        digest = _digest_at(case, path, int(str(last["seq"])))
    return [] if digest == last["content"] else [f"differs from what it was after acknowledged event {last['seq']}"]


def _digest_at(case: Case, path: Path, seq: int) -> str:
    """Return the digest of the session at an earlier event: of a copy of the journal that ends there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        source = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        target = sqlite3.connect(copy)
        source.backup(target)
        target.execute("DELETE FROM events WHERE seq > ?", (seq,))
        target.execute("DELETE FROM checkpoints WHERE seq > ?", (seq,))
        target.commit()
        source.close()
        target.close()
        logging.disable(logging.WARNING)  # checkpoints that are missed were deleted just now
        try:
            with AnnotationSession.resume(case.volume, case.fingerprint, Path(folder)) as session:
                return content_digest(session)
        finally:
            logging.disable(logging.NOTSET)


def _drain(stream, lines: list[bytes], started: threading.Event) -> None:
    for line in stream:
        lines.append(line)
        started.set()


def prepare(kind: str, image: Path, folder: Path) -> Case:
    """Copy the image into a folder of its own, as the source that must not change."""
    folder.mkdir(parents=True)
    copy = folder / image.name
    shutil.copyfile(image, copy)
    volume = open_volume(copy)
    return Case(kind, copy, folder, volume, fingerprint(volume))


def series(run: report.Run, kind: str, count: int, scratch: Path, tally: Tally) -> None:
    """Kill children of one kind, several in each folder."""
    random = np.random.default_rng(run.options.seed)
    before = sha256_file(run.options.image)
    left = ""
    for number in range(count):
        name, seed = f"{kind} kill {number}", 1000 * run.options.seed + tally.kills
        if number % PER_FOLDER == 0:
            case, left = prepare(kind, run.options.image, scratch / f"{kind}-{number}"), ""
        acknowledged, crash = kill_once(case, seed, seconds=random.uniform(0, LONGEST[kind]))
        tally.kills += 1
        tally.add(name, [crash] if crash else [])
        tally.not_offered += bool(left) and acknowledged[0].get("offered") != left
        wrong, left = examine(case, acknowledged[-1])
        tally.add(name, wrong)
        tally.interrupted[left] += bool(left)
        tally.adapters_lost += lost_adapters(case, acknowledged[-1])
        tally.adapters += len(acknowledged[-1].get("adapters", ())) - len(acknowledged[0].get("adapters", ()))
        tally.touched += sha256_file(case.image) != before
        tally.during[str(acknowledged[-1]["after"])] += 1
        tally.events[kind] += int(str(acknowledged[-1]["seq"])) - int(str(acknowledged[0]["seq"]))
        if number + 1 == count or (number + 1) % PER_FOLDER == 0:
            tally.add(name, unproven(case))
            tally.damaged += DiskStore(case.embeddings, 10**9).verify().removed


def measure(run: report.Run) -> None:
    """Kill the program at random moments and count what was lost."""
    kills = {kind: getattr(run.options, kind) for kind in CHILDREN}
    kills = {kind: (QUICK if run.quick else KILLS)[kind] if count is None else count for kind, count in kills.items()}
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        for kind, count in kills.items():
            series(run, kind, count, Path(scratch), tally)
    run.n = tally.kills
    run.bar("kills", tally.kills)
    run.bar("kills_in_the_viewer", kills["viewer"])
    run.bar("kills_while_teaching", kills["teaching"])
    run.bar("adapters_lost", tally.adapters_lost)
    run.bar("interrupted_and_not_offered", tally.not_offered)
    run.bar("share_reopened_complete", 1 - len(tally.lost) / tally.kills)
    run.bar("source_files_touched", tally.touched)
    run.detail("acknowledged events", tally.events.total())
    run.detail("of these in the viewer", tally.events["viewer"])
    run.detail("adapters trained", tally.adapters)
    run.detail("kills that left work unfinished", json.dumps(dict(sorted((+tally.interrupted).items()))))
    run.detail("last acknowledged before the kill", json.dumps(dict(sorted(tally.during.items()))))
    run.detail("damaged entries in the caches", tally.damaged)
    for name, found in tally.lost.items():
        run.detail(name, "; ".join(found))


def _options(parser: argparse.ArgumentParser) -> None:
    sample = HERE.parent / "sample_volumes" / "abdomen_ct.nii.gz"
    parser.add_argument("--image", type=Path, default=sample, help="NIfTI file that is annotated (a copy of it)")
    parser.add_argument("--seed", type=int, default=0)
    for kind in CHILDREN:
        parser.add_argument(
            f"--{kind}", type=int, metavar="KILLS", help=f"so many of this kind instead of {KILLS[kind]}"
        )


if __name__ == "__main__":
    driver.ensure_display()
    report.main("kill_recover", measure, _options)
