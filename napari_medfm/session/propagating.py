"""Carrying the active object from its key slices into their neighbours, as proposals, while the person goes on."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from psygnal import Signal, SignalGroup

from napari_medfm.errors import MedfmError, SessionError
from napari_medfm.inference import Proposal
from napari_medfm.session.growth import Origin
from napari_medfm.session.keyslices import Reach, key_slices, locked_voxels, needed
from napari_medfm.session.live import LiveSegmentation
from napari_medfm.session.proposals import Proposals
from napari_medfm.session.questions import View
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.transitions import unlocked
from napari_medfm.volume import Plane, Region
from napari_medfm.workers import Dispatch, Lane, Priority

if TYPE_CHECKING:
    from napari_medfm.propagation import Held, KeySlice, Scene, Stop

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Propagated:
    """What came of propagating.

    Attributes
    ----------
    object_id : int
        The object.
    slices : int
        Slices on which it is proposed now.
    stops : tuple of Stop
        Where and why going from slice to slice ended; none where the range or the volume did.
    """

    object_id: int
    slices: int
    stops: "tuple[Stop, ...]" = ()


class PropagatingEvents(SignalGroup):
    """Signals of `Propagating`, emitted on the owner's thread.

    Attributes
    ----------
    busy_changed : Signal(bool)
        Whether an object is being propagated.
    proposed : Signal(int)
        On how many slices the object is proposed so far.
    finished : Signal(Propagated)
        It came to its end.
    failed : Signal(MedfmError)
        Something did not work; worded for a person.
    """

    busy_changed = Signal(bool, reemission="queued")
    proposed = Signal(int, reemission="queued")
    finished = Signal(object)
    failed = Signal(object)


@dataclass(frozen=True, slots=True)
class _Run:
    """What was asked for."""

    object_id: int
    axis: int
    within: range
    by_shape: bool = False


@dataclass(slots=True, eq=False)
class _Task:
    """One piece of work for the lane, on frozen values."""

    run: _Run
    view: View
    keys: "tuple[KeySlice, ...]"
    indices: range
    locked: "tuple[Held, ...]" = ()
    stops: "list[Stop]" = field(default_factory=list)

    def steps(self) -> "Iterator[Proposal | Stop | tuple[Proposal, ...] | None]":
        """Yield what is found, slice by slice, and at last what replaces it; an empty proposal takes back."""
        from napari_medfm.propagation import Scene, follow, interpolate

        view, keys = self.view, self.keys
        scene = Scene(view.volume, view.image, view.window, self.locked)
        if self.run.by_shape:
            shapes = interpolate(keys, view.volume.geometry)
            yield tuple(_clipped(each, scene) for each in shapes if each.plane.index in self.indices)
        else:
            yield from follow(view.predictor, scene, keys, self.indices)


class Propagating:
    """Proposes the active object on the slices between and around those that a person stands by.

    It works on the device's lane, where clicks go first. A slice that is corrected becomes a key slice, and what lies
    between it and the next ones is proposed anew. To be used from the session's thread.

    Parameters
    ----------
    session : AnnotationSession
        What is labelled.
    live : LiveSegmentation
        Knows model, image and window.
    proposals : Proposals
        Gets what is found.
    lane : Lane
        Where models run.
    dispatch : callable
        Brings callbacks to the session's thread.

    Attributes
    ----------
    events : PropagatingEvents
        Signals.
    """

    def __init__(
        self,
        session: AnnotationSession,
        live: LiveSegmentation,
        proposals: Proposals,
        lane: Lane,
        dispatch: Dispatch,
    ) -> None:
        self.events = PropagatingEvents()
        self._session, self._live, self._proposals = session, live, proposals
        self._lane, self._dispatch = lane, dispatch
        self._run: _Run | None = None
        self._task: _Task | None = None
        self._future: Future[None] | None = None
        self._known: dict[Plane, KeySlice | Proposal] = {}
        self._touched: set[Plane] = set()
        self._links: tuple[tuple[Any, Any], ...] = (
            (session.events.voxels_changed, self._touch_region),
            (live.events.applied, self._touch_answered),
            (live.events.busy_changed, self._follow),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def busy(self) -> bool:
        """Whether an object is being propagated."""
        return self._task is not None

    @property
    def slices(self) -> int:
        """On how many slices the active object is proposed."""
        active = self._session.state.active
        return len(self._proposed(active)) if active is not None else 0

    def start(self, plane: Plane, reach: Reach | None = None) -> None:
        """Propagate the active object from its key slices across the axis of the visible slice, in the background.

        What was proposed of it before goes.

        Parameters
        ----------
        plane : Plane
            The visible slice.
        reach : Reach, optional
            How far; both ways until the model is unsure if not given.

        Raises
        ------
        SessionError
            The image has no third axis or is not open, no object is active, or none of it is on a slice.
        LockedObjectError
            The object is locked.
        """
        count = self._session.volume.shape[plane.axis]
        self._begin(self._asked(plane, (reach or Reach()).around(plane.index, count)))

    def interpolate(self, plane: Plane) -> None:
        """Fill the slices between the active object's key slices by shape alone; otherwise as `start`.

        Raises
        ------
        SessionError
            As `start`, or there are no two key slices with a gap between them.
        """
        run = self._asked(plane, range(self._session.volume.shape[plane.axis]), by_shape=True)
        indices = [key.plane.index for key in key_slices(self._session, run.object_id, run.axis)]
        if not any(after - before > 1 for before, after in pairwise(indices)):
            step = "Draw the object on another slice, some slices away."
            raise SessionError("the object", "is not on two slices with a gap between them", step)
        self._begin(run)

    def stop(self) -> None:
        """Stop; what is proposed stays."""
        future, self._future = self._future, None
        if future is not None:
            future.cancel()
        if self._task is not None:
            self._task = None
            self.events.busy_changed.emit(False)

    def accept(self) -> None:
        """Accept all that is proposed of the active object, in one undo step.

        Raises
        ------
        SessionError
            No object is active, nothing is proposed of it, or the session refuses the change.
        """
        self.stop()
        self._proposals.accept_above(self._session.state.object().id, 0.0)

    def discard(self) -> None:
        """Propose nothing of the active object any more."""
        self.stop()
        active = self._session.state.active
        if active is not None:
            self._proposals.clear(active)

    def close(self) -> None:
        """Stop, and let go of session and model."""
        self.stop()
        self._run = None
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()

    def _asked(self, plane: Plane, within: range, *, by_shape: bool = False) -> _Run:
        if self._session.volume.ndim < 3:
            raise SessionError("this image", "has one slice", "Open a volume.")
        thing = unlocked(self._session.state, self._session.state.object().id)
        if self._live.predictor.answers_volumes and not by_shape:
            raise SessionError("the model", "answers the whole volume at once", "Click: nothing has to be propagated.")
        return _Run(thing.id, plane.axis, within, by_shape)

    def _begin(self, run: _Run) -> None:
        """Do all of a run."""
        keys = needed(key_slices(self._session, run.object_id, run.axis))
        if not any(key.mask.any() for key in keys):
            raise SessionError("the object", "is on no slice yet", "Click it on this slice first.")
        task = _Task(run, self._live.view(), keys, run.within, locked_voxels(self._session, run.object_id))
        self.stop()
        self._proposals.clear(run.object_id)
        self._known = {key.plane: key for key in keys}
        self._submit(task)

    def _resume(self, run: _Run, plane: Plane) -> None:
        """Do the part of a run anew that a key slice decides on."""
        from napari_medfm.propagation import beside

        every = key_slices(self._session, run.object_id, run.axis)
        keys, indices = beside(every, plane, self._session.volume.shape[run.axis])
        inside = range(max(indices.start, run.within.start), min(indices.stop, run.within.stop))
        anew = [Plane(run.axis, index) for index in inside]
        self._proposals.clear(run.object_id, anew)
        self._known = {at: known for at, known in self._known.items() if at not in anew}
        self._known |= {key.plane: key for key in keys}
        if inside and any(key.mask.any() for key in keys):
            self._submit(_Task(run, self._live.view(), keys, inside, locked_voxels(self._session, run.object_id)))

    def _submit(self, task: _Task) -> None:
        self._run, self._task = task.run, task
        self._touched.clear()
        on_step = partial(self._hear, task)
        future = self._lane.submit_steps(task.steps(), priority=Priority.NEIGHBOUR, on_step=on_step)
        self._future = future
        self.events.busy_changed.emit(True)
        future.add_done_callback(lambda done: self._dispatch(partial(self._end, task, done)))

    def _hear(self, task: _Task, step: "Proposal | Stop | tuple[Proposal, ...] | None") -> None:
        if step is not None:  # on the lane's thread
            self._dispatch(partial(self._take, task, step))

    def _take(self, task: _Task, step: "Proposal | Stop | tuple[Proposal, ...]") -> None:
        if task is not self._task:
            return
        if isinstance(step, Proposal | tuple):
            self._put(task, step if isinstance(step, tuple) else (step,))
            self.events.proposed.emit(len(self._proposed(task.run.object_id)))
        else:
            task.stops.append(step)

    def _put(self, task: _Task, proposals: Sequence[Proposal]) -> None:
        number = task.run.object_id
        free = [each for each in proposals if each.plane not in self._touched]
        self._proposals.clear(number, [each.plane for each in free if each.is_empty])
        spec = task.view.predictor.spec
        origin = Origin("shape", "") if task.run.by_shape else Origin(spec.name, task.view.model_digest)
        self._proposals.put(number, {each.plane: [each] for each in free if not each.is_empty}, origin)
        self._known |= {each.plane: each for each in free}

    def _end(self, task: _Task, done: "Future[None]") -> None:
        if task is not self._task or done.cancelled():
            return
        self.stop()
        error = done.exception()
        if error is not None:
            self.events.failed.emit(_worded(error))
        else:
            slices = len(self._proposed(task.run.object_id))
            self.events.finished.emit(Propagated(task.run.object_id, slices, tuple(task.stops)))

    def _proposed(self, object_id: int) -> set[Plane]:
        """The slices on which something of an object is proposed; of accepted ones nothing is."""
        return {plane for plane, pending in self._proposals.slices(object_id).items() if pending.proposals}

    def _touch_region(self, region: Region) -> None:
        run = self._run
        if run is not None and region[run.axis].stop - region[run.axis].start == 1:
            self._touch(Plane(run.axis, region[run.axis].start))

    def _touch_answered(self, object_id: int, plane: Plane, _quality: float, _seconds: float) -> None:
        if self._run is not None and (self._run.object_id, self._run.axis) == (object_id, plane.axis):
            self._touch(plane)

    def _touch(self, plane: Plane) -> None:
        """Look later whether a slice was corrected: the answer to a click may be on its way."""
        self._touched.add(plane)
        self._dispatch(self._follow)

    def _follow(self, _busy: bool = False) -> None:
        """Propagate anew from a slice that was corrected."""
        run, touched = self._run, sorted(self._touched)
        if run is None or not touched or self._live.busy:
            return
        self._touched.clear()
        thing = self._session.state.objects.get(run.object_id)
        if thing is None or thing.locked:
            self.stop()
            return
        changed = [plane for plane in touched if self._is_corrected(run, plane)]
        if not changed or not (self.busy or self._proposed(run.object_id)):
            return
        try:
            if self.busy or len(changed) > 1:
                self._begin(run)
            else:
                self._resume(run, changed[0])
        except MedfmError as error:
            self.events.failed.emit(error)

    def _is_corrected(self, run: _Run, plane: Plane) -> bool:
        """Whether a slice is no proposal and not what it was when it was last propagated from or proposed."""
        if plane in self._proposed(run.object_id):
            return False
        mask, known = self._session.object_mask(run.object_id, plane), self._known.get(plane)
        if isinstance(known, Proposal):
            return bool((mask != known.to_mask(plane.shape(self._session.volume.shape))).any())
        return bool((mask != known.mask).any()) if known is not None else bool(mask.any())


def _clipped(proposal: Proposal, scene: "Scene") -> Proposal:
    mask = proposal.to_mask(proposal.plane.shape(scene.volume.shape))
    return Proposal.of(proposal.plane, scene.free(mask, proposal.plane), proposal.confidence)


def _worded(error: BaseException) -> MedfmError:
    if isinstance(error, MedfmError):
        return error
    _log.error("unexpected %s while propagating", type(error).__name__)
    reason = f"failed unexpectedly ({type(error).__name__})"
    return MedfmError("propagation", reason, "Try again, or choose another model.")
