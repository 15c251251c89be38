"""Kill the program at random moments, reopen, and count what was lost.

A child annotates at random and prints one line per acknowledged change; it is killed with SIGKILL at a random
moment. Then the session is reopened and held against the last line: every acknowledged event is in the journal
with the digest it had, and the voxels are those that were acknowledged (if the kill left an event that was
written but not yet acknowledged, those of the journal cut off there). The label file, if one was saved, opens;
the image file is byte-identical; the cache serves nothing damaged. Each folder is used for several kills in a row,
so that sessions are also resumed from what earlier kills left.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import report
from killed_headless import voxel_digest

from napari_medfm import AnnotationSession, MedfmError, open_volume
from napari_medfm.files import sha256_file
from napari_medfm.inference import DiskStore
from napari_medfm.volume import Volume, fingerprint, open_labels

HERE = Path(__file__).parent
CHILDREN = {"headless": HERE / "killed_headless.py", "viewer": HERE / "killed_viewer.py"}
KILLS = {"headless": 160, "viewer": 40}
QUICK = {"headless": 6, "viewer": 0}
PER_FOLDER = 20
LONGEST = {"headless": 3.0, "viewer": 4.0}
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


def kill_once(case: Case, seed: int, seconds: float) -> list[dict[str, object]]:
    """Start a child, kill it some seconds after its first acknowledgement, and return its acknowledgements."""
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
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        reader.join()
    if died or not ready:
        msg = f"the child stopped by itself; its messages:\n{log.read_text(errors='replace')[-3000:]}"
        raise RuntimeError(msg)
    whole = [line for line in lines if line.endswith(b"\n")]
    return [json.loads(line) for line in whole]


def faults(case: Case, last: dict[str, object]) -> list[str]:
    """Return what is wrong with what a killed child left, in words; empty if nothing is."""
    found = []
    try:
        with AnnotationSession.resume(case.volume, case.fingerprint, case.sessions) as session:
            path, digest = session.path, voxel_digest(session)
            found += _compare(case, path, digest, last)
    except MedfmError as error:
        found.append(f"did not reopen: {error}")
    saved = case.folder / "labels.nii.gz"
    if saved.exists():
        try:
            open_labels(saved, like=case.volume)
        except MedfmError as error:
            found.append(f"the saved label file does not open: {error}")
    return found


def _compare(case: Case, path: Path, digest: str, last: dict[str, object]) -> list[str]:
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as journal:
        head = journal.execute("SELECT max(seq) FROM events").fetchone()[0]
        row = journal.execute("SELECT hex(digest) FROM events WHERE seq = ?", (last["seq"],)).fetchone()
    journal.close()
    if row is None or row[0] != last["digest"]:
        return [f"acknowledged event {last['seq']} is missing or altered; the journal ends at {head}"]
    if head != last["seq"]:
        digest = _digest_at(case, path, int(str(last["seq"])))
    return [] if digest == last["voxels"] else [f"voxels differ after acknowledged event {last['seq']}"]


def _digest_at(case: Case, path: Path, seq: int) -> str:
    """Return the digest of the voxels at an earlier event: of a copy of the journal that ends there."""
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
        with AnnotationSession.resume(case.volume, case.fingerprint, Path(folder)) as session:
            return voxel_digest(session)


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


def measure(run: report.Run) -> None:
    """Kill the program at random moments and count what was lost."""
    kills = QUICK if run.quick else KILLS
    random = np.random.default_rng(run.options.seed)
    before = sha256_file(run.options.image)
    lost: list[str] = []
    touched = done = events = 0
    kinds: dict[str, int] = dict.fromkeys(kills, 0)
    during: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for kind, count in kills.items():
            for number in range(count):
                if number % PER_FOLDER == 0:
                    case = prepare(kind, run.options.image, Path(scratch) / f"{kind}-{number}")
                acknowledged = kill_once(
                    case, seed=1000 * run.options.seed + done, seconds=random.uniform(0, LONGEST[kind])
                )
                last = acknowledged[-1]
                wrong = faults(case, last)
                lost += [f"{kind} kill {number}: {fault}" for fault in wrong]
                touched += sha256_file(case.image) != before
                during[str(last["after"])] = during.get(str(last["after"]), 0) + 1
                events += int(str(last["seq"])) - int(str(acknowledged[0]["seq"]))
                kinds[kind] += 1
                done += 1
            served = _damaged_entries(Path(scratch))
    run.n = done
    run.bar("kills", done)
    run.bar("kills_in_the_viewer", kinds["viewer"])
    run.bar("share_reopened_complete", 1 - len({fault.split(":")[0] for fault in lost}) / done)
    run.bar("source_files_touched", touched)
    run.detail("acknowledged events", events)
    run.detail("last acknowledged before the kill", json.dumps(dict(sorted(during.items())), sort_keys=True))
    run.detail("damaged entries in the caches", served)
    for fault in lost:
        run.detail(f"fault {hashlib.sha256(fault.encode()).hexdigest()[:6]}", fault)


def _damaged_entries(scratch: Path) -> int:
    return sum(DiskStore(folder, 10**9).verify().removed for folder in scratch.glob("*/cache"))


def _options(parser: argparse.ArgumentParser) -> None:
    sample = HERE.parent / "sample_volumes" / "abdomen_ct.nii.gz"
    parser.add_argument("--image", type=Path, default=sample, help="NIfTI file that is annotated (a copy of it)")
    parser.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    report.main("kill_recover", measure, _options)
