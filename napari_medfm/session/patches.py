"""Changed voxels, run-length coded: small enough to journal, exact enough to take back."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume import Region

HAND = -1
"""The level of the array of hand marks; levels from 0 are labels and what lies beneath them."""

_LEVEL = 1


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """What changed in one array of a box: runs of voxels with one value before and one after.

    Attributes
    ----------
    table : ndarray of int64, (4, n)
        Flat position in the box in C order, length, value before, value after of each run.
    """

    table: NDArray[np.int64]

    @classmethod
    def none(cls) -> "Runs":
        """Return what changed where nothing did."""
        return cls(np.zeros((4, 0), np.int64))

    @classmethod
    def between(cls, before: NDArray[Any], after: NDArray[Any]) -> "Runs":
        """Compare two arrays of one shape."""
        old, new = before.reshape(-1), after.reshape(-1)
        places = np.flatnonzero(old != new)
        if not places.size:
            return cls.none()
        left, right = old[places], new[places]
        apart = (np.diff(places) != 1) | (left[1:] != left[:-1]) | (right[1:] != right[:-1])
        starts = np.concatenate(([0], np.flatnonzero(apart) + 1))
        lengths = np.diff(starts, append=places.size)
        return cls(np.stack([places[starts], lengths, left[starts], right[starts]]).astype(np.int64))

    @classmethod
    def of(cls, content: NDArray[Any]) -> "Runs":
        """Compare an array with an empty one."""
        flat = content.reshape(-1)
        starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
        lengths = np.diff(starts, append=flat.size)
        held = flat[starts] != 0
        starts, lengths = starts[held], lengths[held]
        return cls(np.stack([starts, lengths, np.zeros_like(starts), flat[starts].astype(np.int64)]))

    @property
    def inverse(self) -> "Runs":
        """The runs that take these back."""
        return Runs(self.table[[0, 1, 3, 2]])

    def __len__(self) -> int:
        return len(self.table[0])

    def expand(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the flat position, the value before and the value after of every changed voxel."""
        starts, lengths, before, after = self.table
        first = np.cumsum(lengths) - lengths
        places = np.arange(int(lengths.sum())) + np.repeat(starts - first, lengths)
        return places, np.repeat(before, lengths), np.repeat(after, lengths)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What changed in one box.

    Attributes
    ----------
    region : tuple of slice
        The box.
    levels : mapping of int to Runs
        By level: 0 labels, 1 and up what lies beneath, `HAND` the hand marks.
    """

    region: Region
    levels: Mapping[int, Runs]

    @property
    def inverse(self) -> "Piece":
        """The piece that takes this one back."""
        return Piece(self.region, {level: runs.inverse for level, runs in self.levels.items()})

    @property
    def largest_id(self) -> int:
        """The largest id in it, before or after; 0 if there is none."""
        return max((int(np.abs(runs.table[2:]).max(initial=0)) for runs in self.levels.values()), default=0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the box."""
        return tuple(part.stop - part.start for part in self.region)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What one event changed in the voxels.

    Attributes
    ----------
    pieces : tuple of Piece
        In the order they are applied; their boxes do not overlap.
    """

    pieces: tuple[Piece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pieces)

    @property
    def inverse(self) -> "Patch":
        """The patch that takes this one back."""
        return Patch(tuple(piece.inverse for piece in reversed(self.pieces)))

    @property
    def region(self) -> Region | None:
        """The box around all pieces; None if there are none."""
        return bounds([piece.region for piece in self.pieces])

    def encode(self) -> bytes:
        """Return the patch as bytes: a JSON line that says what follows, then the runs, compressed together."""
        lines = [
            [_corners(piece.region), [[k, len(runs)] for k, runs in piece.levels.items()]] for piece in self.pieces
        ]
        tables = [_delta(runs.table) for piece in self.pieces for runs in piece.levels.values()]
        head = json.dumps(lines, separators=(",", ":")).encode()
        return zlib.compress(b"\n".join((head, b"".join(table.tobytes() for table in tables))), _LEVEL)

    @classmethod
    def decode(cls, content: bytes) -> "Patch":
        """Return the patch that `encode` wrote.

        Raises
        ------
        ValueError
            The bytes are no patch.
        """
        try:
            head, _, body = zlib.decompress(content).partition(b"\n")
        except zlib.error as error:
            raise ValueError(str(error)) from error
        numbers = np.frombuffer(body, "<i8")
        return cls(tuple(_read_pieces(json.loads(head), numbers)))


def bounds(regions: Sequence[Region]) -> Region | None:
    """Return the smallest box around some boxes; None if there are none."""
    if not regions:
        return None
    axes = zip(*regions, strict=True)
    return tuple(slice(min(part.start for part in axis), max(part.stop for part in axis)) for axis in axes)


def overlap(one: Region, other: Region) -> Region | None:
    """Return the box that two boxes share; None if they share none."""
    shared = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return shared if all(part.start < part.stop for part in shared) else None


def shift(region: Region, inner: Region) -> Region:
    """Return a box inside another one, given relative to it, in the outer one's own frame."""
    pairs = zip(region, inner, strict=True)
    return tuple(slice(outer.start + part.start, outer.start + part.stop) for outer, part in pairs)


def box_of(mask: NDArray[np.bool_]) -> Region | None:
    """Return the smallest box that holds all of a mask; None if it is empty."""
    parts: list[slice] = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if places.size == 0:
            return None
        parts.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(parts)


def _corners(region: Region) -> list[list[int]]:
    return [[int(part.start), int(part.stop)] for part in region]


def _delta(table: NDArray[np.int64]) -> NDArray[np.int64]:
    coded = table.astype("<i8")
    coded[0] = np.diff(table[0], prepend=0)  # small numbers compress
    return coded


def _read_pieces(lines: Iterable[Any], numbers: NDArray[np.int64]) -> Iterator[Piece]:
    start = 0
    for corners, counts in lines:
        levels: dict[int, Runs] = {}
        for level, count in counts:
            table = numbers[start : start + 4 * count].reshape(4, count).astype(np.int64)
            table[0] = np.cumsum(table[0])
            levels[level] = Runs(table)
            start += 4 * count
        yield Piece(tuple(slice(*corner) for corner in corners), levels)


def within(region: Region, outer: Region) -> Region:
    """Return a box relative to the one it lies in: the inverse of `shift`."""
    pairs = zip(region, outer, strict=True)
    return tuple(slice(part.start - base.start, part.stop - base.start) for part, base in pairs)


def slabs(region: Region) -> Iterator[Region]:
    """Yield the slices of a box along its first axis, so that work on them needs little memory; 2-D boxes whole."""
    if len(region) == 2:
        yield region
        return
    for index in range(region[0].start, region[0].stop):
        yield (slice(index, index + 1), *region[1:])
