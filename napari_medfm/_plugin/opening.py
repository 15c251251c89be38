"""From a volume to its session: the fingerprint, an earlier session, a new one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from napari_medfm._napari.notices import tell
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.errors import MedfmError, ProjectError
from napari_medfm.session import AnnotationSession, ObjectClass, journal_path, set_aside
from napari_medfm.volume import Volume, fingerprint
from napari_medfm.workers import Latest


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an image is opened that belongs to a project: its earlier session is taken up unasked.

    Attributes
    ----------
    title : str
        What messages call it.
    fingerprint : str
        Of the voxels that the project knows.
    classes : tuple of ObjectClass
        That are to be annotated.
    annotator : str
        Who is at work.
    look : bool
        Whether the person only looks at it.
    opened : callable
        Given the session.
    """

    title: str
    fingerprint: str
    classes: tuple[ObjectClass, ...]
    annotator: str
    look: bool
    opened: Callable[[AnnotationSession], None]


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

    @property
    def is_under_way(self) -> bool:
        """Whether an image was asked for whose session is not open yet."""
        return self._reading.waiting or self._offered is not None

    def begin(self, volume: Volume, terms: Terms | None = None) -> None:
        """Open the session of a volume; an earlier one is offered, unless it was made here or the terms say so."""
        self.stop()
        answered = self._identified if terms is None else partial(self._take_up, terms)
        self._reading.ask(partial(identify, volume), answered, self._failed)

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

    def _take_up(self, terms: Terms, known: tuple[Volume, str]) -> None:
        volume, digest = known
        try:
            if digest != terms.fingerprint:
                step = "Restore its file, or add the changed image to the project as another case."
                raise ProjectError(terms.title, "holds other voxels than when it was added", step)
            session = open_on(terms, volume)
        except (MedfmError, OSError) as error:
            self._failed(error)
            return
        terms.opened(session)
        self._done(session)

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


def open_on(terms: Terms, volume: Volume) -> AnnotationSession:
    """Open the session of a case, new or where it was left; the classes of the project are there to be chosen."""
    digest = terms.fingerprint
    if not AnnotationSession.exists(digest):
        new = AnnotationSession.create(volume, digest, classes=terms.classes, annotator=terms.annotator)
        if not terms.look:
            return new
        new.close()
    session = AnnotationSession.resume(volume, digest, annotator=terms.annotator, look=terms.look)
    known = {kind.name for kind in session.state.classes}
    missing = [kind for kind in terms.classes if kind.name not in known]
    if missing and not session.read_only:
        session.define_classes([*session.state.classes, *missing])
    return session


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
