"""What a project knows of its cases: frozen values, and which step may follow which."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from napari_medfm.errors import ProjectError


class CaseStatus(StrEnum):
    """How far a case is."""

    TO_DO = "to do"
    IN_PROGRESS = "in progress"
    DONE = "done"
    REVIEWED = "reviewed"


_NEXT: Mapping[CaseStatus, frozenset[CaseStatus]] = MappingProxyType(
    {
        CaseStatus.TO_DO: frozenset({CaseStatus.IN_PROGRESS}),
        CaseStatus.IN_PROGRESS: frozenset({CaseStatus.TO_DO, CaseStatus.DONE}),
        CaseStatus.DONE: frozenset({CaseStatus.IN_PROGRESS, CaseStatus.REVIEWED, CaseStatus.TO_DO}),
        CaseStatus.REVIEWED: frozenset({CaseStatus.IN_PROGRESS}),
    }
)


@dataclass(frozen=True, slots=True)
class Case:
    """One image of a project.

    Attributes
    ----------
    id : int
        From 1, in the order in which they were added.
    path : Path
        File or folder of the image. Paths often hold names of patients: it is never shown.
    choice : int or None
        Which image, where the file or folder holds several.
    fingerprint : str
        Of the voxels; names the journal.
    patient : str
        Pseudonym.
    modality : str
        ``CT``, ``MR``, ... or empty.
    shape : tuple of int
        Of the grid.
    spacing : tuple of float
        Of the grid, mm.
    status : CaseStatus
        How far it is.
    annotator, reviewer : str
        Who works on it, and who looked at it afterwards; empty if nobody yet.
    note : str
        What one tells the other.
    version : int
        Grows with every change.
    """

    id: int
    path: Path
    choice: int | None
    fingerprint: str
    patient: str
    modality: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    status: CaseStatus = CaseStatus.TO_DO
    annotator: str = ""
    reviewer: str = ""
    note: str = ""
    version: int = 1

    @property
    def title(self) -> str:
        """What it is called where people see it."""
        return f"case {self.id}"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a case, as the project remembers it.

    Attributes
    ----------
    case : int
        Id.
    time : str
        UTC, ISO 8601.
    person : str
        Who.
    status : CaseStatus
        What the case became.
    note : str
        What was told.
    """

    case: int
    time: str
    person: str
    status: CaseStatus
    note: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a project is.

    Attributes
    ----------
    counts : mapping of CaseStatus to int
        Cases of each status, all of which occur.
    """

    counts: Mapping[CaseStatus, int]

    @property
    def total(self) -> int:
        """Number of cases."""
        return sum(self.counts.values())

    @property
    def share(self) -> float:
        """Part of the cases that are done or reviewed, 0 to 1."""
        finished = self.counts[CaseStatus.DONE] + self.counts[CaseStatus.REVIEWED]
        return finished / self.total if self.total else 0.0


def check_step(case: Case, status: CaseStatus, person: str) -> None:
    """Refuse a step that no work stands behind.

    Raises
    ------
    ProjectError
        Nobody is named, the step does not follow, or the annotator would review the own work.
    """
    if not person.strip():
        raise ProjectError(case.title, "is changed by nobody", "Say who you are: --annotator.")
    if status not in _NEXT[case.status]:
        options = ", ".join(sorted(_NEXT[case.status]))
        raise ProjectError(case.title, f"is {case.status} and cannot become {status}", f"Next may be: {options}.")
    if status is CaseStatus.REVIEWED and person == case.annotator:
        raise ProjectError(case.title, "was annotated by the same person", "Let a second reader look at it.")
    holder = case.annotator
    if case.status is CaseStatus.IN_PROGRESS and holder != person and status is not CaseStatus.TO_DO:
        raise ProjectError(case.title, f"is in progress with {holder}", "Put it back to do first, if it was left.")
