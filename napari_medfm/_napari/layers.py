"""The layers that show a session: its objects, the preview, its prompts.

They are held by identity, never looked up by name: a person may rename, hide or
remove them. The voxels they show are a copy: napari writes a stroke before it says so,
and until then answers and undo must find the session's own voxels as they were journaled.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Vectors
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_medfm._napari.images import METADATA_KEY
from napari_medfm._napari.picking import outline_of
from napari_medfm._napari.traces import Trace, trace
from napari_medfm.prompts import Point, Prompt, PromptSet
from napari_medfm.session import SegmentedObject, SliceChange
from napari_medfm.session.voxels import blank
from napari_medfm.volume import Plane, Region, Volume

_GHOST, _LOSS = (0.35, 0.85, 1.0, 1.0), (1.0, 0.25, 0.2, 1.0)
_FAINT, _PLAIN = 0.4, 0.75
_ADDS, _REMOVES = "#2fe07a", "#ff5a4f"
_UNKNOWN = (0.6, 0.6, 0.6, 1.0)
_LARGEST_COLOURED = 2**16 - 1  # beyond it napari gives labels a colour of their own only where numba is installed
_DOT_PIXELS = 11
_LINE_PIXELS = 2.0
_CROSS = "#ffe14db0"
_GAP = 3.0  # voxels about the middle of the crosshair that it leaves free


class SessionLayers:
    """Our layers over one image layer, on the same voxel grid.

    Parameters
    ----------
    volume : Volume
        The image that is annotated.
    labels : ndarray
        The session's label volume; what is shown is a copy of it.
    image : Image
        The layer that shows the volume; the new layers lie exactly on it.

    Attributes
    ----------
    image : Image
        As given.
    objects : Labels
        The session's labels. Clicks, strokes and keys belong to it.
    preview : Preview
        What a click would do.
    prompts : PromptDisplay
        What was pointed at.
    """

    def __init__(self, volume: Volume, labels: NDArray[Any], image: Image) -> None:
        place = {name: getattr(image, name) for name in ("scale", "translate", "units", "axis_labels")}
        self.image = image
        self._colours: dict[int | None, Any] = {}
        self.objects = Labels(
            copied(labels),
            name=f"{volume.name} objects",
            metadata={METADATA_KEY: volume.geometry},
            opacity=0.55,
            **place,
        )
        self.preview = Preview(Labels(np.zeros(volume.shape, np.uint8), name=f"{volume.name} preview", **place))
        self.prompts = PromptDisplay(volume.shape, f"{volume.name} prompts", place)

    @property
    def overlays(self) -> tuple[Layer, ...]:
        """The layers we made, from bottom to top."""
        return (self.objects, self.preview.layer, *self.prompts.layers)

    def add_to(self, viewer: ViewerModel) -> None:
        """Add those that the viewer does not hold, the image at the bottom; clicks then go to the objects."""
        with viewer.layers.batched_update():
            if not is_in(self.image, viewer.layers):
                viewer.layers.insert(0, self.image)
            for layer in self.overlays:
                if not is_in(layer, viewer.layers):
                    viewer.layers.append(layer)
        self.take_clicks(viewer)

    def are_in(self, viewer: ViewerModel) -> bool:
        """Whether the viewer holds them all."""
        return all(is_in(layer, viewer.layers) for layer in (self.image, *self.overlays))

    def remove_from(self, viewer: ViewerModel) -> None:
        """Remove the layers we made; the image stays, and is selected."""
        if is_in(self.image, viewer.layers):
            viewer.layers.selection.active = self.image
        with viewer.layers.batched_update():
            for layer in self.overlays:
                if is_in(layer, viewer.layers):
                    viewer.layers.remove(layer)

    def bring_to_front(self, viewer: ViewerModel) -> None:
        """Show our layers above all others, such as an image that was added later."""
        for layer in self.overlays:
            if is_in(layer, viewer.layers):
                viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
        self.take_clicks(viewer)

    def take_clicks(self, viewer: ViewerModel) -> None:
        """Make the objects the layer that mouse and keys go to."""
        if is_in(self.objects, viewer.layers):
            viewer.layers.selection.active = self.objects

    def colour(self, objects: Mapping[int, SegmentedObject]) -> None:
        """Show each object in its colour, hidden ones not at all, and name it under the cursor."""
        colours: dict[int | None, Any] = {None: _UNKNOWN, 0: "transparent"}
        colours |= {number: _rgba(thing) for number, thing in objects.items() if number <= _LARGEST_COLOURED}
        if colours != self._colours:  # napari maps every value that the type can hold
            self._colours = colours
            self.objects.colormap = DirectLabelColormap(color_dict=colours)
        self.objects.features = {
            "index": [0, *objects],
            "object": ["", *(thing.name for thing in objects.values())],
        }

    def show_voxels(self, labels: NDArray[Any], where: Region | tuple[NDArray[np.intp], ...]) -> None:
        """Show the session's voxels in a box, or at some indices, as they are now."""
        self.objects.data[where] = labels[where]
        self.objects.refresh(extent=False, thumbnail=False)

    def replace_voxels(self, labels: NDArray[Any]) -> None:
        """Show the session's voxels from an array of another type."""
        self.objects.data = copied(labels)


class Preview:
    """A ghost mask on one slice; nothing of it is ever journaled.

    Parameters
    ----------
    layer : Labels
        uint8, of the volume's shape, all zero; its memory is only taken where it is written.
    """

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self.layer.colormap = DirectLabelColormap(color_dict={None: _GHOST, 0: "transparent", 1: _GHOST, 2: _LOSS})
        self.layer.opacity = _FAINT
        self.layer.editable = False
        self._box: Region | None = None
        self._held = False

    def show(self, plane: Plane, mask: NDArray[np.bool_] | None) -> None:
        """Show a (rows, columns) mask instead of the last one; None shows nothing.

        While a change is shown, which somebody asked for, nothing else is.
        """
        if not self._held:
            self._draw(plane, mask)

    def show_change(self, change: SliceChange | None) -> None:
        """Show what an object would gain, and in red what it would lose; None ends that."""
        self._held = change is not None
        self.layer.opacity = _FAINT if change is None else _PLAIN
        if change is None:
            self._draw(Plane(), None)
        else:
            self._draw(change.plane, change.added + 2 * change.removed.view(np.uint8))

    def _draw(self, plane: Plane, values: NDArray[Any] | None) -> None:
        box = None if values is None else _box(values != 0)
        if box is None and self._box is None:
            return
        self._erase()
        if values is not None and box is not None:
            self._box = plane.embed_region(*box, ndim=self.layer.ndim)
            region = self.layer.data[self._box]
            region[...] = values[box].reshape(region.shape)
        self.layer.refresh(extent=False, thumbnail=False)

    def clear(self) -> None:
        """Show nothing."""
        self.show(Plane(), None)

    def _erase(self) -> None:
        if self._box is not None:
            self.layer.data[self._box] = 0
            self._box = None


class PromptDisplay:
    """The active object's prompts, to be looked at: clicks as dots, the others as lines; and the crosshair.

    Prompts that were drawn on planes of another direction show where they pass through the slice in view.

    Parameters
    ----------
    shape : tuple of int
        Of the voxel grid.
    name : str
        Name of the layers.
    place : mapping
        Arguments that put a layer on the grid.
    """

    def __init__(self, shape: tuple[int, ...], name: str, place: Mapping[str, Any]) -> None:
        self._shape, self._ndim = shape, len(shape)
        ndim = self._ndim
        self._prompts = PromptSet()
        self._draft: Prompt | None = None
        self._hidden: int | None = None
        self._plane: Plane | None = None
        self._cross = np.zeros((0, 2, ndim))
        self.lines = Vectors(
            np.zeros((0, 2, ndim)), ndim=ndim, name=f"{name} (lines)", vector_style="line", opacity=1.0, **place
        )
        self.dots = Points(
            np.zeros((0, ndim)),
            ndim=ndim,
            name=name,
            border_color="white",
            border_width=0.15,
            **place,
        )
        for layer in self.layers:
            layer.editable = False

    @property
    def layers(self) -> tuple[Vectors, Points]:
        """From bottom to top."""
        return self.lines, self.dots

    def show(self, prompts: PromptSet) -> None:
        """Show these prompts instead of the last ones."""
        if prompts != self._prompts:
            self._prompts = prompts
            self._draw()

    def draft(self, prompt: Prompt | None, instead_of: int | None = None) -> None:
        """Show one more prompt, which the hand has not let go of yet; None ends that.

        Parameters
        ----------
        prompt : Prompt or None
            The prompt as it would be now.
        instead_of : int, optional
            Index of the prompt that is being moved.
        """
        if (prompt, instead_of) != (self._draft, self._hidden):
            self._draft, self._hidden = prompt, instead_of
            self._draw()

    def look(self, plane: Plane | None) -> None:
        """Show what other prompts leave on the slice that is now in view; None in 3-D display."""
        if plane != self._plane:
            self._plane = plane
            self._draw()

    def mark(self, voxel: Sequence[float] | None) -> None:
        """Show a crosshair through a voxel; None shows none."""
        self._cross = np.zeros((0, 2, self._ndim)) if voxel is None else _cross(np.array(voxel), self._shape)
        self._draw()

    def fit(self, pixels_per_voxel: float) -> None:
        """Keep lines equally thick and dots equally large on the screen.

        napari's own limits of a dot's size leave its border as it is, which then hides the dot.
        """
        voxels_per_pixel = 1 / max(pixels_per_voxel, 1e-6)
        self.lines.edge_width = _LINE_PIXELS * voxels_per_pixel
        self.dots.size = self.dots.current_size = _DOT_PIXELS * voxels_per_pixel

    def _draw(self) -> None:
        shown = [prompt for index, prompt in enumerate(self._prompts) if index != self._hidden]
        if self._draft is not None:
            shown.append(self._draft)
        traces = [(prompt, trace(prompt, self._plane)) for prompt in shown if self._plane and self._ndim == 3]
        self._draw_dots(shown, traces)
        self._draw_lines(shown, traces)

    def _draw_dots(self, shown: list[Prompt], traces: list[tuple[Prompt, Trace]]) -> None:
        points = [prompt for prompt in shown if isinstance(prompt, Point) and not self._is_elsewhere(prompt)]
        voxels = [point.plane.to_voxel(point.position, self._ndim) for point in points]
        signs = [point.positive for point in points]
        for prompt, found in traces:
            voxels += [tuple(dot) for dot in found.dots.tolist()]
            signs += [prompt.positive] * len(found.dots)
        if len(voxels) or len(self.dots.data):
            self.dots.data = np.array(voxels).reshape(-1, self._ndim)
        if voxels:
            self.dots.face_color = [_ADDS if positive else _REMOVES for positive in signs]
            self.dots.symbol = ["disc" if positive else "square" for positive in signs]

    def _draw_lines(self, shown: list[Prompt], traces: list[tuple[Prompt, Trace]]) -> None:
        drawn = [prompt for prompt in shown if not (isinstance(prompt, Point) or self._is_elsewhere(prompt))]
        pieces = [(_segments(prompt, self._ndim), _ADDS if prompt.positive else _REMOVES) for prompt in drawn]
        pieces += [(found.lines, _ADDS if prompt.positive else _REMOVES) for prompt, found in traces]
        pieces.append((self._cross, _CROSS))
        lines = _inside(np.concatenate([piece for piece, _ in pieces]), self._shape)
        if len(lines) or len(self.lines.data):
            self.lines.data = lines
        if len(lines):
            self.lines.edge_color = [colour for piece, colour in pieces for _ in piece]

    def _is_elsewhere(self, prompt: Prompt) -> bool:
        """Whether only a trace of the prompt can be seen from here."""
        return self._plane is not None and self._ndim == 3 and prompt.plane.axis != self._plane.axis


def copied(labels: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that takes memory only where there is something."""
    copy = blank(labels.shape, labels.dtype)
    for index, part in enumerate(labels):
        if part.any():
            copy[index] = part
    return copy


def is_in(layer: Layer, layers: Iterable[Layer]) -> bool:
    """Whether a layer is among others, by identity: its name and its data do not matter."""
    return any(other.unique_id == layer.unique_id for other in layers)


def _rgba(thing: SegmentedObject) -> tuple[float, ...]:
    return (*(channel / 255 for channel in thing.colour), float(thing.visible))


def _inside(lines: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Return lines pulled in to the centres of the outermost voxels.

    Beyond them they would move the steps of napari's sliders half a voxel off the slices.
    """
    starts = np.clip(lines[:, 0], 0, np.subtract(shape, 1))
    stops = np.clip(lines[:, 0] + lines[:, 1], 0, np.subtract(shape, 1))
    return np.stack([starts, stops - starts], axis=1)


def _cross(voxel: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Return lines through a voxel along every axis, as (n, 2, ndim), which leave its surroundings free."""
    lines = []
    for axis, size in enumerate(shape):
        for start, stop in ((-0.5, voxel[axis] - _GAP), (voxel[axis] + _GAP, size - 0.5)):
            if start < stop:
                line = np.stack([voxel, np.zeros_like(voxel)])
                line[:, axis] = start, stop - start
                lines.append(line)
    return np.array(lines).reshape(-1, 2, len(shape))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _segments(prompt: Prompt, ndim: int) -> NDArray[np.float64]:
    """Return a prompt's line as (n, 2, ndim): where each piece starts and how it goes on."""
    voxels = np.array([prompt.plane.to_voxel((row, column), ndim) for row, column in outline_of(prompt)])
    if len(voxels) < 2:
        return np.zeros((0, 2, ndim))
    return np.stack([voxels[:-1], np.diff(voxels, axis=0)], axis=1)
