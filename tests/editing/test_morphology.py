"""Morphology in millimetres equals its definition, voxel by voxel, also where voxels are not cubes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_medfm.editing import morphology

SHAPE = (4, 6, 7)
masks = arrays(bool, SHAPE, elements=st.booleans())
spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 2.5, 5.0])] * 3)
distances = st.sampled_from([0.4, 0.5, 0.8, 1.0, 1.6, 2.5, 3.0])
GRID = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)


def apart(spacing):
    """Return the distance between the centres of any two voxels in mm."""
    places = GRID * spacing
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


@settings(max_examples=40)
@given(masks, distances, spacings)
def test_growing_takes_what_lies_within_the_distance_and_nothing_else(mask, mm, spacing):
    near = (apart(spacing) <= mm + 1e-6) & mask.ravel()
    assert np.array_equal(morphology.grow(mask, mm, spacing).ravel(), near.any(axis=1))


@settings(max_examples=40)
@given(masks, distances, spacings)
def test_shrinking_is_growing_what_lies_outside(mask, mm, spacing):
    assert np.array_equal(morphology.shrink(mask, mm, spacing), ~morphology.grow(~mask, mm, spacing))


@settings(max_examples=15)
@given(masks, distances, spacings)
def test_large_objects_are_worked_on_in_slabs_with_the_same_result(mask, mm, spacing):
    tall = np.concatenate([mask, mask[::-1], mask])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(morphology, "_SLAB", 3 * mask[0].size)
        slabs = [change(tall, mm, spacing) for change in (morphology.grow, morphology.shrink, morphology.smooth)]
    whole = [change(tall, mm, spacing) for change in (morphology.grow, morphology.shrink, morphology.smooth)]
    assert all(np.array_equal(one, other) for one, other in zip(slabs, whole, strict=True))


def test_an_object_cut_off_by_the_image_is_not_shrunk_from_there():
    assert morphology.shrink(np.ones(SHAPE, bool), 2, (1, 1, 1)).all()


def test_smoothing_cuts_spikes_and_fills_notches_but_leaves_flat_surfaces():
    mask = np.zeros((20, 30, 30), bool)
    mask[5:15, 8:22, 8:22] = True
    notched = mask.copy()
    notched[9, 22:27, 15] = True
    notched[5:7, 15, 15] = False
    smoothed = morphology.smooth(notched, 1.0, (1, 1, 1))
    assert not smoothed[9, 23:, 15].any()
    assert smoothed[6, 15, 15]
    assert np.array_equal(smoothed[10, 15, :], mask[10, 15, :])


def test_smoothing_reaches_as_far_in_mm_along_every_axis():
    mask = np.zeros((9, 45, 45), bool)
    mask[4, 20:25, 20:25] = True  # 5 mm in all directions, as slices are 5 mm thick
    one_slice = morphology.smooth(mask, 2.0, (5.0, 1.0, 1.0))
    turned = morphology.smooth(np.moveaxis(mask, 0, 1), 2.0, (1.0, 5.0, 1.0))
    assert np.array_equal(np.moveaxis(turned, 1, 0), one_slice)


@pytest.mark.parametrize(("axis", "slices", "filled"), [(None, 1, False), (0, 1, True), (1, 1, False), (None, 3, True)])
def test_holes_are_filled_in_slices_or_where_they_are_closed_all_around(axis, slices, filled):
    tube = np.zeros((7, 9, 9), bool)
    tube[1:6, 2:7, 2:7] = True
    tube[(slice(1, 6) if slices == 1 else slice(2, 5)), 4, 4] = False  # open at both ends, or not
    result = morphology.fill_holes(tube, axis)
    assert result[3, 4, 4] == filled
    assert result.sum() == tube.sum() + (filled * (5 if slices == 1 else 3))


def test_holes_of_a_flat_image_are_filled():
    ring = np.zeros((7, 7), bool)
    ring[1:6, 1:6] = True
    ring[3, 3] = False
    assert morphology.fill_holes(ring, 0)[3, 3]
    assert morphology.fill_holes(ring).sum() == 25


def islands():
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, :3] = True
    mask[1, 1, 3] = True  # a corner of the first
    mask[3, 5, 5:7] = True
    return mask


def test_small_pieces_are_dropped_and_corners_hold_pieces_together():
    assert morphology.drop_islands(islands(), 3).sum() == 4
    assert morphology.drop_islands(islands(), 2).sum() == 6
    assert morphology.drop_islands(islands(), 5).sum() == 0


def test_the_largest_piece_is_kept():
    assert np.array_equal(morphology.keep_largest(islands()), morphology.drop_islands(islands(), 3))
    assert not morphology.keep_largest(np.zeros(SHAPE, bool)).any()


def test_the_piece_at_a_voxel_is_found_and_none_beside_it():
    assert morphology.piece_at(islands(), (3, 5, 6)).sum() == 2
    assert not morphology.piece_at(islands(), (2, 2, 2)).any()
    assert not morphology.piece_at(islands(), (-1, 5, 6)).any()
