"""Keys, while the panel is open: on our layers and on the viewer, given back afterwards.

Digits 1-7 and V stay napari's. Nothing happens while a person types in a text field.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer

from napari_medfm._napari.notices import attempt
from napari_medfm._napari.tools import Tools
from napari_medfm.session import AnnotationSession

CASE_KEYS = ("PageUp", "PageDown")
"""The case before and the case after, while a project is open."""

TOOL_KEYS = {"P": "point", "B": "box", "S": "scribble", "L": "lasso"}


_FADE = 0.1
_OUTLINE = 2  # voxels


@dataclass(frozen=True, slots=True)
class Views:
    """How the objects and the planes are shown, to be changed by a key.

    Attributes
    ----------
    objects : Labels
        The layer of the objects.
    cycle_planes, toggle_crosshair : callable
        Show the next plane; show or hide the crosshair.
    """

    objects: Labels
    cycle_planes: Callable[[], None]
    toggle_crosshair: Callable[[], None]

    def toggle_outline(self) -> None:
        """Show the objects' outlines only, or all of them."""
        self.objects.contour = 0 if self.objects.contour else _OUTLINE

    def fade(self, by: float) -> None:
        """Show the objects more opaque, or less; never so faint that they are lost."""
        self.objects.opacity = float(np.clip(round(self.objects.opacity + by, 2), _FADE, 1.0))


class Keys:
    """Binds keys to what they do.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layers : sequence of Layer
        The layers we made; each has keys of its own, which would otherwise win.
    tools : Tools
        The tool in the hand.
    session : AnnotationSession
        What is annotated.
    views : Views
        How things are shown.
    is_typing : callable
        Whether a text field has the keyboard.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Layer],
        tools: Tools,
        session: AnnotationSession,
        views: "Views",
        *,
        is_typing: Callable[[], bool],
    ) -> None:
        self._layers, self._tools, self._session = tuple(layers), tools, session
        self._views, self._is_typing = views, is_typing
        self._before: list[tuple[Any, str, Any]] = []
        actions: dict[str, Callable[..., Any]] = {
            "P": self._point,
            "B": self._box,
            "S": self._scribble,
            "L": self._lasso,
            "T": self._sign,
            "R": self._reset,
            "N": self._next,
            "A": self._planes,
            "C": self._crosshair,
            "I": self._outline,
            ",": self._fainter,
            ".": self._stronger,
            "H": self._hide,
            "Space": self._pan,
            "Enter": self._accept,
            "Control-Z": self._undo,
            "Control-Shift-Z": self._redo,
        }
        self._owners = (*layers, viewer)
        for key, action in actions.items():
            self._bind(key, action)

    def add(self, actions: Mapping[str, Callable[[], object]]) -> None:
        """Bind more keys; what is refused is told."""
        for key, action in actions.items():
            self._bind(key, self._guarded(action))

    def teardown(self) -> None:
        """Give every key back."""
        for owner, key, before in self._before:
            owner.bind_key(key, before, overwrite=True)
        self._before.clear()

    def _bind(self, key: str, action: Callable[..., Any]) -> None:
        for owner in self._owners:
            self._before.append((owner, key, owner.bind_key(key, action, overwrite=True)))

    def _guarded(self, action: Callable[[], object]) -> Callable[[object], None]:
        def act(_owner: object) -> None:  # no partial: napari asks for a name
            self._do(action)

        return act

    def _select(self, tool: str) -> None:
        if not self._is_typing():
            self._tools.select(tool)

    def _point(self, _owner: object) -> None:
        self._select("point")

    def _box(self, _owner: object) -> None:
        self._select("box")

    def _scribble(self, _owner: object) -> None:
        self._select("scribble")

    def _lasso(self, _owner: object) -> None:
        self._select("lasso")

    def _sign(self, _owner: object) -> None:
        if not self._is_typing():
            self._tools.toggle_sign()

    def _reset(self, _owner: object) -> None:
        self._do(self._session.reset)

    def _next(self, _owner: object) -> None:
        self._do(lambda: start_next(self._session))

    def _accept(self, owner: object) -> None:
        if getattr(owner, "mode", "") == "polygon":
            return  # a polygon that is being drawn is closed by a double click, as napari says
        self._do(self._session.accept)

    def _undo(self, _owner: object) -> None:
        if self._session.can_undo:
            self._do(self._session.undo)

    def _redo(self, _owner: object) -> None:
        if self._session.can_redo:
            self._do(self._session.redo)

    def _planes(self, _owner: object) -> None:
        if not self._is_typing():
            self._views.cycle_planes()

    def _crosshair(self, _owner: object) -> None:
        if not self._is_typing():
            self._views.toggle_crosshair()

    def _outline(self, _owner: object) -> None:
        if not self._is_typing():
            self._views.toggle_outline()

    def _fainter(self, _owner: object) -> None:
        if not self._is_typing():
            self._views.fade(-_FADE)

    def _stronger(self, _owner: object) -> None:
        if not self._is_typing():
            self._views.fade(_FADE)

    def _hide(self, _owner: object) -> Iterator[None]:
        """Hide what lies over the image for as long as the key is held."""
        if self._is_typing():
            return
        before = [(layer, layer.opacity) for layer in self._layers]
        for layer in self._layers:
            layer.opacity = 0.0
        yield
        for layer, opacity in before:
            layer.opacity = opacity

    def _pan(self, _owner: object) -> Iterator[None]:
        """Move the image for as long as the key is held."""
        if self._is_typing():
            return
        tool = self._tools.tool
        self._tools.select("move")
        yield
        self._tools.select(tool)

    def _do(self, action: Callable[[], object]) -> None:
        if not self._is_typing():
            attempt(action)


class ViewerKeys:
    """Binds keys on the viewer, whatever is open in it; what is refused is told.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    actions : mapping of str to callable
        What each key does.
    is_typing : callable
        Whether a text field has the keyboard.
    """

    def __init__(
        self, viewer: ViewerModel, actions: Mapping[str, Callable[[], object]], *, is_typing: Callable[[], bool]
    ) -> None:
        self._viewer, self._is_typing = viewer, is_typing
        self._before = {
            key: viewer.bind_key(key, self._guarded(action), overwrite=True) for key, action in actions.items()
        }

    def teardown(self) -> None:
        """Give every key back."""
        for key, before in self._before.items():
            self._viewer.bind_key(key, before, overwrite=True)
        self._before.clear()

    def _guarded(self, action: Callable[[], object]) -> Callable[[object], None]:
        def act(_owner: object) -> None:
            if not self._is_typing():
                attempt(action)

        return act


def start_next(session: AnnotationSession) -> int:
    """Start another object, of the class that is next, and return its id."""
    return session.add_object(session.state.next_class)
