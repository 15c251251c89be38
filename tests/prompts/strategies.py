"""Random prompts within and around an image."""

import numpy as np
from hypothesis import strategies as st

from napari_medfm.prompts import Box, Lasso, MaskPrompt, Point, PromptSet, Scribble
from napari_medfm.volume import Plane

SHAPE = (24, 30)

planes = st.builds(Plane, st.integers(0, 2), st.integers(0, 500))
coordinates = st.floats(-40, 60, allow_nan=False) | st.integers(-40, 60).map(float)
positions = st.tuples(coordinates, coordinates)
signs = st.booleans()
points = st.builds(Point, planes, positions, signs)
boxes = st.builds(Box, planes, positions, positions)
scribbles = st.builds(Scribble, planes, st.lists(positions, min_size=1, max_size=8).map(tuple), signs)
lassos = st.builds(Lasso, planes, st.lists(positions, min_size=3, max_size=8).map(tuple), signs)


@st.composite
def masks(draw, shape=SHAPE):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0]))


mask_prompts = st.builds(MaskPrompt.from_mask, planes, masks())
prompts = points | boxes | scribbles | lassos | mask_prompts
prompt_sets = st.lists(prompts, max_size=6).map(lambda values: PromptSet(tuple(values)))
