"""Files that are read and written in the background, and what they bring told in the interface."""

import concurrent.futures
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_medfm._napari.layers import copied
from napari_medfm._napari.notices import say
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher
from napari_medfm.errors import ChoiceRequiredError, MedfmError
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Volume, open_labels, open_volume, write_labels
from napari_medfm.workers import Lane, Latest

_LONGEST_SAVE = 60.0  # seconds that a window may take to close


class Files:
    """Opens images and label files and writes labels, off the thread of the interface.

    Parameters
    ----------
    lane : Lane
        Where files are read and written.
    dispatch : MainThreadDispatcher
        Brings the outcome to the thread of the interface.
    opened : callable
        Given an image that was read.
    failed : callable
        Given the error, worded for a person, where something went wrong.
    """

    def __init__(
        self,
        lane: Lane,
        dispatch: MainThreadDispatcher,
        opened: Callable[[Volume], None],
        failed: Callable[[MedfmError], None],
    ) -> None:
        self._lane, self._dispatch, self._opened, self._tell = lane, dispatch, opened, failed
        self._reading = Latest(lane, dispatch)
        self._writing: dict[concurrent.futures.Future[Path], tuple[AnnotationSession, str]] = {}

    def open_image(
        self, path: Path, ask: Callable[[ChoiceRequiredError], int | None], choice: int | None = None
    ) -> None:
        """Read an image; where there are several, `ask` says which, or None if nobody chose."""

        def choose(error: BaseException) -> None:
            chosen = ask(error) if isinstance(error, ChoiceRequiredError) else None
            if chosen is None:
                self._failed(error)
            else:
                self.open_image(path, ask, chosen)

        self._reading.ask(partial(open_volume, path, choice=choice), self._opened, choose)

    def open_labels(self, session: AnnotationSession, path: Path) -> None:
        """Read a label file into the objects of a session."""

        def take(labels: NDArray[Any]) -> None:
            self._attempt(lambda: session.import_labels(labels))

        self._reading.ask(partial(open_labels, path, session.volume), take, self._failed)

    def save(self, session: AnnotationSession, path: Path) -> None:
        """Write the labels as they are now; every file that was asked for is written."""
        task = partial(write_labels, path, copied(session.labels), session.volume.geometry)
        self._write(session, task, f"{path.name}: saved, on the grid of its image")

    def finish(self) -> None:
        """Wait until what is being written is written; nothing is read any more."""
        self._reading.forget()
        for future in concurrent.futures.wait(self._writing, timeout=_LONGEST_SAVE).done:
            self._saved(future)

    def _write(self, session: AnnotationSession, task: Callable[[], Path], sentence: str) -> None:
        future = self._lane.submit(task)
        self._writing[future] = session, sentence
        future.add_done_callback(lambda done: self._dispatch(lambda: self._saved(done)))

    def _saved(self, done: concurrent.futures.Future[Path]) -> None:
        session, sentence = self._writing.pop(done, (None, ""))
        error = done.exception()
        if error is not None:
            self._failed(error)
        elif session is not None:  # else told already
            written = done.result()
            self._attempt(lambda: session.note_saved(written))
            say(sentence)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except MedfmError as error:
            self._tell(error)

    def _failed(self, error: BaseException) -> None:
        self._tell(worded(error))
