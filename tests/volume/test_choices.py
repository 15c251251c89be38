import pytest

from napari_medfm.errors import ChoiceRequiredError
from napari_medfm.volume.choices import choose


def test_the_only_one_needs_no_choice():
    assert choose("scan", "series", ["a"], None) == 0
    assert choose("scan", "series", ["a"], 0) == 0


def test_of_several_none_is_taken_silently():
    with pytest.raises(ChoiceRequiredError, match="scan: holds 2 series") as caught:
        choose("scan", "series", ["a", "b"], None)
    assert caught.value.choices == ("a", "b")
    assert choose("scan", "series", ["a", "b"], 1) == 1


@pytest.mark.parametrize("choice", [-1, 2])
def test_a_number_that_does_not_exist_is_told(choice):
    with pytest.raises(ChoiceRequiredError, match=f"and no number {choice}"):
        choose("scan", "series", ["a", "b"], choice)
