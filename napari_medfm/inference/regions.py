"""A volume answered in regions: where the model looks, and what its answers are put together to."""

import itertools
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_medfm.errors import ModelError
from napari_medfm.inference.predictor import Predictor
from napari_medfm.models import MaskPrediction, RegionRecipe
from napari_medfm.prompts import PromptSet, as_volume_points
from napari_medfm.volume import Lattice, LatticeRegion, Region, Volume

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class RegionAnswer:
    """What was answered on one region.

    Attributes
    ----------
    region : LatticeRegion
        Where.
    prompts : PromptSet
        To which prompts.
    prediction : MaskPrediction
        What, on the points of the region.
    """

    region: LatticeRegion
    prompts: PromptSet
    prediction: MaskPrediction


@dataclass(frozen=True, slots=True, eq=False)
class VolumePrediction:
    """What a model answers for a volume.

    Attributes
    ----------
    box : Region or None
        The voxels it was asked about: a box around its regions. Beyond it the answer says nothing. None if no prompt
        says what belongs to the object.
    mask : ndarray of bool
        The object in that box, (z, y, x).
    quality : float
        Predicted agreement with what was meant, 0..1.
    parts : tuple of RegionAnswer
        The answers on its regions.
    """

    box: Region | None
    mask: NDArray[np.bool_]
    quality: float
    parts: tuple[RegionAnswer, ...] = ()


def lattice_of(recipe: RegionRecipe, volume: Volume) -> Lattice:
    """Return the grid on which a model sees a volume.

    Raises
    ------
    ModelError
        The image has no three axes, or colours.
    """
    if volume.ndim != 3 or volume.is_rgb:
        reason = "is a single slice or a picture in colour, and this model answers for volumes"
        raise ModelError(volume.name, reason, "Choose another model, or open a volume.")
    return Lattice.over(volume.geometry, recipe.spacing)


def cover(recipe: RegionRecipe, lattice: Lattice, prompts: PromptSet) -> tuple[LatticeRegion, ...]:
    """Return the regions in which prompts are answered: the same ones for the same prompts, always.

    The first one lies around the first positive prompt. A later one that no region holds, or only near its border, has
    a region of its own around it: there the object goes on beyond what the model saw. Negative prompts move nothing.

    Parameters
    ----------
    recipe : RegionRecipe
        How the model sees an image.
    lattice : Lattice
        From `lattice_of`.
    prompts : PromptSet
        Of one object, on any planes.
    """
    regions: list[LatticeRegion] = []
    for point in as_volume_points(prompts, lattice.limits[::-1], keep=()).points:
        voxel = point.plane.to_voxel(point.position)
        held = any(region.inside(region.positions(voxel), recipe.margin) for region in regions)
        if point.positive and not held:
            regions.append(lattice.around(lattice.positions(voxel), recipe.size))
    return tuple(regions)


def answer_steps(
    predictor: Predictor,
    volume: Volume,
    fingerprint: str,
    prompts: PromptSet,
    previous: VolumePrediction | None = None,
) -> Generator[float, None, VolumePrediction]:
    """Answer all prompts of an object in a volume.

    Parameters
    ----------
    predictor : Predictor
        Holds a model of volumes. Regions it has stored are not embedded again.
    volume : Volume
        The image.
    fingerprint : str
        Of it.
    prompts : PromptSet
        On any planes, oldest first.
    previous : VolumePrediction, optional
        The last answer to the first of these prompts, to be refined. A region in which nothing was added to them is
        not decoded anew.

    Yields
    ------
    float
        How much of what has to be embedded is, 0..1, after each step.

    Returns
    -------
    VolumePrediction
        Where regions overlap, the mean of their logits decides.

    Raises
    ------
    ModelError
        Not such a model, or no volume.
    PromptError
        A prompt outside the volume.
    """
    recipe = predictor.recipe
    lattice = lattice_of(recipe, volume)
    regions = cover(recipe, lattice, prompts)
    known = {part.region: part for part in previous.parts} if previous is not None else {}
    asked = [RegionQuestion(region, _within(region, prompts), known.get(region)) for region in regions]
    open_ones = [question for question in asked if not question.is_answered]
    missing = sum(not predictor.cached(predictor.region_key(fingerprint, one.region)) for one in open_ones)
    answers = _answers(predictor, volume, fingerprint, asked)
    parts = yield from _counted(answers, missing * recipe.steps)
    return _joined(parts, prompts, recipe)


@dataclass(frozen=True, slots=True, eq=False)
class RegionQuestion:
    """What is asked on one region.

    Attributes
    ----------
    region : LatticeRegion
        Where.
    prompts : PromptSet
        Those that lie there.
    last : RegionAnswer or None
        What was answered there before.
    """

    region: LatticeRegion
    prompts: PromptSet
    last: RegionAnswer | None

    @property
    def is_answered(self) -> bool:
        """Whether nothing was added since."""
        return self.last is not None and self.last.prompts == self.prompts


def _answers(
    predictor: Predictor, volume: Volume, fingerprint: str, asked: Sequence[RegionQuestion]
) -> Generator[None, None, tuple[RegionAnswer, ...]]:
    parts: list[RegionAnswer] = []
    for question in asked:
        last = question.last
        if last is None or not question.is_answered:
            embedding = yield from predictor.embed_region_steps(volume, fingerprint, question.region)
            prediction = predictor.decode(embedding, question.prompts, last.prediction if last is not None else None)
            last = RegionAnswer(question.region, question.prompts, prediction)
        parts.append(last)
    return tuple(parts)


def _counted(steps: Generator[None, None, T], total: int) -> Generator[float, None, T]:
    """Take steps, and tell after each how much is done."""
    with closing(steps):
        for done in itertools.count(1):
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            yield min(1.0, done / max(1, total))
    raise AssertionError  # counting never ends


def _within(region: LatticeRegion, prompts: PromptSet) -> PromptSet:
    """The prompts of which any part lies in a region."""
    shape = region.lattice.limits[::-1]
    return prompts.where(lambda one: bool(region.inside(_positions(region, PromptSet((one,)), shape)).any()))


def _positions(region: LatticeRegion, prompts: PromptSet, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Where prompts, said in points, lie in a region, (n, 3)."""
    points = as_volume_points(prompts, shape, keep=()).points
    return region.positions(np.reshape([point.plane.to_voxel(point.position) for point in points], (-1, 3)))


def _joined(parts: tuple[RegionAnswer, ...], prompts: PromptSet, recipe: RegionRecipe) -> VolumePrediction:
    if not parts:
        return VolumePrediction(None, np.zeros((0, 0, 0), bool), 0.0)
    whole, mask = _stitched(parts)
    if recipe.connected:
        positive = prompts.where(lambda one: one.positive)
        mask = _touching(mask, _positions(whole, positive, whole.lattice.limits[::-1]))
    quality = float(np.mean([part.prediction.quality for part in parts]))
    return VolumePrediction(whole.box, whole.nearest(mask), quality, parts)


def _stitched(parts: tuple[RegionAnswer, ...]) -> tuple[LatticeRegion, NDArray[np.bool_]]:
    """A region around all regions, and the object in it."""
    first = parts[0]
    if len(parts) == 1:
        return first.region, first.prediction.mask
    origin = np.min([part.region.origin for part in parts], axis=0)
    end = np.max([np.add(part.region.origin, part.region.size) for part in parts], axis=0)
    belief = np.zeros(end - origin, np.float32)  # its mean and its sum have one sign
    for part in parts:
        places = zip(np.subtract(part.region.origin, origin), part.region.size, strict=True)
        belief[tuple(slice(start, start + size) for start, size in places)] += _belief(part.prediction)
    (x, y, z), (width, height, depth) = origin.tolist(), belief.shape
    return LatticeRegion(first.region.lattice, (x, y, z), (width, height, depth)), belief > 0


def _belief(prediction: MaskPrediction) -> NDArray[np.float32]:
    """Logits, or as good as: positive exactly where the mask is."""
    same = prediction.logits.shape == prediction.mask.shape
    weight = np.abs(prediction.logits) if same else np.float32(1)
    return np.where(prediction.mask, weight, -weight)


def _touching(mask: NDArray[np.bool_], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The parts of a mask, connected through faces, edges or corners, that hold one of some positions."""
    parts = label(mask, connectivity=3)
    voxels = np.clip(np.rint(positions).astype(np.intp), 0, np.subtract(mask.shape, 1))
    chosen = np.unique(parts[tuple(voxels.T)])
    return np.isin(parts, chosen[chosen > 0])
