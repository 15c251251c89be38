"""From the mouse to the voxel grid: which plane is shown, and where in it the pointer is.

Works in the three orthogonal planes, rolled or transposed, by asking the viewer which
axes it displays; axis 0 is never assumed to be z on the screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.components import Dims
from napari.layers import Layer

from napari_medfm.volume import Plane

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place on a slice.

    Attributes
    ----------
    plane : Plane
        The slice that is shown.
    position : (float, float)
        (row, column) voxel coordinates in it.
    """

    plane: Plane
    position: Position


def visible_plane(layer: Layer, dims: Dims) -> Plane | None:
    """Return the slice of `layer` that the viewer shows.

    None in 3-D display, beyond the layer's extent, and when an axis is on the screen
    that the layer does not have.
    """
    axes = displayed_axes(layer, dims)
    if axes is None:
        return None
    if layer.ndim == 2:
        return Plane(0, 0)
    axis = next(axis for axis in range(3) if axis not in axes)
    index = int(np.round(layer.world_to_data(dims.point)[axis]))
    return Plane(axis, index) if 0 <= index < layer.data.shape[axis] else None


def displayed_axes(layer: Layer, dims: Dims) -> tuple[int, int] | None:
    """Return the layer's axes on the screen, vertical first; None if it is not shown as a slice."""
    if dims.ndisplay != 2:
        return None
    ahead = dims.ndim - layer.ndim
    vertical, horizontal = (axis - ahead for axis in dims.displayed)
    return (vertical, horizontal) if vertical >= 0 and horizontal >= 0 else None


def locate(layer: Layer, plane: Plane, world: Sequence[float]) -> Position:
    """Return the (row, column) in `plane` of a world position, inside the image or not."""
    voxel = layer.world_to_data(world)
    return plane.from_voxel(tuple(float(value) for value in voxel))


def is_inside(position: Position, shape: tuple[int, int]) -> bool:
    """Whether a (row, column) lies on a voxel of a plane of that shape."""
    return all(-0.5 <= value < size - 0.5 for value, size in zip(position, shape, strict=True))


def clip(position: Position, shape: tuple[int, int]) -> Position:
    """Pull a (row, column) back to the centre of the nearest voxel that exists, if it lies outside."""
    row, column = (min(max(value, 0.0), size - 1.0) for value, size in zip(position, shape, strict=True))
    return row, column
