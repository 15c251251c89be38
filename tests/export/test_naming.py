import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.export.naming import LONGEST, distinct_names, safe_name


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=400))
def test_whatever_it_was_a_name_is_safe_on_every_system(text):
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)
    assert len(name) <= LONGEST + len("case_")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=12))
def test_no_two_names_are_the_same_also_where_case_does_not_count(names):
    found = distinct_names(names)
    assert len({name.lower() for name in found}) == len(names) == len(found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("liver_001", "liver_001"),
        ("../../etc/passwd", "etc_passwd"),
        ("a/b\\c:d", "a_b_c_d"),
        ("Müller.", "Muller"),
        ("脳", "case"),
        ("NUL", "case_NUL"),
        ("com7", "case_com7"),
        ("x" * 300, "x" * LONGEST),
        (" . ", "case"),
    ],
)
def test_odd_names_become_plain_ones(text, name):
    assert safe_name(text) == name


def test_names_without_a_name_are_numbered_and_equal_ones_told_apart():
    assert distinct_names(["", "a b", "a/b", ""]) == ("case_0001", "a_b", "a_b_2", "case_0004")
    assert distinct_names(["x" * 300, "x" * 301])[1] == "x" * (LONGEST - 2) + "_2"
