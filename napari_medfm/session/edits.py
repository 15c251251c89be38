"""What a mask or a stroke does to the voxels of a box: pure decisions on arrays.

Every voxel holds a stack of object ids, the visible one on top: an object of a class
lies above those of its parent classes, and one that took a voxel from another lies
above it until it gives the voxel up. An object's voxels are those where it is on
top, or under an object of a class below its own. A hand mark says which object the
last stroke over the voxel painted (``+id``) or erased (``-id``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from napari_medfm.session.state import CommitPolicy, SessionState

Stack = NDArray[np.uint32]
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
    """The voxels of one box.

    Attributes
    ----------
    stack : ndarray of uint32, (levels, ...)
        Labels first, then what lies beneath; the last level is empty.
    hand : ndarray of int32, (...)
        Hand marks.
    """

    stack: Stack
    hand: NDArray[np.int32]


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
        thing = self.state.objects[other]
        if self.state.lies_in(other, self.object_id):
            return Kin.BELOW
        above = self.state.lies_in(self.object_id, other)
        if thing.locked:
            return Kin.LOCKED_ABOVE if above else Kin.LOCKED
        return Kin.ABOVE if above else Kin.OTHER

    def predict(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a model's answer: what the former answer took is given back first.

        Hand marks win over the model: painted voxels stay, erased ones are not taken,
        and voxels painted for another object are not taken from it.
        """
        painted = cut.hand == self.object_id
        want = (mask & (cut.hand != -self.object_id)) | painted
        codes = classify(cut.stack, self.kin)
        held = (codes == Kin.SELF).any(axis=0)
        first, holder = self._first(cut.stack, codes)
        free = self._free(first) & ~((cut.hand > 0) & (cut.hand == holder) & (first == Kin.OTHER))
        take = want & ~self._shown(codes, held) & free
        return Cut(self._move(cut.stack, codes, give=held & (take | ~want), take=take), cut.hand)

    def paint(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a brush stroke that adds."""
        codes = classify(cut.stack, self.kin)
        held = (codes == Kin.SELF).any(axis=0)
        shown = self._shown(codes, held)
        take = mask & ~shown & self._free(self._first(cut.stack, codes)[0])
        stack = self._move(cut.stack, codes, give=held & take, take=take)
        hand = np.where(take | (mask & shown), np.int32(self.object_id), cut.hand)
        return Cut(stack, hand)

    def erase(self, cut: Cut, mask: Mask) -> Cut:
        """Return the box after a brush stroke that takes away from this object, and from no other."""
        codes = classify(cut.stack, self.kin)
        held = (codes == Kin.SELF).any(axis=0)
        stack = self._move(cut.stack, codes, give=held & mask, take=np.zeros_like(mask))
        mark = mask & (held | (cut.hand == 0) | (np.abs(cut.hand) == self.object_id))
        return Cut(stack, np.where(mark, np.int32(-self.object_id), cut.hand))

    def clear(self, cut: Cut) -> Cut:
        """Return the box without this object and its hand marks."""
        codes = classify(cut.stack, self.kin)
        held = (codes == Kin.SELF).any(axis=0)
        stack = self._move(cut.stack, codes, give=held, take=np.zeros_like(held))
        return Cut(stack, np.where(np.abs(cut.hand) == self.object_id, np.int32(0), cut.hand))

    def shown(self, cut: Cut) -> Mask:
        """Return the voxels of this object: its own, and those that objects of classes below cover."""
        codes = classify(cut.stack, self.kin)
        return self._shown(codes, (codes == Kin.SELF).any(axis=0))

    def _free(self, first: NDArray[np.uint8]) -> Mask:
        free = (first == Kin.NOBODY) | (first == Kin.ABOVE)
        if self.state.policy is CommitPolicy.REPLACE:
            free |= first == Kin.OTHER
        return free

    def _shown(self, codes: NDArray[np.uint8], held: Mask) -> Mask:
        return held & ((codes[0] == Kin.SELF) | (codes[0] == Kin.BELOW))

    def _first(self, stack: Stack, codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Stack]:
        """Return the kin and id of whom the object would be laid upon: the first that is not below it."""
        passed = (codes == Kin.SELF) | (codes == Kin.BELOW)
        level = np.argmin(passed, axis=0)[None]  # the last level is empty, hence never passed
        return np.take_along_axis(codes, level, 0)[0], np.take_along_axis(stack, level, 0)[0]

    def _move(self, stack: Stack, codes: NDArray[np.uint8], give: Mask, take: Mask) -> Stack:
        stack = stack.copy()
        if give.any():
            codes = codes.copy()
            for level in range(len(stack) - 1):
                _lift(stack, codes, level, give & (codes[level] == Kin.SELF))
            for _ in range(len(stack) - 1):  # a locked object grows for nobody
                _lift(stack, codes, 0, give & ~take & (codes[0] == Kin.LOCKED))
        if take.any():
            depth = np.argmin(codes == Kin.BELOW, axis=0)
            for level in range(len(stack)):
                _insert(stack, level, take & (depth == level), self.object_id)
        return stack


def classify(stack: Stack, kin: Callable[[int], Kin]) -> NDArray[np.uint8]:
    """Return the kin of the holder of every voxel and level, asking once per object."""
    top = int(stack.max(initial=0))
    if top < _DENSE:
        table = np.zeros(top + 1, np.uint8)
        for number in np.flatnonzero(np.bincount(stack.ravel(), minlength=1)):
            table[number] = kin(int(number)) if number else Kin.NOBODY
        return table[stack]
    numbers, places = np.unique(stack, return_inverse=True)
    kins = [kin(int(number)) if number else Kin.NOBODY for number in numbers]
    return np.array(kins, np.uint8)[places].reshape(stack.shape)


def _lift(stack: Stack, codes: NDArray[np.uint8], level: int, where: Mask) -> None:
    """Take one level out and close the gap."""
    if where.any():
        for array in (stack, codes):
            array[level:-1, where] = array[level + 1 :, where]
            array[-1, where] = 0


def _insert(stack: Stack, level: int, where: Mask, number: int) -> None:
    """Make room at one level and put an id there; the last level is empty."""
    if where.any():
        stack[level + 1 :, where] = stack[level:-1, where]
        stack[level, where] = number


def lay(cut: Cut, values: NDArray[np.uint32], state: SessionState) -> Cut:
    """Return the box with imported labels laid on it; whose voxels they take is the policy's to say.

    Parameters
    ----------
    cut : Cut
        The box.
    values : ndarray of uint32, (...)
        Ids of the new objects, 0 for none.
    state : SessionState
        Objects and policy as they were before.
    """

    def kin(other: int) -> Kin:
        return Kin.LOCKED if state.objects[other].locked else Kin.OTHER

    top = classify(cut.stack[:1], kin)[0]
    replace = state.policy is CommitPolicy.REPLACE
    take = (values > 0) & ((top == Kin.NOBODY) | (replace & (top == Kin.OTHER) & (cut.hand <= 0)))
    stack = cut.stack.copy()
    stack[1:, take] = cut.stack[:-1, take]
    stack[0, take] = values[take]
    return Cut(stack, cut.hand)
