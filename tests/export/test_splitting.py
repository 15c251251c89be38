import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.export.splitting import Outline, divide, hold_out


@st.composite
def outlines(draw):
    patients = draw(st.lists(st.integers(0, 9), min_size=1, max_size=24))
    classes = st.frozensets(st.sampled_from("abcd"))
    return [Outline(f"case_{k}", f"p{patient}", draw(classes)) for k, patient in enumerate(patients)]


@settings(deadline=None, max_examples=60)
@given(outlines(), st.integers(2, 6), st.integers(0, 3))
def test_no_patient_is_on_two_sides_and_every_case_is_validated_once(cases, count, seed):
    folds = divide(cases, count, seed)
    patient = {case.id: case.patient for case in cases}
    assert len(folds) == (min(count, len(set(patient.values()))) if len(set(patient.values())) > 1 else 0)
    for fold in folds:
        assert fold.training
        assert fold.validation
        assert not {patient[case] for case in fold.training} & {patient[case] for case in fold.validation}
        assert sorted((*fold.training, *fold.validation)) == sorted(patient)
    if folds:
        assert sorted(case for fold in folds for case in fold.validation) == sorted(patient)


@settings(deadline=None, max_examples=30)
@given(outlines(), st.floats(0.01, 0.9))
def test_what_is_held_out_holds_whole_patients_and_leaves_some(cases, share):
    test = hold_out(cases, share)
    held = {case.patient for case in cases if case.id in test}
    assert held == set() or {case.patient for case in cases} - held
    assert all((case.id in test) == (case.patient in held) for case in cases)


def test_a_rare_class_is_in_every_fold_if_it_can_be():
    cases = [Outline(f"c{k}", f"p{k}", frozenset({"liver", "lesion"} if k % 5 == 0 else {"liver"})) for k in range(25)]
    for fold in divide(cases, 5):
        assert sum(int(case[1:]) % 5 == 0 for case in fold.validation) == 1


def test_the_same_seed_divides_alike_and_nothing_is_held_out_unless_asked():
    cases = [Outline(f"c{k}", f"p{k}", frozenset("a")) for k in range(10)]
    assert divide(cases, 5, 3) == divide(cases, 5, 3)
    assert divide(cases, 5, 3) != divide(cases, 5, 4)
    assert hold_out(cases, 0) == frozenset()
    assert len(hold_out(cases, 0.2)) == pytest.approx(2)
