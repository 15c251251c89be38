"""What the planes across the key slices say: each of them sees a whole cut through the object at once.

On its way from slice to slice a mask drifts, and whether an object ends is hard to tell from one slice. A plane that
crosses a key slice is told there where the object lies, and shows how far it reaches; nothing adds up. Where an
object leaves all of these planes, as a vessel does, they know nothing of it.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import Predictor
from napari_medfm.inference.proposals import Mask, Proposal
from napari_medfm.inference.schedule import embed_plane_steps
from napari_medfm.models import ImageEmbedding
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.propagation.cleaning import keep_connected
from napari_medfm.propagation.keys import KeySlice
from napari_medfm.propagation.scene import Scene
from napari_medfm.volume import Plane

PLANES = 20
"""Planes across that are asked in each of the two directions; of wider objects every second, third, ..."""

_BESIDE = 3  # voxels from the outline on the key slice to a click beside the object
_SEVERAL = 6  # voxels from which on a stretch of the object gets three clicks, not one
_SEEN, _SAID = (
    0.5,
    0.05,
)  # of a mask: the share in these planes from which on they are asked, and that they must confirm
_MOST = 0.8  # of an object, that lies in these planes where their word counts as much as the slices'


@dataclass(frozen=True, slots=True, eq=False)
class Crossing:
    """What was found in the planes across.

    Attributes
    ----------
    indices : range
        Of the slices it is about.
    votes : ndarray of uint8, (slices, rows, columns)
        In how many of the two directions a voxel was found.
    seen : ndarray of bool, (rows, columns)
        Where planes of both directions were asked.
    quality : float
        Mean of what the model expects of its answers.
    """

    indices: range
    votes: NDArray[np.uint8]
    seen: Mask
    quality: float


def cross(
    predictor: Predictor, scene: Scene, keys: Sequence[KeySlice], indices: range
) -> Generator[None, None, Crossing]:
    """Ask the model in the planes that cross what key slices hold; one plane for every ``next``.

    Parameters
    ----------
    predictor : Predictor
        Its answers.
    scene : Scene
        The image.
    keys : sequence of KeySlice
        Across one axis; one of them holds something.
    indices : range
        The slices across that axis that are to be known.
    """
    plane = keys[0].plane
    shape = plane.shape(scene.volume.shape)
    votes = np.zeros((len(indices), *shape), np.uint8)
    held = np.logical_or.reduce([key.mask for key in keys])
    qualities = []
    for side, axis in enumerate(axis for axis in range(3) if axis != plane.axis):
        for chosen, stretch in _spread(np.flatnonzero(held.any(axis=1 - side))):
            cut = _Cut(scene, Plane(axis, chosen), plane.axis, side)
            embedding = yield from cut.embed(predictor)
            answer = predictor.decode(embedding, cut.prompts(keys))
            found = cut.back(answer.mask)[indices.start : indices.stop].astype(np.uint8)
            part = votes[:, stretch] if side == 0 else votes[:, :, stretch]
            part += np.expand_dims(found, 1 + side)
            qualities.append(answer.quality)
            yield
    seen = held.any(axis=1)[:, None] & held.any(axis=0)[None]
    return Crossing(indices, votes, seen, float(np.mean(qualities)))


def agree(proposals: Sequence[Proposal], crossing: Crossing, keys: Sequence[KeySlice], scene: Scene) -> list[Proposal]:
    """Return what slices and planes across say together.

    Where the planes across hold most of the object, two of three opinions decide on every voxel. A vessel that leaves
    them goes on as it was carried, and gets what both directions add. Beyond a slice that they see and where they
    deny the object, nothing is proposed. Only what hangs together with a key slice is kept.

    Parameters
    ----------
    proposals : sequence of Proposal
        Of one object, as propagated from the keys.
    crossing : Crossing
        Of the same keys.
    keys : sequence of KeySlice
        They are never changed.
    scene : Scene
        The image, and what is locked.

    Returns
    -------
    list of Proposal
        To replace those of the same plane; an empty one takes it back.
    """
    before = {each.plane.index: each for each in proposals if each.plane.index in crossing.indices}
    shape = crossing.seen.shape
    carried = {index: each.to_mask((shape[0], shape[1])) for index, each in before.items()}
    believed = _believed(carried, crossing, keys)
    total = sum(np.count_nonzero(mask) for mask in believed.values())
    inside = sum(np.count_nonzero(mask & crossing.seen) for mask in believed.values())
    known = {key.plane.index for key in keys}
    found = []
    for index in (index for index in crossing.indices if index not in known):
        votes, nothing = crossing.votes[index - crossing.indices.start], np.zeros_like(crossing.seen)
        if inside >= _MOST * total:
            mask = votes + carried.get(index, nothing) >= 2
        else:
            mask = believed.get(index, nothing) | (votes == 2)
        plane = Plane(keys[0].plane.axis, index)
        if mask.any() or index in before:
            confidence = before[index].confidence if index in before else crossing.quality
            found.append(Proposal.of(plane, scene.free(mask, plane), confidence))
    parts = {each.plane: each for each in keep_connected(found, keys, scene.volume.geometry)}
    return [parts.get(each.plane, each) for each in found]


def _believed(carried: dict[int, Mask], crossing: Crossing, keys: Sequence[KeySlice]) -> dict[int, Mask]:
    """What was carried, up to where the planes across deny it."""
    holding = [key.plane.index for key in keys if key.mask.any()]
    low = max((at for at in carried if at < min(holding) and _denied(carried[at], at, crossing)), default=-1)
    high = min((at for at in carried if at > max(holding) and _denied(carried[at], at, crossing)), default=None)
    return {at: mask for at, mask in carried.items() if low < at and (high is None or at < high)}


def _denied(mask: Mask, index: int, crossing: Crossing) -> bool:
    inside = mask & crossing.seen
    told = np.count_nonzero(inside)
    said = np.count_nonzero(crossing.votes[index - crossing.indices.start][inside])
    return bool(told and told >= _SEEN * np.count_nonzero(mask) and said < _SAID * told)


def _spread(lines: NDArray[np.intp]) -> Iterator[tuple[int, slice]]:
    """At most so many of the lines, and for each the lines it stands for."""
    step = max(1, -(-len(lines) // PLANES))
    chosen = lines[(step - 1) // 2 :: step]
    if len(chosen):
        bounds = [int(lines[0]), *((int(a) + int(b) + 1) // 2 for a, b in pairwise(chosen)), int(lines[-1]) + 1]
        yield from ((int(at), slice(*ends)) for at, ends in zip(chosen, pairwise(bounds), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One plane across: positions in it are (along the key axis, along the key slices' line)."""

    scene: Scene
    plane: Plane
    key_axis: int
    side: int

    @property
    def key_first(self) -> bool:
        return self.key_axis == min(axis for axis in range(3) if axis != self.plane.axis)

    def embed(self, predictor: Predictor) -> Generator[None, None, ImageEmbedding]:
        scene = self.scene
        return (yield from embed_plane_steps(predictor, scene.volume, scene.fingerprint, scene.window, self.plane))

    def prompts(self, keys: Sequence[KeySlice]) -> PromptSet:
        """Clicks on and beside what every key slice holds on its line; one beside where it holds nothing."""
        lines = [
            (key.plane.index, key.mask[self.plane.index] if self.side == 0 else key.mask[:, self.plane.index])
            for key in keys
        ]
        added: list[tuple[int, int]] = []
        removed: list[tuple[int, int]] = []
        for index, line in lines:
            ends = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
            for first, stop in ends.reshape(-1, 2).tolist():
                added += [(index, place) for place in _places(first, stop)]
            if ends.size:
                beside = int(ends[0]) - _BESIDE, int(ends[-1]) - 1 + _BESIDE
                removed += [(index, place) for place in beside if 0 <= place < line.size]
        middle = round(float(np.mean([place for _, place in added])))
        removed += [(index, middle) for index, line in lines if not line.any()]
        signed = [(place, True) for place in added] + [(place, False) for place in removed]
        return PromptSet(tuple(self._point(place, positive=sign) for place, sign in signed))

    def back(self, mask: Mask) -> Mask:
        """The mask with the key axis first."""
        return mask if self.key_first else mask.T

    def _point(self, place: tuple[int, int], *, positive: bool) -> Point:
        row, column = place if self.key_first else place[::-1]
        return Point(self.plane, (float(row), float(column)), positive=positive)


def _places(first: int, stop: int) -> tuple[int, ...]:
    middle = (first + stop - 1) // 2
    apart = (stop - first) // 6
    return (middle, first + apart, stop - 1 - apart) if stop - first > _SEVERAL else (middle,)
