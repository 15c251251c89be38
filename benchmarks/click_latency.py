"""From a click to the canvas draw that holds the mask, in the real viewer, and whether the interface stays awake.

Two viewers in one process show 30 and 300 slices of 512x512; clicks alternate between them, each on a slice
embedded before, on a new object, so that every click has a mask to draw. The model is a small segment-anything
build with seeded random weights (256 pixels), or the default model. "The draw" is the first buffer swap of the
canvas after the mask was written.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import driver
import numpy as np
import report

SIDE = 512
MODEL = "benchmark"
PULSE_MS = 10


@dataclass
class Click:
    """Moments of one click, in seconds of the performance counter."""

    pressed: float
    decoding: float = 0.0
    decoded: float = 0.0
    written: float = 0.0
    drawn: float = 0.0

    @property
    def total(self) -> float:
        return self.drawn - self.pressed

    @property
    def shares(self) -> tuple[float, float, float]:
        """Seconds of decoding, of merging (journal included), of drawing."""
        return self.decoded - self.decoding, self.written - self.decoded, self.drawn - self.written


class Timed:
    """A model, which notes when it decodes."""

    def __init__(self, model) -> None:
        self._model = model
        self.spans: list[tuple[float, float]] = []

    @property
    def spec(self):
        return self._model.spec

    @property
    def device(self) -> str:
        return self._model.device

    def encode(self, image, aspect=1.0):
        return self._model.encode(image, aspect)

    def decode(self, embedding, prompts, previous=None):
        began = time.perf_counter()
        answer = self._model.decode(embedding, prompts, previous)
        self.spans.append((began, time.perf_counter()))
        return answer


def load_small() -> Timed:
    """Return a small segment-anything build with seeded random weights."""
    from napari_medfm.models.backends.sam import SamModel, build_small_sam

    return Timed(SamModel(build_small_sam(seed=3)))


def load_default() -> Timed:
    """Return the model that is used where none is chosen."""
    from napari_medfm.models import load_model
    from napari_medfm.settings import DEFAULT_MODEL

    return Timed(load_model(DEFAULT_MODEL))


@dataclass
class Station:
    """One viewer, what is open in it, and the clicks made there."""

    desk: driver.Desk
    slices: int
    clicks: list[Click] = field(default_factory=list)
    current: Click | None = None

    def __post_init__(self) -> None:
        self.canvas = self.desk.canvas()
        self.case = self.desk.case
        self.case.session.events.voxels_changed.connect(self._written)
        self.canvas.widget.frameSwapped.connect(self._drawn)

    def click(self, position: tuple[int, int], index: int) -> bool:
        """Click on a new object and wait until its mask is drawn; False if the mask was empty."""
        session, live = self.case.session, self.case.live
        spans = live.predictor.model.spans
        number = session.add_object()
        driver.settle(200)  # the row of the new object is drawn
        answered = len(spans)
        self.current = Click(time.perf_counter())
        self.canvas.click((index, *position))
        driver.wait(lambda: len(spans) > answered and not live.busy)
        click = self.current
        click.decoding, click.decoded = spans[answered]
        if click.written:
            driver.wait(lambda: click.drawn > 0)
            self.clicks.append(click)
        self.current = None
        session.delete_object(number)
        driver.settle(5)
        return click.written > 0

    def _written(self, region) -> None:
        if self.current is not None and not self.current.written:
            self.current.written = time.perf_counter()

    def _drawn(self) -> None:
        if self.current is not None and self.current.written and not self.current.drawn:
            self.current.drawn = time.perf_counter()


class Heartbeat:
    """A timer that should fire every 10 ms, and how late it was each time."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.late: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = 0.0

    def listen(self, seconds: float) -> None:
        """Listen for some seconds; lateness in milliseconds is in `late`."""
        self._last = time.perf_counter()
        self._timer.start(PULSE_MS)
        driver.settle(int(seconds * 1000))
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late.append(1000 * (now - self._last) - PULSE_MS)
        self._last = now

    def share_later_than(self, milliseconds: float) -> float:
        """Share of beats later than that."""
        return sum(late > milliseconds for late in self.late) / max(len(self.late), 1)

    def count_later_than(self, milliseconds: float) -> int:
        """Number of beats later than that."""
        return sum(late > milliseconds for late in self.late)


def phantom(slices: int, folder: Path) -> Path:
    """Write an int16 CT-like volume of that many 512x512 slices, as uncompressed NIfTI."""
    from napari_medfm.volume import Volume, array_geometry, write_volume

    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    body = ((y - 256) / 170) ** 2 + ((x - 256) / 220) ** 2 < 1
    organ = ((y - 230) / 80) ** 2 + ((x - 180) / 90) ** 2 < 1
    plain = np.where(organ, 110, np.where(body, 40, -1000)).astype(np.int16)
    noise = random.integers(-25, 26, (8, SIDE, SIDE), dtype=np.int16)
    array = np.stack([plain + noise[index % 8] for index in range(slices)])
    geometry = array_geometry(array.shape, (1.5, 0.8, 0.8))
    return write_volume(folder / f"ct{slices}.nii", Volume(array, geometry, f"ct{slices}", "CT"))


def measure_clicks(run: report.Run, stations: list[Station], wanted: int) -> None:
    """Click alternately in every station on embedded slices, and report latency and shares."""
    random = np.random.default_rng(1)
    middle = {station.slices: station.slices // 2 for station in stations}
    for station in stations:
        station.desk.viewer.dims.set_point(0, station.desk.viewer.dims.range[0].step * middle[station.slices])
        driver.wait(lambda: station.case.workspace.bridge.plane.index == middle[station.slices])  # noqa: B023
        for _ in range(3):  # warm
            station.click((250, 250), middle[station.slices])
        station.clicks.clear()
    empty = 0
    while min(len(station.clicks) for station in stations) < wanted:
        spot = (int(random.integers(130, 380)), int(random.integers(130, 380)))
        for station in stations:
            empty += not station.click(spot, middle[station.slices])
        if empty > 20 * wanted:
            msg = "the model answers with empty masks only"
            raise RuntimeError(msg)
    medians = {}
    for station in stations:
        times = [1000 * click.total for click in station.clicks]
        medians[station.slices] = statistics.median(times)
        run.detail(f"{station.slices} slices: click p50 (ms)", medians[station.slices])
        run.detail(f"{station.slices} slices: click p95 (ms)", float(np.percentile(times, 95)))
        shares = np.array([click.shares for click in station.clicks]).sum(axis=0)
        total = sum(click.total for click in station.clicks)
        named = zip(("decode", "merge", "drawing"), shares / total, strict=True)
        text = ", ".join(f"{name} {share:.0%}" for name, share in named)
        run.detail(f"{station.slices} slices: share of the time", f"{text}, rest waiting and events")
    few, many = stations[0], stations[-1]
    run.n = min(len(station.clicks) for station in stations)
    run.bar("clicks_per_case", run.n)
    run.bar("click_p50_ratio_300_to_30", medians[many.slices] / medians[few.slices])
    run.bar("click_p95_ms", float(np.percentile([1000 * click.total for click in many.clicks], 95)))


def measure_napari(run: report.Run, station: Station, times: int) -> None:
    """Report what napari and OpenGL need alone: from a voxel changed in the labels layer to the draw that holds it."""
    layer = station.case.workspace.layers.objects
    swapped: list[float] = []
    station.canvas.widget.frameSwapped.connect(lambda: swapped.append(time.perf_counter()))
    taken = []
    for step in range(times):
        driver.settle(60)
        swapped.clear()
        began = time.perf_counter()
        layer.data[station.slices // 2, 0, 0] = step % 2
        layer.refresh(extent=False, thumbnail=False)
        driver.wait(lambda: swapped)
        taken.append(1000 * (swapped[0] - began))
    run.detail("napari alone, a changed voxel to the draw: p50 (ms)", statistics.median(taken))
    run.detail("napari alone, a changed voxel to the draw: p95 (ms)", float(np.percentile(taken, 95)))


def measure_hover(run: report.Run, station: Station, seconds: float) -> None:
    """Move the mouse all the time and count the previews."""
    shown: list[float] = []
    station.case.live.events.preview_changed.connect(lambda plane, mask: shown.append(time.perf_counter()))
    began = time.perf_counter()
    step = 0
    while time.perf_counter() - began < seconds:
        angle = step / 15
        station.canvas.hover((station.slices // 2, 250 + 60 * np.sin(angle), 250 + 60 * np.cos(angle)))
        step += 1
    run.bar("hover_per_second", len(shown) / (time.perf_counter() - began))


def measure_heartbeat(run: report.Run, station: Station, seconds: float) -> None:
    """Listen to the interface's heartbeat, idle and while embedding."""
    station.case.live.pause_background()
    driver.settle(500)
    idle, busy = Heartbeat(), Heartbeat()
    idle.listen(seconds)
    done: list[int] = []
    station.case.live.events.progress.connect(lambda state: done.append(0 if state is None else state.done))
    for axis in (1, 2, 0):
        station.case.live.embed_all(axis, SIDE // 2 if axis else 0)
        busy.listen(seconds / 3)
    station.case.live.pause_background()
    run.detail("slices embedded during the busy run", len(done))
    run.detail("heartbeats later than 50 ms, idle", f"{idle.share_later_than(50):.4f} of {len(idle.late)}")
    run.detail("heartbeats later than 50 ms, embedding", f"{busy.share_later_than(50):.4f} of {len(busy.late)}")
    run.detail("latest heartbeat, idle and embedding (ms)", f"{max(idle.late):.0f} and {max(busy.late):.0f}")
    run.bar("heartbeat_late_share_beyond_idle", max(0.0, busy.share_later_than(50) - idle.share_later_than(50)))
    run.bar("heartbeats_later_than_200_ms_beyond_idle", max(0, busy.count_later_than(200) - idle.count_later_than(200)))


def measure_first_mask(run: report.Run, desk: driver.Desk, path: Path) -> None:
    """Time from opening the file to the first mask on the canvas."""
    path.read_bytes()  # into the page cache
    began = time.perf_counter()
    desk.open(path)
    station = Station(desk, 300)
    index = station.case.workspace.bridge.plane.index
    number = station.case.session.add_object()
    station.current = click = Click(time.perf_counter())
    station.canvas.click((index, 250, 250))
    driver.wait(lambda: click.drawn > 0)
    run.bar("first_mask_seconds", click.drawn - began)
    run.detail("of which until it could be clicked (s)", click.pressed - began)
    station.case.session.delete_object(number)


def measure_disk(run: report.Run, station: Station, reads: int) -> None:
    """Time reading cached embeddings from the disk, digest included."""
    from napari_medfm.inference import DiskStore
    from napari_medfm.settings import load_settings
    from napari_medfm.volume import Plane

    live, session = station.case.live, station.case.session
    store = DiskStore(load_settings().embeddings_dir, 10**10)
    times = []
    for number in range(reads):
        key = live.predictor.key(session.fingerprint, Plane(0, number % station.slices), live.window)
        began = time.perf_counter()
        entry = store.get(key)
        if entry is not None:
            times.append(1000 * (time.perf_counter() - began))
    store.close()
    run.detail("entries read from the disk", len(times))
    run.bar("cached_slice_from_disk_ms", float(np.percentile(times, 95)))


def measure_imports(run: report.Run, times: int) -> None:
    """Time imports in fresh processes."""
    for name, module in (("import_package_seconds", "napari_medfm"), ("import_panel_seconds", "napari_medfm._plugin")):
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(times)]
        run.bar(name, statistics.median(seconds))


def measure(run: report.Run) -> None:
    """From a click to the canvas draw that holds the mask, and the interface's heartbeat."""
    from napari_medfm import register_model

    sys.modules.setdefault("click_latency", sys.modules["__main__"])
    register_model(MODEL, f"click_latency:{'load_default' if run.options.default_model else 'load_small'}")
    with driver.folders_of_its_own() as folder:
        sizes = (4, 8) if run.quick else (30, 300)
        paths = [phantom(slices, folder) for slices in sizes]
        desks = [driver.Desk(MODEL, f"{slices} slices") for slices in sizes]
        desks[0].open(paths[0])  # warms the process: imports, fonts, shaders
        driver.wait(lambda: all(isinstance(desk.model, Timed) for desk in desks))
        measure_first_mask(run, desks[-1], paths[-1])
        stations = [Station(desk, slices) for desk, slices in zip(desks, sizes, strict=True)]
        for station in stations:
            station.case.live.embed_all(0, station.slices // 2)
            wait_embedded(station)
        measure_clicks(run, stations, 10 if run.quick else run.options.clicks)
        measure_napari(run, stations[-1], 5 if run.quick else 100)
        measure_hover(run, stations[-1], 1 if run.quick else 10)
        measure_heartbeat(run, stations[-1], 3 if run.quick else 45)
        measure_disk(run, stations[-1], 5 if run.quick else 300)
        for desk in desks:
            desk.close()
    measure_imports(run, 1 if run.quick else 5)


def wait_embedded(station: Station) -> None:
    """Wait until every axial slice of a station is embedded."""
    from napari_medfm.volume import Plane

    live, session = station.case.live, station.case.session
    keys = [live.predictor.key(session.fingerprint, Plane(0, k), live.window) for k in range(station.slices)]
    driver.wait(lambda: all(live.predictor.cached(key) for key in keys), 600)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clicks", type=int, default=200)
    parser.add_argument("--default-model", action="store_true", help="instead of the small segment-anything build")


if __name__ == "__main__":
    driver.ensure_display()
    report.main("click_latency", measure, _options)
