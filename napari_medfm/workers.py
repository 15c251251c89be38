"""One thread per device, and the order in which it serves.

Everything that touches a device runs on its `Lane`: a fresh thread would lose
the device's warm state, and two threads on one CPU slow each other down. The
lane knows no model and no widget: it takes callables, hands out futures, and
always serves the most urgent one next. `Latest` drops answers that came too late.
"""

import atexit
import heapq
import itertools
import logging
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from napari_medfm.errors import MedfmError

T = TypeVar("T")

Dispatch = Callable[[Callable[[], None]], None]
"""Brings a callback to the thread that owns the state it changes.

A Qt hop in the interface, `call_now` in a script, and ``queue.SimpleQueue().put``
wherever the owner empties a queue itself.
"""

_LAST_STEP_SECONDS = 5.0
_log = logging.getLogger(__name__)


def call_now(callback: Callable[[], None]) -> None:
    """Run the callback where the answer arrived: the `Dispatch` of code without an event loop."""
    callback()


class Priority(IntEnum):
    """What goes first on a lane; equal ones are served in the order they came."""

    CLICK = 0
    HOVER = 1
    VISIBLE = 2
    NEIGHBOUR = 3
    BACKGROUND = 4
    TRAIN = 5


class Lane:
    """One warm daemon thread that serves tasks by urgency, one at a time.

    A plain task runs to its end. A task of steps is an iterator advanced one step
    at a time; between two steps everything more urgent runs first. Among equals
    the older one is finished before the newer is begun.

    Futures follow `concurrent.futures`, with one addition: a task of steps can be
    cancelled until its last step, and its iterator is closed on the lane. Their
    callbacks run on the lane's thread (those of a cancelled one, on the thread
    that cancelled it).

    Parameters
    ----------
    name : str
        Name of the thread, shown in logs.
    initializer : callable, optional
        Runs first on the thread, to prepare the device; if it fails, every task does.
    """

    def __init__(self, name: str = "device", *, initializer: Callable[[], None] | None = None) -> None:
        self.name = name
        self._initializer = initializer
        self._queue: list[tuple[Priority, int, _Job]] = []
        self._channels: dict[str, _Job] = {}
        self._numbers = itertools.count()
        self._busy = True  # until the initializer is through
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name=f"medfm-{name}", daemon=True)
        atexit.register(self._end_with_program)
        self._thread.start()

    def submit(self, task: Callable[[], T], *, priority: Priority = Priority.CLICK, channel: str = "") -> Future[T]:
        """Queue a task.

        Parameters
        ----------
        task : callable
            Takes nothing; what it returns or raises is the future's.
        priority : Priority
            Its urgency.
        channel : str
            If not empty, only the newest task of that name matters: an older one
            that still waits is cancelled, one that already runs is let finish.

        Raises
        ------
        RuntimeError
            The lane is closed.
        """
        future: Future[T] = Future()
        self._add(_Task(future, channel, task), priority)
        return future

    def submit_steps(
        self,
        steps: Iterator[T],
        *,
        priority: Priority = Priority.BACKGROUND,
        channel: str = "",
        on_step: Callable[[T], None] | None = None,
    ) -> Future[Any]:
        """Queue a task of steps; what a generator returns at its end is the future's.

        Parameters
        ----------
        steps : iterator
            Each ``next`` is one step; a generator is closed when the task is cancelled.
        priority : Priority
            Its urgency.
        channel : str
            As in `submit`; an older task of steps is cancelled even between two of its steps.
        on_step : callable, optional
            Given what each step yields, on the lane's thread; not called once cancelled.

        Raises
        ------
        RuntimeError
            The lane is closed.
        """
        future: Future[Any] = Future()
        self._add(_Steps(future, channel, steps, on_step), priority)
        return future

    def cancel(self, channel: str) -> bool:
        """Cancel the channel's task; False if there is none or it can no longer be stopped."""
        with self._changed:
            job = self._channels.pop(channel, None)
        return job is not None and job.future.cancel()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs and nothing waits; False if that took longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._busy or self._queue), timeout)

    def close(self, wait: bool = True) -> None:
        """Cancel whatever waits and end the thread after the running task or step.

        Parameters
        ----------
        wait : bool
            Return only when the thread has ended.
        """
        with self._changed:
            self._closed = True
            waiting = [job for _, _, job in self._queue]
            self._changed.notify_all()
        for job in waiting:
            job.future.cancel()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    def _end_with_program(self) -> None:
        # A library that is computing while the interpreter is taken down may crash; a hanging one must not keep it up.
        self.close(wait=False)
        self._thread.join(_LAST_STEP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, job: "_Job", priority: Priority) -> None:
        with self._changed:
            if self._closed:
                msg = f"the {self.name} lane is closed"
                raise RuntimeError(msg)
            older = self._channels.get(job.channel)
            if job.channel:
                self._channels[job.channel] = job
            heapq.heappush(self._queue, (priority, next(self._numbers), job))
            self._changed.notify_all()
        if older is not None:  # outside the lock: cancelling runs the callbacks of whoever waited for it
            older.future.cancel()

    def _serve(self) -> None:
        broken = self._prepare()
        while self._serve_one(broken):
            pass
        for _, _, job in self._queue:
            job.future.cancel()
            self._retire(job)
        self._settle()
        atexit.unregister(self._end_with_program)

    def _prepare(self) -> BaseException | None:
        try:
            if self._initializer is not None:
                self._initializer()
        except BaseException as error:  # noqa: BLE001 - told to every task
            self._report(error)
            return error
        return None

    def _serve_one(self, broken: BaseException | None) -> bool:
        """Advance the most urgent job by one step; False once the lane is closed."""
        entry = self._take()
        if entry is None:
            return False
        job = entry[-1]
        if self._advance(job, broken):
            with self._changed:
                heapq.heappush(self._queue, entry)
        else:
            self._retire(job)
        return True

    def _take(self) -> "tuple[Priority, int, _Job] | None":
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._queue)
            self._busy = True
            return None if self._closed else heapq.heappop(self._queue)

    def _advance(self, job: "_Job", broken: BaseException | None) -> bool:
        if broken is not None:
            job.fail(_unprepared(self.name, broken))
            return False
        try:
            return job.advance()
        except BaseException as error:  # noqa: BLE001 - belongs to whoever holds the future
            job.fail(error)
            self._report(error)
            return False

    def _retire(self, job: "_Job") -> None:
        try:
            job.close()
        except BaseException as error:  # noqa: BLE001 - an iterator that fails while closing stops nobody else
            self._report(error)
        with self._changed:
            if self._channels.get(job.channel) is job:
                del self._channels[job.channel]

    def _settle(self) -> None:
        with self._changed:
            self._queue.clear()
            self._busy = False
            self._changed.notify_all()

    def _report(self, error: BaseException) -> None:
        # Neither the message nor the values: both may name a patient.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        _log.warning("%s lane: %s in %s", self.name, type(error).__name__, where)


class Latest:
    """Questions of which only the newest may be answered.

    The owner of some state asks on its thread; the lane works it out; the answer
    comes back through `dispatch` to the owner's thread and is dropped there if the
    owner has asked again, or changed its mind, since. As asking and answering share
    a thread, an answer can never be taken for that of another question.

    Meant for answers that would be wrong if they came late. A preview that is
    merely outdated should be shown: give the lane a channel for it and no `Latest`.

    Parameters
    ----------
    lane : Lane
        Works on the questions.
    dispatch : callable
        Brings a callback to the owner's thread. With `call_now` there is none: the
        answer comes on the lane's thread and may cross with the next question.
    priority : Priority
        Urgency of the questions.
    """

    def __init__(self, lane: Lane, dispatch: Dispatch = call_now, *, priority: Priority = Priority.CLICK) -> None:
        self._lane = lane
        self._dispatch = dispatch
        self._priority = priority
        self._question: object | None = None
        self._future: Future[Any] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a question has not been answered yet."""
        return self._question is not None

    def ask(
        self,
        task: Callable[[], T],
        answered: Callable[[T], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Ask a question; every earlier one is forgotten.

        Parameters
        ----------
        task : callable
            Runs on the lane.
        answered : callable
            Given what `task` returned, on the owner's thread.
        failed : callable, optional
            Given what `task` raised, on the owner's thread.
        """
        self.forget()
        question = self._question = object()

        def deliver(future: Future[T]) -> None:
            if self._question is not question:
                return
            self._question = None
            if future.cancelled():  # the lane was closed
                return
            error = future.exception()
            if error is None:
                answered(future.result())
            elif failed is not None:
                failed(error)

        future = self._future = self._lane.submit(task, priority=self._priority)
        future.add_done_callback(lambda future: self._dispatch(lambda: deliver(future)))

    def forget(self) -> None:
        """Drop the answer to whatever was asked; if it was not begun, it never will be."""
        self._question = None
        if self._future is not None:
            self._future.cancel()


class _Job(ABC):
    """A future and how to come closer to it; touched by the lane's thread only, but for `future.cancel`."""

    def __init__(self, future: Future[Any], channel: str) -> None:
        self.future = future
        self.channel = channel
        self._claimed: bool | None = None

    @abstractmethod
    def advance(self) -> bool:
        """Take one step; True if there are more."""

    def claim(self) -> bool:
        """Whether the answer is still wanted; if so, it can no longer be cancelled."""
        if self._claimed is None:  # the future must be asked no more than once
            self._claimed = self.future.set_running_or_notify_cancel()
        return self._claimed

    def fail(self, error: BaseException) -> None:
        """Give up with an error."""
        if self.claim() and not self.future.done():
            self.future.set_exception(error)

    def close(self) -> None:
        """Let go of everything and tell those who wait for a cancelled future."""
        self.claim()


class _Task(_Job, Generic[T]):
    def __init__(self, future: Future[T], channel: str, task: Callable[[], T]) -> None:
        super().__init__(future, channel)
        self._task = task

    def advance(self) -> bool:
        if self.claim():
            self.future.set_result(self._task())
        return False


class _Steps(_Job, Generic[T]):
    def __init__(
        self, future: Future[Any], channel: str, steps: Iterator[T], on_step: Callable[[T], None] | None
    ) -> None:
        super().__init__(future, channel)
        self._steps = steps
        self._on_step = on_step

    def advance(self) -> bool:
        if self.future.cancelled():
            return False
        try:
            step = next(self._steps)
        except StopIteration as end:
            if self.claim():
                self.future.set_result(end.value)
            return False
        if self._on_step is not None and not self.future.cancelled():
            self._on_step(step)
        return True

    def close(self) -> None:
        try:
            close: Callable[[], None] | None = getattr(self._steps, "close", None)
            if close is not None:
                close()
        finally:
            super().close()


def _unprepared(name: str, error: BaseException) -> MedfmError:
    reason = f"could not be prepared ({type(error).__name__})"
    unprepared = MedfmError(name, reason, "Choose another device, or start the program again.")
    unprepared.__cause__ = error
    return unprepared
