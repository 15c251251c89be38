"""The labelled slices of a class that a model may learn from, as a person sees and chooses them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_medfm.errors import MedfmError
from napari_medfm.session.labelled import LabelledSlice, labelled_slices
from napari_medfm.session.lessons import picture_of
from napari_medfm.session.live import LiveSegmentation
from napari_medfm.session.notes import note_left_out, noted_left_out
from napari_medfm.session.patches import overlap
from napari_medfm.session.questions import View
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane, Region
from napari_medfm.workers import Dispatch, Lane, Latest, Priority

if TYPE_CHECKING:
    from napari_medfm.adaptation import AdapterLibrary, Shelved

ENOUGH = 3
"""Labelled slices after which adapting is offered."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One slice to learn from.

    Attributes
    ----------
    labelled : LabelledSlice
        What is labelled on it.
    left_out : bool
        Whether the person does not want it to be learned from.
    picture : ndarray of uint8, (rows, columns, 3), or None
        A small picture with the outline; None until it is made.
    """

    labelled: LabelledSlice
    left_out: bool = False
    picture: NDArray[np.uint8] | None = None

    @property
    def plane(self) -> Plane:
        """The slice."""
        return self.labelled.plane


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """One slice of an earlier image to learn from.

    Attributes
    ----------
    shelved : Shelved
        What was kept of it.
    left_out : bool
        Whether the person does not want it to be learned from.
    """

    shelved: "Shelved"
    left_out: bool = False


class Examples:
    """Which slices of a session a model learns a class from.

    All of them that were marked for the class, but those that are left out, which the session notes. To be used from
    the session's thread.

    Parameters
    ----------
    session : AnnotationSession
        What is labelled.
    live : LiveSegmentation
        Knows image and window.
    files : Lane
        Makes the pictures.
    library : AdapterLibrary
        Beside which slices of earlier images are kept.
    dispatch : callable
        Brings them to the session's thread.

    Attributes
    ----------
    changed : Signal()
        Other slices, other labels on them, or pictures that were missing.
    """

    changed = Signal()

    def __init__(
        self,
        session: AnnotationSession,
        live: LiveSegmentation,
        files: Lane,
        dispatch: Dispatch,
        library: "AdapterLibrary",
    ) -> None:
        self._session, self._live = session, live
        self._drawing = Latest(files, dispatch, priority=Priority.BACKGROUND)
        self._fetching = Latest(files, dispatch)
        self._library = library
        self._earlier: tuple[Earlier, ...] = ()
        self._left_out = noted_left_out(session)
        self._items: tuple[Example, ...] = ()
        self.class_name = ""
        events = session.events
        self._links: tuple[tuple[Any, Any], ...] = (
            (events.extent_changed, self._list),
            (events.objects_changed, self._list),
            (events.voxels_changed, self._on_voxels),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def items(self) -> tuple[Example, ...]:
        """All slices that were marked for the class, in order."""
        return self._items

    @property
    def chosen(self) -> tuple[LabelledSlice, ...]:
        """Those that are learned from."""
        return tuple(each.labelled for each in self._items if not each.left_out)

    @property
    def positives(self) -> int:
        """How many of them hold the class."""
        return sum(each.is_positive for each in self.chosen)

    @property
    def negatives(self) -> int:
        """How many of them do not."""
        return len(self.chosen) - self.positives

    @property
    def earlier(self) -> tuple[Earlier, ...]:
        """Slices of earlier images that were learned from, newest first."""
        return self._earlier

    @property
    def chosen_earlier(self) -> tuple[Path, ...]:
        """The files of those that are learned from."""
        return tuple(each.shelved.path for each in self._earlier if not each.left_out)

    def choose(self, class_name: str) -> None:
        """Turn to a class; an empty name is none."""
        self.class_name = class_name
        self._earlier = self._items = ()
        self._list()
        self.fetch()

    def fetch(self) -> None:
        """Look for slices of earlier images."""
        self._fetching.forget()
        encoder, image = self._live.predictor.spec.encoder_digest, self._session.fingerprint
        name, folder = self.class_name, self._library.folder
        if name:
            self._fetching.ask(lambda: _shelved(folder, name, encoder, image), self._show_earlier)

    def leave_out(self, which: Plane | Path, left_out: bool = True) -> None:
        """Learn from a slice no longer, or again; those of earlier images are named by their files."""
        name = which if isinstance(which, Plane) else which.name
        (self._left_out.add if left_out else self._left_out.discard)((self.class_name, name))
        note_left_out(self._session, self.class_name, name, left_out)
        self._items = tuple(replace(each, left_out=self._is_out(each.plane)) for each in self._items)
        self._earlier = tuple(replace(each, left_out=self._is_out(each.shelved.path)) for each in self._earlier)
        self.changed.emit()

    def close(self) -> None:
        """Let go of the session."""
        self._drawing.forget()
        self._fetching.forget()
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()

    def _on_voxels(self, region: Region) -> None:
        shape = self._session.volume.shape
        if any(overlap(each.plane.region(shape), region) is not None for each in self._items):
            self._list()

    def _list(self, _what: object = None) -> None:
        known = {each.name for each in self._session.state.classes}
        found = labelled_slices(self._session, self.class_name) if self.class_name in known else ()
        before = {each.plane: each.picture for each in self._items}  # shown until the new ones are made
        self._items = tuple(Example(each, self._is_out(each.plane), before.get(each.plane)) for each in found)
        self.changed.emit()
        self._draw(found)

    def _is_out(self, which: Plane | Path) -> bool:
        return (self.class_name, which if isinstance(which, Plane) else which.name) in self._left_out

    def _show_earlier(self, found: "tuple[Shelved, ...]") -> None:
        self._earlier = tuple(Earlier(each, self._is_out(each.path)) for each in found)
        self.changed.emit()

    def _draw(self, found: Sequence[LabelledSlice]) -> None:
        try:
            view = self._live.view()
        except MedfmError:  # the image is not open: no pictures, and whoever asks the model is told
            return
        if found:
            self._drawing.ask(lambda: _pictures(view, found), self._show)

    def _show(self, pictures: dict[Plane, NDArray[np.uint8]]) -> None:
        self._items = tuple(replace(each, picture=pictures.get(each.plane, each.picture)) for each in self._items)
        self.changed.emit()


def _shelved(folder: Path, structure: str, encoder_digest: str, image: str) -> "tuple[Shelved, ...]":
    from napari_medfm.adaptation import SupportShelf

    return SupportShelf(folder).list(structure, encoder_digest, image)


def _pictures(view: View, found: Sequence[LabelledSlice]) -> dict[Plane, NDArray[np.uint8]]:
    return {each.plane: picture_of(view, each) for each in found}
