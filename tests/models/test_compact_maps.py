"""Prompts drawn as maps."""

import numpy as np
import pytest
import torch

from napari_medfm.models.compact_maps import PromptMaps
from napari_medfm.models.compact_network import MAPS
from napari_medfm.models.views import View
from napari_medfm.prompts import Box, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.volume import Plane

PLANE = Plane(0, 0)
WHOLE = View.whole((256, 256), 256)


def maps_of(*prompts, view=WHOLE, known=None, shape=(256, 256)):
    """Return the maps by name."""
    drawn = PromptMaps.of(PromptSet(prompts), shape, shape).draw(view, 128, known)
    assert drawn.shape == (1, len(MAPS), 128, 128)
    return dict(zip(MAPS, drawn[0].numpy(), strict=True))


def test_a_click_is_a_bell_at_its_place_in_the_map_of_its_sign():
    maps = maps_of(Point(PLANE, (100.5, 40.5)), Point(PLANE, (20.5, 200.5), positive=False))
    assert np.unravel_index(maps["added"].argmax(), (128, 128)) == (50, 20)
    assert np.unravel_index(maps["removed far"].argmax(), (128, 128)) == (10, 100)
    assert maps["added"].max() == pytest.approx(1)
    assert maps["added"][10, 100] < 1e-6
    assert not maps["box"].any()
    assert not maps["has previous"].any()


def test_without_a_prompt_of_a_sign_its_map_is_empty():
    maps = maps_of(Box(PLANE, (40, 60), (80, 100)))
    assert not maps["added"].any()
    assert not maps["removed far"].any()


def test_a_box_is_filled_between_its_corners():
    inside = maps_of(Box(PLANE, (40, 60), (80, 100)))["box"] > 0.5
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (20, 40, 30, 50)


def test_a_scribble_is_drawn_all_along():
    maps = maps_of(Scribble(PLANE, ((50.0, 50.0), (50.0, 150.0), (90.0, 150.0))))
    assert maps["added"][25, 25:75].min() > 0.4
    assert maps["added"][25:45, 75].min() > 0.4
    assert maps["added"][45, 25:70].max() < 1e-3


def test_a_mask_is_no_stroke():
    assert not maps_of(MaskPrompt.from_mask(PLANE, np.ones((256, 256), bool)))["added"].any()


def test_what_is_known_is_shown_as_its_share_of_each_cell():
    known = np.zeros((256, 256), bool)
    known[:101] = True
    maps = maps_of(Point(PLANE, (5, 5)), known=known)
    assert maps["previous"][:50].min() == 1
    assert maps["previous"][50] == pytest.approx(0.5, abs=0.01)
    assert not maps["previous"][51:].any()
    assert maps["has previous"].min() == 1


def test_a_closer_view_spreads_the_same_place_over_the_map():
    view = View.around(np.array([[100.0, 100.0], [130.0, 130.0]]), (256, 256), 256, margin=2, smallest=48)
    maps = maps_of(Point(PLANE, (110, 120)), view=view)
    row, column = np.unravel_index(maps["added"].argmax(), (128, 128))
    at = view.positions(np.array([[110.0, 120.0]]))[0]
    assert (2 * row + 0.5, 2 * column + 0.5) == pytest.approx(tuple(at), abs=1.01)


def test_prompts_on_a_smaller_picture_of_the_image_lie_on_the_same_place():
    full = PromptMaps.of(PromptSet((Point(PLANE, (511.5, 255.5)),)), (2048, 1024), (1024, 512))
    assert full.places.tolist() == [[255.5, 127.5]]
    assert torch.is_tensor(full.draw(View.whole((1024, 512), 256), 128, None))


def test_corners_hold_everything_that_was_pointed_at():
    prompts = PromptSet((Point(PLANE, (10, 90)), Box(PLANE, (40, 60), (80, 100))))
    assert PromptMaps.of(prompts, (256, 256), (256, 256)).corners.tolist() == [[10, 60], [79, 99]]
    drawn = PromptSet((MaskPrompt.from_mask(PLANE, np.ones((256, 256), bool)),))
    assert PromptMaps.of(drawn, (256, 256), (256, 256)).corners is None
