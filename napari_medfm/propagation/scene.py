"""What propagation looks at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import slice_image
from napari_medfm.inference.proposals import Mask
from napari_medfm.propagation.stopping import Scale
from napari_medfm.volume import Plane, Region, Volume, Window


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Voxels that belong to others.

    Attributes
    ----------
    region : tuple of slice
        A box of the volume, (z, y, x).
    mask : ndarray of bool
        Which voxels of the box.
    """

    region: Region
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What propagation looks at.

    Attributes
    ----------
    volume : Volume
        The image, 3-D.
    fingerprint : str
        Of it, see `napari_medfm.volume.fingerprint`; names its embeddings.
    window : Window
        What the model sees it through.
    locked : tuple of Held
        Nothing is proposed there.
    """

    volume: Volume
    fingerprint: str
    window: Window
    locked: tuple[Held, ...] = ()

    def image(self, plane: Plane) -> NDArray[np.uint8]:
        """Return a slice as the model sees it."""
        return slice_image(self.volume, plane, self.window)

    def free(self, mask: Mask, plane: Plane) -> Mask:
        """Return the part of a mask, (rows, columns), that is not locked."""
        free = mask.copy() if self.locked else mask
        for held in self.locked:
            part = held.region[plane.axis]
            if part.start <= plane.index < part.stop:
                rows, columns = (side for axis, side in enumerate(held.region) if axis != plane.axis)
                free[rows, columns] &= ~held.mask.take(plane.index - part.start, axis=plane.axis)
        return free

    def scale(self, axis: int) -> Scale:
        """Return how large things are across an axis."""
        geometry = self.volume.geometry
        return Scale(geometry.plane_spacing(Plane(axis)), geometry.spacing[axis])
