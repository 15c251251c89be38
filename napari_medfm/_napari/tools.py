"""The tools in the hand: what clicks and drags on the image mean.

Mouse callbacks sit on our labels layer. Left button: a click is a point, a drag with
box, scribble or lasso draws one, a drag that starts on a prompt moves it. Shift turns
the sign for once. Alt-click or the right button on a prompt deletes it. Brush and
eraser are napari's own. In the point and move tools a drag pans, as everywhere.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from psygnal import Signal

from napari_medfm._napari.layers import SessionLayers
from napari_medfm._napari.notices import attempt
from napari_medfm._napari.picking import Grip, pick
from napari_medfm._napari.pointing import Pointer, Position, clip, is_inside, locate, visible_plane
from napari_medfm.prompts import Box, Lasso, Point, Prompt, PromptSet, Scribble
from napari_medfm.volume import Plane

Tool = Literal["point", "box", "scribble", "lasso", "brush", "eraser", "move", "range", "sphere", "piece"]

_MODES = {"brush": "paint", "eraser": "erase"}
_DRAWS = frozenset({"box", "scribble", "lasso"})
_PROMPTS = _DRAWS | {"point"}
_EDITS = frozenset({"range", "sphere", "piece"})  # whose drags are `Brushing`'s
_CURSORS = dict.fromkeys(_PROMPTS | {"piece"}, "cross") | dict.fromkeys(("range", "sphere"), "circle")
_LEFT, _RIGHT = 1, 2
_CLICK_PIXELS = 4.0  # a hand that moved less meant a click
_REACH_PIXELS = 8.0  # how near to a prompt counts as on it
_STEP_VOXELS = 0.5  # vertices of a free-hand line that are closer than this say nothing new


class Prompting(Protocol):
    """Where prompts go: the conversation with the model."""

    def add_prompt(self, prompt: Prompt) -> None:
        """Add a prompt to the active object, making one if there is none."""

    def remove_prompt(self, index: int) -> None:
        """Delete a prompt of the active object."""

    def move_prompt(self, index: int, prompt: Prompt) -> None:
        """Replace a prompt of the active object."""

    def hover(self, plane: Plane, position: Position, positive: bool) -> None:
        """Preview a click."""

    def clear_hover(self) -> None:
        """End the preview."""


class Tools:
    """Turns what the mouse does into prompts.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : SessionLayers
        Our layers in it.
    prompting : Prompting
        Receives the prompts.
    prompts : callable
        Returns the active object's prompts.
    hover : bool
        Whether a preview follows the mouse.

    Attributes
    ----------
    tool_changed : Signal(str)
        The tool that is now in the hand.
    sign_changed : Signal(bool)
        Whether prompts add to the object from now on.
    clicked : Signal(tuple)
        Voxel coordinates of a prompt that was made.
    last_click : tuple of float or None
        Voxel coordinates of the last prompt, about which the planes are cycled.
    """

    tool_changed = Signal(str)
    sign_changed = Signal(bool)
    clicked = Signal(tuple)

    def __init__(
        self,
        viewer: ViewerModel,
        layers: SessionLayers,
        prompting: Prompting,
        prompts: Callable[[], PromptSet],
        *,
        hover: bool = True,
    ) -> None:
        self._viewer, self._layers, self._prompting, self._prompts = viewer, layers, prompting, prompts
        self._tool: Tool = "point"
        self._positive = True
        self._hover = hover
        self.last_click: tuple[float, ...] | None = None
        layer = layers.objects
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.mouse_move_callbacks.append(self._on_move)
        layer.mouse_double_click_callbacks.append(self._on_double_click)
        self._double_clicks = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._on_viewer_double_click]
        layer.events.mode.connect(self._on_mode)
        viewer.dims.events.ndisplay.connect(self._take_hand)
        viewer.events.mouse_over_canvas.connect(self._on_leave)
        self._take_hand()

    @property
    def tool(self) -> Tool:
        """The tool in the hand."""
        return self._tool

    @property
    def positive(self) -> bool:
        """Whether prompts add to the object."""
        return self._positive

    def select(self, tool: str) -> None:
        """Take a tool, one of `Tool`; the objects' layer then gets the clicks.

        Raises
        ------
        ValueError
            There is no such tool.
        """
        if tool not in get_args(Tool):
            msg = f"no tool is called {tool!r}"
            raise ValueError(msg)
        self._change(tool)  # type: ignore[arg-type]
        self._layers.take_clicks(self._viewer)
        self._take_hand()

    def set_positive(self, positive: bool) -> None:
        """Let prompts add to the object, or remove from it."""
        if positive != self._positive:
            self._positive = positive
            self.sign_changed.emit(positive)

    def toggle_sign(self) -> None:
        """Let prompts do the opposite from now on."""
        self.set_positive(not self._positive)

    def set_hover(self, on: bool) -> None:
        """Let a preview follow the mouse, or not."""
        self._hover = on
        if not on:
            self._prompting.clear_hover()

    def teardown(self) -> None:
        """Let go of the viewer and its layers."""
        layer = self._layers.objects
        layer.mouse_drag_callbacks.remove(self._on_drag)
        layer.mouse_move_callbacks.remove(self._on_move)
        layer.mouse_double_click_callbacks.remove(self._on_double_click)
        self._viewer.mouse_double_click_callbacks[:] = self._double_clicks
        layer.events.mode.disconnect(self._on_mode)
        self._viewer.dims.events.ndisplay.disconnect(self._take_hand)
        self._viewer.events.mouse_over_canvas.disconnect(self._on_leave)
        layer.mode, layer.mouse_pan, layer.cursor = "pan_zoom", True, "standard"

    def _change(self, tool: Tool) -> None:
        if tool != self._tool:
            self._tool = tool
            self._prompting.clear_hover()
            self.tool_changed.emit(tool)

    def _take_hand(self) -> None:
        """Give napari the mode, the panning and the cursor that go with the tool."""
        layer = self._layers.objects
        with layer.events.mode.blocker(self._on_mode):
            layer.mode = _MODES.get(self._tool, "pan_zoom")
        flat = self._viewer.dims.ndisplay == 2
        if self._tool not in _MODES:
            layer.mouse_pan = not (flat and self._tool in _DRAWS | _EDITS)
            layer.cursor = _CURSORS.get(self._tool, "standard") if flat else "standard"

    def _on_mode(self) -> None:
        """Follow a mode that was chosen in napari, by button or digit."""
        mode = str(self._layers.objects.mode)
        named = {value: key for key, value in _MODES.items()}.get(mode, "move")
        if mode != "pan_zoom" or self._tool in _MODES:
            self._change(named)  # type: ignore[arg-type]

    def _on_leave(self) -> None:
        if not self._viewer.mouse_over_canvas:
            self._prompting.clear_hover()

    def pointer(self, event: Any) -> Pointer | None:
        """Return where on the image the mouse is; None beside it and in 3-D display."""
        layer = self._layers.objects
        plane = visible_plane(layer, self._viewer.dims)
        if plane is None:
            return None
        position = locate(layer, plane, event.position)
        return Pointer(plane, position) if is_inside(position, plane.shape(layer.data.shape)) else None

    def _reach(self, plane: Plane, event: Any) -> Position:
        steps = np.abs(self._layers.objects.scale)
        row, column = steps if len(steps) == 2 else plane.from_voxel(tuple(steps))
        mm = _REACH_PIXELS / event.camera_zoom
        return float(mm / row), float(mm / column)

    def sign(self, event: Any) -> bool:
        """Return whether a click or a drag adds: Shift turns the sign for once."""
        return self._positive != ("Shift" in event.modifiers)

    def _on_move(self, _layer: Labels, event: Any) -> None:
        if not self._hover or self._tool != "point":
            return
        pointer = self.pointer(event)
        if pointer is None:
            self._prompting.clear_hover()
        else:
            self._prompting.hover(pointer.plane, pointer.position, self.sign(event))

    def _on_double_click(self, _layer: Labels, event: Any) -> None:
        """Take the second of two quick clicks for a click: napari sends no press for it."""
        pointer = self.pointer(event) if self._tool == "point" else None
        if pointer is not None and event.button == _LEFT and "Alt" not in event.modifiers:
            self._add(Point(pointer.plane, pointer.position, self.sign(event)))

    def _on_viewer_double_click(self, viewer: ViewerModel, event: Any) -> None:
        """Keep napari from zooming while quick clicks are prompts."""
        ours = viewer.layers.selection.active is self._layers.objects
        if not (ours and self._tool in _PROMPTS and viewer.dims.ndisplay == 2):
            for callback in self._double_clicks:
                callback(viewer, event)

    def _on_drag(self, _layer: Labels, event: Any) -> Iterator[None]:
        pointer = self.pointer(event) if self._tool in _PROMPTS else None
        if pointer is None or "Control" in event.modifiers:  # with which the window is dragged
            return
        grip = pick(self._prompts(), pointer.plane, pointer.position, self._reach(pointer.plane, event))
        if event.button == _RIGHT or "Alt" in event.modifiers:
            yield from self._delete(grip, event)
        elif event.button == _LEFT and grip is not None:
            yield from self._move(pointer, grip, event)
        elif event.button == _LEFT and self._tool == "point":
            yield from self._click(pointer, event)
        elif event.button == _LEFT:
            yield from self._draw(pointer, event)

    def _click(self, pointer: Pointer, event: Any) -> Iterator[None]:
        prompt = Point(pointer.plane, pointer.position, self.sign(event))
        if not (yield from _strays(event)):
            self._add(prompt)

    def _delete(self, grip: Grip | None, event: Any) -> Iterator[None]:
        strayed = yield from _strays(event)
        if grip is not None and not strayed:
            attempt(lambda: self._prompting.remove_prompt(grip.index))

    def _move(self, pointer: Pointer, grip: Grip, event: Any) -> Iterator[None]:
        """Drag a prompt; without a drag, a click beside it, or of the other sign, is a click."""
        layer, positive, origin = self._layers.objects, self.sign(event), np.array(event.pos)
        layer.mouse_pan = False
        moved: Prompt | None = None
        yield
        while True:
            if moved is not None or _away(event, origin):
                moved = grip.moved(pointer.position, self._end(pointer, event), self._shape(pointer))
                self._layers.prompts.draft(moved, instead_of=grip.index)
            if event.type != "mouse_move":
                break
            yield
        self._layers.prompts.draft(None)
        self._take_hand()
        if moved is not None:
            attempt(lambda: self._prompting.move_prompt(grip.index, moved))
        elif self._tool == "point" and not _says_the_same(grip.prompt, pointer.position, positive):
            self._add(Point(pointer.plane, pointer.position, positive))

    def _draw(self, pointer: Pointer, event: Any) -> Iterator[None]:
        positive, tool, origin = self.sign(event), self._tool, np.array(event.pos)
        path = [pointer.position]
        yield
        while True:
            here = self._end(pointer, event)
            if tool == "box":
                path[1:] = [here] if len(path) > 1 or _away(event, origin) else []
            elif np.hypot(*np.subtract(here, path[-1])) >= _STEP_VOXELS:
                path.append(here)
            if event.type != "mouse_move":
                break
            self._layers.prompts.draft(drawn(tool, pointer.plane, path, positive))
            yield
        self._layers.prompts.draft(None)
        prompt = drawn(tool, pointer.plane, path, positive)
        if prompt is not None:
            self._add(prompt)

    def _shape(self, pointer: Pointer) -> tuple[int, int]:
        return pointer.plane.shape(self._layers.objects.data.shape)

    def _end(self, pointer: Pointer, event: Any) -> Position:
        """Return where on the slice of the press the hand is now, kept within the image."""
        return clip(locate(self._layers.objects, pointer.plane, event.position), self._shape(pointer))

    def _add(self, prompt: Prompt) -> None:
        self.last_click = prompt.plane.to_voxel(outline_end(prompt), self._layers.objects.ndim)
        self._layers.preview.clear()
        self.clicked.emit(self.last_click)
        attempt(lambda: self._prompting.add_prompt(prompt))


def drawn(tool: str, plane: Plane, path: Sequence[Position], positive: bool) -> Prompt | None:
    """Return the prompt that a drag along a path has drawn; None if it is too short to mean anything."""
    if tool == "scribble":
        return Scribble(plane, tuple(path), positive)
    if tool == "lasso" and len(path) >= 3:
        return Lasso(plane, tuple(path), positive)
    if tool == "box" and len(path) == 2:
        low, high = np.floor(np.sort(path, axis=0) + 0.5)
        return Box(plane, tuple(low.tolist()), tuple((high + 1).tolist()))
    return None


def outline_end(prompt: Prompt) -> Position:
    """Return the (row, column) where the hand let go of a prompt; the middle of a box."""
    match prompt:
        case Point():
            return prompt.position
        case Scribble() | Lasso():
            return prompt.path[-1]
        case Box():
            row, column = (np.add(prompt.start, prompt.stop) - 1) / 2
            return float(row), float(column)
        case _:
            return 0.0, 0.0


def _says_the_same(prompt: Prompt, position: Position, positive: bool) -> bool:
    """Whether a prompt is a click on the very voxel, of the same sign."""
    if not isinstance(prompt, Point) or prompt.positive != positive:
        return False
    return np.array_equal(np.round(prompt.position), np.round(position))


def _away(event: Any, origin: Any) -> bool:
    return bool(np.hypot(*np.subtract(event.pos, origin)) > _CLICK_PIXELS)


def _strays(event: Any) -> Generator[None, None, bool]:
    """Wait for the button to be let go of; return whether the mouse left its place meanwhile."""
    origin, strayed = np.array(event.pos), False
    yield
    while event.type == "mouse_move":
        strayed = strayed or _away(event, origin)
        yield
    return strayed or _away(event, origin)
