"""Key slices, which are given, and proposals, which are made from them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import PromptError
from napari_medfm.volume import Geometry, Plane, Region

Mask = NDArray[np.bool_]

StopReason = Literal["empty", "area", "quality", "brightness", "overlap"]
"""Why propagation ends on a slice: nothing found there, or an answer that is not to be believed."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySlice:
    """An object's mask on one slice, drawn or accepted by a person: never changed by propagation.

    Attributes
    ----------
    plane : Plane
        The slice.
    mask : ndarray of bool, (rows, columns)
        The object there; an empty one says that the object does not reach so far.
    """

    plane: Plane
    mask: Mask


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
    quality : float
        The model's prediction of how good it is, 0..1; 1 where no model was asked.
    stop : str or None
        Why propagation does not go beyond this slice in this direction; nothing is proposed here then.
    """

    plane: Plane
    start: tuple[int, int]
    inside: Mask
    quality: float
    stop: StopReason | None = None

    @classmethod
    def of(cls, plane: Plane, mask: Mask, quality: float, stop: StopReason | None = None) -> Self:
        """Keep the part of a whole plane's mask, (rows, columns), that holds something."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return cls(plane, (0, 0), np.zeros((0, 0), bool), quality, stop)
        inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return cls(plane, (int(rows[0]), int(columns[0])), inside, quality, stop)

    @property
    def region(self) -> Region:
        """The voxels of the box in the volume's grid, (z, y, x)."""
        return self.plane.embed_region(*self._box)

    def to_mask(self, shape: tuple[int, int]) -> Mask:
        """Return the mask of the whole plane, (rows, columns) given by `shape`."""
        mask = np.zeros(shape, dtype=bool)
        mask[self._box] = self.inside
        return mask

    @property
    def _box(self) -> tuple[slice, slice]:
        first, second = (slice(at, at + size) for at, size in zip(self.start, self.inside.shape, strict=True))
        return first, second


def check_keys(keys: Iterable[KeySlice], geometry: Geometry) -> tuple[KeySlice, ...]:
    """Return key slices in order along their axis.

    Raises
    ------
    PromptError
        None, keys across several axes, two on one plane, or one beyond the volume or of another shape.
    """
    ordered = tuple(sorted(keys, key=lambda key: key.plane))
    planes = [key.plane for key in ordered]
    if len({plane.axis for plane in planes}) != 1:
        raise PromptError("key slices", "do not lie across one axis", "Give at least one, all in the same direction.")
    if len(set(planes)) != len(planes):
        raise PromptError("key slices", "are two on one slice", "Give one mask for each slice.")
    for key in ordered:
        axis, index = key.plane.axis, key.plane.index
        fits = geometry.ndim == 3 and 0 <= axis < 3 and 0 <= index < geometry.shape[axis]
        if not fits or key.mask.shape != key.plane.shape(geometry.shape):
            reason = f"on slice {index} across axis {axis} does not fit the volume"
            raise PromptError("key slice", reason, "Give a mask of a slice of this 3-D volume.")
    return ordered
