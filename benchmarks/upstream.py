"""Segment Anything here and in its authors' package: ViT-B, the same random weights, in turns in one process.

Encode is an image of 512x512 to its embedding; decode is prompts as numbers to a mask of the image's full size. A
ratio is the median over pairs of their time over ours. Both have the same threads. Equality is measured, too: with
products in float32, and as the product computes.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import report

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from napari_medfm.models import ImageEmbedding
    from napari_medfm.prompts import PromptSet

SIDE = 512


def pair(theirs: Callable[[], object], ours: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of one run of each, one after the other."""
    taken = []
    for run in (theirs, ours):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return taken[0], taken[1]


def compare(run: report.Run, name: str, pairs: list[tuple[float, float]]) -> float:
    """Report medians and return the median ratio."""
    theirs, ours = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    run.detail(f"{name}: theirs, ours, p50 (ms); pairs", f"{theirs:.1f}, {ours:.1f}; {len(pairs)}")
    return statistics.median(first / second for first, second in pairs)


def build(seed: int = 0) -> "Sam":
    """Return ViT-B with random weights, positions included, which are zero when new."""
    import torch
    from segment_anything import sam_model_registry

    torch.manual_seed(seed)
    sam = sam_model_registry["vit_b"]().eval()
    for name, parameter in sam.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return sam


def questions() -> dict[str, tuple["PromptSet", dict[str, np.ndarray]]]:
    """Return prompts, for us and for the package."""
    from napari_medfm.prompts import Box, Point, PromptSet
    from napari_medfm.volume import Plane

    plane = Plane()
    clicks = Point(plane, (200.0, 180.0)), Point(plane, (260.0, 300.0), False)
    box = Box(plane, (120.0, 100.0), (330.0, 380.0))
    said = {"point_coords": np.array([[180, 200], [300, 260]]), "point_labels": np.array([1, 0])}
    return {
        "two clicks": (PromptSet(clicks), said),
        "a box": (PromptSet((box,)), {"box": np.array([100, 120, 380, 330])}),
    }


def measure(run: report.Run) -> None:
    """Encode and decode in turns, and compare what comes out."""
    import torch
    from segment_anything import SamPredictor

    from napari_medfm.models.backends.sam import SamModel

    torch.set_num_threads(run.options.threads)
    original = build()
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    colours = np.repeat(image[..., None], 3, axis=-1)
    theirs, ours = SamPredictor(original), SamModel(copy.deepcopy(original))
    exact = SamModel(copy.deepcopy(original), precision="float32", reduced=False)
    run.n = 1 if run.quick else 5
    encodings = [pair(lambda: theirs.set_image(colours), lambda: ours.encode(image)) for _ in range(run.n)]
    run.bar("encode_ratio", compare(run, "encode", encodings))
    embedding, exactly = ours.encode(image), exact.encode(image)
    features = theirs.get_image_embedding()[0].numpy()
    run.detail("embedding in float32: largest difference", float(np.abs(exactly.arrays["features"] - features).max()))
    run.detail("embedding as used: smallest cosine of a position", smallest_cosine(embedding, features))
    ratios = []
    for name, (prompts, said) in questions().items():
        ask = partial(theirs.predict, **said, multimask_output=False)
        answer = partial(ours.decode, embedding, prompts)
        times = [pair(ask, answer) for _ in range(5 if run.quick else 60)]
        ratios.append(compare(run, f"decode, {name}", times[1:]))
        mask, _, low_res = ask()
        found = exact.decode(exactly, prompts)
        run.detail(f"{name}, float32: largest difference of a logit", float(np.abs(found.low_res - low_res).max()))
        run.detail(f"{name}, float32: pixels that differ", int((found.masks != mask).sum()))
        run.detail(f"{name}, as used: share of pixels that differ", float((answer().masks != mask).mean()))
    run.bar("decode_ratio", min(ratios))
    run.detail("threads", torch.get_num_threads())


def smallest_cosine(embedding: "ImageEmbedding", features: np.ndarray) -> float:
    """Return how alike two embeddings are where they are least so."""
    own = embedding.arrays["features"].astype(np.float32)
    dots = [(a * b).sum(axis=0) for a, b in ((own, features), (own, own), (features, features))]
    return float((dots[0] / np.sqrt(dots[1] * dots[2])).min())


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both")


if __name__ == "__main__":
    report.main("upstream", measure, _options)
