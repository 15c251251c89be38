"""What lies over a session's objects and is not part of it: what is proposed, and maps of a slice.

Their layers are made when there is something to show, in the viewer where they are missing, and go with the session.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_medfm._napari.layers import SessionLayers, is_in
from napari_medfm.session import Proposals
from napari_medfm.session.voxels import blank
from napari_medfm.volume import Plane, Region

_SHADES = ((1.0, 0.35, 0.25, 1.0), (1.0, 0.6, 0.2, 1.0), (1.0, 0.8, 0.2, 1.0), (1.0, 0.97, 0.4, 1.0))  # unsure to sure
_BRIGHTEST = 255
_FAINTEST = 128  # of a map: what is fainter says nothing that a person could act on
_GLOW = (1.0, 0.25, 0.85)  # unlike the shades of proposals


class Overlay:
    """A layer above the session's objects, made when it is needed first.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the layer.
    layers : SessionLayers
        Among which it lies.
    make : callable
        Makes the layer from its data, uint8 of the volume's shape, and the arguments that put it on the grid.
    kind : str
        Ends the layer's name.

    Attributes
    ----------
    layer : Layer or None
        Once it is made.
    """

    def __init__(self, viewer: ViewerModel, layers: SessionLayers, make: Callable[..., Layer], kind: str) -> None:
        self._viewer, self._layers, self._make, self._kind = viewer, layers, make, kind
        self.layer: Layer | None = None

    def ready(self) -> Layer:
        """Return the layer, made or put back into the viewer where it is not there."""
        objects = self._layers.objects
        if self.layer is None:
            place = {name: getattr(objects, name) for name in ("scale", "translate", "units", "axis_labels")}
            data = blank(objects.data.shape, np.dtype(np.uint8))
            self.layer = self._make(data, name=objects.name.replace("objects", self._kind), **place)
            self.layer.editable = False
        if not is_in(self.layer, self._viewer.layers):
            active = self._viewer.layers.selection.active
            above = [index for index, each in enumerate(self._viewer.layers) if is_in(each, [objects])]
            self._viewer.layers.insert(above[0] + 1 if above else len(self._viewer.layers), self.layer)
            self._viewer.layers.selection.active = active
        return self.layer

    def write(self, region: Region, values: NDArray[np.uint8] | np.uint8) -> None:
        """Write a box; `show` makes it seen."""
        self.ready().data[region] = values

    def show(self) -> None:
        """Draw what was written."""
        self.ready().refresh(extent=False, thumbnail=False)

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self.layer is not None and is_in(self.layer, self._viewer.layers):
            self._viewer.layers.remove(self.layer)


class ProposalDisplay:
    """What is proposed, by confidence.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the layer.
    layers : SessionLayers
        Among which it lies.
    proposals : Proposals
        What to show; only boxes that changed are written.
    """

    def __init__(self, viewer: ViewerModel, layers: SessionLayers, proposals: Proposals) -> None:
        self._proposals = proposals
        self._overlay = Overlay(viewer, layers, _in_shades, "proposals")
        proposals.changed.connect(self._show)

    @property
    def layer(self) -> Labels | None:
        """uint8: 0 where nothing is proposed, else the shade of confidence; None before anything was."""
        return self._overlay.layer

    def teardown(self) -> None:
        """Take the layer out of the viewer, and let go of the proposals."""
        self._proposals.changed.disconnect(self._show)
        self._overlay.remove()

    def _show(self, regions: tuple[Region, ...]) -> None:
        for region in regions:
            self._overlay.write(region, self._proposals.shown(region))
        self._overlay.show()


class MapDisplay:
    """A map of one slice: where the structure may be, or where the model is in doubt.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the layer.
    layers : SessionLayers
        Among which it lies.
    """

    def __init__(self, viewer: ViewerModel, layers: SessionLayers) -> None:
        self._overlay = Overlay(viewer, layers, _in_glow, "map")
        self._shape = layers.objects.data.shape
        self._plane: Plane | None = None

    @property
    def layer(self) -> Image | None:
        """uint8, 0 to 255; None before there was a map."""
        return self._overlay.layer

    def show(self, plane: Plane, values: NDArray[np.float32]) -> None:
        """Show a map, (rows, columns) of 0..1, instead of the last one."""
        self._erase()
        region, self._plane = plane.region(self._shape), plane
        shape = [part.stop - part.start for part in region]
        self._overlay.write(region, np.rint(values * _BRIGHTEST).astype(np.uint8).reshape(shape))
        self._overlay.show()

    def clear(self) -> None:
        """Show nothing."""
        if self._plane is not None:
            self._erase()
            self._overlay.show()

    def teardown(self) -> None:
        """Take the layer out of the viewer."""
        self._overlay.remove()

    def _erase(self) -> None:
        if self._plane is not None:
            self._overlay.write(self._plane.region(self._shape), np.uint8(0))
            self._plane = None


def _in_shades(data: NDArray[np.uint8], **place: Any) -> Labels:
    colours: dict[int | None, Any] = {None: _SHADES[0], 0: "transparent", **dict(enumerate(_SHADES, start=1))}
    return Labels(data, colormap=DirectLabelColormap(color_dict=colours), opacity=0.5, **place)


def _in_glow(data: NDArray[np.uint8], **place: Any) -> Image:
    """A map that lets the image through, all of it where the map is faint."""
    glow = Colormap([(*_GLOW, 0.0), (*_GLOW, 1.0)], name="glow")
    look = {"contrast_limits": (_FAINTEST, _BRIGHTEST), "colormap": glow, "blending": "translucent", "opacity": 0.55}
    return Image(data, **look, **place)
