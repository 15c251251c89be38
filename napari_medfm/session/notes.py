"""What a session notes in its journal beside its state: facts that undo passes by, read again when it is reopened.

A session that is read-only notes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane

_ADAPTER, _LEARNED, _LEFT_OUT, _WORK = "adapter", "learned", "left_out", "undertaking"


class Work(Enum):
    """Work that takes so long that it may be interrupted."""

    ADAPT = "adapt"
    FILL = "fill"


@dataclass(frozen=True, slots=True)
class Undertaking:
    """Something that was begun for a class.

    Attributes
    ----------
    work : Work
        What.
    class_name : str
        The class.
    plane : Plane or None
        The slice that was visible.
    reach : (int, int) or None
        The slices, the last not included; None for all.
    """

    work: Work
    class_name: str
    plane: Plane | None = None
    reach: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plane = None if self.plane is None else _plane_to_json(self.plane)
        reach = None if self.reach is None else list(self.reach)
        return {"work": self.work.value, "class": self.class_name, "plane": plane, "reach": reach}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        plane = None if values["plane"] is None else Plane(*values["plane"])
        reach = None if values["reach"] is None else (int(values["reach"][0]), int(values["reach"][1]))
        return cls(Work(values["work"]), values["class"], plane, reach)


def note_adapter(session: AnnotationSession, class_name: str, digest: str, *, on: bool) -> None:
    """Note which adapter a class is worked on with from now on, and whether it is on."""
    _note(session, _ADAPTER, {"class": class_name, "adapter": digest, "on": on})


def noted_adapters(session: AnnotationSession) -> dict[str, tuple[str, bool]]:
    """Return, by class, the digest of the adapter that was noted last, and whether it was on."""
    return {note["class"]: (note["adapter"], note["on"]) for note in session.notes(_ADAPTER)}


def note_learned(session: AnnotationSession, class_name: str, planes: Iterable[Plane]) -> None:
    """Note from which slices of this image a class was learned last."""
    _note(session, _LEARNED, {"class": class_name, "planes": [_plane_to_json(plane) for plane in sorted(planes)]})


def noted_learned(session: AnnotationSession) -> dict[str, frozenset[Plane]]:
    """Return, by class, the slices that it was learned from last."""
    notes = session.notes(_LEARNED)
    return {note["class"]: frozenset(Plane(*plane) for plane in note["planes"]) for note in notes}


def note_left_out(session: AnnotationSession, class_name: str, which: Plane | str, left_out: bool) -> None:
    """Note that a class is not learned from a slice any more, or again.

    Parameters
    ----------
    session : AnnotationSession
        Whose journal.
    class_name : str
        The class.
    which : Plane or str
        The slice; of an earlier image the name of its file.
    left_out : bool
        Whether it is left out.
    """
    example = _plane_to_json(which) if isinstance(which, Plane) else which
    _note(session, _LEFT_OUT, {"class": class_name, "example": example, "left_out": left_out})


def noted_left_out(session: AnnotationSession) -> set[tuple[str, Plane | str]]:
    """Return the class and the slice of everything that is left out."""
    known: dict[tuple[str, Plane | str], bool] = {}
    for note in session.notes(_LEFT_OUT):
        example = note["example"]
        known[note["class"], example if isinstance(example, str) else Plane(*example)] = note["left_out"]
    return {which for which, left_out in known.items() if left_out}


def note_begun(session: AnnotationSession, what: Undertaking) -> None:
    """Note that something was begun: should the program end before it is over, it is offered again."""
    _note(session, _WORK, {**what.to_json(), "over": False})


def note_over(session: AnnotationSession, work: Work, class_name: str) -> None:
    """Note that something is over, however it went; nothing is noted if it had not been begun."""
    if any((each.work, each.class_name) == (work, class_name) for each in unfinished(session)):
        _note(session, _WORK, {**Undertaking(work, class_name).to_json(), "over": True})


def unfinished(session: AnnotationSession) -> tuple[Undertaking, ...]:
    """Return what was begun and is not over, what was begun last at the end."""
    begun: dict[tuple[str, str], Undertaking] = {}
    for note in session.notes(_WORK):
        key = note["work"], note["class"]
        begun.pop(key, None)
        if not note["over"]:
            begun[key] = Undertaking.from_json(note)
    return tuple(begun.values())


def _note(session: AnnotationSession, kind: str, facts: Mapping[str, Any]) -> None:
    if not session.read_only:
        session.note(kind, facts)


def _plane_to_json(plane: Plane) -> list[int]:
    return [int(plane.axis), int(plane.index)]
