import numpy as np

from napari_medfm.inference import Proposal
from napari_medfm.propagation import KeySlice, keep_connected
from napari_medfm.volume import Plane, array_geometry

SHAPE = (9, 30, 30)


def slab(index, *places, size=4):
    mask = np.zeros(SHAPE[1:], bool)
    for row, column in places:
        mask[row : row + size, column : column + size] = True
    return Proposal.of(Plane(0, index), mask, 0.7)


def anchor(index, *places):
    return KeySlice(Plane(0, index), slab(index, *places).to_mask(SHAPE[1:]))


def test_what_hangs_together_with_a_key_stays_and_needs_no_change():
    found = [slab(5, (5, 5)), slab(6, (6, 6))]
    assert keep_connected(found, [anchor(4, (5, 5))], array_geometry(SHAPE)) == []


def test_an_island_is_taken_away_and_only_its_slice_is_told():
    found = [slab(5, (5, 5)), slab(6, (6, 6), (20, 20))]
    changed = keep_connected(found, [anchor(4, (5, 5))], array_geometry(SHAPE))
    assert [proposal.plane.index for proposal in changed] == [6]
    np.testing.assert_array_equal(changed[0].to_mask(SHAPE[1:]), slab(6, (6, 6)).to_mask(SHAPE[1:]))
    assert changed[0].confidence == 0.7


def test_beyond_a_gap_everything_goes():
    changed = keep_connected([slab(5, (5, 5)), slab(7, (5, 5))], [anchor(4, (5, 5))], array_geometry(SHAPE))
    assert [(proposal.plane.index, proposal.inside.size) for proposal in changed] == [(7, 0)]


def test_every_key_holds_its_own_part():
    found = [slab(5, (5, 5), (20, 20))]
    assert keep_connected(found, [anchor(4, (5, 5)), anchor(6, (20, 20))], array_geometry(SHAPE)) == []


def test_in_thick_slices_an_oblique_vessel_need_not_overlap_itself():
    found = [slab(5, (5, 11))]
    keys = [anchor(4, (5, 5))]
    assert len(keep_connected(found, keys, array_geometry(SHAPE, (1.0, 1.0, 1.0)))) == 1
    assert keep_connected(found, keys, array_geometry(SHAPE, (6.0, 1.0, 1.0))) == []


def test_without_an_object_on_a_key_nothing_is_taken_away():
    assert keep_connected([slab(5, (5, 5))], [anchor(4)], array_geometry(SHAPE)) == []
