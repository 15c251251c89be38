"""What grows with the number of slices, and what must not: 30, 300 and 1500 slices of 512x512 with the default model.

Every size is opened, clicked and embedded across one axis in a process of its own: as a NIfTI file that is read into
memory, and as a zarr store that stays on the disk. Embeddings may take 10 MB of memory, so that all sizes have filled
it. Then three viewers in one process show the three zarr stores, and clicks alternate between them, as does embedding
30 slices at a time into a store on the disk, which holds all slices of the largest in the end.

Opening reads every voxel once, for the fingerprint: it grows with the image, as embedding and cache do. A click, and
the memory of an image on the disk, must not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import click_latency
import driver
import numpy as np
import report

SIZES = (30, 300, 1500)
QUICK_SIZES = (4, 16)
KINDS = ("nifti", "zarr")
MEMORY_GB = "0.01"
TOGETHER = 30  # slices
MB = 1e6
PICTURE = Path(__file__).parent / "results" / "growth.png"


def anonymous_memory() -> int:
    """Return the bytes of this process that no file backs: pages of mapped files can be had back at any time."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    msg = "the kernel tells no RssAnon"
    raise RuntimeError(msg)


def write_zarr(source: Path, folder: Path) -> Path:
    """Write a volume as a zarr store of one slice a chunk."""
    import zarr

    from napari_medfm.volume import open_volume

    array = open_volume(source).array
    path = folder / f"{source.stem}.zarr"
    stored = zarr.create_array(str(path), shape=array.shape, chunks=(1, *array.shape[1:]), dtype=array.dtype)
    for start in range(0, len(array), 50):
        stored[start : start + 50] = array[start : start + 50]
    return path


def open_case(desk: driver.Desk, path: Path):
    """Open a NIfTI file, or show a zarr store as a dask array, and wait until it can be annotated."""
    if path.suffix != ".zarr":
        return desk.open(path)
    import dask.array as da

    layer = desk.viewer.add_image(da.from_zarr(str(path)), scale=(1.5, 0.8, 0.8), name=path.stem, colormap="gray")
    before = desk.case
    desk.widget.panel.image_selected.emit(layer.name)
    driver.wait(lambda: desk.case is not None and desk.case is not before, 120)
    driver.settle()
    return desk.case


def work_alone(path: Path, slices: int, clicks: int) -> dict[str, float]:
    """Open, embed and click one image in this process, and return what that took."""
    desk = driver.Desk(click_latency.MODEL, path.name)
    driver.wait(lambda: isinstance(desk.model, click_latency.Timed), 60)
    before = anonymous_memory()
    began = time.perf_counter()
    open_case(desk, path)
    opened = time.perf_counter() - began
    station = click_latency.Station(desk, slices)
    desk.viewer.dims.set_current_step(0, slices // 2)
    for _ in range(clicks):
        station.click((250, 250), slices // 2)
    station.case.live.pause_background()
    driver.settle(500)  # what was begun comes to its end
    embedded = embed_all(station, path.parent / "alone")
    memory = anonymous_memory() - before
    desk.close()
    return {"open_seconds": opened, "embed_seconds": embedded, "memory_mb": memory / MB}


def embed_all(station: click_latency.Station, folder: Path) -> float:
    """Embed all axial slices anew into a store of their own; return seconds."""
    from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore
    from napari_medfm.settings import load_settings

    disk = DiskStore(folder, 10**11)
    store = TieredStore([MemoryStore(load_settings().memory_bytes), disk])
    predictor = Predictor(station.case.live.predictor.model, store)
    seconds = embed(station, predictor, station.case.session.volume.geometry.planes(0))
    disk.clear()
    disk.close()
    return seconds


def measure_alone(path: Path, slices: int) -> dict[str, float]:
    """Let a process of its own do `work_alone`."""
    command = [sys.executable, __file__, "--alone", str(path), "--slices", str(slices)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def open_stations(paths: dict[int, Path]) -> list[click_latency.Station]:
    """Open a viewer for each size in this process; every one has embedded its middle slice, and is warm."""
    desks = {slices: driver.Desk(click_latency.MODEL, f"{slices} slices") for slices in paths}
    driver.wait(lambda: all(isinstance(desk.model, click_latency.Timed) for desk in desks.values()), 60)
    stations = []
    for slices, desk in desks.items():
        open_case(desk, paths[slices])
        stations.append(click_latency.Station(desk, slices))
        desk.viewer.dims.set_current_step(0, slices // 2)
        for _ in range(3):
            stations[-1].click((250, 250), slices // 2)
        stations[-1].case.live.pause_background()
        stations[-1].clicks.clear()
    return stations


def measure_clicks(stations: list[click_latency.Station], wanted: int) -> dict[int, list[float]]:
    """Click alternately; return milliseconds by number of slices."""
    random = np.random.default_rng(1)
    while min(len(station.clicks) for station in stations) < wanted:
        spot = (int(random.integers(160, 350)), int(random.integers(130, 380)))
        for station in stations:
            station.click(spot, station.slices // 2)
    return {station.slices: [1000 * click.total for click in station.clicks] for station in stations}


def measure_embedding(stations: list[click_latency.Station], folder: Path) -> tuple[dict[int, float], dict[int, float]]:
    """Embed alternately; return the median of milliseconds per slice, and bytes on disk per slice, by slices."""
    from napari_medfm.inference import DiskStore, Predictor

    stores = {station.slices: DiskStore(folder / f"turns{station.slices}", 10**11) for station in stations}
    taken: dict[int, list[float]] = {station.slices: [] for station in stations}
    most = max(taken)
    for start in range(0, most, TOGETHER):
        for station in stations:
            first = start % station.slices
            if not first and start:
                stores[station.slices].clear()
            planes = station.case.session.volume.geometry.planes(0)[first : first + TOGETHER]
            predictor = Predictor(station.case.live.predictor.model, stores[station.slices])
            taken[station.slices].append(embed(station, predictor, planes) / len(planes))
    held = {slices: store.info() for slices, store in stores.items()}
    return (
        {slices: 1000 * statistics.median(times) for slices, times in taken.items()},
        {slices: info.bytes / info.entries for slices, info in held.items()},
    )


def embed(station: click_latency.Station, predictor, planes) -> float:
    """Embed slices on the device's lane; return seconds."""
    from napari_medfm._plugin.engine import Engine
    from napari_medfm.inference import embed_planes

    session, live = station.case.session, station.case.live
    engine = Engine.hold()  # the panel's
    began = time.perf_counter()
    done = engine.device.submit_steps(embed_planes(predictor, session.volume, session.fingerprint, live.window, planes))
    driver.wait(done.done, 1800)
    engine.release()
    done.result()
    return time.perf_counter() - began


def draw(found: dict[str, dict[int, dict[str, float]]], clicks: dict[int, list[float]], path: Path) -> None:
    """Write a picture of what grows and what does not."""
    from matplotlib.figure import Figure

    from napari_medfm.files import atomic_write_bytes

    figure = Figure((11.0, 3.0), dpi=110, layout="constrained")
    titles = {"open_seconds": "open (s)", "embed_seconds": "embed all (s)", "memory_mb": "memory (MB)"}
    plots = figure.subplots(1, 4)
    for axes, (name, title) in zip(plots, titles.items(), strict=False):
        for kind, rows in found.items():
            axes.plot(list(rows), [row[name] for row in rows.values()], marker="o", label=kind)
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=8, frameon=False)
    medians = [statistics.median(times) for times in clicks.values()]
    tails = [float(np.percentile(times, 95)) for times in clicks.values()]
    plots[3].plot(list(clicks), medians, marker="o", label="p50")
    plots[3].plot(list(clicks), tails, marker="o", label="p95")
    plots[3].set_title("click to the draw with the mask (ms)", fontsize=9)
    plots[3].legend(fontsize=8, frameon=False)
    for axes in plots:
        axes.set_xlabel("slices", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
    stream = BytesIO()
    figure.savefig(stream, format="png")
    atomic_write_bytes(path, stream.getvalue())


def measure(run: report.Run) -> None:
    """What grows with the number of slices: open time, cache, memory, click latency."""
    register()
    sizes = QUICK_SIZES if run.quick else SIZES
    with driver.folders_of_its_own() as folder:
        nifti = {slices: click_latency.phantom(slices, folder) for slices in sizes}
        paths = {"nifti": nifti, "zarr": {slices: write_zarr(path, folder) for slices, path in nifti.items()}}
        found = {}
        for kind in () if run.quick else KINDS:
            found[kind] = {slices: measure_alone(paths[kind][slices], slices) for slices in sizes}
        stations = open_stations(paths["zarr"])
        clicks = measure_clicks(stations, 3 if run.quick else run.options.clicks)
        embedding, cache = measure_embedding(stations, folder)
        for station in stations:
            station.desk.close()
    for kind, rows in found.items():
        for slices, row in rows.items():
            for name, value in row.items():
                run.detail(f"{kind}, {slices} slices: {name}", value)
    for slices, times in clicks.items():
        run.detail(
            f"{slices} slices: click p50, p95 (ms)", f"{statistics.median(times):.0f}, {np.percentile(times, 95):.0f}"
        )
    for slices in sizes:
        run.detail(f"{slices} slices: embed a slice, p50 (ms)", embedding[slices])
        run.detail(f"{slices} slices: bytes on disk per slice", cache[slices])
    few, many = sizes[0], sizes[-1]
    run.n = sum(len(times) for times in clicks.values())
    run.bar("click_p50_ratio", statistics.median(clicks[many]) / statistics.median(clicks[few]))
    run.bar("embed_per_slice_ratio", embedding[many] / embedding[few])
    run.bar("cache_per_slice_ratio", cache[many] / cache[few])
    if not run.quick:  # which opens no process of its own for each size
        run.bar("memory_growth_mb", found["zarr"][many]["memory_mb"] - found["zarr"][few]["memory_mb"])
        draw(found, clicks, PICTURE)


def register() -> None:
    """Offer the default model with a clock in it."""
    import os

    from napari_medfm import register_model

    os.environ["MEDFM_MEMORY_GB"] = MEMORY_GB
    register_model(click_latency.MODEL, "click_latency:load_default")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clicks", type=int, default=60, help="in each of the three viewers")
    parser.add_argument("--alone", type=Path, metavar="IMAGE", help="measure one image, and print JSON")
    parser.add_argument("--slices", type=int, help="of that image")


def _alone(arguments: argparse.Namespace) -> None:
    register()
    with driver.folders_of_its_own():
        print(json.dumps(work_alone(arguments.alone, arguments.slices, 10)))


if __name__ == "__main__":
    driver.ensure_display()
    parser = argparse.ArgumentParser()
    _options(parser)
    known, _ = parser.parse_known_args()
    if known.alone:
        _alone(known)
    else:
        report.main("growth", measure, _options)
