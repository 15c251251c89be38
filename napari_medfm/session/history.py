"""Undo and redo: which events make a step, and which steps can be taken back or done again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from napari_medfm.session.patches import overlap
from napari_medfm.volume import WHOLE, Plane, Region

Subject = tuple[int, Plane]
"""An object and a plane: what a prompt asks about and a mask answers."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one undo takes back: a click and its mask, a stroke, a new object.

    Attributes
    ----------
    number : int
        The step's number, that of its first event.
    title : str
        What a person calls it.
    events : tuple of int
        Its events, in order.
    regions : tuple of Region
        The boxes in which they changed voxels.
    subject : (int, Plane) or None
        The object and plane of the prompt that began it.
    """

    number: int
    title: str
    events: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()
    subject: Subject | None = None

    def asks(self, subject: Subject) -> bool:
        """Whether an answer about an object on a plane, or in the whole volume, may be this step's."""
        if subject[1] != WHOLE or self.subject is None:
            return self.subject == subject
        return self.subject[0] == subject[0]

    def touches(self, region: Region | None) -> bool:
        """Whether the step changed voxels in a box."""
        return region is not None and any(overlap(region, own) is not None for own in self.regions)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the history needs to know of a journaled event.

    Attributes
    ----------
    seq : int
        The event.
    step : int
        The step it belongs to; 0 for events that are no step, such as choosing the active object.
    kind : str
        ``undo`` and ``redo`` move the whole step; anything else adds to it.
    title : str
        Title of the step, if it is new.
    region : Region or None
        The box in which it changed voxels.
    subject : (int, Plane) or None
        The object and plane of the prompt.
    """

    seq: int
    step: int
    kind: str
    title: str
    region: Region | None = None
    subject: Subject | None = None


class History:
    """Steps done and steps taken back; a pure fold over the journal's events, kept up to date one by one."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []
        for entry in entries:
            self.record(entry)

    @property
    def done(self) -> tuple[Step, ...]:
        """What undo takes back, the last first."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[Step, ...]:
        """What redo does again, the last first."""
        return tuple(self._undone)

    @property
    def last_done(self) -> Step | None:
        """The step that undo takes back."""
        return self._done[-1] if self._done else None

    @property
    def last_undone(self) -> Step | None:
        """The step that redo does again."""
        return self._undone[-1] if self._undone else None

    def record(self, entry: Entry) -> None:
        """Take note of one more event.

        All events of an undo or redo move their step once. A new step drops what was
        undone; a late answer drops it only where both changed voxels of one box.
        """
        if entry.kind == "undo":
            self._shift(self._done, self._undone, entry.step)
        elif entry.kind == "redo":
            self._shift(self._undone, self._done, entry.step)
        elif entry.step:
            self._add(entry)

    def joins(self, subject: Subject, region: Region | None) -> int:
        """Return the step a late answer belongs to, or 0 if it has to be a step of its own.

        It belongs to the step of the prompt that asked for it, unless a later step changed
        voxels in the same box: taking that one back first would no longer be exact.

        Parameters
        ----------
        subject : (int, Plane)
            The object and plane of the prompt; `WHOLE` stands for any plane.
        region : Region or None
            The box in which the answer changes voxels.
        """
        for step in reversed(self._done):
            if step.asks(subject):
                return step.number
            if step.touches(region):
                return 0
        return 0

    def spares_redo(self, region: Region | None) -> bool:
        """Whether a late answer in a box leaves all that was undone exactly redoable."""
        return not any(step.touches(region) for step in self._undone)

    def _add(self, entry: Entry) -> None:
        regions = () if entry.region is None else (entry.region,)
        for place in range(len(self._done) - 1, -1, -1):
            step = self._done[place]
            if step.number == entry.step:
                joined = replace(step, events=(*step.events, entry.seq), regions=(*step.regions, *regions))
                self._done[place] = joined
                if not self.spares_redo(entry.region):
                    self._undone.clear()
                return
            if step.number < entry.step:
                break
        self._undone.clear()
        self._done.append(Step(entry.step, entry.title, (entry.seq,), regions, entry.subject))

    @staticmethod
    def _shift(source: list[Step], target: list[Step], number: int) -> None:
        if source and source[-1].number == number:
            target.append(source.pop())
