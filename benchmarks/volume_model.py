"""How long VISTA3D takes to embed a region of a volume and to answer clicks on it, and how much memory it needs.

The full network with seeded random weights on a 128^3 region of a synthetic CT at 1.5 mm (`--side`; `--quick`: 64^3).
The answer is compared with MONAI's own network on the same region, whose time tells what keeping the embedding saves.
Latencies are medians in one process of `--threads` threads; no goal was set for them.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import report

if TYPE_CHECKING:
    from napari_medfm.inference import Predictor
    from napari_medfm.prompts import PromptSet
    from napari_medfm.volume import Volume

T = TypeVar("T")


def peak_mb() -> float:
    """Return the largest memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def timed(run: Callable[[], object], times: int) -> float:
    """Return the median of some seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def noise(side: int) -> "Volume":
    """Return a cube of noise in HU, 1.5 mm."""
    from napari_medfm.volume import Volume, array_geometry

    array = np.random.default_rng(0).normal(0, 300, (side,) * 3).astype(np.int16)
    return Volume(array, array_geometry(array.shape, (1.5, 1.5, 1.5)), modality="CT")


def measure(run: report.Run) -> None:
    """Embed, answer, and compare."""
    import torch
    from monai.networks.nets.vista3d import vista3d132

    from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore, answer_steps
    from napari_medfm.models.backends.vista3d import Vista3d
    from napari_medfm.models.steps import finish
    from napari_medfm.prompts import Point, PromptSet
    from napari_medfm.volume import Plane

    torch.set_num_threads(run.options.threads)
    side = run.options.side or (64 if run.quick else 128)
    torch.manual_seed(0)
    network = vista3d132().eval()
    model = Vista3d(network, side=side, device="cpu")
    run.detail("points of a region", f"{side} x {side} x {side}")
    run.detail("threads", torch.get_num_threads())
    run.detail("memory with the network loaded (MB)", peak_mb())
    volume, middle = noise(side + 32), side // 2 + 16

    def clicks(*voxels: tuple[int, int, int]) -> PromptSet:
        return PromptSet(tuple(Point(Plane(0, z), (float(y), float(x))) for z, y, x in voxels))

    first, second = (middle,) * 3, (middle + 6, middle - 9, middle + 4)
    with tempfile.TemporaryDirectory() as folder:
        disk = DiskStore(Path(folder), 10**10)
        predictor = Predictor(model, TieredStore([MemoryStore(10**10), disk]))

        def ask(predictor: Predictor, *voxels: tuple[int, int, int]) -> object:
            return finish(answer_steps(predictor, volume, "f" * 64, clicks(*voxels)))

        steps, durations = answer_steps(predictor, volume, "f" * 64, clicks(first)), []
        began = last = time.perf_counter()
        for _ in steps:
            durations.append(time.perf_counter() - last)
            last = time.perf_counter()
        run.detail("first click in a new region: embed and answer (s)", time.perf_counter() - began)
        run.detail("steps of the encoder, the longest (s)", max(durations))
        run.detail("steps of the encoder", len(durations))
        run.detail("peak memory until then (MB)", peak_mb())
        times = 3 if run.quick else 5
        run.n = times
        run.detail("click, region cached in memory, p50 (s)", timed(lambda: ask(predictor, first, second), times))
        run.detail("click, region cached on disk, p50 (s)", timed(lambda: ask(Predictor(model, disk), first), times))
        run.detail("embedding of a region (bytes)", model.spec.embedding_bytes)
        run.detail("file of a region on disk (bytes)", disk.info().bytes)
        compare(run, network, predictor, volume, clicks(first, second))
    merge(run)


def merge(run: report.Run) -> None:
    """Time what becomes of an answer on a region in a session of a CT of 512 x 512 x 300 voxels."""
    from napari_medfm.prompts import Point
    from napari_medfm.session import AnnotationSession
    from napari_medfm.session.plans import Answering, authorship
    from napari_medfm.session.request import resolve
    from napari_medfm.volume import WHOLE, Lattice, Plane, Volume, array_geometry

    shape = (60, 128, 128) if run.quick else (300, 512, 512)
    geometry = array_geometry(shape, (1.0, 0.75, 0.75))
    volume = Volume(np.zeros(shape, np.int16), geometry, modality="CT")
    lattice, side = Lattice.over(geometry, 1.5), 32 if run.quick else 128
    middle = tuple(size / 2 for size in shape)
    region = lattice.around(lattice.positions(middle), (side,) * 3)
    steps: dict[str, list[float]] = {"work out": [], "carry out": [], "undo": [], "redo": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        AnnotationSession.create(volume, "ab" * 32, folder=Path(folder)) as session,
    ):
        session.add_object()
        for turn in range(4):
            session.add_prompt(Point(Plane(0, shape[0] // 2 + turn), middle[1:]), alone=True)
            request, mask = resolve(session.state, WHOLE), region.nearest(lump(side, turn))
            work = Answering(request, mask, region.box, authorship("model", "", 0.5, ()))
            plan = used(steps["work out"], lambda work=work: session.work_out(work))
            used(steps["carry out"], lambda plan=plan: session.carry_out(plan))
        used(steps["undo"], session.undo)
        used(steps["redo"], session.redo)
    for name, seconds in steps.items():
        where = "the lane" if name == "work out" else "the interface"
        run.detail(f"{name} an answer of {side}^3 points, on the thread of {where} (s of CPU)", max(seconds))


def lump(side: int, seed: int) -> np.ndarray:
    """Return a lump with a rough surface that fills a sixth of a cube or so."""
    from scipy.ndimage import gaussian_filter

    rough = gaussian_filter(np.random.default_rng(seed).normal(size=(side,) * 3), 3) * 60
    away = np.sqrt(sum(axis**2 for axis in np.ogrid[(slice(-side / 2, side / 2),) * 3]))
    return away + rough < 0.35 * side


def used(spent: list[float], act: Callable[[], T]) -> T:
    """Do something, and note the processor time that this thread took for it, whatever else the machine does."""
    began = time.thread_time()
    done = act()
    spent.append(time.thread_time() - began)
    return done


def compare(run: report.Run, network: object, predictor: "Predictor", volume: "Volume", prompts: "PromptSet") -> None:
    """Tell how far our answer is from that of MONAI's own network, and how long that takes."""
    import torch

    from napari_medfm.inference import answer_steps
    from napari_medfm.models.checks import placed_points
    from napari_medfm.models.steps import finish

    (part,) = finish(answer_steps(predictor, volume, "f" * 64, prompts)).parts
    values = part.region.read(volume.array, predictor.recipe.fill)
    low, high = -963.8247715525971, 1053.678477684517
    image = torch.as_tensor(np.clip((values - low) / (high - low), 0, 1), dtype=torch.float32)[None, None]
    positions, _ = placed_points(prompts, part.region)
    places = torch.as_tensor(positions, dtype=torch.float32)[None]
    began = time.perf_counter()
    with torch.inference_mode():
        logits = network(image, point_coords=places, point_labels=torch.ones(1, len(positions), dtype=torch.long))
    run.detail("MONAI's network, the same click (s)", time.perf_counter() - began)
    theirs, ours = logits[0, 0].numpy(), part.prediction.logits
    run.detail(
        "largest difference of a logit, of the largest", float(np.abs(theirs - ours).max() / np.abs(theirs).max())
    )
    run.detail("share of points in only one of the masks", float(np.mean((theirs > 0) != (ours > 0))))
    run.detail("peak memory with MONAI's pass (MB)", peak_mb())


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=0, help="points along each axis of a region")


if __name__ == "__main__":
    report.main("volume_model", measure, _options)
