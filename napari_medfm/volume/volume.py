"""A medical image in canonical axes, together with its position in the patient."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume.geometry import Geometry, Plane


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An image or a label map on a canonical voxel grid.

    Attributes
    ----------
    array : ndarray
        Axes ``(z, y, x)`` towards Superior, Posterior, Left, or ``(y, x)``; a trailing
        axis of 3 holds RGB. Never written to. May be larger than memory: a memory-mapped
        file, a dask or zarr array, or whatever else has shape and type and is sliced like one.
    geometry : Geometry
        Position in the patient; its shape is the spatial part of the array's.
    name : str
        Short display name without folder.
    modality : str
        ``CT``, ``MR``, ... as far as known, else an empty string.
    metadata : mapping
        What else the reader knows and may be shown; no patient data.
    """

    array: NDArray[Any]
    geometry: Geometry
    name: str = "image"
    modality: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return self.geometry.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self.geometry.shape

    @property
    def is_rgb(self) -> bool:
        """Whether a trailing axis holds colour."""
        return self.array.ndim == self.ndim + 1

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in mm along each canonical axis."""
        return self.geometry.spacing

    def plane(self, plane: Plane) -> NDArray[Any]:
        """Return one slice, (rows, columns[, 3]); a view where the array is in memory, read now where it is not."""
        return np.asarray(plane.take(self.array, self.ndim))
