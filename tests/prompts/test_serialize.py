import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.errors import PromptError
from napari_medfm.prompts import Lasso, MaskPrompt, Point, PromptSet, from_json, to_json
from napari_medfm.volume import Plane

from .strategies import prompt_sets

PLANE = {"axis": 0, "index": 3}
POINT = {"kind": "point", "plane": PLANE, "position": [1.5, 2.0], "positive": False}
LASSO = {"kind": "lasso", "plane": PLANE, "path": [[0, 0], [0, 4], [4, 4]]}
MASK = {"kind": "mask", "plane": PLANE, "start": [1, 1], "shape": [2, 2], "runs": [1, 3]}


@given(prompt_sets)
def test_prompts_survive_a_round_trip_through_json_text(prompts):
    assert from_json(json.loads(json.dumps(to_json(prompts)))) == prompts


def test_numpy_numbers_are_written_as_plain_ones():
    prompt = Point(Plane(np.int64(1), np.int64(2)), (np.float32(0.5), np.float64(3)), np.True_)
    assert json.loads(json.dumps(to_json(PromptSet((prompt,)))))[0]["position"] == [0.5, 3.0]


def test_the_written_form_is_what_the_command_line_documents():
    assert to_json(PromptSet((Point(Plane(0, 3), (1.5, 2.0), False),))) == [POINT]


def test_positive_may_be_left_out():
    (prompt,) = from_json([LASSO])
    assert prompt == Lasso(Plane(0, 3), ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0)), positive=True)


def test_an_empty_mask_survives():
    empty = PromptSet((MaskPrompt.from_mask(Plane(), np.zeros((3, 3), bool)),))
    assert from_json(to_json(empty)) == empty


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("point", "is not an object"),
        ({}, "unknown kind None"),
        ({"kind": "circle"}, "unknown kind 'circle'"),
        ({"kind": ["point"]}, "unknown kind"),
        ({"kind": "point", "plane": PLANE}, "lacks the field position"),
        ({"kind": "point", "position": [1, 2]}, "lacks the field plane"),
        (POINT | {"colour": "red"}, "unknown fields: colour"),
        (POINT | {"plane": {"axis": 0}}, "needs a plane with axis and index"),
        (POINT | {"plane": {"axis": 3, "index": 0}}, "plane axis 3"),
        (POINT | {"plane": {"axis": 0, "index": -1}}, "whole numbers from 0 as index"),
        (POINT | {"plane": {"axis": True, "index": 1}}, "whole numbers from 0 as axis"),
        (POINT | {"position": [1, 2, 3]}, "needs [row, column] as position"),
        (POINT | {"position": [float("nan"), 2]}, "needs numbers as position"),
        (POINT | {"position": [float("-inf"), 2]}, "more than 1e+06 voxels away"),
        (POINT | {"position": [True, 2]}, "needs numbers as position"),
        (POINT | {"position": ["1", 2]}, "needs numbers as position"),
        (POINT | {"position": [1e300, 2]}, "more than 1e+06 voxels away"),
        (POINT | {"position": [10**400, 2]}, "more than 1e+06 voxels away"),
        (POINT | {"positive": 1}, "needs true or false"),
        (LASSO | {"path": [[0, 0], [1, 1]]}, "at least 3 positions"),
        ({"kind": "scribble", "plane": PLANE, "path": []}, "at least 1 positions"),
        (MASK | {"runs": [1, 2]}, "runs that do not fill its shape"),
        (MASK | {"runs": [-1, 5]}, "whole numbers from 0 as runs"),
        (MASK | {"start": [1]}, "needs 2 numbers as start"),
        (MASK | {"runs": 4}, "needs a list as runs"),
        (
            {"kind": "box", "plane": PLANE, "start": [0, 0], "stop": [1, 1], "positive": True},
            "unknown fields: positive",
        ),
    ],
)
def test_a_damaged_prompt_is_refused_by_its_number_and_reason(value, reason):
    with pytest.raises(PromptError) as caught:
        from_json([POINT, value])
    assert caught.value.subject == "prompt 2"
    assert reason in caught.value.reason
    assert caught.value.next_step


@pytest.mark.parametrize("value", [{}, "[]", None, 3])
def test_anything_but_a_list_is_refused(value):
    with pytest.raises(PromptError, match="not a list"):
        from_json(value)


leaves = st.sampled_from([None, True, 0, 1, -1, 2.5, 10**400, float("nan"), float("inf"), "", "point", "axis"])
json_values = (
    leaves
    | st.lists(leaves | st.lists(leaves, max_size=3), max_size=4)
    | st.dictionaries(st.sampled_from(["axis", "index", "kind"]), leaves)
)


@given(
    st.sampled_from([POINT, LASSO, MASK]),
    st.dictionaries(st.sampled_from(sorted({*POINT, *LASSO, *MASK})), json_values),
)
def test_whatever_a_file_holds_is_read_or_refused_but_never_crashes(value, damage):
    try:
        prompts = from_json([value | damage])
    except PromptError:
        return
    assert from_json(to_json(prompts)) == prompts
