import dataclasses
from types import MappingProxyType

import numpy as np
import pytest

from napari_medfm.prompts import Point, PromptSet
from napari_medfm.session import CommitPolicy, Extent, ObjectClass, SegmentedObject, SessionState, checkpoints
from napari_medfm.session.changes import Change
from napari_medfm.session.checkpoints import AT_ONCE, LAG, CheckpointQueue
from napari_medfm.session.edits import Cut
from napari_medfm.session.patches import Patch
from napari_medfm.session.voxels import VoxelStore
from napari_medfm.volume import Plane

SHAPE = (3, 700, 600)


def test_a_part_waits_until_it_lies_far_enough_behind():
    queue = CheckpointQueue()
    queue.touch(["a"], 5)
    queue.touch(["a", "b"], 6)
    assert queue.due(LAG + 4) == ()
    assert queue.due(LAG + 5) == ("a",)
    assert queue.due(LAG + 6) == ("a", "b")
    assert queue.waiting() == ("a", "b")


def test_no_event_pays_for_more_than_a_few_parts():
    queue = CheckpointQueue()
    queue.touch(map(str, range(300)), 1)
    assert queue.due(1000) == ("0", "1")[:AT_ONCE]


def test_what_is_covered_ends_before_the_oldest_part_that_is_not_written():
    queue = CheckpointQueue()
    assert queue.covered(10, ()) == 9
    queue.touch(["a"], 4)
    queue.touch(["b"], 7)
    assert queue.covered(10, ()) == 3
    assert queue.covered(10, ["a"]) == 6
    assert queue.covered(10, ["a", "b"]) == 9
    queue.remove(["a"])
    assert queue.covered(10, ()) == 6


def test_what_has_to_be_replayed_stays_short_even_if_every_event_touches_every_slice():
    queue = CheckpointQueue()
    slices = [str(index) for index in range(300)]
    lags = []
    for seq in range(1, 2000):
        written = queue.due(seq)
        lags.append(seq - queue.covered(seq, written))
        queue.remove(written)
        queue.touch(slices, seq)
    assert max(lags) <= LAG + 300 / AT_ONCE + 2


def test_blocks_tile_the_volume():
    count = np.zeros(SHAPE, int)
    parts = list(checkpoints.blocks_in(tuple(slice(0, size) for size in SHAPE)))
    for part in parts:
        count[checkpoints.block_of(part, SHAPE)] += 1
    assert (count == 1).all()
    assert len(parts) == 3 * 2 * 2


def test_a_box_touches_the_blocks_it_overlaps():
    assert list(checkpoints.blocks_in((slice(1, 2), slice(500, 520), slice(0, 5)))) == [
        "voxels/1/0/0",
        "voxels/1/1/0",
    ]
    assert list(checkpoints.blocks_in((slice(0, 9), slice(0, 9)))) == ["voxels/0/0"]
    assert checkpoints.block_of("object/3", SHAPE) is None


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("objects", 3), "object/3"),
        (("objects", 3, "name"), "object/3"),
        (("prompts", 3, 0), "object/3"),
        (("answers", 3, 0, 17), "object/3"),
        (("extent", "a/b", 0, 17), "extent/a/b"),
        (("active",), "choices"),
    ],
)
def test_every_change_belongs_to_one_part(path, part):
    assert checkpoints.part_of(Change(path, None, None)) == part
    assert list(checkpoints.parts_touched([Change(path, None, None)], Patch())) == [part]


def test_everything_can_be_put_together_from_its_parts():
    plane = Plane(1, 4)
    thing = SegmentedObject(
        3, "liver", "organ", (1, 2, 3), locked=True, accepted=True, prompts=PromptSet((Point(plane, (1.5, 2.0)),))
    )
    state = SessionState(
        objects=MappingProxyType({3: thing, 5: dataclasses.replace(thing, id=5, visible=False)}),
        classes=(ObjectClass("organ", (4, 5, 6)), ObjectClass("a/b", parent="organ")),
        extent=MappingProxyType({("organ", plane): Extent.NEGATIVE, ("a/b", Plane(0, 2)): Extent.ANNOTATED}),
        active=5,
        policy=CommitPolicy.REPLACE,
        image="f2",
        answers=MappingProxyType({(3, plane): "0a", (3, Plane(0, 0)): "0b"}),
        next_id=9,
    )
    voxels = VoxelStore(SHAPE)
    region = (slice(1, 3), slice(400, 600), slice(500, 520))
    marks = np.full([part.stop - part.start for part in region], -3, np.int32)
    voxels.write(voxels.edit(region, lambda cut: Cut((cut.levels[0] + 3, cut.levels[0] + 5), marks)))
    parts = ["object/3", "object/5", "object/7", "extent/organ", "extent/a/b", "choices"]
    parts += checkpoints.blocks_in(voxels.whole)

    kept = [checkpoints.take(part, 40, state, voxels) for part in parts]
    again = VoxelStore(SHAPE)
    rebuilt = checkpoints.restore(kept, SessionState(), again)

    assert rebuilt == state
    np.testing.assert_array_equal(again.labels, voxels.labels)
    np.testing.assert_array_equal(again.beneath, voxels.beneath)
    np.testing.assert_array_equal(again.hand, voxels.hand)
    assert (again.shown(3), again.covered(5)) == (voxels.shown(3), voxels.covered(5))
    assert {part.seq for part in kept} == {40}
