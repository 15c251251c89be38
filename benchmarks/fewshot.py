"""How well a model finds a structure after a few slices were labelled, and how many clicks that saves.

For each structure and number of labelled slices: prompt-free Dice on slices that were not labelled; exact clicks of
the robot user to Dice 0.85 (10 at most) before and after, of at most two objects of each; seconds of training and
read-out. Against the model before with one click in the middle, a random forest on the same embeddings, and MONAI's
small U-Net from scratch, trained as long and ten times as long. Then, what the adapter does to other structures of the
same volume: Dice after three clicks; and whether masks are bit-equal with the adapter off.

The bars are means over the structures at 5 labelled slices. Parts can be run alone: ``--structures liver,aorta
--shots 5 --without 'unet,unet longer'``; such a run measures no bar but those it can.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import report
from fewshot_data import MANIFEST, STRUCTURES, Mask, Slice, Structure, split
from fewshot_rivals import Forest, Unet

from napari_medfm.adaptation import Adaptation, AdaptedModel, Recipe, SupportSet, SupportSlice, adaptable
from napari_medfm.adaptation.readout import CAP, clicks_needed
from napari_medfm.models import ImageEmbedding, PromptableModel, load_model
from napari_medfm.models.adaptable import Adaptable
from napari_medfm.models.steps import finish
from napari_medfm.prompts import PromptSet
from napari_medfm.simulation import dice, next_click

_BAR_SHOTS = 5
_OBJECTS = 2  # of a slice that are clicked, the largest
_TRAINED = {"unet": 1, "unet longer": 10}  # times as long as adapting took
_RIVALS = ("forest", *_TRAINED)


@dataclass
class Result:
    """What one structure gave at one number of labelled slices."""

    structure: str
    shots: int
    slices: int
    seconds: float
    improved: bool
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

    def adapt(self, structure: Structure, labelled: Sequence[Slice]) -> tuple[AdaptedModel, float]:
        """Return the adapted model and the seconds that took, read-out included."""
        slices = [SupportSlice.annotated(self.embed(each), each.labels, title=each.title) for each in labelled]
        recipe = Recipe(seed=self._options.seed, mirrored=structure.mirrored, seconds=self._options.seconds)
        adaptation = Adaptation(self._model, SupportSet(structure.name, tuple(slices)), recipe)
        seconds = [each.seconds for each in adaptation.steps()][-1]
        assert adaptation.adapter is not None
        return AdaptedModel(self._model, adaptation.adapter), seconds

    def judge(self, structure: Structure, shots: int, without: Sequence[str]) -> tuple[Result, AdaptedModel]:
        labelled, others = split(structure, shots, self._tests, self._options.seed)
        adapted, seconds = self.adapt(structure, labelled)
        result = Result(structure.name, len(labelled), len(others), seconds, adapted.adapter.improved)
        for each in others:
            self._judge_slice(each, adapted, result.scores)
        if "forest" not in without:
            forest = Forest(self._model, labelled, self._options.seed)
            result.scores["forest"] = [dice(forest.segment(each), each.mask) for each in others]
        unet = Unet(labelled, structure.mirrored, self._options.seed)
        for name, times in _TRAINED.items():
            if name not in without:
                unet.train(times * seconds)
                result.scores[name] = [dice(unet.segment(each), each.mask) for each in others]
        return result, adapted

    def _judge_slice(self, each: Slice, adapted: AdaptedModel, scores: dict[str, list[float]]) -> None:
        embedding = self.embed(each)
        found = adapted.find(embedding)
        scores["head"].append(dice(found.first, each.mask))
        scores["prompt-free"].append(dice(found.mask, each.mask))
        objects = sorted(each.objects, key=np.count_nonzero, reverse=True)[:_OBJECTS]
        known = np.zeros_like(each.mask)
        for truth in objects:
            scores["centre click"].append(_after_clicks(self._model, embedding, truth, 1))
            for name, model in (("before", self._model), ("after", adapted)):
                clicks = finish(clicks_needed(model, embedding, truth, known))
                scores[f"clicks {name}"].append(float(clicks))
                scores[f"saturated {name}"].append(float(clicks == CAP))

    def fall_elsewhere(self, structure: Structure, adapted: AdaptedModel) -> float:
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

    def equal_when_off(self, each: Slice, adapted: AdaptedModel) -> bool:
        """Whether the adapter, switched off, changes no bit of an answer."""
        embedding, prompts = self.embed(each), PromptSet()
        point = next_click(np.zeros_like(each.mask), each.mask)
        assert point is not None
        prompts = prompts.add(point)
        adapted.active = False
        base, other = (model.decode(embedding, prompts) for model in (self._model, adapted))
        adapted.active = True
        return bool(np.array_equal(base.masks, other.masks) and np.array_equal(base.low_res, other.low_res))


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
    names = options.structures.split(",") if options.structures else list(STRUCTURES)
    shots = [int(count) for count in options.shots.split(",")] if options.shots else [1, 3, _BAR_SHOTS, 10]
    without = options.without.split(",") if options.without else []
    if run.quick:
        names, shots = (names if options.structures else ["aorta"]), (shots if options.shots else [_BAR_SHOTS])
        without = without if options.without else list(_TRAINED)
    bench = Bench(adaptable(load_model(options.model)), options, options.tests or (3 if run.quick else 12))
    at_bar: list[Result] = []
    falls: list[float] = []
    equal: list[bool] = []
    for name in names:
        for count in shots:
            structure = STRUCTURES[name]
            result, adapted = bench.judge(structure, count, without)
            _report_result(run, result)
            if count == _BAR_SHOTS:
                at_bar.append(result)
                equal += [bench.equal_when_off(each, adapted) for each in structure.read()[:3]]
                if structure.in_volume:
                    falls.append(bench.fall_elsewhere(structure, adapted))
                    run.detail(f"{name}, k = {count}: fall of Dice after 3 clicks on other structures", falls[-1])
    run.n = len(at_bar)
    if at_bar:
        _report_bars(run, at_bar)
        run.bar("share_bit_equal_when_off", fmean(equal))
    if falls:
        run.bar("fall_on_other_structures", max(falls))


def _report_result(run: report.Run, result: Result) -> None:
    shown = {
        name: result.mean(name) for name in ("prompt-free", "head", "centre click", "forest", "unet", "unet longer")
    }
    texts = [f"{name} {value:.3f}" for name, value in shown.items() if value is not None]
    before, after = result.mean("clicks before"), result.mean("clicks after")
    texts.append(f"clicks {before:.2f} to {after:.2f}")
    texts.append(f"saturated {result.mean('saturated before'):.2f} to {result.mean('saturated after'):.2f}")
    texts.append(f"{result.seconds:.1f} s")
    texts.append("read-out better" if result.improved else "read-out not better")
    title = f"{result.structure}, k = {result.shots} (n = {result.slices})"
    print(f"{title}: {', '.join(texts)}", flush=True)
    run.detail(title, ", ".join(texts))


def _report_bars(run: report.Run, results: Sequence[Result]) -> None:
    def mean(name: str) -> float | None:
        values = [value for result in results if (value := result.mean(name)) is not None]
        return fmean(values) if len(values) == len(results) else None

    found, before, after = mean("prompt-free"), mean("clicks before"), mean("clicks after")
    assert found is not None
    assert before is not None
    assert after is not None
    run.bar("dice_prompt_free", found)
    for rival, name in (("forest", "forest"), ("unet", "unet"), ("unet longer", "unet_ten_times_as_long")):
        value = mean(rival)
        if value is not None:
            run.bar(f"margin_over_{name}", found - value)
    run.bar("clicks_saved", 1 - after / before)
    run.bar("seconds", max(result.seconds for result in results))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="registry name")
    parser.add_argument("--structures", help=f"of {', '.join(STRUCTURES)}; separated by commas")
    parser.add_argument("--shots", help="numbers of labelled slices, separated by commas")
    parser.add_argument("--tests", type=int, help="slices to judge by, at most")
    parser.add_argument("--without", help=f"rivals to leave out, of {', '.join(_RIVALS)}; separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="time that adapting may take")
    parser.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    if not MANIFEST.is_file():
        sys.exit("shared/data/manifest.csv: the real images are not beside this repository")
    report.main("fewshot", measure, _options)
