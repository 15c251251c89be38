"""Strokes as napari reports them, and questions about objects that need their voxels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_medfm.session.edits import Editor, Mask
from napari_medfm.session.patches import overlap, slabs, within
from napari_medfm.session.state import SessionState
from napari_medfm.session.voxels import VoxelStore
from napari_medfm.volume import Region


def enclose(indices: Sequence[Any]) -> tuple[Region | None, Mask]:
    """Return the voxels of a stroke as a mask of its box.

    Parameters
    ----------
    indices : sequence of integer arrays
        One per axis; a voxel may occur twice.

    Returns
    -------
    (Region, ndarray of bool)
        The box around the stroke and its voxels in that box; no box for an empty stroke.
    """
    shape = np.broadcast_shapes(*(np.shape(part) for part in indices))
    places = [np.broadcast_to(part, shape).reshape(-1) for part in indices]
    if places[0].size == 0:
        return None, np.zeros(0, bool)
    region = tuple(slice(int(part.min()), int(part.max()) + 1) for part in places)
    size = tuple(part.stop - part.start for part in region)
    flat = np.ravel_multi_index([part - box.start for part, box in zip(places, region, strict=True)], size)
    mask = np.zeros(math.prod(size), bool)
    mask[flat] = True
    return region, mask.reshape(size)


def count(state: SessionState, voxels: VoxelStore, object_id: int) -> int:
    """Return the number of an object's voxels, those of objects inside it included; nothing is scanned."""
    state.object(object_id)
    inside = (
        number
        for top, number in voxels.covered(object_id).items()
        if top in state.objects and state.lies_in(top, object_id)
    )
    return voxels.shown(object_id) + sum(inside)


def shown_in(state: SessionState, voxels: VoxelStore, object_id: int, region: Region) -> Mask:
    """Return an object's voxels in a box, those of objects inside it included; read slice by slice."""
    mask = np.zeros([part.stop - part.start for part in region], bool)
    editor, reach = Editor(state, object_id), voxels.reach(object_id)
    near = overlap(reach, region) if reach is not None else None
    for slab in slabs(near) if near is not None else ():
        mask[within(slab, region)] = editor.shown(voxels.read(slab))
    return mask


def within_class(state: SessionState, voxels: VoxelStore, class_name: str, region: Region) -> Mask:
    """Return the voxels in a box that belong to any object of a class, or of a class below it.

    Raises
    ------
    SessionError
        There is no such class.
    """
    mask = np.zeros([part.stop - part.start for part in region], bool)
    for number in state.members(state.object_class(class_name).name):
        mask |= shown_in(state, voxels, number, region)
    return mask


def bounding_box(state: SessionState, voxels: VoxelStore, object_id: int) -> Region | None:
    """Return the smallest box that holds all of an object's voxels; looks from outside inwards."""
    reach = voxels.reach(object_id)
    if reach is None or not count(state, voxels, object_id):
        return None
    editor = Editor(state, object_id)
    box = list(reach)
    for axis in range(len(box)):
        first, last = box[axis].start, box[axis].stop - 1
        while first < last and not _holds(voxels, editor, box, axis, first):
            first += 1
        while first < last and not _holds(voxels, editor, box, axis, last):
            last -= 1
        box[axis] = slice(first, last + 1)
    return tuple(box)


def _holds(voxels: VoxelStore, editor: Editor, box: Sequence[slice], axis: int, index: int) -> bool:
    layer = (*box[:axis], slice(index, index + 1), *box[axis + 1 :])
    if (voxels.labels[layer] == editor.object_id).any():
        return True
    hidden = voxels.find(editor.object_id, layer)
    return hidden is not None and bool(editor.shown(voxels.read(hidden)).any())
