"""An object in 3-D from at most three clicks, on images that the model was never trained on.

A robot clicks once on the middle slice of an object; its mask there is propagated. Then, up to twice, it clicks on the
slice with the worst Dice (of several, on that with the most wrong voxels), and the object is propagated anew between
the key slices beside it. The first, middle and last true slices joined by shape, and a random walker in 3-D from
the same clicks, are what it is compared with. Every fifth object gets five clicks, for clicks to 0.9 and DSC_AUC, and
is also propagated from its true middle slice.

Time is that of the first propagation, in the processor's seconds: a machine that does other work takes no more.

Objects: of at least 1000 voxels, in all of totalseg_ct_mr_3d and, of niivue_brain_mr_3d, the lesion and the subcortical
labels of FreeSurfer; msd_hippocampus_mr_3d, on which the model was trained, is reported apart. Each data set is
measured twice: as it is, and with every fourth slice only.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import report
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, zoom
from skimage.segmentation import find_boundaries, random_walker

from napari_medfm.evaluation import Case, read_manifest
from napari_medfm.inference import MemoryStore, Predictor, embed_plane, slice_image
from napari_medfm.models import ImageEmbedding, MaskPrediction, load_model
from napari_medfm.prompts import MaskPrompt, Point, PromptSet
from napari_medfm.propagation import (
    KeySlice,
    Scene,
    as_large_as,
    beside,
    follow,
    gathered,
    interpolate,
    without_denied,
)
from napari_medfm.simulation import clicks_to, dice, dsc_auc, next_click, nsd
from napari_medfm.volume import Plane, Volume, array_geometry, automatic_window, fingerprint, open_labels, open_volume

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
UNSEEN = ("niivue_brain_mr_3d", "totalseg_ct_mr_3d")
SEEN = "msd_hippocampus_mr_3d"
SUBCORTICAL = frozenset({10, 11, 12, 13, 16, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60})
"""FreeSurfer's thalami, basal ganglia, hippocampi, amygdalae, ventral diencephala and brain stem."""
SMALLEST = 1000  # voxels
CLICKS, AREA_CLICKS = 3, 5
THINNED = 4
THOROUGH = 5  # every so manyth object is looked at in every way
WORST = 8  # pictures that are kept
LONG = 50  # slices of an object from which on its time counts: what is done once for each object is spread over them
_STORE = 2 << 30
_WALKER_VOXELS = 60_000

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """An object in a volume."""

    dataset: str
    name: str
    volume: Volume
    truth: Mask


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an object: scores after each click, and those of the others."""

    dataset: str
    name: str
    slices: int
    dice: list[float]
    nsd: float
    touched: int
    seconds_per_slice: float
    shape_dice: float
    shape_nsd: float
    walker_dice: float | None
    from_true_slice: float | None


def things(dataset: str, images: int | None, objects: int | None) -> Iterator[Thing]:
    """All objects of a data set; of each image at most so many, evenly chosen."""
    cases = [case for case in read_manifest(MANIFEST) if case.dataset == dataset and "macaque" not in case.image.name]
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases[:: max(1, len(cases) // images)] if images else cases:
            volume, labels = read(case, Path(scratch))
            numbers = [number for number in np.unique(labels) if number and (labels == number).sum() >= SMALLEST]
            if case.image.suffix == ".mgz":
                numbers = [number for number in numbers if int(number) in SUBCORTICAL]
            for number in numbers[:: max(1, len(numbers) // objects)] if objects else numbers:
                yield Thing(dataset, f"{case.image.name}, {case.mask.name}, {number}", volume, labels == number)


def read(case: Case, scratch: Path) -> tuple[Volume, NDArray[np.int64]]:
    """Open an image and its labels; FreeSurfer's format is rewritten first."""
    image, mask = case.image, case.mask
    if image.suffix == ".mgz":
        image, mask = (rewritten(path, scratch / f"{place}.nii.gz") for place, path in enumerate((image, mask)))
    volume = open_volume(image, choice=case.choice)
    return volume, np.asarray(open_labels(mask, volume))


def rewritten(path: Path, target: Path) -> Path:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), target)
    return target


def thinned(thing: Thing) -> Thing:
    """Keep every fourth slice, counted from the object's middle."""
    middle = middle_of(thing.truth)
    kept = slice(middle % THINNED, None, THINNED)
    spacing = thing.volume.spacing[0] * THINNED, *thing.volume.spacing[1:]
    array = thing.volume.array[kept]
    volume = Volume(array, array_geometry(array.shape, spacing), thing.volume.name, thing.volume.modality)
    return Thing(f"{thing.dataset}, every 4th slice", thing.name, volume, thing.truth[kept])


def middle_of(truth: Mask) -> int:
    slices = np.flatnonzero(truth.any(axis=(1, 2)))
    return int(slices[len(slices) // 2])


class Recalling(Predictor):
    """Answers a question only once: propagating anew from a key slice asks most of the same ones."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor.model, predictor.store)
        self.answers: dict[PromptSet, MaskPrediction] = {}

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        if previous is not None:
            return super().decode(embedding, prompts, previous)
        if prompts not in self.answers:  # prompts name their plane, and there is one volume
            self.answers[prompts] = super().decode(embedding, prompts)
        return self.answers[prompts]


class Annotator:
    """A robot that segments one object."""

    def __init__(self, predictor: Predictor, thing: Thing) -> None:
        self.predictor, self.thing = Recalling(predictor), thing
        self.scene = Scene(thing.volume, fingerprint(thing.volume), automatic_window(thing.volume))
        self.found = np.zeros_like(thing.truth)
        self.keys: dict[int, KeySlice] = {}
        self.clicks: dict[int, list[Point]] = defaultdict(list)
        self.start: dict[int, Mask] = {}
        self.seconds_per_slice: float | None = None

    def click(self, index: int) -> bool:
        """Correct one slice and propagate between its neighbours; False if nothing is wrong there."""
        plane, truth = Plane(0, index), self.thing.truth[index]
        clicked = [point.position for point in self.clicks[index]]
        point = next_click(self.found[index], truth, clicked, plane)
        if point is None:
            return False
        rest = without_denied(self.found[index], point)
        if rest is None:
            self.start.setdefault(index, self.found[index].copy())
            self.clicks[index].append(point)
            rest = self.answer(plane, self.start[index])
        else:
            self.start[index], self.clicks[index] = rest, []
        self.keys[index] = KeySlice(plane, rest)
        self.propagate(index)
        return True

    def answer(self, plane: Plane, start: Mask) -> Mask:
        """Ask the model with every click on a slice, after what was proposed there."""
        drawn = (MaskPrompt.from_mask(plane, start),) if start.any() else ()
        points = self.clicks[plane.index]
        if not drawn and not any(point.positive for point in points):
            return np.zeros_like(start)
        embedding, held = self.embedding(plane), [key for key in self.keys.values() if key.mask.any()]
        if drawn or len(points) > 1 or not held:
            return self.predictor.decode(embedding, PromptSet((*drawn, *points))).mask
        key = min(held, key=lambda key: abs(key.plane.index - plane.index))
        found = np.flatnonzero(self.found.any(axis=(1, 2)))
        nearest = self.found[found[np.abs(found - plane.index).argmin()]]
        return as_large_as((nearest, key.mask), points[0], partial(self.predictor.decode, embedding)).mask

    def embedding(self, plane: Plane):
        return embed_plane(self.predictor, self.scene.volume, self.scene.fingerprint, self.scene.window, plane)

    def propagate(self, index: int) -> None:
        """Propose anew between the keys beside a corrected slice; all else stays."""
        keys, indices = beside(tuple(self.keys.values()), Plane(0, index), len(self.found))
        first, last = indices[0], indices[-1]
        for at in indices:
            self.embedding(Plane(0, at))  # embeddings count as cached
        began = time.process_time()
        proposals = gathered(follow(self.predictor, self.scene, keys, indices))
        if self.seconds_per_slice is None:
            self.seconds_per_slice = (time.process_time() - began) / max(1, len(proposals))
        self.found[first : last + 1] = False
        for proposal in proposals:
            self.found[proposal.plane.index] = proposal.to_mask(self.found.shape[1:])
        self.found[index] = self.keys[index].mask

    def worst(self) -> int:
        """The slice with the worst Dice; of equals the one with the most wrong voxels."""
        pairs = list(zip(self.found, self.thing.truth, strict=True))
        scores = [(dice(found, truth), -np.count_nonzero(found ^ truth)) for found, truth in pairs]
        return min(range(len(scores)), key=scores.__getitem__)


def segment(predictor: Predictor, thing: Thing, *, thorough: bool) -> tuple[Result, Mask]:
    """Segment an object as a person would, and by the methods it is compared with; also return what was found."""
    clicks = AREA_CLICKS if thorough else CLICKS
    annotator = Annotator(predictor, thing)
    scores: list[float] = []
    after_three = annotator.found
    for number in range(clicks):
        annotator.click(middle_of(thing.truth) if number == 0 else annotator.worst())
        scores.append(dice(annotator.found, thing.truth))
        if number < CLICKS:
            after_three, touched = annotator.found.copy(), len(annotator.keys)
            points = [point for made in annotator.clicks.values() for point in made]
    shape = by_shape(thing)
    walker = dice(walked(thing, points), thing.truth) if thorough else None
    slices = int(np.count_nonzero(thing.truth.any(axis=(1, 2))))
    scored = surface(after_three, thing), touched, annotator.seconds_per_slice or 0.0
    others = dice(shape, thing.truth), surface(shape, thing), walker
    alone = dice(from_true_slice(predictor, thing), thing.truth) if thorough else None
    return Result(thing.dataset, thing.name, slices, scores, *scored, *others, alone), after_three


def from_true_slice(predictor: Predictor, thing: Thing) -> Mask:
    """Propagate the true middle slice, without any click: what propagation makes of a key that is right."""
    annotator = Annotator(predictor, thing)
    middle = middle_of(thing.truth)
    annotator.keys[middle] = KeySlice(Plane(0, middle), thing.truth[middle])
    annotator.propagate(middle)
    return annotator.found


def surface(found: Mask, thing: Thing) -> float:
    """NSD at 2 mm of the part of the volume that holds anything."""
    either = np.argwhere(found | thing.truth)
    box = tuple(slice(max(0, low - 2), high + 3) for low, high in zip(either.min(0), either.max(0), strict=True))
    return nsd(found[box], thing.truth[box], thing.volume.spacing)


def by_shape(thing: Thing) -> Mask:
    """Join the first, middle and last true slices by their shape."""
    slices = np.flatnonzero(thing.truth.any(axis=(1, 2)))
    chosen = sorted({int(slices[0]), middle_of(thing.truth), int(slices[-1])})
    keys = tuple(KeySlice(Plane(0, at), thing.truth[at]) for at in chosen)
    found = np.zeros_like(thing.truth)
    found[chosen] = thing.truth[chosen]
    for proposal in interpolate(keys, thing.volume.geometry):
        found[proposal.plane.index] = proposal.to_mask(found.shape[1:])
    return found


def walked(thing: Thing, points: list[Point]) -> Mask:
    """Walk in 3-D from the clicks, and from the border of the box twice as wide as the object, as background."""
    where = np.argwhere(thing.truth)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    pad = np.maximum(2, (high - low) // 2)
    start, stop = np.maximum(0, low - pad), np.minimum(thing.truth.shape, high + pad)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    image = automatic_window(thing.volume).to_uint8(thing.volume.array[box]) / 255
    factor = min(1.0, (_WALKER_VOXELS / image.size) ** (1 / 3))
    small = zoom(image, factor, order=1) if factor < 1 else image
    seeds = np.full(small.shape, 2, np.int8)
    seeds[tuple(slice(1, -1) if size > 2 else slice(None) for size in small.shape)] = 0
    for point in points:
        voxel = np.array([point.plane.index, *point.position]) - start
        place = np.round(voxel * (np.array(small.shape) - 1) / np.maximum(1, np.array(image.shape) - 1)).astype(int)
        if (place >= 0).all() and (place < small.shape).all():
            disc = np.zeros(small.shape, bool)
            disc[tuple(place)] = True
            seeds[binary_dilation(disc)] = 1 if point.positive else 2
    spacing = np.array(thing.volume.spacing)
    answer = random_walker(small, seeds, beta=130, mode="cg_j", tol=1e-4, spacing=spacing, prob_tol=1.0)
    found = np.zeros_like(thing.truth)
    ratio = np.divide(image.shape, small.shape)
    found[box] = zoom((answer == 1).astype(np.float32), ratio, order=1, grid_mode=True, mode="nearest") > 0.5
    return found


def measure(run: report.Run) -> None:
    """Segment objects of every data set, and report medians; with ``--state`` what is done is not done again."""
    options = run.options
    predictor = Predictor(load_model(options.model), MemoryStore(_STORE))
    results = {(each.dataset, each.name): each for each in recorded(options.state)}
    wanted: list[Result] = []
    for dataset in (*UNSEEN, SEEN):
        images, objects = (1, 2) if run.quick else (options.seen_images if dataset == SEEN else None, None)
        every = list(enumerate(things(dataset, images, objects)))[options.first :: options.every]
        for place, thing in (every[at] for at in evenly(len(every))):
            for version in (thing, thinned(thing)):
                if np.count_nonzero(version.truth.any(axis=(1, 2))) < 3:
                    continue
                known = results.get((version.dataset, version.name))
                if known is None:
                    known, found = segment(predictor, version, thorough=place % THOROUGH == 0)
                    record(options.state, known)
                    draw(options.pictures, known, version, found)
                wanted.append(known)
                show(known)
    if options.every > 1:
        run.detail("a part only, every Nth object: N, first", f"{options.every}, {options.first}")
        run.quick = True
    report_all(run, wanted)
    if options.pictures:
        for picture in sorted(options.pictures.glob("*.png"))[WORST:]:
            picture.unlink()


def evenly(count: int) -> list[int]:
    """Return 0..count - 1 in an order whose beginning, wherever it is broken off, is spread over all of them."""
    digits = count.bit_length()
    return sorted(range(count), key=lambda place: f"{place:0{digits}b}"[::-1])


def recorded(state: Path | None) -> list[Result]:
    lines = state.read_text(encoding="utf-8").splitlines() if state is not None and state.is_file() else []
    return [Result(**json.loads(line)) for line in lines]


def record(state: Path | None, result: Result) -> None:
    if state is not None:
        with state.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def show(result: Result) -> None:
    scores = " ".join(f"{value:.3f}" for value in result.dice)
    walker = "" if result.walker_dice is None else f", walker {result.walker_dice:.3f}"
    text = f"{result.dataset}: {result.name}: {scores}, NSD {result.nsd:.3f}, shape {result.shape_dice:.3f}"
    if result.from_true_slice is not None:
        text += f", from the true slice {result.from_true_slice:.3f}"
    print(f"{text}{walker}, {1000 * result.seconds_per_slice:.0f} ms a slice", flush=True)


def report_all(run: report.Run, results: list[Result]) -> None:
    """Report bars over unseen sets, thick and thin slices alike, and every set's medians."""
    sets: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        sets[result.dataset].append(result)
    medians = {name: statistics.median(found.dice[CLICKS - 1] for found in group) for name, group in sets.items()}
    run.bar("dice_3_clicks", statistics.mean(medians[name] for name in medians if not name.startswith(SEEN)))
    long = [found.seconds_per_slice for found in results if found.slices >= LONG]
    run.bar("seconds_100_slices", 100 * statistics.median(long or [found.seconds_per_slice for found in results]))
    for name, group in sets.items():
        report_set(run, f"{name}{', trained on' if name.startswith(SEEN) else ''} (n = {len(group)})", group)
    run.n = len(results)


def report_set(run: report.Run, title: str, group: list[Result]) -> None:
    def median_of(values: Iterable[float]) -> float:
        return statistics.median(values)

    curves = [median_of(found.dice[click] for found in group) for click in range(CLICKS)]
    run.detail(f"{title}: Dice after each click", ", ".join(f"{value:.3f}" for value in curves))
    run.detail(f"{title}: NSD 2 mm after 3", median_of(found.nsd for found in group))
    run.detail(f"{title}: shape from 3 true slices, Dice", median_of(found.shape_dice for found in group))
    run.detail(f"{title}: shape from 3 true slices, NSD", median_of(found.shape_nsd for found in group))
    run.detail(f"{title}: slices touched", statistics.mean(found.touched for found in group))
    thorough = [found for found in group if len(found.dice) == AREA_CLICKS]
    if not thorough:
        return
    title = f"{title}, {len(thorough)} of them"
    alone = [found.from_true_slice for found in thorough if found.from_true_slice is not None]
    walker = [found.walker_dice for found in thorough if found.walker_dice is not None]
    run.detail(f"{title}: propagated from the true middle slice, Dice", median_of(alone))
    run.detail(f"{title}: random walker in 3-D, Dice", median_of(walker))
    run.detail(f"{title}: clicks to 0.9, at most 5", statistics.mean(clicks_to(0.9, each.dice, 5) for each in thorough))
    run.detail(f"{title}: DSC_AUC", median_of(dsc_auc(found.dice) for found in thorough))


def draw(folder: Path | None, result: Result, thing: Thing, found: Mask) -> None:
    """Five slices of an object, green what is true, red what was found; the file's name begins with Dice."""
    if folder is None:
        return
    slices = np.flatnonzero((thing.truth | found).any(axis=(1, 2)))
    window = automatic_window(thing.volume)
    panels = []
    for index in np.unique(slices[np.linspace(0, len(slices) - 1, 5).astype(int)]):
        grey = slice_image(thing.volume, Plane(0, int(index)), window)
        panel = np.repeat(np.stack((grey,) * 3, axis=-1), 3, axis=0).repeat(3, axis=1)
        for mask, colour in ((thing.truth[index], (0, 255, 0)), (found[index], (255, 60, 60))):
            edges = find_boundaries(np.repeat(np.repeat(mask, 3, axis=0), 3, axis=1), mode="inner")
            panel[edges] = colour
        panels.append(panel)
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(sign if sign.isalnum() else "_" for sign in f"{result.dataset} {result.name}")
    Image.fromarray(np.concatenate(panels, axis=1)).save(folder / f"{result.dice[CLICKS - 1]:.3f}_{name}.png")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="registry name")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth object of a data set only")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the first of them; 0 to N - 1")
    parser.add_argument("--seen-images", type=int, default=10, metavar="N", help=f"images of {SEEN}, about")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="results are added here, and those in it not made anew"
    )
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw the worst objects here")


if __name__ == "__main__":
    if not MANIFEST.is_file():
        sys.exit("shared/data/manifest.csv: the real images are not beside this repository")
    report.main("propagation", measure, _options)
