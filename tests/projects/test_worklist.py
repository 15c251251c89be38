"""Every step that is offered is one that the project takes, and no other is."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.errors import ProjectError
from napari_medfm.projects import Case, CaseStatus, Selection, Step, is_writable, steps
from napari_medfm.projects.cases import check_step

CASE = Case(12, Path("scan.nii.gz"), None, "f", "P0a", "CT", (3, 4, 5), (1.0, 1.0, 1.0), note="Tail missing")
PEOPLE = st.sampled_from(["", "ann", "bob"])


@given(st.sampled_from(CaseStatus), PEOPLE, PEOPLE)
def test_what_is_offered_is_taken(status, annotator, person):
    case = replace(CASE, status=status, annotator=annotator)
    for step in steps(case, person):
        check_step(case, step.status, person)


def test_who_is_nobody_is_offered_nothing_and_refused():
    assert steps(CASE, " ") == frozenset()
    with pytest.raises(ProjectError, match="changed by nobody"):
        check_step(CASE, Step.START.status, " ")


@given(st.sampled_from(CaseStatus), PEOPLE, PEOPLE)
def test_only_who_may_finish_a_case_may_draw_in_it(status, annotator, person):
    case = replace(CASE, status=status, annotator=annotator)
    if person:
        assert is_writable(case, person) == (Step.DONE in steps(case, person))


@pytest.mark.parametrize(
    ("selection", "admitted"),
    [
        (Selection(), True),
        (Selection(text="tail CASE"), True),
        (Selection(text="tail head"), False),
        (Selection(status=CaseStatus.DONE), False),
        (Selection(patient="P0a", text="ct"), True),
        (Selection(annotator="ann"), False),
    ],
)
def test_a_case_is_shown_if_all_that_was_asked_for_holds(selection, admitted):
    assert selection.admits(CASE) == admitted
