"""Errors reach a person in words, and without what may name a patient."""

from napari_medfm._plugin import worded
from napari_medfm.errors import MedfmError


def test_an_unexpected_failure_is_named_by_its_kind_only():
    failure = worded(ValueError("patient Doe"))
    assert isinstance(failure, MedfmError)
    assert "Doe" not in str(failure)
    assert "ValueError" in str(failure)
    assert worded(failure) is failure
