"""Image layers and the volumes they show.

An image is shown on its voxel grid with positive scale only: an oblique affine would
send clicks to the wrong slice. What the grid means in the patient travels in the
layer's metadata.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_medfm.errors import UnsupportedDataError
from napari_medfm.volume import Geometry, Volume, array_geometry, automatic_window

METADATA_KEY = "napari_medfm"
"""Where a layer keeps its `Volume` (images) or its `Geometry` (labels)."""

AXIS_LABELS = ("z", "y", "x")

LayerData = tuple[NDArray[Any], dict[str, Any], str]


def placement(geometry: Geometry) -> dict[str, Any]:
    """Return the arguments that put a layer on the voxel grid: positive scale in mm, nothing oblique."""
    ndim = geometry.ndim
    return {"scale": geometry.spacing, "units": ("mm",) * ndim, "axis_labels": AXIS_LABELS[3 - ndim :]}


def image_layer_data(volume: Volume) -> LayerData:
    """Return a volume as the ``(data, arguments, "image")`` that napari makes a layer of."""
    arguments: dict[str, Any] = placement(volume.geometry)
    arguments |= {"name": volume.name, "metadata": {METADATA_KEY: volume}, "rgb": volume.is_rgb}
    if not volume.is_rgb:
        window = automatic_window(volume)
        arguments |= {"contrast_limits": (window.low, window.high), "colormap": "gray"}
    return volume.array, arguments, "image"


def volume_of(layer: Image) -> Volume:
    """Return the volume an image layer shows.

    A layer of our own reader brings its geometry along; any other is taken as axial
    in canonical order with the layer's scale as spacing, its position unknown.

    Raises
    ------
    UnsupportedDataError
        The layer is a pyramid, is turned or sheared, or has neither 2 nor 3 axes.
    """
    if reason := _refusal(layer):
        raise UnsupportedDataError(layer.name, *reason)
    known = layer.metadata.get(METADATA_KEY)
    if isinstance(known, Volume) and known.array.shape == layer.data.shape:
        return replace(known, array=layer.data)
    spacing = tuple(abs(float(step)) for step in layer.scale)
    shape = tuple(int(size) for size in layer.data.shape[: layer.ndim])
    return Volume(layer.data, array_geometry(shape, spacing), name=layer.name)


def geometry_of(metadata: dict[str, Any]) -> Geometry | None:
    """Return the geometry that a layer's metadata carries, if any."""
    known = metadata.get(METADATA_KEY)
    if isinstance(known, Volume):
        return known.geometry
    return known if isinstance(known, Geometry) else None


def is_usable(layer: Layer) -> bool:
    """Whether a layer is an image that can be annotated."""
    return isinstance(layer, Image) and _refusal(layer) is None


def _refusal(layer: Image) -> tuple[str, str] | None:
    if layer.multiscale:
        return "is a pyramid of several resolutions", "Open one resolution as a layer of its own."
    if layer.ndim not in (2, 3):
        return f"has {layer.ndim} axes", "Split the layer into volumes with 2 or 3 axes."
    if not _is_upright(layer):
        step = "Open the file with napari-medfm, which shows its voxel grid, or reset the layer's transform."
        return "is rotated or sheared in the viewer", step
    return None


def _is_upright(layer: Image) -> bool:
    identity = np.eye(layer.ndim)
    turned = not np.allclose(layer.rotate, identity) or np.any(layer.shear)
    return not turned and np.allclose(np.asarray(layer.affine.affine_matrix), np.eye(layer.ndim + 1))
