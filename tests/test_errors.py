"""Errors say what is concerned, what is wrong and what to do; their tree is the documented one."""

import inspect
import re

import pytest

from napari_medfm import errors
from napari_medfm.errors import ChoiceRequiredError, MedfmError

CLASSES = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}


def documented_tree():
    """Return child -> parent as drawn in the module's docstring."""
    parents, stack = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"([ │├└─]*)(\w+Error)\b", line)
        if found is None:
            continue
        depth = (len(found[1]) - 4) // 4
        stack[depth:] = [found[2]]
        parents[found[2]] = stack[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    assert documented_tree() == {name: kind.__base__.__name__ for name, kind in CLASSES.items()}


@pytest.mark.parametrize("kind", [kind for kind in CLASSES.values() if kind is not ChoiceRequiredError])
def test_a_message_names_the_object_the_reason_and_the_next_step(kind):
    error = kind("liver.nii.gz", "ends before its last voxel", "Copy it again.")
    assert str(error) == "liver.nii.gz: ends before its last voxel. Copy it again."
    assert (error.subject, error.reason, error.next_step) == error.args
    assert isinstance(error, MedfmError)


def test_a_choice_lists_what_there_is_to_choose_from():
    error = ChoiceRequiredError("fmri.nii", "holds 2 volumes", "Choose one.", ["rest", "task"])
    assert error.choices == ("rest", "task")
    assert str(error) == "fmri.nii: holds 2 volumes. Choose one."
