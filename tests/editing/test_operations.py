"""An operation in its own margin gives what it gives in the whole volume, and looks no further than it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.editing import DropIslands, FillHoles, Grow, KeepLargest, KeepPiece, Shrink, Smooth

SHAPE = (14, 24, 24)
OPERATIONS = (
    Grow(2.5),
    Shrink(1.5),
    Smooth(1.0),
    FillHoles(0),
    FillHoles(),
    DropIslands(0.02),
    KeepLargest(),
    KeepPiece((7, 12, 12)),
    KeepPiece((7, 12, 12), keep=False),
)


@st.composite
def blobs(draw):
    """Draw a lump with a hole, a spike and an island, somewhere in a volume."""
    random = np.random.default_rng(draw(st.integers(0, 50)))
    mask = np.zeros(SHAPE, bool)
    low, high = random.integers(3, 6, 3), random.integers(9, 11, 3)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    mask[tuple(random.integers(2, 12, 3))] ^= True
    mask[low[0] + 1, low[1] + 2, low[2] + 2] = False
    mask[11, 20, 3:5] = True
    return mask


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.title)
@settings(max_examples=8)
@given(mask=blobs(), spacing=st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.8, 0.8), (0.7, 1.0, 2.0)]))
def test_the_box_of_the_object_and_its_margin_are_enough(operation, mask, spacing):
    whole = operation.apply(mask, spacing, (0, 0, 0))
    places = np.argwhere(mask)
    low = np.maximum(places.min(axis=0) - operation.margin(spacing), 0)
    high = np.minimum(places.max(axis=0) + operation.margin(spacing) + 1, SHAPE)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    result = np.zeros(SHAPE, bool)
    result[box] = operation.apply(mask[box], spacing, tuple(low.tolist()))
    assert np.array_equal(result, whole)


@pytest.mark.parametrize("operation", OPERATIONS[:3], ids=lambda operation: operation.title)
@settings(max_examples=8)
@given(mask=blobs(), axis=st.integers(0, 2), spacing=st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.8, 0.8)]))
def test_a_slice_needs_no_more_than_its_surroundings(operation, mask, axis, spacing):
    index, reach = 8, operation.reach(spacing)[axis]
    first = max(0, index - reach)
    part = [slice(None)] * 3
    part[axis] = slice(first, index + reach + 1)
    start = [0, 0, 0]
    start[axis] = first
    near = operation.apply(mask[tuple(part)], spacing, tuple(start))
    whole = operation.apply(mask, spacing, (0, 0, 0))
    assert np.array_equal(np.take(near, index - first, axis), np.take(whole, index, axis))


def test_pieces_ask_for_all_of_the_object():
    assert all(operation.reach((1, 1, 1)) is None for operation in OPERATIONS[3:])


def test_islands_are_measured_in_millilitres():
    mask = np.zeros((5, 20, 20), bool)
    mask[0, 0, :10] = True  # 10 voxels of 10 mm³: 0.1 ml
    mask[4, 10:, 10:] = True
    spacing = (2.5, 2.0, 2.0)
    assert DropIslands(0.1).apply(mask, spacing, (0, 0, 0))[0].sum() == 10
    assert DropIslands(0.101).apply(mask, spacing, (0, 0, 0))[0].sum() == 0


def test_a_click_beside_the_object_drops_nothing():
    mask = np.eye(6, dtype=bool)
    assert KeepPiece((0, 5)).apply(mask, (1, 1), (0, 0)) is mask
    assert not KeepPiece((3, 3), keep=False).apply(mask, (1, 1), (0, 0)).any()
