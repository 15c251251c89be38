"""What was interrupted when the program ended last, and is offered to be done again."""

from typing import Any

from psygnal import Signal

from napari_medfm.session.adapting import Adapting
from napari_medfm.session.filling import Filling
from napari_medfm.session.notes import Undertaking, Work, note_over, unfinished
from napari_medfm.session.session import AnnotationSession


class Unfinished:
    """Offers the work that was begun last and did not end, until somebody begins something or wants none of it.

    To be used from the session's thread.

    Parameters
    ----------
    session : AnnotationSession
        Has noted what was begun.
    adapting : Adapting
        Knows whether there is an adapter to fill with.
    filling : Filling
        Tells when something is filled.

    Attributes
    ----------
    changed : Signal()
        Something else is offered, or nothing.
    """

    changed = Signal()

    def __init__(self, session: AnnotationSession, adapting: Adapting, filling: Filling) -> None:
        self._session, self._adapting = session, adapting
        self._left = () if session.read_only else unfinished(session)
        self._links: tuple[tuple[Any, Any], ...] = (
            (adapting.events.progressed, self._withdraw),
            (filling.events.progressed, self._withdraw),
            (adapting.events.in_use_changed, self._tell),
        )
        for signal, slot in self._links:
            signal.connect(slot)

    @property
    def offer(self) -> Undertaking | None:
        """What may be done again; filling only once its adapter is in use."""
        last = self._left[-1] if self._left else None
        ready = last is not None and (last.work is Work.ADAPT or self._adapting.known(last.class_name) is not None)
        return last if ready else None

    def dismiss(self) -> None:
        """Offer nothing any more, next time neither."""
        for each in self._left:
            note_over(self._session, each.work, each.class_name)
        self._left = ()
        self.changed.emit()

    def close(self) -> None:
        """Let go of the session."""
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = ()

    def withdraw(self) -> None:
        """Offer nothing any more in this sitting."""
        if self._left:
            self._left = ()
            self.changed.emit()

    def _withdraw(self, progress: object) -> None:
        if progress is not None:
            self.withdraw()

    def _tell(self) -> None:
        if self._left:
            self.changed.emit()
