"""A crosshair that stays at a place of the volume while the planes are cycled about it."""

import numpy as np
from napari.components import ViewerModel

from napari_medfm._napari.layers import SessionLayers
from napari_medfm._napari.pointing import is_inside, locate, visible_plane
from napari_medfm._napari.tools import Tools

Voxel = tuple[float, ...]


class Crosshair:
    """Marks one voxel on the slice in view, and follows clicks and scrolling.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : SessionLayers
        Our layers in it.
    tools : Tools
        Tells where the last prompt was put.
    """

    def __init__(self, viewer: ViewerModel, layers: SessionLayers, tools: Tools) -> None:
        self._viewer, self._layers, self._tools = viewer, layers, tools
        self._voxel: Voxel | None = None
        viewer.dims.events.point.connect(self._on_slice)
        tools.clicked.connect(self._on_click)

    @property
    def voxel(self) -> Voxel | None:
        """Where it stands; None while it is not shown."""
        return self._voxel

    def toggle(self) -> None:
        """Show it where the mouse was last, or else at the last click or in the middle; or show it no longer."""
        self._move(None if self._voxel is not None else self._pointed() or self._tools.last_click or self._middle())

    def teardown(self) -> None:
        """Let go of the viewer."""
        self._viewer.dims.events.point.disconnect(self._on_slice)
        self._tools.clicked.disconnect(self._on_click)

    def _pointed(self) -> Voxel | None:
        layer, plane = self._layers.objects, visible_plane(self._layers.objects, self._viewer.dims)
        if plane is None:
            return None
        position = locate(layer, plane, self._viewer.cursor.position)
        return plane.to_voxel(position, layer.ndim) if is_inside(position, plane.shape(layer.data.shape)) else None

    def _middle(self) -> Voxel:
        plane = visible_plane(self._layers.objects, self._viewer.dims)
        middle = [(size - 1) / 2 for size in self._layers.objects.data.shape]
        if plane is not None and len(middle) == 3:
            middle[plane.axis] = plane.index
        return tuple(middle)

    def _on_click(self, voxel: Voxel) -> None:
        if self._voxel is not None:
            self._move(voxel)

    def _on_slice(self) -> None:
        plane = visible_plane(self._layers.objects, self._viewer.dims)
        if self._voxel is not None and plane is not None and len(self._voxel) == 3:
            self._move(plane.to_voxel(plane.from_voxel(self._voxel)))

    def _move(self, voxel: Voxel | None) -> None:
        whole = None if voxel is None else tuple(float(value) for value in np.round(voxel))
        if whole != self._voxel:
            self._voxel = whole
            self._layers.prompts.mark(whole)
