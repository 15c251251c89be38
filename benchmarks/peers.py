"""micro-sam's public functions and ours: the same random ViT-B, the same volume, from slice to mask.

micro-sam lives in an environment of its own, which one command makes (7 GB, most of it CUDA; the CPU build of torch
will do as well)::

    python3.11 -m venv PEER && PEER/bin/pip install micro-sam==1.8.14
    python benchmarks/peers.py --peer-python PEER/bin/python

Each side is a process that stays alive (``sides/``) and takes its own times; they work in turns, never at once, with
the same number of threads. The volume is a phantom of uint8 whose slices span 0 to 255, so that micro-sam's stretching
of each slice and our window show the encoder the same. Rows:

- precompute: seconds per slice, written to the disk (``precompute_image_embeddings(save_path=...)``, ``embed_planes``).
- load, first: in a fresh process, model and volume in memory, from the folder to one slice ready to be asked, with the
  check that the volume is the one that was embedded. micro-sam reads only that slice (``lazy_loading=True``); as by
  default, when it reads all, is told beside it. Then, load, again: another slice from the disk, in the same process.
- prompt: one click, or a box, to a mask of full size (``segment_from_points``, ``segment_from_box``, ``predict``).

A ratio is the median of their times over the median of ours; a bar is the least of its rows. ``--quick`` takes one
slice, and leaves out fresh processes and the comparison in float32.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import report

HERE = Path(__file__).parent
PHANTOM = HERE.parent / "sample_volumes" / "abdomen_ct.nii.gz"
SIDE = 512
PROMPTS = {"click": [250.0, 200.0], "box": [120.0, 100.0, 330.0, 380.0]}
MAKE = "python3.11 -m venv PEER && PEER/bin/pip install micro-sam==1.8.14"


class Side:
    """One of the two: a process that answers a request a line."""

    def __init__(self, python: str, script: str, environment: dict[str, str]) -> None:
        command = [python, str(HERE / "sides" / script)]
        pipe = subprocess.PIPE
        self.name = script
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def send(self, do: str = "", **said: object) -> None:
        """Ask without waiting; asking nothing lets a side go on that has paused."""
        self._process.stdin.write(json.dumps({"do": do, **said}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer."""
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with {self._process.wait()}; the reason stands above")
        return json.loads(line)

    def ask(self, do: str = "", **said: object) -> Any:
        """Ask and wait."""
        self.send(do, **said)
        return self.answer()


@dataclass(frozen=True)
class Work:
    """What both sides work on, and who they are."""

    folder: Path
    peer_python: str
    threads: int

    @contextmanager
    def sides(self) -> Iterator[tuple[Side, Side, dict[str, str]]]:
        """Start both, have them load model and volume, and yield them with the versions of what they use."""
        mine = {"PYTHONPATH": str(HERE.parent)}
        theirs = {"PYTHONPATH": "", "MICROSAM_CACHEDIR": str(self.folder)}
        with ExitStack() as stack:
            peer = stack.enter_context(Side(self.peer_python, "micro_sam_side.py", theirs))
            ours = stack.enter_context(Side(sys.executable, "medfm_side.py", mine))
            said = {"weights": str(self.weights), "volume": str(self.volume), "threads": self.threads}
            for side in (peer, ours):
                side.send("prepare", folder=str(self.folder), **said)
            versions = {f"theirs: {name}": text for name, text in peer.answer().items()}
            versions |= {f"ours: {name}": text for name, text in ours.answer().items()}
            yield peer, ours, versions

    @property
    def weights(self) -> Path:
        """The checkpoint."""
        return self.folder / "sam_vit_b.pth"

    @property
    def volume(self) -> Path:
        """The voxels."""
        return self.folder / "volume.npy"


Pairs = list[tuple[float, float]]


def phantom(slices: int) -> np.ndarray:
    """Return slices of the sample CT, uint8 from 0 to 255 each, 512x512."""
    from napari_medfm.volume import automatic_window, open_volume

    volume = open_volume(PHANTOM)
    seen = automatic_window(volume).to_uint8(volume.array)
    depth, rows, columns = seen.shape
    chosen = np.linspace(2, depth - 3, slices).round().astype(int)
    array = seen[np.ix_(chosen, np.arange(SIDE) * rows // SIDE, np.arange(SIDE) * columns // SIDE)]
    if not ((array.min(axis=(1, 2)) == 0) & (array.max(axis=(1, 2)) == 255)).all():
        msg = "a slice of the phantom does not span 0 to 255: micro-sam would stretch it, and we would not"
        raise ValueError(msg)
    return array


def find_peer(python: Path | None) -> str:
    """Return the peer's interpreter as given; leave, and say how to make it, if micro-sam is not there."""
    how = f"Make it: {MAKE}\nThen: python benchmarks/peers.py --peer-python PEER/bin/python"
    if python is None:
        sys.exit(f"micro-sam's own environment was not named (--peer-python).\n{how}")
    if not python.is_file():
        sys.exit(f"{python} is no Python.\n{how}")
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('micro_sam') is None)"
    if subprocess.run([python, "-c", code], check=False).returncode:
        sys.exit(f"{python} has no micro-sam.\n{how}")
    return str(python)


def write(work: Work, slices: int) -> None:
    """Write the random weights, in the layout that is published, and the volume."""
    import torch
    import upstream

    torch.save(upstream.build().state_dict(), work.weights)
    np.save(work.volume, phantom(slices))


def precompute(peer: Side, ours: Side, slices: int) -> Pairs:
    """Have each embed a slice in turns; what each does after its last one is shared out among the slices."""
    pairs: Pairs = []
    for number in range(slices):
        seconds = []
        for side in (peer, ours):
            side.send("" if number else "precompute")
            seconds.append(side.answer())
        pairs.append((seconds[0], seconds[1]))
    rest = [side.ask() / slices for side in (peer, ours)]
    return [(theirs + rest[0], own + rest[1]) for theirs, own in pairs]


def in_turns(peer: Side, ours: Side, rounds: int, ask: Callable[[Side, int], Any]) -> list[tuple[Any, Any]]:
    """Ask one and then the other, again and again."""
    return [(ask(peer, number), ask(ours, number)) for number in range(rounds)]


def prompt(peer: Side, ours: Side, kind: str, stretches: int) -> Pairs:
    """Have each answer a stretch of prompts in turns; the first two of a stretch wake it up and do not count."""
    turns = in_turns(
        peer, ours, stretches, lambda side, _: side.ask("prompt", kind=kind, position=PROMPTS[kind], times=8)
    )
    return [pair for stretch in turns for pair in zip(stretch[0][2:], stretch[1][2:], strict=True)]


def compare(run: report.Run, row: str, pairs: Pairs) -> float:
    """Report a row and return the ratio of medians."""
    theirs, ours = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    run.detail(
        f"{row}: theirs, ours, p50 (ms); ratio; n", f"{theirs:.1f}, {ours:.1f}; {theirs / ours:.2f}; {len(pairs)}"
    )
    return theirs / ours


def smallest_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return how alike two embeddings are at the position where they are least so."""
    dots = [(a * b).sum(axis=0, dtype=np.float64) for a, b in ((first, second), (first, first), (second, second))]
    return float((dots[0] / np.sqrt(dots[1] * dots[2])).min())


def answers(work: Work, side: Side, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one side's mask and embedding of the slice it loaded last."""
    files = {name: str(work.folder / f"{name}.npy") for name in ("mask", "features")}
    side.ask("save", kind=kind, position=PROMPTS[kind], **files)
    return np.load(files["mask"]), np.load(files["features"])


def equality(run: report.Run, work: Work, peer: Side, ours: Side, how: str) -> None:
    """Report how far the answers on the slice that both loaded last are the same."""
    for kind in PROMPTS:
        theirs, features = answers(work, peer, kind)
        found, own = answers(work, ours, kind)
        run.detail(f"{how}: pixels of {found.size} that differ, {kind}", int((theirs != found).sum()))
    run.detail(f"{how}: largest difference in an embedding", float(np.abs(own - features).max()))
    run.detail(f"{how}: smallest cosine of a position", smallest_cosine(own, features))


def in_float32(run: report.Run, work: Work, peer: Side, ours: Side) -> None:
    """Report what is left of rows and differences when we compute as exactly as they do."""
    run.detail("ours in float32: embed a slice, once (ms)", 1000 * ours.ask("be_exact", index=0))
    peer.ask("load_again", index=0)
    equality(run, work, peer, ours, "ours in float32")
    for kind in PROMPTS:
        compare(run, f"ours in float32: prompt, {kind}", prompt(peer, ours, kind, 4))


def bytes_per_slice(folder: Path, slices: int) -> float:
    """Return the bytes of all files in a folder, by slices."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / slices


def load_fresh(run: report.Run, work: Work, rounds: int) -> float:
    """Report the first load in fresh processes and return its ratio."""
    firsts, everything = [], []
    for number in range(rounds):
        with work.sides() as (peer, ours, _):
            firsts.append((peer.ask("load_first", index=number), ours.ask("load_first", index=number)))
            everything.append(peer.ask("load_all"))
    ratio = compare(run, "load a slice, first in a fresh process", firsts)
    run.detail(f"theirs as by default, all {rounds} slices, p50 (ms)", 1000 * statistics.median(everything))
    return ratio


def compare_all(run: report.Run, work: Work, slices: int) -> None:
    """Run every row, sides in turns."""
    with work.sides() as (peer, ours, versions):
        run.bar("precompute_ratio", compare(run, "precompute a slice, to disk", precompute(peer, ours, slices)))
        for side in (peer, ours):
            side.ask("load_first", index=0)
        equality(run, work, peer, ours, "as used")
        again = in_turns(peer, ours, 8 if run.quick else 60, lambda side, n: side.ask("load_again", index=n % slices))
        loads = [compare(run, "load a slice, again", again[2:])]
        prompts = [
            compare(run, f"prompt, {kind}", prompt(peer, ours, kind, 1 if run.quick else 10)) for kind in PROMPTS
        ]
        if not run.quick:
            in_float32(run, work, peer, ours)
    loads += [] if run.quick else [load_fresh(run, work, slices)]
    run.bar("load_ratio", min(loads))
    run.bar("prompt_ratio", min(prompts))
    for name, folder in (("theirs", "embeddings.zarr"), ("ours", "embeddings")):
        run.detail(f"{name}: bytes on the disk per slice", round(bytes_per_slice(work.folder / folder, slices)))
    for name, text in versions.items():
        run.detail(name, text)


def measure(run: report.Run) -> None:
    """Compare with micro-sam: precompute, load of a cached embedding, prompt to mask."""
    python = find_peer(run.options.peer_python)
    run.n = 1 if run.quick else run.options.slices
    with tempfile.TemporaryDirectory(prefix="medfm-peers-") as folder:
        work = Work(Path(folder), python, run.options.threads)
        write(work, run.n)
        compare_all(run, work, run.n)
    run.detail("volume", f"sample CT, {run.n} slices of {SIDE}x{SIDE}, uint8")
    run.detail("threads of each", run.options.threads)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer-python", type=Path, metavar="PATH", help="of an environment with micro-sam")
    parser.add_argument("--slices", type=int, default=5, help="of the volume (1 if --quick)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side")


if __name__ == "__main__":
    report.main("peers", measure, _options)
