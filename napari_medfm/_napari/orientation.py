"""Which way is up: camera orientation per plane, letters on the edges, position and value under the cursor.

Canonical axes grow towards Superior, Posterior and Left. Axial slices are shown in
radiological convention, coronal and sagittal ones head up, however the axes are rolled.
"""

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.components.overlays import TextOverlay
from napari.layers import Layer

from napari_medfm._napari.pointing import displayed_axes, is_inside, visible_plane
from napari_medfm.volume import EdgeLetters, Geometry, Plane, Volume, edge_letters, is_lazy, rows_grow_upwards

_PLACES = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center"}
_DIRECTIONS = ((0, 0, 1), (0, -1, 0), (-1, 0, 0))  # superior, posterior and left, as right, anterior, superior
_LETTER_SIZE = 15
_READOUT_SIZE = 10


def upright(geometry: Geometry, axes: tuple[int, int]) -> tuple[str, str]:
    """Return napari's (vertical, horizontal) camera orientation for a plane with these axes on the screen."""
    rows_vertical = axes[0] < axes[1]
    upwards = rows_vertical and rows_grow_upwards(geometry, _across(axes))
    return ("up" if upwards else "down"), "right"


def unmirrored(axes: tuple[int, int, int], camera: tuple[str, str]) -> str:
    """Return whether the first axis comes ``towards`` the viewer or goes ``away``, lest right and left change sides.

    Parameters
    ----------
    axes : (int, int, int)
        Canonical axes in 3-D display: depth, vertical, horizontal.
    camera : (str, str)
        Which way the last two grow, as for `canvas_letters`.
    """
    depth, vertical, horizontal = (np.array(_DIRECTIONS[axis]) for axis in axes)
    up = vertical if str(camera[0]) == "up" else -vertical
    right = horizontal if str(camera[1]) == "right" else -horizontal
    return "towards" if np.cross(right, up) @ depth > 0 else "away"


def canvas_letters(geometry: Geometry, axes: tuple[int, int], camera: tuple[str, str]) -> EdgeLetters:
    """Return the letters at the edges of the canvas, whichever way it is turned.

    Parameters
    ----------
    geometry : Geometry
        Where the voxels lie.
    axes : (int, int)
        Canonical axes on the screen, the vertical one first.
    camera : (str, str)
        Which way they grow: ``up`` or ``down``, and ``left`` or ``right``.
    """
    usual = edge_letters(geometry, _across(axes))
    rows = usual.top, usual.bottom
    if rows_grow_upwards(geometry, _across(axes)):
        rows = usual.bottom, usual.top
    columns = usual.left, usual.right
    vertical, horizontal = (rows, columns) if axes[0] < axes[1] else (columns, rows)
    top, bottom = vertical if str(camera[0]) == "down" else vertical[::-1]
    left, right = horizontal if str(camera[1]) == "right" else horizontal[::-1]
    return EdgeLetters(left, right, top, bottom)


def describe_position(geometry: Geometry, voxel: Sequence[float]) -> str:
    """Return a place in mm from the scanner's origin, such as ``L 12.5 P 3.0 S 40.0 mm``.

    Without a known position in the patient, the voxel's index.
    """
    if not geometry.known:
        return "voxel " + " ".join(str(int(np.round(index))) for index in voxel)
    world = geometry.to_world(tuple(voxel))
    letters = ("LR", "PA", "IS")
    parts = [f"{pair[value > 0]} {abs(value):.1f}" for pair, value in zip(letters, world.tolist(), strict=True)]
    return " ".join(parts) + " mm"


def describe_plane(geometry: Geometry, plane: Plane) -> str:
    """Return which slice it is, such as ``axial 12 of 60``; nothing for a 2-D image."""
    if geometry.ndim == 2:
        return ""
    name = plane.name if geometry.known else f"slice across {'zyx'[plane.axis]}"
    return f"{name} {plane.index + 1} of {geometry.shape[plane.axis]}"


def describe_value(volume: Volume, voxel: Sequence[float]) -> str:
    """Return the image's value at a voxel, in HU for CT; nothing outside, or where reading it may take long."""
    if is_lazy(volume.array):
        return ""
    index = tuple(int(np.round(value)) for value in voxel)
    if not all(0 <= value < size for value, size in zip(index, volume.shape, strict=True)):
        return ""
    value = volume.array[index]
    if volume.is_rgb:
        return "RGB " + " ".join(str(channel) for channel in np.asarray(value))
    return f"{np.asarray(value).item():.5g}" + (" HU" if volume.modality == "CT" else "")


class Orientation:
    """Keeps the camera upright and writes where we are onto the canvas.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : Layer
        A layer on the volume's grid.
    volume : Volume
        The image that is shown.
    """

    def __init__(self, viewer: ViewerModel, layer: Layer, volume: Volume) -> None:
        self._viewer, self._layer, self._volume = viewer, layer, volume
        self._camera_before = viewer.scene.camera.orientation
        self._stood: tuple[int, ...] = ()
        self._letters = {place: _overlay(_LETTER_SIZE, where) for place, where in _PLACES.items()}
        self._readout = _overlay(_READOUT_SIZE, "bottom_left")
        self._names = {f"medfm_{place}": letter for place, letter in self._letters.items()}
        self._names["medfm_readout"] = self._readout
        for name, overlay in self._names.items():
            viewer.canvas.overlays[name] = overlay
        viewer.dims.events.order.connect(self._on_axes)
        viewer.dims.events.ndisplay.connect(self._on_axes)
        viewer.dims.events.point.connect(self._on_plane)
        viewer.scene.camera.events.orientation.connect(self._write_letters)
        viewer.mouse_move_callbacks.append(self._on_move)
        self._on_axes()

    @property
    def readout(self) -> str:
        """The text with slice, position and value."""
        return str(self._readout.text)

    @property
    def letters(self) -> dict[str, str]:
        """The letters on the canvas edges, by edge; empty while none are shown."""
        return {place: overlay.text for place, overlay in self._letters.items() if overlay.visible}

    def set_volume(self, volume: Volume) -> None:
        """Read values from another image on the same grid."""
        self._volume = volume
        self._on_plane()

    def cycle(self, voxel: Sequence[float] | None = None) -> None:
        """Show the next of the three planes, through a voxel; a 2-D image has only one."""
        axes = displayed_axes(self._layer, self._viewer.dims)
        if axes is None or self._layer.ndim != 3:
            return
        through = next(axis for axis in range(3) if axis not in axes)
        zoom, fitted = self._viewer.scene.camera.zoom, self._fitted_zoom()
        if voxel is not None:
            self.go_to(voxel)
        self._show_across((through + 1) % 3)
        if voxel is not None and zoom > 1.05 * fitted:
            self._close_up(voxel, zoom)
        else:
            self._viewer.reset_view()

    def go_to(self, voxel: Sequence[float]) -> None:
        """Show the slices through a voxel."""
        ahead = self._viewer.dims.ndim - self._layer.ndim
        world = self._layer.data_to_world(tuple(voxel))
        self._viewer.dims.set_point(range(ahead, self._viewer.dims.ndim), list(world))

    def show_plane(self, plane: Plane) -> None:
        """Show a slice: its axis across the screen, its index on the slider."""
        if self._layer.ndim != 3:
            return
        axes = displayed_axes(self._layer, self._viewer.dims)
        if axes is None or plane.axis in axes:
            self._viewer.dims.ndisplay = 2
            self._show_across(plane.axis)
        ahead = self._viewer.dims.ndim - 3
        voxel = list(self._layer.world_to_data(self._viewer.dims.point))
        voxel[plane.axis] = plane.index
        self._viewer.dims.set_point(ahead + plane.axis, self._layer.data_to_world(tuple(voxel))[plane.axis])

    def teardown(self) -> None:
        """Take everything off the canvas and give the camera back as it was."""
        self._viewer.dims.events.order.disconnect(self._on_axes)
        self._viewer.dims.events.ndisplay.disconnect(self._on_axes)
        self._viewer.dims.events.point.disconnect(self._on_plane)
        self._viewer.scene.camera.events.orientation.disconnect(self._write_letters)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        for name in self._names:
            del self._viewer.canvas.overlays[name]
        self._viewer.scene.camera.orientation = self._camera_before

    def _show_across(self, axis: int) -> None:
        ahead = self._viewer.dims.ndim - 3
        rest = [other for other in range(3) if other != axis]
        self._viewer.dims.order = (*range(ahead), *(ahead + each for each in (axis, *rest)))

    def _fitted_zoom(self) -> float:
        """The zoom at which the whole plane just fills the canvas."""
        axes = displayed_axes(self._layer, self._viewer.dims) or (0, 1)
        steps = np.abs(self._layer.scale)
        sides = [self._layer.data.shape[axis] * steps[axis] for axis in axes]
        return float(0.95 * np.min(np.divide(self._viewer.canvas.size, sides)))

    def _close_up(self, voxel: Sequence[float], zoom: float) -> None:
        axes = displayed_axes(self._layer, self._viewer.dims)
        if axes is not None:
            world = self._layer.data_to_world(tuple(voxel))
            self._viewer.scene.camera.center = tuple(float(world[axis]) for axis in axes)
            self._viewer.scene.camera.zoom = zoom

    def _on_axes(self) -> None:
        axes = displayed_axes(self._layer, self._viewer.dims)
        if axes is not None and self._volume.geometry.ndim == 3:
            self._viewer.scene.camera.orientation2d = upright(self._volume.geometry, axes)
        elif self._viewer.dims.ndisplay == 3 and self._volume.geometry.ndim == 3:
            self._stand_up()
        self._write_letters()
        self._on_plane()

    def _stand_up(self) -> None:
        """Let 3-D display show the patient from the front, head up, and never mirrored; turned views are kept."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        ahead = dims.ndim - self._layer.ndim
        axes = tuple(axis - ahead for axis in dims.displayed)
        if sorted(axes) != [0, 1, 2]:
            return
        across = upright(self._volume.geometry, axes[1:])
        camera.orientation = (unmirrored(axes, across), *across)
        if axes != self._stood:  # angles are told in terms of the axes
            self._stood = axes
            posterior, superior = ([float(axis == wanted) for axis in axes] for wanted in (1, 0))
            camera.set_view_direction(tuple(posterior), tuple(superior))
            self._viewer.fit_to_view()

    def _write_letters(self) -> None:
        axes = displayed_axes(self._layer, self._viewer.dims)
        shown = axes is not None and self._volume.geometry.known
        if axes is not None:
            letters = canvas_letters(self._volume.geometry, axes, self._viewer.scene.camera.orientation2d)
            for place, letter in letters._asdict().items():
                self._letters[place].text = letter
        for overlay in self._letters.values():
            overlay.visible = shown

    def _on_plane(self) -> None:
        plane = visible_plane(self._layer, self._viewer.dims)
        self._write(plane)

    def _on_move(self, _viewer: object, event: object) -> None:
        plane = visible_plane(self._layer, self._viewer.dims)
        if plane is None:
            return
        voxel = self._layer.world_to_data(event.position)  # type: ignore[attr-defined]
        if not is_inside(plane.from_voxel(tuple(voxel)), plane.shape(self._volume.shape)):
            self._write(plane)
            return
        self._write(plane, describe_position(self._volume.geometry, voxel), describe_value(self._volume, voxel))

    def _write(self, plane: Plane | None, *here: str) -> None:
        lines = [] if plane is None else [describe_plane(self._volume.geometry, plane), *here]
        text = "\n".join(line for line in lines if line)
        if text != self._readout.text:
            self._readout.text = text
        self._readout.visible = bool(text)


def _across(axes: tuple[int, int]) -> int:
    """Return the canonical axis that is not on the screen."""
    return next(axis for axis in range(3) if axis not in axes)


def _overlay(size: float, position: str) -> TextOverlay:
    return TextOverlay(text="", font_size=size, position=position, visible=False, box=True)
