"""The layers by themselves: the ghost mask clears only its box, prompts are drawn where they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels

from napari_medfm._napari.layers import Preview, PromptDisplay, SessionLayers, is_in
from napari_medfm.inference import Proposal
from napari_medfm.prompts import Box, Lasso, Point, PromptSet, Scribble
from napari_medfm.session import Origin
from napari_medfm.volume import Plane

SHAPE = (5, 12, 16)
PLACE = {"scale": (3.0, 1.0, 1.0)}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 4), st.lists(st.booleans(), min_size=8, max_size=8)),
        min_size=1,
        max_size=5,
    )
)
def test_the_preview_shows_the_last_mask_and_nothing_else(masks):
    preview = Preview(Labels(np.zeros(SHAPE, np.uint8)))
    for axis, index, bits in masks:
        plane = Plane(axis, index)
        mask = np.zeros(plane.shape(SHAPE), bool)
        mask[1:3, 1:5] = np.reshape(bits, (2, 4))
        preview.show(plane, mask)
        expected = np.zeros(SHAPE, np.uint8)
        plane.take(expected)[...] = mask
        assert np.array_equal(preview.layer.data, expected)
    preview.clear()
    assert not preview.layer.data.any()


def test_an_empty_preview_does_not_redraw():
    preview = Preview(Labels(np.zeros(SHAPE, np.uint8)))
    drawn = []
    preview.layer.events.set_data.connect(lambda: drawn.append(True))
    preview.clear()
    preview.show(Plane(0, 1), np.zeros((12, 16), bool))
    assert not drawn


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_kind_of_prompt_is_drawn_on_its_plane(ndim):
    display = PromptDisplay(SHAPE[-ndim:], "prompts", {})
    plane = Plane(1, 7) if ndim == 3 else Plane(0, 0)
    path = ((1.0, 1.0), (1.0, 4.0), (3.0, 4.0))
    display.show(
        PromptSet((Point(plane, (2, 3)), Box(plane, (0, 0), (3, 4)), Scribble(plane, path), Lasso(plane, path, False)))
    )
    assert len(display.dots.data) == 1
    assert len(display.lines.data) == 4 + 2 + 3
    if ndim == 3:
        assert (display.lines.data[:, 0, 1] == 7).all()
        assert (display.dots.data[:, 1] == 7).all()
    assert len(display.lines.edge_color) == 9
    assert (display.lines.edge_color[-1] != display.lines.edge_color[0]).any()
    display.show(PromptSet())
    assert len(display.dots.data) == len(display.lines.data) == 0


def test_a_draft_stands_in_for_the_prompt_that_is_moved():
    display = PromptDisplay(SHAPE, "prompts", PLACE)
    prompts = PromptSet((Point(Plane(0, 1), (2, 3)), Point(Plane(0, 1), (5, 5))))
    display.show(prompts)
    display.draft(Point(Plane(0, 1), (9, 9)), instead_of=0)
    assert display.dots.data.tolist() == [[1, 5, 5], [1, 9, 9]]
    display.draft(None)
    assert display.dots.data.tolist() == [[1, 2, 3], [1, 5, 5]]


def test_lines_and_dots_keep_their_size_on_the_screen():
    display = PromptDisplay(SHAPE, "prompts", PLACE)
    display.show(PromptSet((Point(Plane(0, 1), (2, 3)),)))
    display.fit(4.0)
    thin, small = display.lines.edge_width, display.dots.size[0]
    display.fit(1.0)
    display.show(PromptSet((Point(Plane(0, 1), (2, 3)), Point(Plane(0, 1), (5, 5)))))
    assert display.lines.edge_width == pytest.approx(4 * thin)
    assert display.dots.size.tolist() == pytest.approx([4 * small] * 2)


def test_prompt_layers_cannot_be_edited():
    display = PromptDisplay(SHAPE, "prompts", PLACE)
    assert not any(layer.editable for layer in display.layers)


def test_layers_lie_on_their_image_wherever_it_was_put(small_volume):
    image = Image(
        small_volume.array, scale=(3, 1, 1), translate=(5, 6, 7), units=("mm",) * 3, axis_labels=("z", "y", "x")
    )
    layers = SessionLayers(small_volume, np.zeros(small_volume.shape, np.uint16), image)
    for layer in layers.overlays:
        assert np.array_equal(layer.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
        assert layer.units == image.units
        assert layer.axis_labels == ("z", "y", "x")


def test_layers_are_told_apart_by_identity_not_by_name():
    one, two = Image(np.zeros((4, 4)), name="same"), Image(np.zeros((4, 4)), name="same")
    assert is_in(one, [two, one])
    assert not is_in(one, [two])


def test_what_is_proposed_lies_in_a_layer_of_its_own_that_is_made_when_needed(headless):
    number = headless.session.add_object()
    layers = headless.viewer.layers
    before, active = len(layers), layers.selection.active
    mask = np.zeros(headless.session.volume.shape[1:], bool)
    mask[4:9, 5:11] = True
    plane = Plane(0, 6)
    headless.proposals.put(number, {plane: [Proposal.of(plane, mask, 0.9)]}, Origin("plain"))
    shown = headless.workspace.proposed.layer
    assert len(layers) == before + 1
    assert layers.selection.active is active
    assert layers.index(shown) == layers.index(headless.layers.objects) + 1
    np.testing.assert_array_equal(shown.data[6] > 0, mask)
    headless.proposals.accept_slice(number, plane)
    assert not shown.data.any()
    np.testing.assert_array_equal(headless.layers.objects.data[6] == number, mask)
    layers.remove(shown)
    headless.session.undo()
    np.testing.assert_array_equal(shown.data[6] > 0, mask)
    assert shown in layers
    headless.close()
    assert shown not in layers


def test_prompts_of_other_planes_leave_traces_and_come_back_with_their_plane():
    display = PromptDisplay(SHAPE, "prompts", PLACE)
    axial = Plane(0, 2)
    display.show(PromptSet((Point(axial, (3, 8)), Box(axial, (2, 4), (6, 9)))))
    display.look(Plane(1, 3))
    assert display.dots.data.tolist() == [[2, 3, 8]]
    assert np.allclose(display.lines.data, [[(2, 3, 3.5), (0, 0, 5)]])
    display.look(Plane(1, 9))
    assert not len(display.dots.data)
    assert not len(display.lines.data)
    display.look(axial)
    assert len(display.dots.data) == 1
    assert len(display.lines.data) == 4


def test_nothing_that_is_drawn_reaches_beyond_the_voxel_centres(open_headless, small_volume):
    """Else napari would lay the steps of its sliders between the slices."""
    desk = open_headless(small_volume)
    before = [tuple(steps) for steps in desk.viewer.dims.range]
    desk.layers.prompts.show(PromptSet((Box(Plane(0, 0), (0, 0), (48, 64)),)))
    desk.layers.prompts.mark((6, 11, 40))
    assert len(desk.layers.prompts.lines.data) == 4 + 6
    assert [tuple(steps) for steps in desk.viewer.dims.range] == before
    desk.layers.prompts.mark(None)
    assert len(desk.layers.prompts.lines.data) == 4
