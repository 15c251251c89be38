"""How long the built-in model takes to encode a slice and to answer a click, and how much memory it needs.

A 512x512 slice of the sample CT and a 512x512x3 picture; a first click, further clicks on an object that fills a
good part of the image, and on one that is looked at closely. Every figure is a median over repeats in one process
whose thread count is that of the product (`MEDFM_THREADS`) or `--threads`.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import report

SIDE = 512


def picture() -> np.ndarray:
    """Return a noisy slice, 512x512, with a large and a small bright disc."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = np.random.default_rng(0).integers(60, 110, (SIDE, SIDE))
    for row, column, radius in ((200, 200, 110), (430, 430, 9)):
        image[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] += 90
    return image.astype(np.uint8)


def timed(run: Callable[[], object], times: int) -> list[float]:
    """Return milliseconds of each run, after one that warms."""
    run()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def measure(run: report.Run) -> None:
    """Encode and decode."""
    import torch

    from napari_medfm.models import load_model
    from napari_medfm.prompts import Point, PromptSet
    from napari_medfm.volume import Plane

    torch.set_num_threads(run.options.threads)
    began = time.perf_counter()
    model = load_model("compact")
    run.detail("loading the model (s)", time.perf_counter() - began)
    image = picture()
    colour = np.stack([image, image // 2, 255 - image], axis=-1)
    embedding = model.encode(image)
    times = 5 if run.quick else 100

    def click(*positions: tuple[float, float]) -> PromptSet:
        return PromptSet(tuple(Point(Plane(0, 0), position) for position in positions))

    run.n = times
    encoding = timed(lambda: model.encode(image), times)
    large = click((200.0, 200.0), (280.0, 230.0))
    answered = model.decode(embedding, click((200.0, 200.0)))
    further = timed(lambda: model.decode(embedding, large, answered), times)
    small = model.decode(embedding, click((430.0, 430.0)))
    closer = timed(lambda: model.decode(embedding, click((430.0, 430.0), (433.0, 428.0)), small), times)
    run.bar("encode_p50_ms", statistics.median(encoding))
    run.bar("decode_p50_ms", statistics.median(further))
    run.detail("threads", torch.get_num_threads())
    run.detail("encode p95 (ms)", float(np.percentile(encoding, 95)))
    run.detail("encode a colour picture, p50 (ms)", statistics.median(timed(lambda: model.encode(colour), times)))
    run.detail("further click, p95 (ms)", float(np.percentile(further, 95)))
    run.detail("further click on a small object, p50 (ms)", statistics.median(closer))
    first = timed(lambda: model.decode(embedding, click((200.0, 200.0))), times)
    run.detail("first click, p50 (ms)", statistics.median(first))
    run.detail("embedding (bytes)", embedding.nbytes)
    run.detail("peak memory of the process (MB)", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)


if __name__ == "__main__":
    report.main("model_speed", measure, _options)
