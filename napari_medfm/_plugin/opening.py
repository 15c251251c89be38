"""From a volume to its session: the fingerprint, an earlier session, a new one."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from napari_medfm._napari.notices import tell
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.errors import MedfmError
from napari_medfm.session import AnnotationSession, journal_path, set_aside
from napari_medfm.volume import Volume, fingerprint
from napari_medfm.workers import Latest


class Opening:
    """From a volume to its session, off the thread of the interface where it takes time.

    Parameters
    ----------
    engine, panel, dispatch
        As for `ModelChoice`.
    opened : callable
        Given the session.
    """

    def __init__(
        self,
        engine: Engine,
        panel: MedfmPanel,
        dispatch: MainThreadDispatcher,
        opened: Callable[[AnnotationSession], None],
    ) -> None:
        self._panel, self._opened = panel, opened
        self._reading = Latest(engine.files, dispatch)
        self._offered: AnnotationSession | None = None
        self._own: set[str] = set()

    def begin(self, volume: Volume) -> None:
        """Open the session of a volume; an earlier one is offered, unless it was made here."""
        self.stop()
        self._reading.ask(partial(identify, volume), self._identified, self._failed)

    def answer(self, resume: bool) -> None:
        """Take up the offered session, or put it aside and start anew."""
        session, self._offered = self._offered, None
        try:
            if session is not None:
                self._done(session if resume else start_anew(session))
        except MedfmError as error:
            self._failed(error)

    def stop(self) -> None:
        """Open nothing any more, and offer nothing."""
        self._panel.resume.offer.say("")
        self.close_offered()

    def close_offered(self) -> None:
        """Open nothing any more; the offered session is kept, not taken up."""
        self._reading.forget()
        if self._offered is not None:
            self._offered.close()
            self._offered = None

    def _identified(self, known: tuple[Volume, str]) -> None:
        volume, digest = known
        try:
            changed = last_change(digest)
            session = self._open(volume, digest)
        except (MedfmError, OSError) as error:
            self._failed(error)
            return
        if session.read_only or digest in self._own or not session.state.objects:
            self._done(session)
            return
        self._offered = session
        self._panel.offer_resume(len(session.state.objects), changed)

    def _open(self, volume: Volume, digest: str) -> AnnotationSession:
        if AnnotationSession.exists(digest):
            return AnnotationSession.resume(volume, digest)
        return AnnotationSession.create(volume, digest)

    def _done(self, session: AnnotationSession) -> None:
        self._own.add(session.fingerprint)
        if session.image is None and not session.read_only:
            session.set_image(session.volume.name)
        self._opened(session)

    def _failed(self, error: BaseException) -> None:
        failure = worded(error)
        self._panel.show_error(failure)
        tell(failure)


def identify(volume: Volume) -> tuple[Volume, str]:
    """Return a volume and the fingerprint of its voxels, which are read once."""
    return volume, fingerprint(volume)


def last_change(digest: str) -> datetime:
    """Return when the journal of an image was last written; now, if there is none."""
    path = journal_path(digest)
    moments = [part.stat().st_mtime for part in path.parent.glob(f"{path.name}*")]
    return datetime.fromtimestamp(max(moments, default=time.time())).astimezone()


def start_anew(session: AnnotationSession) -> AnnotationSession:
    """Close a session and put its journal aside, and return a new one of the same image."""
    session.close()
    set_aside(session.path)
    return AnnotationSession.create(session.volume, session.fingerprint)
