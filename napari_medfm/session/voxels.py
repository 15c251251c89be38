"""The voxels of a session: labels, what lies beneath them, and what the hand drew."""

import math
import mmap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import JournalDamagedError
from napari_medfm.session.edits import Cut, Level
from napari_medfm.session.patches import HAND, Patch, Piece, Runs, bounds, box_of, overlap, shift
from napari_medfm.volume import Region

Labels = NDArray[np.uint16] | NDArray[np.uint32]
_NARROW = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of one box that was worked out but not made yet.

    Attributes
    ----------
    before, after : Cut
        The box's voxels.
    piece : Piece
        What differs.
    """

    before: Cut
    after: Cut
    piece: Piece

    @classmethod
    def between(cls, region: Region, before: Cut, after: Cut) -> Self | None:
        """Return the edit that leads from one to the other; None if they are equal."""
        old, new = _arrays(before), _arrays(after)
        levels = {
            level: _runs(old.get(level), new.get(level))
            for level in sorted({*old, *new})
            if old.get(level) is not new.get(level)
        }
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
        self.labels: Labels = blank(shape, np.dtype(np.uint16))
        self.hand: NDArray[np.int32] = blank(shape, np.dtype(np.int32))
        self._beneath: list[Labels] = [blank(shape, np.dtype(np.uint16))]
        self._written: dict[int, Region] = {}
        self._reach: dict[int, Region] = {}
        self._shown: Counter[int] = Counter()
        self._covered: defaultdict[int, Counter[int]] = defaultdict(Counter)

    @property
    def beneath(self) -> Labels:
        """What comes back where the visible object gives a voxel up."""
        return self._beneath[0]

    @property
    def depth(self) -> int:
        """Number of levels: labels, and all that lie beneath."""
        return len(self._beneath) + 1

    @property
    def whole(self) -> Region:
        """The box of all voxels."""
        return tuple(slice(0, size) for size in self.shape)

    def level(self, level: int) -> NDArray[Any]:
        """Return an array by its level: 0 labels, 1 and up what lies beneath, `HAND` the hand marks."""
        if level == HAND:
            return self.hand
        while level > len(self._beneath):
            self._beneath.append(blank(self.shape, self.labels.dtype))
        return self._beneath[level - 1] if level else self.labels

    def make_room(self, largest_id: int) -> bool:
        """Widen the arrays if an id does not fit; True if `labels` is a new array now."""
        if largest_id <= _NARROW or self.labels.dtype == np.uint32:
            return False
        self.labels = self.labels.astype(np.uint32)
        self._beneath = [level.astype(np.uint32) for level in self._beneath]
        return True

    def read(self, region: Region, depth: int = 1) -> Cut:
        """Return a copy of a box, as deep as there is anything but at least `depth`."""
        deepest = max(level for level in range(self.depth) if self._may_hold(level, region, depth))
        levels = [self._copy(level, region) for level in range(deepest + 1)]
        while len(levels) > depth and not levels[-1].any():
            levels.pop()
        marks = self._copy(HAND, region) if self._may_hold(HAND, region, 0) else None
        return Cut(tuple(levels), marks if marks is not None and marks.any() else None)

    def edit(self, region: Region, change: Callable[[Cut], Cut]) -> Edit | None:
        """Work out a change of a box; None if it changes nothing."""
        before = self.read(region)
        return Edit.between(region, before, change(before))

    def write(self, edit: Edit) -> None:
        """Make a change."""
        region = edit.piece.region
        self._count(edit)
        arrays = _arrays(edit.after)
        for level, runs in edit.piece.levels.items():
            self.level(level)[region] = arrays.get(level, 0)
            if runs.table[3].any():
                self._written[level] = _around(self._written.get(level), region)

    def replay(self, piece: Piece, keep: NDArray[np.bool_] | None = None, *, strict: bool = True) -> Edit | None:
        """Work out a journaled change of a box, making room for its ids first.

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
        self.make_room(piece.largest_id)
        before = self.read(piece.region, min(max(0, *piece.levels) + 1, self.depth))
        arrays = _arrays(before)
        for level, runs in piece.levels.items():
            array = arrays[level].copy() if level in arrays else np.zeros(piece.shape, self.level(level).dtype)
            arrays[level] = _applied(array, runs, keep, strict)
        hand = arrays.pop(HAND, None)
        after = Cut(tuple(arrays[level] for level in sorted(arrays)), hand)
        return Edit(before, after, piece) if strict and keep is None else Edit.between(piece.region, before, after)

    def snapshot(self, region: Region) -> Patch:
        """Return the content of a box as a patch of an empty one."""
        content = self.read(region)
        rows = box_of((content.levels[0] != 0) | (False if content.hand is None else content.hand != 0))
        if rows is None:
            return Patch()
        arrays = {level: _runs(None, array[rows]) for level, array in _arrays(content).items()}
        return Patch((Piece(shift(region, rows), {level: runs for level, runs in arrays.items() if len(runs)}),))

    def find(self, object_id: int, region: Region) -> Region | None:
        """Return the smallest box within a box that holds an object on any level; None if there is none."""
        boxes = []
        for level in range(self.depth):
            if self._may_hold(level, region, 1):
                inner = box_of(self.level(level)[region] == object_id)
                boxes += [shift(region, inner)] if inner is not None else []
        return bounds(boxes)

    def trace(self, object_id: int, region: Region) -> Region | None:
        """Return the smallest box within a box that holds an object or its hand marks; None if there is none."""
        held = self.find(object_id, region)
        marked = box_of(np.abs(self.hand[region]) == object_id) if self._may_hold(HAND, region, 0) else None
        return bounds([box for box in (held, shift(region, marked) if marked is not None else None) if box is not None])

    def shown(self, object_id: int) -> int:
        """Return how many voxels have an object's id in `labels`."""
        return self._shown[object_id]

    def covered(self, object_id: int) -> Counter[int]:
        """Return how many voxels an object holds beneath each other one, by the id on top."""
        return self._covered[object_id]

    def reach(self, object_id: int) -> Region | None:
        """Return a box outside which there is no trace of an object; it may be too large."""
        return self._reach.get(object_id)

    def _may_hold(self, level: int, region: Region, depth: int) -> bool:
        written = self._written.get(level)
        return 0 <= level < depth or (written is not None and overlap(written, region) is not None)

    def _copy(self, level: int, region: Region) -> NDArray[Any]:
        return self.level(level)[region].copy()

    def _count(self, edit: Edit) -> None:
        for level, runs in edit.piece.levels.items():
            _, lengths, before, after = runs.table
            for number in np.unique(np.abs(after)).tolist():
                if number:
                    self._reach[number] = _around(self._reach.get(number), edit.piece.region)
            if level == 0:
                self._shown.subtract(_tally(before, lengths))
                self._shown.update(_tally(after, lengths))
        if len(edit.before.levels) > 1 or len(edit.after.levels) > 1:
            self._count_covered(edit)

    def _count_covered(self, edit: Edit) -> None:
        shape = edit.piece.shape
        changed = np.zeros(shape, bool)
        for level, runs in edit.piece.levels.items():
            if level != HAND:
                changed.reshape(-1)[runs.expand()[0]] = True
        for cut, sign in ((edit.before, -1), (edit.after, +1)):
            for below, top, count in _pairs([level[changed] for level in cut.levels]):
                self._covered[below][top] += sign * count


def blank(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros that take memory page by page, as they are written.

    `numpy.zeros` asks for huge pages, and then a mask on a coronal slice, which touches
    a row of every axial one, would fill the memory of the whole volume at once.
    """
    size = math.prod(shape) * dtype.itemsize
    if not size or not hasattr(mmap, "MAP_PRIVATE"):  # Windows has no huge pages to avoid
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype).reshape(shape)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _arrays(cut: Cut) -> dict[int, NDArray[Any]]:
    arrays: dict[int, NDArray[Any]] = dict(enumerate(cut.levels))
    return arrays if cut.hand is None else {**arrays, HAND: cut.hand}


def _runs(before: NDArray[Any] | None, after: NDArray[Any] | None) -> Runs:
    """Compare two arrays, of which one may be missing and then holds nothing."""
    if before is None:
        return Runs.of(after) if after is not None else Runs.none()
    return Runs.of(before).inverse if after is None else Runs.between(before, after)


def _applied(array: NDArray[Any], runs: Runs, keep: NDArray[np.bool_] | None, strict: bool) -> NDArray[Any]:
    flat = array.reshape(-1)
    places, old, new = runs.expand()
    if keep is not None:
        chosen = keep.reshape(-1)[places]
        places, old, new = places[chosen], old[chosen], new[chosen]
    if strict and not np.array_equal(flat[places], old):
        step = "Verify the journal, and recover what is intact."
        raise JournalDamagedError("journal", "an event does not fit the voxels it was made for", step)
    flat[places] = new
    return array


def _around(region: Region | None, other: Region) -> Region:
    return other if region is None else (bounds([region, other]) or other)


def _tally(values: NDArray[np.int64], lengths: NDArray[np.int64]) -> dict[int, int]:
    numbers, places = np.unique(values, return_inverse=True)
    sums = np.bincount(places, weights=lengths, minlength=numbers.size)
    return dict(zip(numbers.tolist(), sums.astype(np.int64).tolist(), strict=True))


def _pairs(levels: Sequence[Level]) -> Iterator[tuple[int, int, int]]:
    """Yield (id beneath, id on top, count) for some voxels."""
    for level in levels[1:]:
        held = np.flatnonzero(level)
        keys, counts = np.unique((level[held].astype(np.int64) << 32) | levels[0][held], return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            yield key >> 32, key & 0xFFFFFFFF, count
