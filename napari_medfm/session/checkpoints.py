"""Checkpoints of single parts of a session, so that reopening need not replay everything.

The parts are blocks of voxels (a slice of at most 512 x 512), single objects, the
extent of single classes, and the few choices that are left. After every event at
most a few parts that changed long ago are written, oldest first: no event pays for
the size of the volume, and what has to be replayed stays short.
"""

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from napari_medfm.session import changes as state_changes
from napari_medfm.session.changes import Change
from napari_medfm.session.journal import Checkpoint
from napari_medfm.session.patches import Patch
from napari_medfm.session.state import Extent, SessionState, thaw
from napari_medfm.session.voxels import VoxelStore
from napari_medfm.volume import Plane, Region

LAG = 64
"""Events a part may lie behind before it is written again."""
AT_ONCE = 2
"""Parts written along with one event."""

SIDE = 512
"""Rows and columns of a block of voxels."""
_CHOICES = "choices"


class CheckpointQueue:
    """Parts that changed since they were last written, in the order in which they first did."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def touch(self, parts: Iterable[str], seq: int) -> None:
        """Note that an event changed some parts."""
        for part in parts:
            self._since.setdefault(part, seq)

    def due(self, seq: int) -> tuple[str, ...]:
        """Return the parts to write along with the event `seq`."""
        late = itertools.takewhile(lambda part: self._since[part] <= seq - LAG, self._since)
        return tuple(itertools.islice(late, AT_ONCE))

    def waiting(self) -> tuple[str, ...]:
        """Return all parts that would have to be replayed."""
        return tuple(self._since)

    def covered(self, seq: int, written: Iterable[str]) -> int:
        """Return the event up to which nothing has to be replayed once `written` are written along with `seq`."""
        left = (since for part, since in self._since.items() if part not in set(written))
        return next(left, seq) - 1

    def remove(self, parts: Iterable[str]) -> None:
        """Note that parts were written."""
        for part in parts:
            del self._since[part]


def block_of(part: str, shape: tuple[int, ...]) -> Region | None:
    """Return the box of a part that is a block of voxels, else None."""
    kind, _, place = part.partition("/")
    if kind != "voxels":
        return None
    indices = [int(index) for index in place.split("/")]
    return tuple(
        slice(index * side, min((index + 1) * side, size))
        for index, side, size in zip(indices, _sides(len(shape)), shape, strict=True)
    )


def blocks_in(region: Region) -> Iterator[str]:
    """Yield the blocks of voxels that a box overlaps."""
    ranges = [
        range(part.start // side, (part.stop - 1) // side + 1)
        for part, side in zip(region, _sides(len(region)), strict=True)
    ]
    for indices in itertools.product(*ranges):
        yield "voxels/" + "/".join(map(str, indices))


def part_of(change: Change) -> str:
    """Return the part that a change of the state belongs to."""
    head = change.path[0]
    if head in ("objects", "prompts", "answers"):
        return f"object/{change.path[1]}"
    return f"extent/{change.path[1]}" if head == "extent" else _CHOICES


def parts_touched(changes: Iterable[Change], patch: Patch) -> Iterator[str]:
    """Yield the parts that an event changes; some perhaps more than once."""
    yield from map(part_of, changes)
    for piece in patch.pieces:
        yield from blocks_in(piece.region)


def take(part: str, seq: int, state: SessionState, voxels: VoxelStore) -> Checkpoint:
    """Return the checkpoint of a part as it is after an event."""
    block = block_of(part, voxels.shape)
    if block is not None:
        return Checkpoint(part, seq, voxels.snapshot(block).encode())
    text = state_changes.canonical(_describe(part, state))
    return Checkpoint(part, seq, zlib.compress(text.encode(), 1))


def restore(kept: Iterable[Checkpoint], state: SessionState, voxels: VoxelStore) -> SessionState:
    """Put parts into empty voxels, and return the state with them.

    Raises
    ------
    ValueError, LookupError, TypeError, zlib.error
        A content is not what `take` wrote.
    """
    blocks: list[Checkpoint] = []
    contents: list[tuple[str, Any]] = []
    for part in kept:
        if block_of(part.part, voxels.shape) is not None:
            blocks.append(part)
        else:
            contents.append((part.part, json.loads(zlib.decompress(part.content))))
    state = _recall(contents, state)
    voxels.make_room(state.next_id)
    for part in blocks:
        for piece in Patch.decode(part.content).pieces:
            edit = voxels.replay(piece)
            if edit is not None:
                voxels.write(edit)
    return state


def _sides(ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - 2) + (SIDE, SIDE)


def _describe(part: str, state: SessionState) -> Any:
    kind, _, name = part.partition("/")
    if kind == "object":
        return _describe_object(int(name), state)
    if kind == "extent":
        marks = {plane: mark.value for (known, plane), mark in state.extent.items() if known == name}
        return [[plane.axis, plane.index, mark] for plane, mark in sorted(marks.items())]
    return state_changes.encode_choices(state)


def _describe_object(number: int, state: SessionState) -> Any:
    if number not in state.objects:
        return None
    answers = {plane: digest for (known, plane), digest in state.answers.items() if known == number}
    coded = [[plane.axis, plane.index, digest] for plane, digest in sorted(answers.items())]
    return [state_changes.encode_object(state.objects[number]), coded]


def _recall(contents: Iterable[tuple[str, Any]], state: SessionState) -> SessionState:
    objects, extent, answers = thaw(state.objects), thaw(state.extent), thaw(state.answers)
    for part, content in contents:
        kind, _, name = part.partition("/")
        if kind == "extent":
            extent.update({(name, Plane(axis, index)): Extent(mark) for axis, index, mark in content})
        elif kind != "object":
            state = state_changes.decode_choices(state, content)
        elif content is not None:
            thing = state_changes.decode_object(content[0])
            objects[thing.id] = thing
            answers.update({(thing.id, Plane(axis, index)): digest for axis, index, digest in content[1]})
    return replace(
        state,
        objects=MappingProxyType(dict(sorted(objects.items()))),
        extent=MappingProxyType(extent),
        answers=MappingProxyType(answers),
    )
