"""An object's mask carried from key slices into their neighbours, slice by slice.

On every slice the mask of the one before is carried over by the image (`carry`), and the model is asked for the
same object: where they disagree, or the model is in doubt, the object has ended or was lost, and propagation stops.
"""

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from napari_medfm.inference import Predictor
from napari_medfm.inference.proposals import Mask, Proposal
from napari_medfm.inference.schedule import embed_plane_steps
from napari_medfm.propagation.carrying import carry
from napari_medfm.propagation.keys import KeySlice, Stop, StopReason, check_keys
from napari_medfm.propagation.prompting import prompts_for
from napari_medfm.propagation.scene import Scene
from napari_medfm.propagation.shapes import between, mixed
from napari_medfm.propagation.stopping import Look, Scale, StopRules, change_of, overlap, reason_to_stop
from napari_medfm.volume import Plane


@dataclass(frozen=True, slots=True)
class Course:
    """How far propagation goes.

    Attributes
    ----------
    first, last : int, optional
        Index of the slices it does not go beyond; to the ends of the volume if not given.
    rules : StopRules
        When it ends before.
    """

    first: int = 0
    last: int | None = None
    rules: StopRules = field(default_factory=StopRules)

    def within(self, count: int) -> range:
        """Return the indices that may be proposed for, of so many slices."""
        last = count - 1 if self.last is None else min(self.last, count - 1)
        return range(max(0, self.first), last + 1)


Walked = Proposal | Stop | None
"""What one step of propagation says: a slice's proposal, an end, or nothing yet."""


def propagate(
    predictor: Predictor, scene: Scene, keys: tuple[KeySlice, ...], course: Course | None = None
) -> Iterator[Walked]:
    """Propose an object's mask on the slices between and around key slices.

    Between two keys both directions meet halfway, or where either stops; mixing what both say was measured to be worse.
    Where neither gets, shape alone fills the gap (confidence 0). A key with an empty mask is an end. Keys themselves
    are never proposed for.

    Parameters
    ----------
    predictor : Predictor
        Checks every slice; embeddings that it has stored are not computed again.
    scene : Scene
        The image, and what is locked in it.
    keys : tuple of KeySlice
        Across one axis.
    course : Course, optional
        How far to go.

    Yields
    ------
    Proposal, Stop or None
        A proposal for each slice, away from the keys, gaps between keys first; None between two steps of it.
        A `Stop` is the last of its direction. To stop earlier, close the generator.

    Raises
    ------
    PromptError
        The keys do not fit together or the volume.
    """
    ordered = check_keys(keys, scene.volume.geometry)
    course = course or Course()
    walk = _Walk(predictor, scene, course.rules, scene.scale(ordered[0].plane.axis))
    within = course.within(scene.volume.shape[ordered[0].plane.axis])
    if not within:
        return
    for left, right in pairwise(ordered):
        yield from _between(walk, left, right, within)
    for key, way in ((ordered[0], -1), (ordered[-1], 1)):
        if key.mask.any():
            yield from _outwards(walk, key, way, within)


def beside(keys: tuple[KeySlice, ...], plane: Plane, count: int) -> tuple[tuple[KeySlice, ...], range]:
    """Return what a changed key slice changes: the keys to propagate from, and the slices that are proposed anew.

    Parameters
    ----------
    keys : tuple of KeySlice
        All of an object's, across one axis.
    plane : Plane
        Of the one that was drawn, changed or taken away.
    count : int
        Slices across that axis.

    Returns
    -------
    (tuple of KeySlice, range)
        The next key on either side and the changed one itself; the indices between those next keys, or to the end.
        Whatever was proposed on these slices before no longer holds, whether or not something new is.
    """
    below = max((key for key in keys if key.plane < plane), key=lambda key: key.plane, default=None)
    above = min((key for key in keys if key.plane > plane), key=lambda key: key.plane, default=None)
    first = 0 if below is None else below.plane.index + 1
    stop = count if above is None else above.plane.index
    same = next((key for key in keys if key.plane == plane), None)
    return tuple(key for key in (below, same, above) if key is not None), range(first, stop)


def _outwards(walk: "_Walk", key: KeySlice, way: int, within: range) -> Iterator[Walked]:
    """From an outermost key to the end, or until it stops; slices out of range are only walked through."""
    edge = within[0] - 1 if way < 0 else within[-1] + 1
    for proposal in walk.along(key, range(key.plane.index + way, edge, way)):
        if proposal is None or proposal.plane.index in within:
            yield proposal


def _between(walk: "_Walk", left: KeySlice, right: KeySlice, within: range) -> Iterator[Walked]:
    """Both directions where both keys hold something, else from the one that does towards the end."""
    inner = range(left.plane.index + 1, right.plane.index)
    if not any(index in within for index in inner):
        return
    if left.mask.any() and right.mask.any():
        way = _meeting(walk, left, right)
    elif left.mask.any():
        way = walk.along(left, inner)
    else:
        way = walk.along(right, inner[::-1]) if right.mask.any() else iter(())
    yield from (found for found in way if found is None or found.plane.index in within)


def _meeting(walk: "_Walk", left: KeySlice, right: KeySlice) -> Iterator[Walked]:
    """The nearer key decides, if its way gets there; else the other; what neither reaches is filled by shape."""
    inner = range(left.plane.index + 1, right.plane.index)
    masks = {left.plane.index: left.mask, right.plane.index: right.mask}
    rising, falling = walk.along(left, inner), walk.along(right, inner[::-1])
    half = (len(inner) + 1) // 2
    for way, wanted in ((rising, inner[:half]), (falling, inner[half:]), (rising, inner), (falling, inner)):
        yield from _taken(way, masks, wanted)
    for index in (index for index in inner if index not in masks):
        before, after = max(at for at in masks if at < index), min(at for at in masks if at > index)
        mask = between(masks[before], masks[after], (index - before) / (after - before), walk.scale.spacing)
        yield walk.propose(Plane(left.plane.axis, index), mask, 0.0)


def _taken(way: Iterator[Walked], masks: dict[int, Mask], wanted: range) -> Iterator[Walked]:
    """Go on along a way until nothing that is wanted is missing; what is there already stays."""
    if all(index in masks for index in wanted):
        return
    for found in way:
        if not isinstance(found, Proposal) or found.plane.index in masks:
            yield None
        else:
            masks[found.plane.index] = found.to_mask(next(iter(masks.values())).shape)
            yield found
        if all(index in masks for index in wanted):
            return


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """Goes from slice to slice in one direction."""

    predictor: Predictor
    scene: Scene
    rules: StopRules
    scale: Scale

    def propose(self, plane: Plane, mask: Mask, confidence: float) -> Proposal:
        return Proposal.of(plane, self.scene.free(mask, plane), confidence)

    def along(self, key: KeySlice, indices: range) -> Iterator[Walked]:
        """Slice by slice from a key; doubtful ones are held back until one that is sure again."""
        last = sure = key
        usual = 0.0
        held: deque[tuple[Proposal, StopReason]] = deque()
        for index in indices:
            plane = Plane(key.plane.axis, index)
            look = yield from self._look(last, sure, plane, usual)
            distance = Scale(self.scale.spacing, self.scale.step * abs(index - sure.plane.index))
            reason = reason_to_stop(look, distance, self.rules)
            if reason is not None and (reason == "empty" or len(held) == self.rules.patience):
                yield Stop(held[0][0].plane, held[0][1]) if held else Stop(plane, reason)
                return
            proposal = self.propose(plane, look.found, look.quality)
            last = KeySlice(plane, look.found)
            if reason is not None:
                held.append((proposal, reason))
                yield None
            else:
                yield from (waiting for waiting, _ in held)
                held.clear()
                yield proposal
                sure, usual = last, usual or look.quality
        yield from (waiting for waiting, _ in held)

    def _look(self, last: KeySlice, sure: KeySlice, plane: Plane, usual: float) -> Generator[None, None, Look]:
        """Carry a mask to the next slice, ask the model for it there, and compare with the last slice that was sure."""
        scene, image = self.scene, self.scene.image(plane)
        carried = scene.free(carry(last.mask, scene.image(last.plane), image, self.scale), plane)
        if not carried.any():
            return Look(carried, sure.mask, 0.0, 0.0, usual)
        yield
        embedding = yield from embed_plane_steps(self.predictor, scene.volume, scene.fingerprint, scene.window, plane)
        answer = self.predictor.decode(embedding, prompts_for(carried, plane, self.scale))
        agreement = overlap(answer.mask, carried)
        found = carried
        if agreement >= self.rules.agreed:
            found = scene.free(mixed(carried, answer.mask, self.rules.share, self.scale.spacing), plane)
        change = change_of(found, sure.mask, image, scene.image(sure.plane))
        return Look(found, sure.mask, answer.quality, agreement, usual, change)
