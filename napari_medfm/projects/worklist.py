"""What a person may do with a case next, and which cases a person wants to see."""

from dataclasses import dataclass
from enum import StrEnum

from napari_medfm.projects.cases import Case, CaseStatus


class Step(StrEnum):
    """What people do with a case."""

    START = "start"
    DONE = "done"
    PUT_BACK = "put back"
    REOPEN = "reopen"
    ACCEPT = "accept"
    REJECT = "reject"
    REDO = "redo"

    @property
    def status(self) -> CaseStatus:
        """What the case becomes by it."""
        return _STATUS[self]


_STATUS = {
    Step.START: CaseStatus.IN_PROGRESS,
    Step.DONE: CaseStatus.DONE,
    Step.PUT_BACK: CaseStatus.TO_DO,
    Step.REOPEN: CaseStatus.IN_PROGRESS,
    Step.ACCEPT: CaseStatus.REVIEWED,
    Step.REJECT: CaseStatus.TO_DO,
    Step.REDO: CaseStatus.IN_PROGRESS,
}


def steps(case: Case, person: str) -> frozenset[Step]:
    """Return what a person may do with a case; who did not annotate it is its second reader."""
    own = case.annotator == person
    if not person.strip():
        return frozenset()
    if case.status is CaseStatus.TO_DO:
        return frozenset({Step.START})
    if case.status is CaseStatus.IN_PROGRESS:
        return frozenset({Step.DONE, Step.PUT_BACK} if own else {Step.PUT_BACK})
    if case.status is CaseStatus.DONE:
        return frozenset({Step.REOPEN} if own else {Step.ACCEPT, Step.REJECT, Step.REDO})
    return frozenset({Step.REOPEN})


def is_writable(case: Case, person: str) -> bool:
    """Whether a person is at work on a case; everybody else only looks at it."""
    return case.status is CaseStatus.IN_PROGRESS and case.annotator == person


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cases to show.

    Attributes
    ----------
    status : CaseStatus or None
        Only these; None for all.
    patient, annotator : str
        Only theirs; empty for everybody's.
    text : str
        Words that all occur somewhere: id, patient, modality, status, people, note. Case does not matter.
    """

    status: CaseStatus | None = None
    patient: str = ""
    annotator: str = ""
    text: str = ""

    def admits(self, case: Case) -> bool:
        """Whether a case is to be shown."""
        return (
            self.status in (None, case.status)
            and self.patient in ("", case.patient)
            and self.annotator in ("", case.annotator)
            and all(word in _words(case) for word in self.text.casefold().split())
        )


def _words(case: Case) -> str:
    people = (case.annotator, case.reviewer)
    return " ".join((case.title, case.patient, case.modality, case.status, *people, case.note)).casefold()
