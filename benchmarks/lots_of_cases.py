"""Twenty volumes embedded, then segmented with an adapter, by two worker processes of which one is killed.

Hippocampi (msd_hippocampus_mr_3d), the labels of one of them beside it, and a file that is no image. Each of the two
kinds of work is done by one process first; then by two, in other folders, one of which gets SIGKILL in the middle of a
case after a third of the others; and once more afterwards, when all of it should be there. One thread for each process
(OMP_NUM_THREADS=1) makes the times comparable.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import report
from safetensors import safe_open

from napari_medfm.adaptation import Adaptation, Recipe, SupportSet, SupportSlice, adaptable, write_adapter
from napari_medfm.evaluation import read_manifest
from napari_medfm.models import load_model
from napari_medfm.projects.embedding import EmbedOrder, embed_source
from napari_medfm.projects.model_choice import ModelChoice
from napari_medfm.projects.segmenting import SegmentOrder, segment_source
from napari_medfm.projects.sources import find_sources
from napari_medfm.spreading import spread
from napari_medfm.volume import automatic_window, open_labels, open_volume

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
DATASET = "msd_hippocampus_mr_3d"
VOLUMES, QUICK = 20, 4


@dataclass(frozen=True, slots=True)
class Share:
    """A case, and where the process that begins it says so."""

    work: Callable[[Any], list[dict[str, Any]]]
    order: Any
    number: int
    begun: Path


def do(share: Share) -> list[dict[str, Any]]:
    (share.begun / f"{share.number:03d} {os.getpid()}").touch()
    return share.work(share.order)


def measure(run: report.Run) -> None:
    listed = [case for case in read_manifest(MANIFEST) if case.dataset == DATASET]
    listed = listed[: QUICK if run.quick else VOLUMES]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        images = make_folder(work / "images", listed)
        plain, adapted = ModelChoice.of("compact"), teach(listed[0], work)
        run.n = len(listed)
        run.bar("volumes", len(listed))

        def embedding(folder: Path) -> list[EmbedOrder]:
            return [EmbedOrder(source, plain) for source in find_sources(images)]

        def segmenting(folder: Path) -> list[SegmentOrder]:
            return [SegmentOrder(source, adapted, folder / "labels") for source in find_sources(images)]

        alone, many = work / "alone", work / "by two"
        killed = 0
        for kind, function, orders in (("embed", embed_source, embedding), ("segment", segment_source, segmenting)):
            once(Work(kind, function, orders(alone), alone), run, jobs=1)
            killed += once(Work(kind, function, orders(many), many), run, jobs=2, kill=True)
        meant, made = results(alone), results(many)
        for ending, name in ((".safetensors", "embeddings"), (".nii.gz", "label files"), (".json", "records")):
            run.detail(f"{name} of one process, of two", f"{count(meant, ending)}, {count(made, ending)}")
        run.bar("share_complete", float(np.mean([path in made for path in meant])))
        run.bar("share_identical", float(np.mean([made.get(path) == content for path, content in meant.items()])))
        once(Work("segment", segment_source, segmenting(many), many), run, jobs=2)
        run.detail(
            "the same folder again: what changed", sum(made.get(path) != held for path, held in results(many).items())
        )
        run.bar("killed_in_the_middle", killed)


def make_folder(folder: Path, listed: Sequence[Any]) -> Path:
    folder.mkdir()
    for case in listed:
        shutil.copy(case.image, folder)
    shutil.copy(listed[0].mask, folder / "somebody_labels.nii.gz")
    (folder / "no_image.nii.gz").write_bytes(b"no image")
    return folder


def teach(case: Any, folder: Path) -> ModelChoice:
    """Let the built-in model learn the hippocampus from three slices."""
    volume = open_volume(case.image)
    expert, window, model = (
        open_labels(case.mask, volume) > 0,
        automatic_window(volume),
        adaptable(load_model("compact")),
    )
    held = np.flatnonzero(expert.any(axis=(1, 2)))
    chosen = held[np.linspace(0, len(held) - 1, 5).astype(int)[1:-1]]
    slices = [SupportSlice.annotated(model.encode(window.to_uint8(volume.array[at])), expert[at]) for at in chosen]
    recipe = Recipe(copies=0, head_steps=60, decoder_steps=0, seconds=300)
    adaptation = Adaptation(model, SupportSet("hippocampus", tuple(slices)), recipe)
    for _ in adaptation.steps():
        pass
    path = write_adapter(adaptation.adapter, folder / "hippocampus.safetensors")
    return ModelChoice.of("compact", adapter=path)


@dataclass(frozen=True, slots=True)
class Work:
    """All cases of one kind of work, and where its results and its cache are."""

    kind: str
    function: Callable[[Any], list[dict[str, Any]]]
    orders: Sequence[Any]
    folder: Path


def once(work: Work, run: report.Run, *, jobs: int, kill: bool = False) -> bool:
    """Do all of it; return whether a case was begun by a process that was killed, and done by another."""
    work.folder.mkdir(exist_ok=True)
    begun = Path(tempfile.mkdtemp(dir=work.folder.parent))
    shares = [Share(work.function, order, number, begun) for number, order in enumerate(work.orders)]
    start, rows, finished, victim = time.perf_counter(), [], set(), 0
    with cache_in(work.folder / "cache"):
        for outcome in spread(do, shares, jobs=jobs):
            rows += outcome.result or [{"problem": outcome.problem}]
            finished.add(outcome.number)
            if kill and not victim and len(finished) > len(shares) // 3:
                victim = kill_one(begun, finished)
    title = f"{work.kind}, {'one process' if jobs == 1 else 'two, one killed' if kill else 'two, all there'}"
    passed, failed = (sum(bool(row.get(name)) for row in rows) for name in ("passed_over", "problem"))
    told = f"{len(rows)}, {passed}, {failed}; {time.perf_counter() - start:.1f} s"
    run.detail(f"{title}: files, passed over as labels, not done; time", told)
    print(title, told, flush=True)
    processes = defaultdict(set)
    for number, process in (path.name.split() for path in begun.iterdir()):
        processes[number].add(int(process))
    return any(victim in who and len(who) > 1 for who in processes.values())


def kill_one(begun: Path, finished: set[int]) -> int:
    """Kill the process that began a case last, of those that are not finished, and return its number; 0 if all are."""
    running = [path for path in begun.iterdir() if int(path.name.split()[0]) not in finished]
    if not running:
        return 0
    victim = int(max(running, key=lambda path: path.stat().st_mtime_ns).name.split()[1])
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(victim)
        process.kill()  # SIGKILL: nothing is put in order
        process.wait(timeout=10)
    return victim


@contextlib.contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    before = os.environ.get("MEDFM_CACHE_DIR")
    os.environ["MEDFM_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MEDFM_CACHE_DIR"]
        else:
            os.environ["MEDFM_CACHE_DIR"] = before


def results(folder: Path) -> dict[str, bytes]:
    """Return what every embedding and every label file and record holds, by name."""
    labels = {path.name: path.read_bytes() for path in (folder / "labels").rglob("*_labels.*")}
    return labels | {path.name: embedding(path) for path in folder.rglob("*.safetensors")}


def embedding(path: Path) -> bytes:
    """Return everything an embedding's file holds, bit for bit, in order: its own order is another one every time."""
    with safe_open(path, "numpy") as held:
        facts = sorted((held.metadata() or {}).items())
        parts = [(name, held.get_tensor(name)) for name in sorted(held.keys())]
    about = repr((facts, [(name, array.dtype.str, array.shape) for name, array in parts]))
    return b"".join((about.encode(), *(array.tobytes() for _, array in parts)))


def count(found: dict[str, bytes], ending: str) -> int:
    return sum(name.endswith(ending) for name in found)


if __name__ == "__main__":
    report.main("lots_of_cases", measure)
