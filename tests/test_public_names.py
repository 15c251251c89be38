"""The public names: few, lazy, and each of them there."""

import ast
import inspect

import pytest

import napari_medfm


def test_the_names_are_those_of_the_type_checker():
    tree = ast.parse(inspect.getsource(napari_medfm))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in guarded.body for alias in node.names}
    assert imported == set(napari_medfm.__all__)


@pytest.mark.parametrize("name", napari_medfm.__all__)
def test_a_public_name_resolves_to_what_carries_it(name):
    found = getattr(napari_medfm, name)
    assert found.__name__ == name
    assert found.__doc__


def test_dir_lists_them_and_the_version():
    assert set(dir(napari_medfm)) == {*napari_medfm.__all__, "__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'segment_everything'"):
        napari_medfm.segment_everything  # noqa: B018  # the access is what is tested
