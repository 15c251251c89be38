"""A folder of images that is read into a project in the background."""

import concurrent.futures
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_medfm._napari.notices import say
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher
from napari_medfm._qt.project_panel import ProjectPanel
from napari_medfm.errors import MedfmError, ProjectError
from napari_medfm.projects import Added, Project, add_folder
from napari_medfm.pseudonyms import load_pseudonyms
from napari_medfm.workers import Lane, Priority

_TIP = "Read no further images; what was read stays in the project"


class Adding:
    """Reads one folder at a time; its cases come one by one.

    Parameters
    ----------
    lane : Lane
        Where images are read; what the person opens meanwhile goes first.
    dispatch : MainThreadDispatcher
        Brings news to the thread of the interface.
    panel : ProjectPanel
        Shows them.
    finished : callable
        Told when nothing more will come.
    failed : callable
        Given the error, worded for a person, where nothing could be added.
    """

    def __init__(
        self,
        lane: Lane,
        dispatch: MainThreadDispatcher,
        panel: ProjectPanel,
        finished: Callable[[], None],
        failed: Callable[[MedfmError], None],
    ) -> None:
        self._lane, self._dispatch, self._panel = lane, dispatch, panel
        self._finished, self._failed = finished, failed
        self._running: object | None = None
        self._future: concurrent.futures.Future[object] | None = None
        self._new = self._known = 0
        panel.adding.stopped.connect(self.stop)

    def begin(self, project: Project, images: Path, pattern: str) -> None:
        """Add all images of a folder."""
        if self._running is not None:
            self._failed(ProjectError(images.name, "has to wait: another folder is being read", "Wait, or stop it."))
            return
        self._new = self._known = 0
        self._panel.forget_problems()
        self._panel.adding.begin(f"Reading {images.name}", _TIP)
        steps, running = _added(project, images, pattern), object()
        self._running = running
        self._future = self._lane.submit_steps(
            steps,
            priority=Priority.BACKGROUND,
            on_step=lambda added: self._dispatch(lambda: self._show(running, added)),
        )
        self._future.add_done_callback(lambda done: self._dispatch(lambda: self._settle(running, done)))

    def stop(self) -> None:
        """Read no further images."""
        if self._future is not None:
            self._future.cancel()

    def forget(self) -> None:
        """Read no further images, and show nothing more of them: another project is opened."""
        self.stop()
        self._running = self._future = None
        self._panel.adding.end()

    def close(self) -> None:
        """Let go."""
        self._panel.adding.stopped.disconnect(self.stop)
        self.forget()

    def _show(self, running: object, added: Added) -> None:
        if running is not self._running:
            return
        self._panel.adding.move_to(added.done, added.total)
        if added.found.problem:
            self._panel.show_problem(added.found)
        elif added.case is not None:
            self._new += 1
            self._panel.add_case(added.case)
        else:
            self._known += 1

    def _settle(self, running: object, done: "concurrent.futures.Future[object]") -> None:
        if running is not self._running:
            return
        self._running = self._future = None
        self._panel.adding.end()
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._failed(worded(error))
        else:
            say(describe_added(self._new, self._known, stopped=done.cancelled()))
        self._finished()


def describe_added(new: int, known: int, *, stopped: bool) -> str:
    """Return what came of reading a folder, in a sentence."""
    cases = "1 case is new" if new == 1 else f"{new} cases are new"
    before = f", {known} {'was' if known == 1 else 'were'} there before" if known else ""
    return f"{'Stopped' if stopped else 'All images are read'}: {cases}{before}"


def _added(project: Project, images: Path, pattern: str) -> Iterator[Added]:
    """Add images; also the key of the pseudonyms is read where it may take time."""
    yield from add_folder(project, images, load_pseudonyms(), pattern)
