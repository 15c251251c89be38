"""Everything a session has in a viewer, made together and taken away together."""

from collections.abc import Callable, Mapping

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm._napari.bridge import Bridge
from napari_medfm._napari.crosshair import Crosshair
from napari_medfm._napari.keys import Keys, Views
from napari_medfm._napari.layers import SessionLayers
from napari_medfm._napari.orientation import Orientation
from napari_medfm._napari.overlays import MapDisplay, ProposalDisplay
from napari_medfm._napari.pointing import Pointer, is_inside, locate
from napari_medfm._napari.tools import Tools
from napari_medfm.session import AnnotationSession, LiveSegmentation, Proposals
from napari_medfm.volume import Plane, Volume


class Workspace:
    """A session in a viewer: its layers, the tools in the hand, the keys, the letters.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    image : Image
        The layer of the session's volume.
    session : AnnotationSession
        What is annotated.
    live : LiveSegmentation
        Its conversation with the model.
    proposals : Proposals
        What is proposed but not accepted.
    is_typing : callable
        Whether a text field has the keyboard.

    Attributes
    ----------
    layers : SessionLayers
    proposed : ProposalDisplay
    map : MapDisplay
    bridge : Bridge
    tools : Tools
    orientation : Orientation
    crosshair : Crosshair
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        session: AnnotationSession,
        live: LiveSegmentation,
        proposals: Proposals,
        *,
        is_typing: Callable[[], bool],
    ) -> None:
        self._viewer, self._session = viewer, session
        self.layers = SessionLayers(session.volume, session.labels, image)
        self.layers.objects.editable = not session.read_only
        self.layers.add_to(viewer)
        self.proposed = ProposalDisplay(viewer, self.layers, proposals)
        self.map = MapDisplay(viewer, self.layers)
        self.bridge = Bridge(viewer, self.layers, session, live)
        self.tools = Tools(viewer, self.layers, live, self.bridge.active_prompts)
        self.orientation = Orientation(viewer, self.layers.objects, session.volume)
        self.crosshair = Crosshair(viewer, self.layers, self.tools)
        views = Views(self.layers.objects, self.cycle_planes, self.crosshair.toggle)
        self._keys = Keys(viewer, self.layers.overlays, self.tools, session, views, is_typing=is_typing)

        viewer.reset_view()  # images of other cases may lie elsewhere

    def cycle_planes(self) -> None:
        """Show the next of the three planes, about the crosshair, or else about the last click."""
        self.orientation.cycle(self.crosshair.voxel or self.tools.last_click)

    def jump(self, object_id: int) -> None:
        """Show the middle of an object, on the plane that is shown."""
        box = self._session.bounding_box(object_id)
        if box is not None:
            middle = tuple(float(np.floor((part.start + part.stop - 1) / 2)) for part in box)
            self.orientation.go_to(middle)

    def show_plane(self, plane: Plane) -> None:
        """Show a slice."""
        self.orientation.show_plane(plane)

    def pointer(self) -> Pointer | None:
        """Return where the mouse is on the slice that is shown; None beside it, and in 3-D display."""
        plane = self.bridge.plane
        if plane is None:
            return None
        place = locate(self.layers.objects, plane, self._viewer.cursor.position)
        return Pointer(plane, place) if is_inside(place, plane.shape(self._session.volume.shape)) else None

    def add_keys(self, actions: Mapping[str, Callable[[], object]]) -> None:
        """Bind more keys, which are given back with the others; what is refused is told."""
        self._keys.add(actions)

    def show_image(self, volume: Volume) -> None:
        """Let another image on the same grid be read under the cursor, below what was annotated."""
        self.orientation.set_volume(volume)
        self.layers.bring_to_front(self._viewer)

    def is_complete(self) -> bool:
        """Whether the viewer holds the image and all our layers."""
        return self.layers.are_in(self._viewer)

    def put_back(self) -> None:
        """Add the layers that were removed from the viewer again."""
        self.layers.add_to(self._viewer)

    def teardown(self) -> None:
        """Take everything away but the image; the session is not touched."""
        parts = (self._keys, self.crosshair, self.orientation, self.tools, self.bridge, self.proposed, self.map)
        for part in parts:
            part.teardown()
        self.layers.remove_from(self._viewer)
