"""What a model proposes for a slice that nobody labelled: a mask that a person accepts or not."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume import Plane, Region

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What an object may look like on one slice; only the box that holds it is kept.

    Attributes
    ----------
    plane : Plane
        The slice.
    start : (int, int)
        (row, column) of the box's first voxel.
    inside : ndarray of bool, (rows, columns) of the box
        The object in the box; of size 0 where nothing is proposed.
    confidence : float
        How good it is thought to be, 0..1; 1 where no model was asked.
    """

    plane: Plane
    start: tuple[int, int]
    inside: Mask
    confidence: float

    @classmethod
    def of(cls, plane: Plane, mask: Mask, confidence: float) -> Self:
        """Keep the part of a whole plane's mask, (rows, columns), that holds something."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return cls(plane, (0, 0), np.zeros((0, 0), bool), confidence)
        inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        inside.setflags(write=False)
        return cls(plane, (int(rows[0]), int(columns[0])), inside, confidence)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is proposed."""
        return not self.inside.size

    @property
    def box(self) -> tuple[slice, slice]:
        """The (rows, columns) of the box in the plane."""
        first, second = (slice(at, at + size) for at, size in zip(self.start, self.inside.shape, strict=True))
        return first, second

    def region(self, ndim: int = 3) -> Region:
        """Return the voxels of the box in a grid of so many axes."""
        return self.plane.embed_region(*self.box, ndim=ndim)

    def to_mask(self, shape: tuple[int, int]) -> Mask:
        """Return the mask of the whole plane, (rows, columns) given by `shape`."""
        mask = np.zeros(shape, dtype=bool)
        mask[self.box] = self.inside
        return mask

    def overlaps(self, other: "Proposal") -> bool:
        """Whether both have a (row, column) in common, be it on different slices."""
        boxes = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self.box, other.box, strict=True)]
        if any(first >= stop for first, stop in boxes):
            return False
        mine, theirs = (_cut(each, boxes) for each in (self, other))
        return bool((mine & theirs).any())


def _cut(proposal: Proposal, boxes: list[tuple[int, int]]) -> Mask:
    rows, columns = (slice(a - at, b - at) for (a, b), at in zip(boxes, proposal.start, strict=True))
    return proposal.inside[rows, columns]
