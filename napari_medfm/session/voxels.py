"""The voxels of a session: labels, what lies beneath them, and what the hand drew."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import JournalDamagedError
from napari_medfm.session.edits import Cut
from napari_medfm.session.patches import HAND, Patch, Piece, Runs, bounds, overlap
from napari_medfm.volume import Region

Labels = NDArray[np.uint16] | NDArray[np.uint32]
_NARROW = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of one box that was worked out but not made yet.

    Attributes
    ----------
    before, after : Cut
        The box's voxels, with the same number of levels.
    piece : Piece
        What differs.
    """

    before: Cut
    after: Cut
    piece: Piece

    @classmethod
    def between(cls, region: Region, before: Cut, after: Cut) -> Self | None:
        """Return the edit that leads from one to the other; None if they are equal."""
        levels = {k: Runs.between(before.stack[k], after.stack[k]) for k in range(len(after.stack))}
        if after.hand is not before.hand:
            levels[HAND] = Runs.between(before.hand, after.hand)
        changed = {level: runs for level, runs in levels.items() if len(runs)}
        return cls(before, after, Piece(region, changed)) if changed else None


class VoxelStore:
    """Arrays of the spatial shape, taking memory only where something was written.

    Knows nothing of classes or locks: it does what an `Edit` says, and keeps count.

    Parameters
    ----------
    shape : tuple of int
        Spatial shape.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.labels: Labels = np.zeros(shape, np.uint16)
        self.hand: NDArray[np.int32] = np.zeros(shape, np.int32)
        self._beneath: list[Labels] = [np.zeros(shape, np.uint16)]
        self._written: dict[int, Region] = {}
        self._reach: dict[int, Region] = {}
        self._shown: Counter[int] = Counter()
        self._covered: defaultdict[int, Counter[int]] = defaultdict(Counter)

    @property
    def beneath(self) -> Labels:
        """What comes back where the visible object gives a voxel up."""
        return self._beneath[0]

    @property
    def whole(self) -> Region:
        """The box of all voxels."""
        return tuple(slice(0, size) for size in self.shape)

    def level(self, level: int) -> NDArray[Any]:
        """Return an array by its level: 0 labels, 1 and up what lies beneath, `HAND` the hand marks."""
        if level == HAND:
            return self.hand
        return self.labels if level == 0 else self._beneath[level - 1]

    @property
    def levels(self) -> tuple[int, ...]:
        """All levels there are."""
        return (*range(len(self._beneath) + 1), HAND)

    def make_room(self, largest_id: int) -> bool:
        """Widen the arrays if an id does not fit; True if `labels` is a new array now."""
        if largest_id <= _NARROW or self.labels.dtype == np.uint32:
            return False
        self.labels = self.labels.astype(np.uint32)
        self._beneath = [level.astype(np.uint32) for level in self._beneath]
        return True

    def read(self, region: Region, depth: int = 1) -> Cut:
        """Return a copy of a box: the levels that hold something there, at least `depth`, and an empty one."""
        parts = [self.labels[region]]
        for level in range(1, len(self._beneath) + 1):
            parts.append(self._beneath[level - 1][region] if self._is_written(level, region) else parts[0][:0])
        while len(parts) > depth and not parts[-1].any():
            parts.pop()
        size = tuple(part.stop - part.start for part in region)
        stack = np.zeros((max(len(parts), depth) + 1, *size), np.uint32)
        for level, part in enumerate(parts):
            if part.shape == size:
                stack[level] = part
        hand = self.hand[region].copy() if self._is_written(HAND, region) else np.zeros(size, np.int32)
        return Cut(stack, hand)

    def edit(self, region: Region, change: Callable[[Cut], Cut]) -> Edit | None:
        """Work out a change of a box; None if it changes nothing."""
        before = self.read(region)
        return Edit.between(region, before, change(before))

    def write(self, edit: Edit) -> None:
        """Make a change."""
        piece = edit.piece
        self._count(edit)
        for level, runs in piece.levels.items():
            while level > len(self._beneath):
                self._beneath.append(np.zeros(self.shape, self.labels.dtype))
            self.level(level)[piece.region] = edit.after.hand if level == HAND else edit.after.stack[level]
            if runs.table[3].any():
                self._written[level] = _around(self._written.get(level), piece.region)

    def replay(self, piece: Piece, keep: NDArray[np.bool_] | None = None, *, strict: bool = True) -> Edit | None:
        """Work out a journaled change of a box.

        Parameters
        ----------
        piece : Piece
            What is to differ afterwards.
        keep : ndarray of bool, optional
            Mask of the box outside which the change is not to be made.
        strict : bool
            Whether to check that the voxels are what the piece says they were before.

        Raises
        ------
        JournalDamagedError
            They are not.
        """
        before = self.read(piece.region, max(piece.levels, default=0) + 1)
        stack, hand = before.stack.copy(), before.hand.copy()
        for level, runs in piece.levels.items():
            target = (hand if level == HAND else stack[level]).reshape(-1)
            places, old, new = runs.expand()
            if keep is not None:
                chosen = keep.reshape(-1)[places]
                places, old, new = places[chosen], old[chosen], new[chosen]
            if strict and not np.array_equal(target[places], old):
                raise JournalDamagedError("journal", "an event does not fit the voxels it was made for", _STEP)
            target[places] = new
        return Edit.between(piece.region, before, Cut(stack, hand))

    def snapshot(self, region: Region) -> Patch:
        """Return the content of a box as a patch of an empty one."""
        content = self.read(region)
        empty = Cut(np.zeros_like(content.stack), np.zeros_like(content.hand))
        edit = Edit.between(region, empty, content)
        return Patch(() if edit is None else (edit.piece,))

    def shown(self, object_id: int) -> int:
        """Return how many voxels have an object's id in `labels`."""
        return self._shown[object_id]

    def covered(self, object_id: int) -> Counter[int]:
        """Return how many voxels an object holds beneath each other one, by the id on top."""
        return self._covered[object_id]

    def reach(self, object_id: int) -> Region | None:
        """Return a box outside which there is no trace of an object; it may be too large."""
        return self._reach.get(object_id)

    def _is_written(self, level: int, region: Region) -> bool:
        written = self._written.get(level)
        return written is not None and overlap(written, region) is not None

    def _count(self, edit: Edit) -> None:
        for level, runs in edit.piece.levels.items():
            _, lengths, before, after = runs.table.tolist()
            for number in {abs(value) for value in after} - {0}:
                self._reach[number] = _around(self._reach.get(number), edit.piece.region)
            if level == 0:
                _tally(self._shown, before, lengths, -1)
                _tally(self._shown, after, lengths, +1)
        if edit.before.stack[1:].any() or edit.after.stack[1:].any():
            changed = (edit.before.stack != edit.after.stack).any(axis=0)
            for cut, sign in ((edit.before, -1), (edit.after, +1)):
                for below, top, count in _pairs(cut.stack[:, changed]):
                    self._covered[below][top] += sign * count


_STEP = "Verify the journal, and recover what is intact."


def _around(region: Region | None, other: Region) -> Region:
    return other if region is None else (bounds([region, other]) or other)


def _tally(counts: Counter[int], values: list[int], lengths: list[int], sign: int) -> None:
    for value, length in zip(values, lengths, strict=True):
        counts[value] += sign * length


def _pairs(stack: NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
    """Yield (id beneath, id on top, count) for a stack of (levels, voxels)."""
    for level in stack[1:].astype(np.int64):
        held = np.flatnonzero(level)
        keys, counts = np.unique((level[held] << 32) | stack[0][held], return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            yield key >> 32, key & 0xFFFFFFFF, count
