"""What propagation looks at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import slice_image
from napari_medfm.inference.proposals import Mask
from napari_medfm.propagation.stopping import Scale
from napari_medfm.volume import Plane, Volume, Window


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
    locked : ndarray of bool, (z, y, x), optional
        Voxels that belong to others: nothing is proposed there.
    """

    volume: Volume
    fingerprint: str
    window: Window
    locked: NDArray[np.bool_] | None = None

    def image(self, plane: Plane) -> NDArray[np.uint8]:
        """Return a slice as the model sees it."""
        return slice_image(self.volume, plane, self.window)

    def free(self, mask: Mask, plane: Plane) -> Mask:
        """Return the part of a mask, (rows, columns), that is not locked."""
        return mask if self.locked is None else mask & ~plane.take(self.locked)

    def scale(self, axis: int) -> Scale:
        """Return how large things are across an axis."""
        geometry = self.volume.geometry
        return Scale(geometry.plane_spacing(Plane(axis)), geometry.spacing[axis])
