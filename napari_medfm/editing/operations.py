"""What can be done to an object's mask at one stroke, as values: how far each looks, and what it makes."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from napari_medfm.editing import morphology
from napari_medfm.editing.morphology import Mask, Spacing


class Operation(Protocol):
    """A change of a whole object."""

    @property
    def title(self) -> str:
        """What a person calls it; also the name of the undo step."""

    def margin(self, spacing: Spacing) -> tuple[int, ...]:
        """Return how many voxels beyond the object's box the result may reach, along each axis."""

    def reach(self, spacing: Spacing) -> tuple[int, ...] | None:
        """Return how far away a voxel may matter to another, along each axis; None if all of the object may."""

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """Return the mask afterwards.

        Parameters
        ----------
        mask : ndarray of bool, 2-D or 3-D
            The object in a box that holds it and the margin; nothing of it is written to.
        spacing : tuple of float
            mm per voxel along each axis.
        start : tuple of int
            First voxel of the box in the volume.
        """


@dataclass(frozen=True, slots=True)
class Grow:
    """Take in what lies within some distance of the surface, in `mm`."""

    mm: float
    title: ClassVar[str] = "grow"

    def margin(self, spacing: Spacing) -> tuple[int, ...]:
        """See `Operation`."""
        return tuple(morphology.voxels_of(self.mm, step) for step in spacing)

    def reach(self, spacing: Spacing) -> tuple[int, ...] | None:
        """See `Operation`."""
        return self.margin(spacing)

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.grow(mask, self.mm, spacing)


@dataclass(frozen=True, slots=True)
class Shrink:
    """Give up what lies within some distance of the surface, in `mm`."""

    mm: float
    title: ClassVar[str] = "shrink"

    def margin(self, spacing: Spacing) -> tuple[int, ...]:
        """See `Operation`: a voxel of background on every side that has one."""
        return (1,) * len(spacing)

    def reach(self, spacing: Spacing) -> tuple[int, ...] | None:
        """See `Operation`."""
        return tuple(morphology.voxels_of(self.mm, step) for step in spacing)

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.shrink(mask, self.mm, spacing)


@dataclass(frozen=True, slots=True)
class Smooth:
    """Smooth the surface: a Gaussian of standard deviation `mm`."""

    mm: float
    title: ClassVar[str] = "smooth"

    def margin(self, spacing: Spacing) -> tuple[int, ...]:
        """See `Operation`."""
        return tuple(morphology.voxels_of(morphology.SMOOTHING_REACH * self.mm, step) + 1 for step in spacing)

    def reach(self, spacing: Spacing) -> tuple[int, ...] | None:
        """See `Operation`."""
        return self.margin(spacing)

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.smooth(mask, self.mm, spacing)


class _Whole:
    """What concerns pieces of an object: it looks at all of it and never beyond."""

    __slots__ = ()

    def margin(self, spacing: Spacing) -> tuple[int, ...]:
        """See `Operation`."""
        return (0,) * len(spacing)

    def reach(self, spacing: Spacing) -> tuple[int, ...] | None:
        """See `Operation`."""
        return None


@dataclass(frozen=True, slots=True)
class FillHoles(_Whole):
    """Fill holes: in each slice across `axis`, or, if it is None, only those that are closed in 3-D."""

    axis: int | None = None
    title: ClassVar[str] = "fill holes"

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.fill_holes(mask, self.axis)


@dataclass(frozen=True, slots=True)
class DropIslands(_Whole):
    """Drop pieces smaller than `ml`; a 2-D image counts as 1 mm thick."""

    ml: float
    title: ClassVar[str] = "drop islands"

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.drop_islands(mask, 1000 * self.ml / float(np.prod(spacing)))


@dataclass(frozen=True, slots=True)
class KeepLargest(_Whole):
    """Drop all pieces but the largest."""

    title: ClassVar[str] = "keep largest"

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`."""
        return morphology.keep_largest(mask)


@dataclass(frozen=True, slots=True)
class KeepPiece(_Whole):
    """Drop all pieces but the one that holds a voxel of the volume; or, if not `keep`, that one alone."""

    voxel: tuple[int, ...]
    keep: bool = True

    @property
    def title(self) -> str:
        """See `Operation`."""
        return "keep piece" if self.keep else "drop piece"

    def apply(self, mask: Mask, spacing: Spacing, start: tuple[int, ...]) -> Mask:
        """See `Operation`; where there is no piece, nothing is done."""
        place = tuple(index - first for index, first in zip(self.voxel, start, strict=True))
        piece = morphology.piece_at(mask, place)
        if not piece.any():
            return mask
        return piece if self.keep else mask & ~piece
