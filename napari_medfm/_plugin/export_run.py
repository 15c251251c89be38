"""A training set that is being written: watched, and stopped without a trace."""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from napari_medfm._napari.notices import say
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher
from napari_medfm._qt.task_bar import TaskBar
from napari_medfm.errors import CancelledError, ExportError, MedfmError
from napari_medfm.export import CaseSource, Exported, Exporter, Options, export_dataset
from napari_medfm.workers import Lane

_TIP = "Stop writing; nothing of it is left behind"


class ExportRun:
    """Writes one training set at a time, off the thread of the interface.

    Parameters
    ----------
    lane : Lane
        Where it is written; it may take minutes.
    dispatch : MainThreadDispatcher
        Brings news to the thread of the interface.
    bar : TaskBar
        Shows how far it is, and stops it.
    failed : callable
        Given the error, worded for a person, where something went wrong.
    """

    def __init__(
        self, lane: Lane, dispatch: MainThreadDispatcher, bar: TaskBar, failed: Callable[[MedfmError], None]
    ) -> None:
        self._lane, self._dispatch, self._bar, self._failed = lane, dispatch, bar, failed
        self._stopping = threading.Event()
        self._running: concurrent.futures.Future[Exported] | None = None
        self._written: Callable[[Exported], None] | None = None
        self._title = ""
        bar.stopped.connect(self.stop)

    def begin(
        self,
        sources: Sequence[CaseSource],
        exporter: Exporter,
        folder: Path,
        options: Options,
        written: Callable[[Exported], None] | None = None,
    ) -> None:
        """Write a training set of cases into a folder; `written` is told when all of it is there."""
        if self._running is not None:
            step = "Wait until it is there, or stop it."
            self._failed(ExportError(folder.name, "has to wait: another training set is being written", step))
            return
        self._stopping.clear()
        self._written, self._title = written, exporter.title
        self._bar.begin(f"Writing {folder.name}", _TIP)
        task = partial(export_dataset, list(sources), exporter, folder, options, progress=self._report)
        future = self._running = self._lane.submit(task)
        future.add_done_callback(lambda done: self._dispatch(lambda: self._settle(done)))

    def stop(self) -> None:
        """Write no more of it; what was written goes away."""
        self._stopping.set()

    def close(self, patience: float) -> None:
        """Wait so many seconds until what is being written is written, then let go."""
        self._bar.stopped.disconnect(self.stop)
        running = self._running
        if running is not None:
            for done in concurrent.futures.wait([running], timeout=patience).done:
                self._settle(done)
            self.stop()  # what takes longer ends at its next step

    def _report(self, done: int, total: int) -> None:
        """Tell how far it is; called where it is written, after each step."""
        if self._stopping.is_set():
            raise CancelledError("export", "was stopped, and nothing of it was left behind", "Export again any time.")
        self._dispatch(lambda: self._bar.move_to(done, total))

    def _settle(self, done: "concurrent.futures.Future[Exported]") -> None:
        if done is not self._running:  # told already
            return
        self._running = None
        self._bar.end()
        if done.cancelled():  # the lane was closed before it began
            return
        error = done.exception()
        if isinstance(error, CancelledError):
            say(str(error))
        elif error is not None:
            self._failed(worded(error))
        else:
            self._tell(done.result())

    def _tell(self, exported: Exported) -> None:
        written, self._written = self._written, None
        if written is not None:
            written(exported)
        count = len(exported.plan.entries)
        cases = "1 case" if count == 1 else f"{count} cases"
        say(f"{exported.folder.name}: exported as {self._title} ({cases}), read back and compared")
