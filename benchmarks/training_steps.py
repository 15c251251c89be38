"""How long a click waits for a model that is adapted meanwhile, and how long adapting takes, by family.

The built-in model, and Segment Anything with its decoder at full size and seeded random weights (256 channels of
64 x 64 cells; how they were encoded does not matter here). Five labelled slices; a click every fifth of a second or so,
on the lane that training runs on, until it ends; then as many clicks while nothing else runs there. At last, training
is cancelled in its middle.
"""

import argparse
from collections import defaultdict
from concurrent.futures import wait
from statistics import median
from threading import Event
from time import perf_counter, process_time, thread_time

import numpy as np
import report

from napari_medfm.adaptation import Adaptation, Progress, Recipe, SupportSet, SupportSlice
from napari_medfm.inference import open_lane
from napari_medfm.models import ImageEmbedding, load_model
from napari_medfm.models.adaptable import Adaptable
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.settings import load_settings
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane, Priority

_SIDE = 256
_SLICES = 5
_CENTRE = (110.0, 120.0)


def _slice(model: Adaptable, number: int) -> SupportSlice:
    """A bright disc in noise, a little further each time."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    mask = (rows - _CENTRE[0] - 3 * number) ** 2 + (columns - _CENTRE[1]) ** 2 < 45**2
    image = np.random.default_rng(number).integers(40, 110, (_SIDE, _SIDE)) + 80 * mask
    return SupportSlice.annotated(model.encode(image.astype(np.uint8)), mask, title=f"slice {number}")


def _clicks(lane: Lane, model: Adaptable, embedding: ImageEmbedding, rng: np.random.Generator) -> float:
    """Return the seconds that a click somewhere in the disc takes to be answered."""
    place = tuple(np.add(_CENTRE, rng.uniform(-20, 20, 2)))
    prompts = PromptSet((Point(Plane(), (place[0], place[1])),))
    began = perf_counter()
    lane.submit(lambda: model.decode(embedding, prompts), priority=Priority.CLICK).result()
    return perf_counter() - began


class _Steps:
    """Seconds of each step, by phase."""

    def __init__(self) -> None:
        self.by_phase: dict[str, list[float]] = defaultdict(list)
        self.longest: dict[str, float] = defaultdict(float)
        self._last, self._used = 0.0, None

    def note(self, progress: Progress) -> None:
        """Take note of a step, on the thread that made it."""
        used = thread_time()
        if self._used is not None:
            self.longest[progress.phase] = max(self.longest[progress.phase], used - self._used)
        self._used = used
        self.by_phase[progress.phase].append(progress.seconds - self._last)
        self._last = progress.seconds

    @property
    def all(self) -> list[float]:
        return [each for phase in self.by_phase.values() for each in phase]


def _measure_family(run: report.Run, lane: Lane, family: str, model: Adaptable, recipe: Recipe) -> None:
    slices = tuple(_slice(model, number) for number in range(_SLICES))
    support, embedding = SupportSet("disc", slices), slices[2].embedding
    rng, steps = np.random.default_rng(0), _Steps()
    adaptation = Adaptation(model, support, recipe)
    used = process_time()
    training = lane.submit_steps(adaptation.steps(), priority=Priority.TRAIN, on_step=steps.note)
    waited = []
    while not training.done():
        waited.append(_clicks(lane, model, embedding, rng))
        wait([training], timeout=rng.uniform(0.1, 0.3))
    training.result()
    used = process_time() - used
    idle = [_clicks(lane, model, embedding, rng) for _ in waited]
    assert adaptation.adapter is not None
    seconds = adaptation.adapter.facts.seconds
    late = float(np.percentile(waited, 95)) - median(idle)
    step = float(np.percentile(steps.all, 95))
    run.n += len(waited)
    run.bar(f"{family}_seconds", seconds)
    run.detail(f"{family}: processor seconds, clicks included", used)
    run.detail(f"{family}: clicks", len(waited))
    run.detail(f"{family}: click while training, p50 and p95 (ms)", _pair(waited))
    run.detail(f"{family}: click while idle, p50 and p95 (ms)", _pair(idle))
    for phase, taken in steps.by_phase.items():
        run.detail(f"{family}: step of {phase}, p50 and p95 of {len(taken)} (ms)", _pair(taken))
        # Clicks run on the same thread: at most one is in it. With one thread that is all, however busy the machine is.
        run.detail(f"{family}: longest step of {phase} (ms of its thread)", f"{1000 * steps.longest[phase]:.0f}")
    run.bar(f"{family}_steps_later_than_idle", late / step)
    if family == "compact":
        run.bar("compact_click_p95_ms", 1000 * float(np.percentile(waited, 95)))
    run.bar(f"{family}_cancel_seconds", _cancelled(lane, Adaptation(model, support, recipe)))


def _cancelled(lane: Lane, adaptation: Adaptation) -> float:
    """Return the seconds from cancelling in the decoder's training until the lane is free."""
    reached = Event()

    def note(progress: Progress) -> None:
        if progress.phase == "decoder" and progress.done:
            reached.set()

    training = lane.submit_steps(adaptation.steps(), priority=Priority.TRAIN, on_step=note)
    reached.wait()
    began = perf_counter()
    training.cancel()
    lane.wait_idle()
    return perf_counter() - began


def _pair(seconds: list[float]) -> str:
    return ", ".join(f"{1000 * np.percentile(seconds, share):.0f}" for share in (50, 95))


def measure(run: report.Run) -> None:
    """Click while training."""
    recipe = Recipe(seconds=run.options.seconds)
    if run.quick:
        recipe = Recipe(copies=1, head_steps=20, decoder_steps=8)
    run.detail("threads of models", load_settings().threads)
    families: dict[str, Adaptable] = {
        "compact": load_model("compact"),
        "sam": SamModel(build_small_sam(image_size=1024)),
    }
    with open_lane() as lane:
        for family, model in families.items():
            _measure_family(run, lane, family, model, recipe)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="time that adapting may take; by default the model's own")


if __name__ == "__main__":
    report.main("training_steps", measure, _options)
