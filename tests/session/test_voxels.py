import resource
import sys

import numpy as np
import pytest

from napari_medfm.errors import JournalDamagedError
from napari_medfm.session.edits import Cut
from napari_medfm.session.patches import HAND
from napari_medfm.session.voxels import Edit, VoxelStore, blank

SHAPE = (4, 6, 8)
BOX = (slice(1, 2), slice(2, 5), slice(3, 7))


def fill(number, level=0):
    """Return a change that puts a number into a whole box."""

    def change(cut):
        levels = [array.copy() for array in cut.levels]
        while len(levels) <= level:
            levels.append(np.zeros_like(levels[0]))
        levels[level][...] = number
        return Cut(tuple(levels), cut.hand)

    return change


def write(store, region, change):
    edit = store.edit(region, change)
    store.write(edit)
    return edit


@pytest.fixture
def store():
    return VoxelStore(SHAPE)


def test_an_edit_changes_its_box_and_nothing_else(store):
    write(store, BOX, fill(3))
    assert (store.labels[BOX] == 3).all()
    assert store.labels.sum() == 3 * 12


def test_an_edit_that_changes_nothing_is_none(store):
    assert store.edit(BOX, fill(0)) is None


def test_replaying_a_piece_and_its_inverse_leads_there_and_back(store):
    edit = write(store, BOX, lambda cut: Cut(fill(3)(cut).levels, np.full(cut.levels[0].shape, -3, np.int32)))
    other = VoxelStore(SHAPE)
    other.write(other.replay(edit.piece))
    np.testing.assert_array_equal(other.labels, store.labels)
    np.testing.assert_array_equal(other.hand, store.hand)
    other.write(other.replay(edit.piece.inverse))
    assert not other.labels.any()
    assert not other.hand.any()


def test_a_piece_that_does_not_fit_is_refused(store):
    piece = store.edit(BOX, fill(3)).piece
    write(store, BOX, fill(2))
    with pytest.raises(JournalDamagedError, match="does not fit"):
        store.replay(piece)
    store.write(store.replay(piece, strict=False))
    assert (store.labels[BOX] == 3).all()


def test_a_piece_is_replayed_only_where_it_is_wanted(store):
    piece = store.edit(BOX, fill(3)).piece
    keep = np.zeros(piece.shape, bool)
    keep[0, 0] = True
    store.write(store.replay(piece, keep))
    assert (store.labels == 3).sum() == 4


def test_counts_follow_every_change(store):
    write(store, BOX, fill(3))
    write(store, (slice(1, 2), slice(2, 3), slice(3, 7)), fill(4))
    assert (store.shown(3), store.shown(4)) == (8, 4)
    write(store, BOX, fill(0))
    assert (store.shown(3), store.shown(4)) == (0, 0)


def test_what_lies_beneath_is_counted_by_who_lies_on_top(store):
    write(store, BOX, fill(3))
    write(store, BOX, lambda cut: fill(9)(fill(3, level=1)(cut)))
    assert dict(store.covered(3)) == {9: 12}
    write(store, BOX, lambda cut: fill(3)(fill(0, level=1)(cut)))
    assert store.covered(3)[9] == 0


def test_a_third_level_is_made_when_it_is_needed(store):
    write(store, BOX, lambda cut: fill(1, level=2)(fill(2, level=1)(fill(3)(cut))))
    assert store.depth == 3
    assert [int(level.max()) for level in store.read(BOX).levels] == [3, 2, 1]
    assert store.find(1, store.whole) == BOX


def test_a_box_is_read_as_deep_as_there_is_anything(store):
    assert len(store.read(BOX).levels) == 1
    assert store.read(BOX).hand is None
    assert len(store.read(BOX, depth=2).levels) == 2


def test_what_is_read_is_a_copy(store):
    store.read(BOX).levels[0][...] = 5
    assert not store.labels.any()


def test_an_id_beyond_16_bits_widens_the_arrays_once_and_keeps_what_is_there(store):
    write(store, BOX, lambda cut: fill(2, level=1)(fill(3)(cut)))
    narrow = store.labels
    assert not store.make_room(65_535)
    assert store.make_room(65_536)
    assert store.labels is not narrow
    assert (store.labels.dtype, store.beneath.dtype) == (np.uint32, np.uint32)
    assert ((store.labels == 3) == (store.beneath == 2)).all()
    assert not store.make_room(70_000)
    write(store, BOX, fill(70_000))
    assert store.shown(70_000) == 12


def test_a_snapshot_is_all_of_a_box_in_a_patch(store):
    write(store, BOX, lambda cut: Cut(fill(2, level=1)(fill(3)(cut)).levels, np.full(cut.levels[0].shape, 3, np.int32)))
    other = VoxelStore(SHAPE)
    for piece in store.snapshot(store.whole).pieces:
        assert set(piece.levels) == {0, 1, HAND}
        other.write(other.replay(piece))
    for level in (0, 1, HAND):
        np.testing.assert_array_equal(other.level(level), store.level(level))
    assert (other.shown(3), other.covered(2)) == (store.shown(3), store.covered(2))
    assert not store.snapshot((slice(0, 1), slice(0, 6), slice(0, 8)))


def test_traces_of_an_object_are_never_outside_its_reach(store):
    assert store.reach(3) is None
    write(store, BOX, fill(3))
    write(store, (slice(3, 4), slice(0, 1), slice(0, 1)), fill(3))
    assert store.reach(3) == (slice(1, 4), slice(0, 5), slice(0, 7))


def test_two_dimensions_work_alike():
    store = VoxelStore((6, 8))
    write(store, (slice(1, 3), slice(2, 4)), fill(3))
    assert store.shown(3) == 4
    assert store.find(3, store.whole) == (slice(1, 3), slice(2, 4))


def test_edits_are_equal_or_not_by_content():
    before = Cut((np.zeros(4, np.uint16),))
    assert Edit.between((slice(0, 4),), before, Cut((np.zeros(4, np.uint16), np.zeros(4, np.uint16)))) is None


@pytest.mark.skipif(sys.platform != "linux", reason="measured in Linux's units")
def test_memory_is_taken_only_where_something_is_written():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    array = blank((400, 1000, 1000), np.dtype(np.uint16))
    array[:, 500, :10] = 1  # a coronal slice: one row of every axial one
    assert array[:, 500].sum() == 4000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000  # kB; the array has 800 MB


def test_the_trace_of_an_object_holds_its_voxels_and_its_hand_marks(store):
    write(store, BOX, fill(3))
    corner = (slice(0, 1), slice(0, 1), slice(0, 1))
    write(store, corner, lambda cut: Cut(cut.levels, np.full((1, 1, 1), -3, np.int32)))
    assert store.trace(3, store.whole) == (slice(0, 2), slice(0, 5), slice(0, 7))
    assert store.trace(3, BOX) == BOX
    assert store.trace(3, corner) == corner
    assert store.trace(4, store.whole) is None
