"""What a mask or a stroke does to the voxels of a box: pure decisions on arrays.

Every voxel holds a stack of object ids, the visible one on top: an object of a class
lies above those of its parent classes, and one that took a voxel from another lies
above it until it gives the voxel up. An object's voxels are those where it is on
top, or under an object of a class below its own. A hand mark says which object the
last stroke over the voxel painted (``+id``) or erased (``-id``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.session.state import CommitPolicy, SessionState

Level = NDArray[np.unsignedinteger[Any]]
Kins = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_DENSE = 1 << 20


class Kin(IntEnum):
    """What the holder of a voxel is to the object that is being edited."""

    NOBODY = 0
    SELF = 1
    BELOW = 2
    """Of a class below: stays on top."""
    ABOVE = 3
    """Of a class above: keeps its claim beneath."""
    OTHER = 4
    LOCKED_ABOVE = 5
    LOCKED = 6


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The voxels of one box; never written to.

    Attributes
    ----------
    levels : tuple of ndarray of unsigned integers, (...)
        Labels, then what lies beneath them, as deep as there is anything.
    hand : ndarray of int32, (...), or None
        Hand marks; None if there are none.
    """

    levels: tuple[Level, ...]
    hand: NDArray[np.int32] | None = None

    def marked(self, number: int) -> Mask | np.bool_:
        """Return where the hand mark is `number`."""
        return np.False_ if self.hand is None else self.hand == number

    def with_marks(self, where: Mask, number: int) -> NDArray[np.int32] | None:
        """Return the hand marks with `number` put somewhere."""
        if not where.any():
            return self.hand
        marks = np.zeros(self.levels[0].shape, np.int32) if self.hand is None else self.hand
        return np.where(where, np.int32(number), marks)


@dataclass(frozen=True, slots=True)
class Editor:
    """Edits the voxels of one object under the rules of a state.

    Attributes
    ----------
    state : SessionState
        Classes, locks and policy.
    object_id : int
        The object.
    """

    state: SessionState
    object_id: int

    def kin(self, other: int) -> Kin:
        """Return what another object is to this one."""
        if other == self.object_id:
            return Kin.SELF
        if self.state.lies_in(other, self.object_id):
            return Kin.BELOW
        above = self.state.lies_in(self.object_id, other)
        if self.state.objects[other].locked:
            return Kin.LOCKED_ABOVE if above else Kin.LOCKED
        return Kin.ABOVE if above else Kin.OTHER

    def shown(self, cut: Cut) -> Mask:
        """Return the voxels of this object: its own, and those that objects of classes below cover."""
        kins = self._kins(cut)
        return _passed(kins[0]) & _held(kins)

    def predict(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a model's answer: what the former answer took is given back first.

        Hand marks win over the model: painted voxels stay, erased ones are not taken,
        and voxels painted for another object are not taken from it.
        """
        want = (mask & ~cut.marked(-self.object_id)) | cut.marked(self.object_id)
        kins = self._kins(cut)
        held = _held(kins)
        free = self._free(kins) & ~self._painted_for_another(cut, kins)
        take = want & free & ~(held & _passed(kins[0]))
        return Cut(self._move(cut.levels, kins, give=held & (take | ~want), take=take), cut.hand)

    def extend(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after more of the object was accepted: nothing is given back, nothing erased is taken."""
        kins = self._kins(cut)
        held = _held(kins)
        take = mask & ~cut.marked(-self.object_id) & self._free(kins) & ~(held & _passed(kins[0]))
        return Cut(self._move(cut.levels, kins, give=held & take, take=take), cut.hand)

    def paint(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a brush stroke that adds."""
        kins = self._kins(cut)
        held = _held(kins)
        shown = held & _passed(kins[0])
        take = mask & self._free(kins) & ~shown
        levels = self._move(cut.levels, kins, give=held & take, take=take)
        return Cut(levels, cut.with_marks(take | (mask & shown), self.object_id))

    def erase(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a brush stroke that takes away from this object, and from no other."""
        kins = self._kins(cut)
        held = _held(kins)
        levels = self._move(cut.levels, kins, give=held & mask)
        if cut.hand is not None:  # what was painted for another object stays so; what was erased is told of one only
            mine = (cut.hand == 0) | (np.abs(cut.hand) == self.object_id)
            mask = mask & (mine | (held & (cut.hand < 0)))
        return Cut(levels, cut.with_marks(mask, -self.object_id))

    def clear(self, cut: Cut) -> Cut:
        """Return the box without this object and its hand marks."""
        kins = self._kins(cut)
        marks = cut.marked(self.object_id) | cut.marked(-self.object_id)
        hand = cut.hand if cut.hand is None or not marks.any() else np.where(marks, np.int32(0), cut.hand)
        return Cut(self._move(cut.levels, kins, give=_held(kins)), hand)

    def _kins(self, cut: Cut) -> tuple[Kins, ...]:
        return tuple(classify(level, self.kin) for level in cut.levels)

    def _free(self, kins: Sequence[Kins]) -> Mask:
        """Return where the object may be laid upon whoever is there."""
        first = _first(kins, kins)
        free: Mask = (first == Kin.NOBODY) | (first == Kin.ABOVE)
        if self._replaces:
            free |= (first == Kin.OTHER) & ~_any(kins, Kin.LOCKED)
        return free

    def _painted_for_another(self, cut: Cut, kins: Sequence[Kins]) -> Mask:
        if cut.hand is None or not self._replaces:
            return np.zeros(kins[0].shape, bool)
        painted = (cut.hand > 0) & (_first(cut.levels, kins) == cut.hand)
        protected: Mask = painted & (_first(kins, kins) == Kin.OTHER)
        return protected

    @property
    def _replaces(self) -> bool:
        return self.state.policy is CommitPolicy.REPLACE

    def _move(
        self, levels: Sequence[Level], kins: Sequence[Kins], give: Mask, take: Mask | None = None
    ) -> tuple[Level, ...]:
        """Take the object out of stacks and put it into others; a level that did not change is returned as it is."""
        take = np.zeros_like(give) if take is None else take
        giving, taking = give.any(), take.any()
        if not (giving or taking):
            return tuple(levels)
        stack, codes = [level.copy() for level in levels], [kin.copy() for kin in kins]
        if giving:
            self._give(stack, codes, give, take)
        if taking:
            if stack[-1][take].any():
                stack.append(np.zeros_like(stack[0]))
                codes.append(np.zeros_like(codes[0]))
            _insert(stack, take, _depth(codes), self.object_id)
        return tuple(stack)

    def _give(self, stack: list[Level], codes: list[Kins], give: Mask, take: Mask) -> None:
        """Take the object out; where that shows others again, the locked among them stay as they are: without."""
        uncovered = give & ~take & (codes[0] == Kin.SELF)
        for level in reversed(range(len(stack))):
            where = (give & (codes[level] == Kin.SELF)) | (uncovered & (codes[level] == Kin.LOCKED))
            _lift(stack, where, level)
            _lift(codes, where, level)


def lay(cut: Cut, values: NDArray[Any], state: SessionState) -> Cut:
    """Return the box with imported labels laid on it; whose voxels they take is the policy's to say.

    Parameters
    ----------
    cut : Cut
        The box.
    values : ndarray of integers, (...)
        Ids of the new objects, 0 for none.
    state : SessionState
        Objects and policy as they were before.
    """
    kins = [classify(level, lambda other: _stranger(state, other)) for level in cut.levels]
    take = (values > 0) & (kins[0] == Kin.NOBODY)
    if state.policy is CommitPolicy.REPLACE:
        painted = np.False_ if cut.hand is None else cut.hand > 0
        take |= (values > 0) & ~_any(kins, Kin.LOCKED) & ~painted
    stack = [level.astype(np.promote_types(level.dtype, values.dtype)) for level in cut.levels]  # ids may be wider
    if stack[-1][take].any():
        stack.append(np.zeros_like(stack[0]))
    _insert(stack, take, np.zeros(take.shape, np.intp), values[take])
    return Cut(tuple(stack), cut.hand)


def _stranger(state: SessionState, other: int) -> Kin:
    return Kin.LOCKED if state.objects[other].locked else Kin.OTHER


def classify(level: Level, kin: Callable[[int], Kin]) -> Kins:
    """Return the kin of the holder of every voxel, asking once per object."""
    if int(level.max(initial=0)) < _DENSE:
        counts = np.bincount(level.ravel())
        table = np.zeros(counts.size, np.uint8)
        for number in np.flatnonzero(counts):
            table[number] = kin(int(number)) if number else Kin.NOBODY
        return table[level]
    numbers, places = np.unique(level, return_inverse=True)
    kins = [kin(int(number)) if number else Kin.NOBODY for number in numbers]
    return np.array(kins, np.uint8)[places].reshape(level.shape)


def _held(kins: Sequence[Kins]) -> Mask:
    """Return where the object is anywhere in the stack."""
    return _any(kins, Kin.SELF)


def _any(kins: Sequence[Kins], kin: Kin) -> Mask:
    """Return where somebody of a kin is anywhere in the stack."""
    there: Mask = reduce(np.logical_or, [level == kin for level in kins])
    return there


def _passed(kin: Kins) -> Mask:
    """Return where the object would not be laid upon the holder, but further down."""
    passed: Mask = (kin == Kin.SELF) | (kin == Kin.BELOW)
    return passed


def _first(levels: Sequence[NDArray[Any]], kins: Sequence[Kins]) -> NDArray[Any]:
    """Return the value of the first level that is not passed, 0 where all are."""
    found = np.zeros_like(levels[0])
    for level, kin in zip(reversed(levels), reversed(kins), strict=True):
        found = np.where(_passed(kin), found, level)
    return found


def _depth(kins: Sequence[Kins]) -> NDArray[np.intp]:
    """Return how many objects of classes below lie on top."""
    depth = np.zeros(kins[0].shape, np.intp)
    leading = np.ones(kins[0].shape, bool)
    for kin in kins:
        leading &= kin == Kin.BELOW
        depth += leading
    return depth


def _lift(stack: Sequence[NDArray[Any]], where: Mask, level: int) -> None:
    """Take one level out and close the gap."""
    if where.any():
        for upper, lower in zip(stack[level:-1], stack[level + 1 :], strict=True):
            upper[where] = lower[where]
        stack[-1][where] = 0


def _insert(stack: Sequence[Level], where: Mask, depth: NDArray[np.intp], number: Any) -> None:
    """Make room at some depth and put an id (or one id per voxel) there; the last level must be free."""
    for level in range(len(stack) - 1, -1, -1):
        if level:
            below = where & (depth < level)
            stack[level][below] = stack[level - 1][below]
        at = where & (depth == level)
        stack[level][at] = number if np.ndim(number) == 0 else number[at[where]]
