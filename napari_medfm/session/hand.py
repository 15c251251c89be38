"""The person's own hand beside the model: brushes and editing operations, worked out off the owner's thread."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from napari_medfm.editing import Brush, KeepPiece, Operation, Stamp, range_around, stamp
from napari_medfm.errors import MedfmError
from napari_medfm.session.plans import Plan
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.shaping import Shaping
from napari_medfm.volume import Plane, Volume
from napari_medfm.workers import Dispatch, Lane, Latest

Path = tuple[tuple[float, float], ...]

_RADIUS = 5.0  # mm

_log = logging.getLogger(__name__)


class HandEvents(SignalGroup):
    """Signals of a `Hand`, emitted on the owner's thread.

    Attributes
    ----------
    previewed : Signal(SliceChange or None)
        What the chosen operation would do to the slice in view; None to show nothing.
    busy_changed : Signal(bool)
        Whether an operation is being worked out.
    shaped : Signal(str, int, int)
        An operation was done: its title, and how many voxels were added and removed.
    brush_changed : Signal(Brush)
        Another size or range, such as one that was picked.
    failed : Signal(MedfmError)
        Something was refused, or did not work.
    """

    previewed = Signal(object, reemission="queued")
    busy_changed = Signal(bool, reemission="queued")
    shaped = Signal(str, int, int)
    brush_changed = Signal(object)
    failed = Signal(object)


class Hand:
    """Applies brushes and operations to the active object, and previews the latter.

    All methods are called on the thread that owns the session. What is found too late is dropped, or, if the person
    asked for it to be done, worked out again.

    Parameters
    ----------
    session : AnnotationSession
        What is edited.
    lane : Lane
        Where things are worked out; not closed with this.
    dispatch : callable
        Brings a callback to the session's thread.

    Attributes
    ----------
    events : HandEvents
        Signals.
    inside : str or None
        Class within which alone is painted and grown; None for anywhere.
    brush : Brush
        Size and range of the brush that the person chose; change it with `set_brush`.
    """

    def __init__(self, session: AnnotationSession, lane: Lane, dispatch: Dispatch) -> None:
        self.events = HandEvents()
        self.inside: str | None = None
        self.brush = Brush(_RADIUS)
        self._session, self._lane, self._dispatch = session, lane, dispatch
        self._glances, self._plans, self._picks = (Latest(lane, dispatch) for _ in range(3))
        self._chosen: tuple[Operation, Plane] | None = None
        self._closed = False
        session.events.history_changed.connect(self._refresh)

    @property
    def busy(self) -> bool:
        """Whether an operation is being worked out."""
        return self._plans.waiting

    def set_brush(self, brush: Brush) -> None:
        """Choose another size or range."""
        if brush != self.brush:
            self.brush = brush
            self.events.brush_changed.emit(brush)

    def preview(self, operation: Operation, plane: Plane) -> None:
        """Show what an operation would do to a slice, and go on doing so until `clear_preview`."""
        self._chosen = operation, plane
        self._refresh()

    def show(self, plane: Plane) -> None:
        """Preview on another slice, if there is a preview."""
        if self._chosen is not None and self._chosen[1] != plane:
            self.preview(self._chosen[0], plane)

    def clear_preview(self) -> None:
        """Preview nothing any more."""
        self._glances.forget()
        if self._chosen is not None:
            self._chosen = None
            self.events.previewed.emit(None)

    def shape(self, operation: Operation) -> None:
        """Do an operation to the active object, as one undo step; while another one is worked out, nothing is done."""
        if not self.busy:
            self._ask(self._shaping(operation))

    def keep_piece(self, voxel: tuple[int, ...], keep: bool = True) -> None:
        """Drop all pieces of the active object but the one at a voxel, or that one alone."""
        self.shape(KeepPiece(voxel, keep))

    def paint(self, brush: Brush, plane: Plane, path: Path, add: bool = True) -> None:
        """Paint or erase along a path, as one undo step; strokes are done in the order they were drawn.

        While no object is active, painting begins the next one.
        """
        state = self._session.state
        try:
            number = (state.active or state.next_id) if add else state.object().id
        except MedfmError as error:
            self.events.failed.emit(error)
            return
        task = partial(_covered, brush, plane, path, self._image())
        future = self._lane.submit(task)
        write = partial(self._write, number, add, self.inside)
        future.add_done_callback(lambda done: self._dispatch(lambda: write(done)))

    def pick_range(self, brush: Brush, plane: Plane, position: tuple[float, float]) -> None:
        """Take the range of values under a brush for that of the person's own brush."""
        task = partial(_values_under, brush, plane, position, self._image())
        self._picks.ask(task, self._take_range, self._fail)

    def close(self) -> None:
        """Stop; what was not done yet is dropped."""
        self._closed = True
        self.clear_preview()
        self._plans.forget()
        self._picks.forget()
        self._session.events.history_changed.disconnect(self._refresh)

    def _shaping(self, operation: Operation) -> Shaping:
        return Shaping(operation, self._session.state.active, self.inside)

    def _image(self) -> Volume:
        return self._session.image or self._session.volume

    def _refresh(self) -> None:
        if self._chosen is not None:
            operation, plane = self._chosen
            task = partial(self._session.glance, self._shaping(operation), plane)
            self._glances.ask(task, self.events.previewed.emit, self._show_nothing)

    def _show_nothing(self, _error: BaseException) -> None:
        """There is no object, or it is locked, which whoever asks for the operation itself is told."""
        self.events.previewed.emit(None)

    def _ask(self, shaping: Shaping) -> None:
        self._plans.ask(partial(self._session.work_out, shaping), partial(self._carry_out, shaping), self._give_up)
        self.events.busy_changed.emit(True)

    def _carry_out(self, shaping: Shaping, plan: Plan) -> None:
        done = self._attempt(lambda: self._finish(shaping, plan))
        self.events.busy_changed.emit(self.busy)
        if done and not self.busy:
            self.events.shaped.emit(shaping.operation.title, plan.added, plan.removed)

    def _finish(self, shaping: Shaping, plan: Plan) -> None:
        if not self._session.carry_out(plan):
            self._ask(shaping)

    def _give_up(self, error: BaseException) -> None:
        self.events.busy_changed.emit(self.busy)
        self._fail(error)

    def _write(self, number: int, add: bool, inside: str | None, done: Future[Stamp | None]) -> None:
        if not (self._closed or done.cancelled()):
            self._attempt(lambda: self._put(number, add, inside, done.result()))

    def _put(self, number: int, add: bool, inside: str | None, covered: Stamp | None) -> None:
        if covered is not None:
            self._session.write_voxels(number, covered.region, covered.mask, add=add, inside=inside)

    def _take_range(self, found: tuple[float, float] | None) -> None:
        if found is not None:
            self.set_brush(replace(self.brush, low=found[0], high=found[1]))

    def _attempt(self, action: Callable[[], object]) -> bool:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the session goes on
            self._fail(error)
            return False
        return True

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, MedfmError):
            _log.error("unexpected %s while editing", type(error).__name__)
            error = MedfmError("editing", f"failed unexpectedly ({type(error).__name__})", "Try again, and report it.")
        self.events.failed.emit(error)


def _covered(brush: Brush, plane: Plane, path: Path, image: Volume) -> Stamp | None:
    """What a stroke paints."""
    covered = stamp(brush, plane, path, image.geometry)
    if covered is None or not brush.is_ranged:
        return covered
    return Stamp(covered.region, covered.mask & brush.accepts(_values(image, covered)))


def _values_under(
    brush: Brush, plane: Plane, position: tuple[float, float], image: Volume
) -> tuple[float, float] | None:
    covered = stamp(brush, plane, (position,), image.geometry)
    return None if covered is None else range_around(_values(image, covered)[covered.mask])


def _values(image: Volume, covered: Stamp) -> NDArray[Any]:
    """Intensities of a box; of a colour image, the mean of its channels."""
    values = np.asarray(image.array[covered.region])
    return values.mean(axis=-1) if image.is_rgb else values
