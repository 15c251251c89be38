"""How well look-alikes of a lesion are found in other images, against matching patches of intensity, and how fast.

Quality: on each data set of 2-D images with repeated structures, objects are drawn as queries, one from each of one or
three images; the other images are the gallery. Average precision of the ranking: a candidate is right if its box
has an IoU of at least 0.3 with that of an object nobody found before; objects that are never found count as missed.
Patch matching takes the same boxes: normalised cross-correlation of grey values, the best peaks of every image, no
two of which overlap; for it images are made smaller until half of the objects measure 40 pixels or less.

Speed: the first hundred MR volumes of the hippocampus set, every axial slice embedded on disk beforehand; one query.
"""

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import report
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label
from skimage.feature import match_template, peak_local_max
from skimage.transform import rescale

from napari_medfm.evaluation import Case, read_manifest
from napari_medfm.inference import DiskStore, MemoryStore, Predictor, embed_planes
from napari_medfm.models import load_model
from napari_medfm.models.steps import finish
from napari_medfm.projects.lookalikes import Box, Sight, Sighting, distinct, overlap
from napari_medfm.projects.searching import (
    Lesion,
    Seen,
    Target,
    find_targets,
    lesions_of,
    make_query,
    open_target,
    search,
    search_image_steps,
)
from napari_medfm.volume import Plane, automatic_window, fingerprint, open_labels, open_volume

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
_SETS = {"krd_wbc_microscopy": "leucocytes", "glomeruli_histology": "glomeruli", "ms_lesion_flair_mr": "ms_lesions"}
_JUDGED = ("krd_wbc_microscopy", "glomeruli_histology")
_VOLUMES = "msd_hippocampus_mr_3d"
_RIGHT = 0.3  # IoU of boxes
_SMALLEST = 30  # pixels of an object
_SIDE = 40.0  # pixels of an object, for patch matching
_PEAKS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A 2-D image with the boxes of its objects."""

    target: Target
    seen: Seen
    boxes: tuple[Box, ...]


def _pictures(name: str, count: int) -> list[Picture]:
    return [_picture(case.image, case.mask) for case in _cases(name)[:count]]


def _cases(name: str) -> list[Case]:
    return [case for case in read_manifest(MANIFEST) if case.dataset == name]


def _picture(image: Path, mask: Path) -> Picture:
    volume = open_volume(image)
    numbers, _ = label(np.asarray(open_labels(mask, volume)) > 0)
    sizes = np.bincount(numbers.ravel())
    boxes = tuple(
        (float(rows.start), float(columns.start), float(rows.stop), float(columns.stop))
        for number, (rows, columns) in enumerate(find_objects(numbers), start=1)
        if sizes[number] >= _SMALLEST
    )
    return Picture(Target(image, image.name), Seen(volume, fingerprint(volume), automatic_window(volume)), boxes)


Hit = tuple[float, int, Box]
"""Score, number of the image, box."""


def average_precision(hits: list[Hit], truths: dict[int, tuple[Box, ...]]) -> float:
    """Return the mean precision at each object that is found; 0 for those that are not."""
    found: set[tuple[int, int]] = set()
    precisions = []
    for place, (_, image, box) in enumerate(sorted(hits, key=lambda hit: -hit[0]), start=1):
        free = [(overlap(box, each), one) for one, each in enumerate(truths[image]) if (image, one) not in found]
        share, one = max(free, default=(0.0, -1))
        if share >= _RIGHT:
            found.add((image, one))
            precisions.append(len(found) / place)
    return sum(precisions) / max(1, sum(map(len, truths.values())))


def first_ten(hits: list[Hit], truths: dict[int, tuple[Box, ...]]) -> float:
    """Return the share of the best ten that touch an object."""
    best = sorted(hits, key=lambda hit: -hit[0])[:10]
    return sum(any(overlap(box, each) > 0.1 for each in truths[image]) for _, image, box in best) / 10


def _draw(pictures: list[Picture], name: str, shots: int, turn: int) -> tuple[list[tuple[int, Box]], list[int]]:
    """Return the queries, and the images that are searched."""
    rng = np.random.default_rng([turn, zlib.crc32(name.encode())])
    usable = [number for number in rng.permutation(len(pictures)).tolist() if pictures[number].boxes][:shots]
    chosen = [(number, pictures[number].boxes[rng.integers(len(pictures[number].boxes))]) for number in usable]
    return chosen, [number for number in range(len(pictures)) if number not in usable]


def _by_embeddings(
    predictor: Predictor, pictures: list[Picture], queries: list[tuple[int, Box]], gallery: list[int]
) -> list[Hit]:
    query = make_query([Lesion(pictures[number].seen, Plane(), box) for number, box in queries], predictor)
    hits: list[Hit] = []
    for number in gallery:
        one = pictures[number]
        found = finish(search_image_steps(one.target, one.seen, query, predictor))
        hits += [(each.score, number, each.box) for each in found]
    return hits


def _by_patches(
    grey: list[tuple[NDArray[np.float32], float]], queries: list[tuple[int, Box]], gallery: list[int]
) -> list[Hit]:
    hits = []
    for number in gallery:
        image, scale = grey[number]
        peaks: list[Sighting] = []
        for source, box in queries:
            patch, size = _patch(*grey[source], box)
            if any(mine > its for mine, its in zip(patch.shape, image.shape, strict=True)):
                continue
            likeness = match_template(image, patch)
            places = peak_local_max(
                likeness, min_distance=max(2, min(size) // 2), num_peaks=_PEAKS, exclude_border=False
            )
            for row, column in places.tolist():
                found = tuple(edge / scale for edge in (row + 2, column + 2, row + 2 + size[0], column + 2 + size[1]))
                peaks.append(Sighting(found, float(likeness[row, column]), np.empty(0, np.float32)))
        hits += [(each.score, number, each.box) for each in distinct(peaks)]
    return hits


def _patch(image: NDArray[np.float32], scale: float, box: Box) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return what is in a box and two pixels around it, and the size of the box."""
    top, left, bottom, right = (round(edge * scale) for edge in box)
    rows, columns = slice(max(0, top - 2), bottom + 2), slice(max(0, left - 2), right + 2)
    return image[rows, columns], (max(1, bottom - top), max(1, right - left))


def _reduction(pictures: list[Picture]) -> float:
    sides = [max(bottom - top, right - left) for each in pictures for top, left, bottom, right in each.boxes]
    return min(1.0, _SIDE / float(np.median(sides)))


def _grey(picture: Picture, scale: float) -> tuple[NDArray[np.float32], float]:
    image = picture.seen.window.to_uint8(picture.seen.volume.array).astype(np.float32)
    plain = image.mean(axis=2) if image.ndim == 3 else image
    return (rescale(plain, scale, anti_aliasing=True) if scale < 1 else plain), scale


def _measure_set(run: report.Run, predictor: Predictor, name: str, margins: dict[int, list[float]]) -> None:
    pictures = _pictures(name, 6 if run.quick else 24)
    grey = [_grey(each, _reduction(pictures)) for each in pictures]
    for shots in (1, 3):
        scores = []
        for turn in range(1 if run.quick else 3):
            queries, gallery = _draw(pictures, name, shots, turn)
            truths = {number: pictures[number].boxes for number in gallery}
            rankings = _by_embeddings(predictor, pictures, queries, gallery), _by_patches(grey, queries, gallery)
            scores.append([judge(hits, truths) for judge in (average_precision, first_ten) for hits in rankings])
            run.n += len(gallery)
        ours, theirs, ten, their_ten = np.mean(scores, axis=0).tolist()
        run.detail(f"{_SETS[name]}, {shots} queries: AP of embeddings and patches", [round(ours, 4), round(theirs, 4)])
        run.detail(f"{_SETS[name]}, {shots} queries: of the first ten right", [round(ten, 3), round(their_ten, 3)])
        if name in _JUDGED:
            margins[shots].append(ours - theirs)


def _measure_speed(run: report.Run, predictor: Predictor) -> None:
    cases = _cases(_VOLUMES)[: 3 if run.quick else 100]
    planes = 0
    for case in cases:
        volume = open_volume(case.image)
        window, digest, every = automatic_window(volume), fingerprint(volume), volume.geometry.planes()
        planes += len(every)
        for _ in embed_planes(predictor, volume, digest, window, every):
            pass
    first = open_target(Target(cases[0].image, "first"), Sight())
    mask = np.asarray(open_labels(cases[0].mask, first.volume)) > 0
    query = make_query(lesions_of(first, mask), predictor)
    targets = [target for case in cases for target in find_targets(case.image)]
    began, used = perf_counter(), process_time()
    candidates = sum(len(each.candidates) for each in search(targets, query, predictor) if each is not None)
    seconds, used = perf_counter() - began, process_time() - used
    run.detail(f"{len(cases)} cached volumes: wall clock and processor (s)", [round(seconds, 1), round(used, 1)])
    run.detail("volumes searched, slices in them, candidates", [len(cases), planes, candidates])
    run.detail("one cached slice: wall clock and processor (ms)", [1000 * seconds / planes, 1000 * used / planes])


def measure(run: report.Run) -> None:
    model = load_model("compact")
    margins: dict[int, list[float]] = {1: [], 3: []}
    for name in _JUDGED if run.quick else _SETS:
        _measure_set(run, Predictor(model, MemoryStore(4 * 10**9)), name, margins)
    for shots, each in margins.items():
        run.bar(f"ap_margin_over_patches_{shots}", min(each))
    with tempfile.TemporaryDirectory() as folder:
        _measure_speed(run, Predictor(model, DiskStore(Path(folder), 10**11)))


if __name__ == "__main__":
    report.main("search", measure)
