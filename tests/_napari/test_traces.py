"""A prompt is seen from the planes that pass through it, at the place where they do."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_medfm._napari.traces import trace
from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, Scribble
from napari_medfm.volume import Plane

AXES = (0, 1, 2)
SHAPE = (20, 24)


def test_a_click_is_a_dot_on_the_slices_that_hold_it_and_on_no_other():
    click = Point(Plane(0, 6), (30.2, 22.4))
    assert trace(click, Plane(1, 30)).dots.tolist() == [[6, 30, 22.4]]
    assert trace(click, Plane(2, 22)).dots.tolist() == [[6, 30.2, 22]]
    for other in (Plane(1, 29), Plane(2, 23), Plane(0, 6), Plane(0, 7)):
        assert not len(trace(click, other).dots)


def test_a_box_is_the_line_along_which_a_slice_cuts_it():
    box = Box(Plane(0, 6), (10, 20), (13, 26))  # rows 10 to 12, columns 20 to 25
    for row in (10, 11, 12):
        assert np.allclose(trace(box, Plane(1, row)).lines, [[(6, row, 19.5), (0, 0, 6)]])
    assert np.allclose(trace(box, Plane(2, 25)).lines, [[(6, 9.5, 25), (0, 3, 0)]])
    for other in (Plane(1, 9), Plane(1, 13), Plane(2, 19), Plane(2, 26), Plane(0, 6)):
        assert not len(trace(box, other).lines)


def test_a_scribble_is_a_dot_wherever_it_crosses():
    line = Scribble(Plane(2, 5), ((2.0, 2.0), (8.0, 8.0), (2.0, 14.0)))
    assert np.allclose(trace(line, Plane(0, 4)).dots, [(4, 4, 5), (4, 12, 5)])
    assert np.allclose(trace(line, Plane(1, 8)).dots, [(7.75, 8, 5), (7.75, 8, 5)], atol=0.3)
    assert not len(trace(line, Plane(0, 9)).dots)
    assert len(trace(Scribble(Plane(2, 5), ((2.0, 2.0),)), Plane(0, 2)).dots) == 1


def test_a_mask_leaves_no_trace():
    mask = MaskPrompt.from_mask(Plane(0, 6), np.ones((4, 4), bool))
    assert not len(trace(mask, Plane(1, 2)).lines)


@settings(max_examples=30, deadline=None)
@given(
    radii=st.lists(st.floats(2, 9), min_size=4, max_size=9),
    axis=st.sampled_from(AXES),
    across=st.sampled_from((0, 1)),
)
def test_lines_cover_what_the_prompt_covers_there(radii, axis, across):
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    star = np.stack([9.7 + radii * np.sin(angles), 11.2 + radii * np.cos(angles)], axis=1)
    lasso = Lasso(Plane(axis, 3), tuple(map(tuple, star.tolist())))
    inside = points_in_poly(np.argwhere(np.ones(SHAPE)), star).reshape(SHAPE)
    other = [a for a in AXES if a != axis][across]
    along = [a for a in AXES if a != axis][1 - across]
    for index in range(SHAPE[across]):
        lines = trace(lasso, Plane(other, index)).lines
        assert (lines[:, 0, axis] == 3).all()
        assert (lines[:, 0, other] == index).all()
        starts, stops = lines[:, 0, along], lines[:, 0, along] + lines[:, 1, along]
        places = np.arange(SHAPE[1 - across])[:, None]
        deep = ((starts + 0.01 < places) & (places < stops - 0.01)).any(axis=1)
        near = ((starts - 0.01 <= places) & (places <= stops + 0.01)).any(axis=1)
        covered = np.take(inside, index, across)
        assert (deep <= covered).all()
        assert (covered <= near).all()
