"""How well a model finds a structure after a few slices were labelled, and how many clicks that saves.

For each structure and number of labelled slices: prompt-free Dice on slices that were not labelled; exact clicks of
the robot user to Dice 0.85 (10 at most) before and after, of at most two objects of each, and from what the adapted
model finds by itself on, as a person corrects a slice that was filled; seconds of training and read-out. Against the
model before with one click in the middle, a random forest on the same embeddings, and MONAI's small U-Net from
scratch, trained with as much processor time and, at 5 labelled slices or as ``--longer`` says, with ten times as much.
Then, what the adapter does to other structures of the same volume: Dice after three clicks; and whether masks are
bit-equal with the adapter off. Less of it, too: the map of prototypes, the head alone, the decoder alone, fewer copies.

The bars are means over the structures at 5 labelled slices. With ``--state FILE`` every result is kept as soon as it is
there, and the same command goes on where it was stopped. Parts can be run alone: ``--structures liver,aorta --shots 5
--parts adapted,forest``; such a run measures no bar but those it can. Beside other work seconds are too long and time
runs out too early: then give more of it with ``--seconds``.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from time import process_time

import numpy as np
import report
from fewshot_data import MANIFEST, STRUCTURES, Mask, Slice, Structure, split
from fewshot_rivals import Forest, Unet
from kept import Kept

from napari_medfm.adaptation import Adaptation, AdaptedModel, Recipe, SupportSet, SupportSlice, adaptable
from napari_medfm.adaptation.finding import Finder, Found, find, probability_of
from napari_medfm.adaptation.readout import CAP, clicks_needed, found_of
from napari_medfm.models import ImageEmbedding, PromptableModel, load_model
from napari_medfm.models.adaptable import Adaptable
from napari_medfm.models.steps import finish
from napari_medfm.prompts import PromptSet
from napari_medfm.simulation import dice, next_click

_BAR_SHOTS = 5
_OBJECTS = 2  # of a slice that are clicked, the largest
_LESS: Mapping[str, Callable[[Recipe], Recipe]] = {
    "without decoder": lambda recipe: replace(recipe, decoder_steps=0),
    "2 copies": lambda recipe: replace(recipe, copies=2),
    "no copies": lambda recipe: replace(recipe, copies=0),
}
"""Recipes that do less than the whole; measured at the bars' number of slices."""
_TRAINED = {"unet": 1, "unet longer": 10}  # times as much processor time as adapting took
_PARTS = ("adapted", "forest", *_LESS, *_TRAINED)
"""In the order of measuring."""


@dataclass
class Result:
    """What one structure gave at one number of labelled slices: of adapting, or of a rival."""

    slices: int
    seconds: float = 0.0
    processor: float = 0.0
    improved: bool = False
    equal_when_off: bool = True
    fall: float | None = None
    scores: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def mean(self, name: str) -> float | None:
        return fmean(self.scores[name]) if self.scores.get(name) else None


class Bench:
    """Adapts and judges; embeddings are made once for each image."""

    def __init__(self, model: Adaptable, options: argparse.Namespace, tests: int) -> None:
        self._model, self._options, self._tests = model, options, tests
        self._embeddings: dict[int, ImageEmbedding] = {}

    def embed(self, each: Slice) -> ImageEmbedding:
        if id(each) not in self._embeddings:
            self._embeddings[id(each)] = self._model.encode(each.image)
        return self._embeddings[id(each)]

    def adapted(self, structure: Structure, shots: int, change: Callable[[Recipe], Recipe] | None = None) -> Result:
        """Adapt, and judge by other slices; less is judged than of the whole if a recipe is changed."""
        labelled, others = split(structure, shots, self._tests, self._options.seed)
        slices = [SupportSlice.annotated(self.embed(each), each.labels, title=each.title) for each in labelled]
        recipe = Recipe(seed=self._options.seed, mirrored=structure.mirrored, seconds=self._options.seconds)
        support = SupportSet(structure.name, tuple(slices))
        adaptation = Adaptation(self._model, support, recipe if change is None else change(recipe))
        began = process_time()
        seconds = [each.seconds for each in adaptation.steps()][-1]
        used = process_time() - began
        assert adaptation.adapter is not None
        adapted = AdaptedModel(self._model, adaptation.adapter)
        result = Result(len(others), seconds, used, adaptation.adapter.improved)
        for each in others:
            self._judge_slice(each, adapted, result.scores)
            if change is None:
                self._click(each, self._model.with_decoder(adaptation.adapter.decoder), "decoder alone", result.scores)
                self._judge_before(each, adaptation.preview, support, result.scores)
        if change is None:
            result.equal_when_off = all(self._equal_when_off(each, adapted) for each in others[:3])
            if shots == _BAR_SHOTS and structure.in_volume:
                result.fall = self._fall_elsewhere(structure, adapted)
        return result

    def forest(self, structure: Structure, shots: int) -> Result:
        labelled, others = split(structure, shots, self._tests, self._options.seed)
        forest = Forest(self._model, labelled, self._options.seed)
        return Result(len(others), scores={"forest": [dice(forest.segment(each), each.mask) for each in others]})

    def unet(self, structure: Structure, shots: int, name: str, processor: float) -> Result:
        labelled, others = split(structure, shots, self._tests, self._options.seed)
        unet = Unet(labelled, structure.mirrored, self._options.seed)
        unet.train(_TRAINED[name] * processor)
        scores = {name: [dice(unet.segment(each), each.mask) for each in others]}
        return Result(len(others), processor=unet.seconds, scores=scores)

    def _judge_slice(self, each: Slice, adapted: AdaptedModel, scores: dict[str, list[float]]) -> None:
        found = adapted.find(self.embed(each))
        scores["head"].append(dice(found.first, each.mask))
        scores["prompt-free"].append(dice(found.mask, each.mask))
        self._click(each, adapted, "after", scores)
        self._correct(each, adapted, found, scores)

    def _judge_before(
        self, each: Slice, preview: Finder | None, support: SupportSet, scores: dict[str, list[float]]
    ) -> None:
        """The model before: by clicks, and by the map that needs no training."""
        embedding = self.embed(each)
        assert preview is not None
        probability = probability_of(self._model.look(embedding), preview)
        found = find(self._model, embedding, probability, several=support.has_several)
        scores["prototypes"].append(dice(found.mask, each.mask))
        for truth in _objects(each):
            scores["centre click"].append(_after_clicks(self._model, embedding, truth, 1))
        self._click(each, self._model, "before", scores)

    def _click(self, each: Slice, model: PromptableModel, name: str, scores: dict[str, list[float]]) -> None:
        known = np.zeros_like(each.mask)
        for truth in _objects(each):
            clicks = finish(clicks_needed(model, self.embed(each), truth, known))
            scores[f"clicks {name}"].append(float(clicks))
            scores[f"saturated {name}"].append(float(clicks == CAP))

    def _correct(self, each: Slice, adapted: AdaptedModel, found: Found, scores: dict[str, list[float]]) -> None:
        """Correct what was found, as a person does after filling; what meets no object would have to be taken away."""
        known = np.zeros_like(each.mask)
        for truth in _objects(each):
            clicks = finish(clicks_needed(adapted, self.embed(each), truth, known, found_of(truth, found)))
            scores["clicks on what was found"].append(float(clicks))
            scores["saturated on what was found"].append(float(clicks == CAP))

    def _fall_elsewhere(self, structure: Structure, adapted: AdaptedModel) -> float:
        """Return by how much Dice after three clicks falls on the other structures of the same volume."""
        falls = []
        for other in STRUCTURES.values():
            if other.in_volume and other.name != structure.name:
                _, slices = split(other, _BAR_SHOTS, self._tests, self._options.seed)
                falls.append(fmean(self._fall(each, adapted) for each in slices))
        return fmean(falls)

    def _fall(self, each: Slice, adapted: AdaptedModel) -> float:
        before, after = (_after_clicks(model, self.embed(each), each.mask, 3) for model in (self._model, adapted))
        return before - after

    def _equal_when_off(self, each: Slice, adapted: AdaptedModel) -> bool:
        """Whether the adapter, switched off, changes no bit of an answer."""
        embedding = self.embed(each)
        point = next_click(np.zeros_like(each.mask), each.mask)
        assert point is not None
        adapted.active = False
        base, other = (model.decode(embedding, PromptSet((point,))) for model in (self._model, adapted))
        adapted.active = True
        return bool(np.array_equal(base.masks, other.masks) and np.array_equal(base.low_res, other.low_res))


def _objects(each: Slice) -> list[Mask]:
    return sorted(each.objects, key=np.count_nonzero, reverse=True)[:_OBJECTS]


def _after_clicks(model: PromptableModel, embedding: ImageEmbedding, truth: Mask, count: int) -> float:
    """Return Dice after so many exact clicks, or fewer if nothing is left to correct."""
    prompts, previous, mask = PromptSet(), None, np.zeros_like(truth)
    for _ in range(count):
        point = next_click(mask, truth, [each.position for each in prompts.points])
        if point is None:
            break
        prompts = prompts.add(point)
        previous = model.decode(embedding, prompts, previous)
        mask = previous.mask
    return dice(mask, truth)


def measure(run: report.Run) -> None:
    """Adapt to every structure with every number of labelled slices, and report the means."""
    options = run.options
    names, shots, parts = (_listed(options, each, run.quick) for each in ("structures", "shots", "parts"))
    tests = options.tests or (3 if run.quick else 12)
    model = adaptable(load_model(options.model))
    settings = {"model": model.spec.model_digest, "tests": tests, "seed": options.seed, "seconds": options.seconds}
    state, bench = Kept(options.state, settings), Bench(model, options, tests)
    results: dict[int, list[dict[str, Result]]] = defaultdict(list)
    counts = sorted(map(int, shots), key=lambda count: (count != _BAR_SHOTS, count))  # what has bars first
    wanted = [(part, count) for part in parts for count in counts if _is_wanted(part, count, options)]
    for (part, count), name in product(wanted, names):
        result = _measured(state, bench, STRUCTURES[name], count, part)
        print(f"{name}, k = {count}: {_text(_figures({part: result}))}", flush=True)
    for count, name in product(sorted(counts), names):
        found = {part: Result(**state.known[_title(name, count, part)]) for part, of in wanted if of == count}
        results[count].append(found)
        _report_result(run, f"{name}, k = {count}", found)
    for count, of_all in sorted(results.items()):
        run.detail(f"mean of {len(of_all)}, k = {count}", _text(_means(of_all)))
    at_bar = results.get(_BAR_SHOTS, [])
    run.n = len(at_bar)
    if at_bar and "adapted" in at_bar[0]:
        _report_bars(run, at_bar)


def _listed(options: argparse.Namespace, name: str, quick: bool) -> Sequence[str]:
    whole: dict[str, Sequence[str]] = {"structures": tuple(STRUCTURES), "shots": ("1", "3", "5", "10"), "parts": _PARTS}
    little = {"structures": ("aorta",), "shots": (str(_BAR_SHOTS),), "parts": ("adapted", "forest")}
    given: str | None = getattr(options, name)
    return given.split(",") if given else (little if quick else whole)[name]


def _is_wanted(part: str, shots: int, options: argparse.Namespace) -> bool:
    if part == "unet longer":
        return str(shots) in options.longer.split(",")
    return part not in _LESS or shots == _BAR_SHOTS


def _measured(state: Kept, bench: Bench, structure: Structure, shots: int, part: str) -> Result:
    """Measure one part; a U-Net needs to know how long adapting took."""
    if part == "forest":
        make = partial(bench.forest, structure, shots)
    elif part in _TRAINED:
        adapted = _measured(state, bench, structure, shots, "adapted")
        make = partial(bench.unet, structure, shots, part, adapted.processor)
    else:
        make = partial(bench.adapted, structure, shots, _LESS.get(part))
    return Result(**state.get(_title(structure.name, shots, part), lambda: vars(make())))


def _title(name: str, shots: int, part: str) -> str:
    return f"{name}, k = {shots}: {part}"


_SHOWN = (
    *("prompt-free", "head", "prototypes", "centre click", "forest", "unet", "unet longer"),
    *("clicks before", "clicks after", "clicks on what was found", "clicks decoder alone"),
    *("saturated before", "saturated after", "saturated on what was found"),
)


def _figures(found: Mapping[str, Result]) -> dict[str, float]:
    """Every figure of one structure by name; those of recipes that do less come with their names."""
    figures = {}
    for part, result in found.items():
        prefix = f"{part}: " if part in _LESS else ""
        values = {name: result.mean(name) for name in _SHOWN}
        figures |= {prefix + name: value for name, value in values.items() if value is not None}
        if part == "adapted" or part in _LESS:
            figures |= {prefix + "seconds": result.seconds, prefix + "processor seconds": result.processor}
    return figures


def _means(of_all: Sequence[Mapping[str, Result]]) -> dict[str, float]:
    """Means over structures of what was measured for all of them."""
    figures = [_figures(found) for found in of_all]
    return {name: fmean(each[name] for each in figures) for name in figures[0] if all(name in each for each in figures)}


def _text(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _report_result(run: report.Run, title: str, found: Mapping[str, Result]) -> None:
    text, adapted = _text(_figures(found)), found.get("adapted")
    if adapted is None:
        return
    text += ", read-out better" if adapted.improved else ", read-out not better"
    if adapted.fall is not None:
        text += f", fall of Dice after 3 clicks on other structures {adapted.fall:.3f}"
    run.detail(f"{title} (n = {adapted.slices})", text)


def _report_bars(run: report.Run, of_all: Sequence[Mapping[str, Result]]) -> None:
    means, adapted = _means(of_all), [found["adapted"] for found in of_all]
    run.bar("dice_prompt_free", means["prompt-free"])
    for rival, name in (("forest", "forest"), ("unet", "unet"), ("unet longer", "unet_ten_times_as_long")):
        if rival in means:
            run.bar(f"margin_over_{name}", means["prompt-free"] - means[rival])
    run.bar("clicks_saved", 1 - means["clicks after"] / means["clicks before"])
    run.bar("clicks_saved_on_what_was_found", 1 - means["clicks on what was found"] / means["clicks before"])
    run.bar("seconds", max(each.seconds for each in adapted))
    run.detail("processor seconds, the most", max(each.processor for each in adapted))
    run.bar("share_bit_equal_when_off", fmean(each.equal_when_off for each in adapted))
    falls = [each.fall for each in adapted if each.fall is not None]
    if falls:
        run.bar("fall_on_other_structures", max(falls))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="registry name")
    parser.add_argument("--structures", help=f"of {', '.join(STRUCTURES)}; separated by commas")
    parser.add_argument("--shots", help="numbers of labelled slices, separated by commas")
    parser.add_argument("--parts", help=f"of {', '.join(_PARTS)}; separated by commas")
    parser.add_argument("--longer", default=str(_BAR_SHOTS), help="numbers of slices for the U-Net trained longer")
    parser.add_argument("--tests", type=int, help="slices to judge by, at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="time that adapting may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep results here, and go on from those there")


if __name__ == "__main__":
    if not MANIFEST.is_file():
        sys.exit("shared/data/manifest.csv: the real images are not beside this repository")
    report.main("fewshot", measure, _options)
