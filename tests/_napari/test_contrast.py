"""Window and contrast limits follow each other while they are linked, and only then."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm._napari.contrast import Contrast, dragged
from napari_medfm.volume import PRESETS, Window


@pytest.fixture
def told():
    return []


@pytest.fixture
def layer():
    return Image(np.linspace(-1000, 1000, 1000).reshape(10, 10, 10), contrast_limits=(-100, 100))


def test_linked_contrast_follows_the_window_without_an_echo(layer, told):
    contrast = Contrast(ViewerModel(), layer, told.append, linked=True)
    contrast.show(PRESETS["lung"])
    assert tuple(layer.contrast_limits) == (PRESETS["lung"].low, PRESETS["lung"].high)
    assert told == []


def test_the_window_follows_linked_contrast(layer, told):
    contrast = Contrast(ViewerModel(), layer, told.append, linked=True)
    layer.contrast_limits = (-50, 150)
    assert contrast.linked
    assert told == [Window("custom", -50.0, 150.0)]


def test_unlinked_they_do_not_touch(layer, told):
    contrast = Contrast(ViewerModel(), layer, told.append)
    contrast.show(PRESETS["lung"])
    layer.contrast_limits = (-50, 150)
    assert tuple(layer.contrast_limits) == (-50, 150)
    assert told == []


def test_a_colour_image_has_no_window(told):
    layer = Image(np.zeros((5, 5, 3), np.uint8), rgb=True)
    Contrast(ViewerModel(), layer, told.append, linked=True).show(Window("colour", 0, 255))
    assert told == []


def test_a_drag_to_the_right_widens_and_downwards_raises_the_level():
    begun = Window("abdomen", -160, 240)
    assert dragged(begun, (0, 0)) == Window("custom", -160, 240)
    assert dragged(begun, (150, 0)).width == pytest.approx(600)
    assert dragged(begun, (150, 0)).level == begun.level
    assert dragged(begun, (0, 30)) == Window("custom", -120, 280)
    assert dragged(begun, (-9000, 0)).width > 0


def test_teardown_lets_go(layer, told):
    viewer = ViewerModel()
    before = list(viewer.mouse_drag_callbacks)
    contrast = Contrast(viewer, layer, told.append, linked=True)
    contrast.teardown()
    assert viewer.mouse_drag_callbacks == before
    layer.contrast_limits = (-50, 150)
    assert told == []
