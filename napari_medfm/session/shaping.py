"""What an editing operation would do to an object: worked out on any thread, done only if nothing else happened."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_medfm.editing import Operation
from napari_medfm.session import strokes, transitions
from napari_medfm.session.edits import Cut, Editor, Mask
from napari_medfm.session.ledger import Draft, Ledger
from napari_medfm.session.patches import box_of, overlap, shift, slabs, within
from napari_medfm.session.plans import Plan
from napari_medfm.session.voxels import Edit, VoxelStore
from napari_medfm.volume import Geometry, Plane, Region


@dataclass(frozen=True, slots=True, eq=False)
class SliceChange:
    """What would change on one slice.

    Attributes
    ----------
    plane : Plane
        The slice.
    added, removed : ndarray of bool, (rows, columns)
        What the object would gain and lose.
    """

    plane: Plane
    added: Mask
    removed: Mask


@dataclass(frozen=True, slots=True)
class Shaping:
    """An operation on an object, under the rules of a session.

    Attributes
    ----------
    operation : Operation
        What to do.
    object_id : int or None
        The object; the active one if None.
    inside : str or None
        Class within which the object may gain voxels; None for anywhere.
    """

    operation: Operation
    object_id: int | None = None
    inside: str | None = None

    def plan(self, ledger: Ledger, geometry: Geometry) -> Plan:
        """Work out the whole change.

        Raises
        ------
        SessionError
            There is no such object, or it is locked.
        """
        revision, state, voxels = ledger.revision, ledger.state, ledger.voxels
        editor = Editor(state, transitions.unlocked(state, self.object_id).id)
        found = self._target(editor, voxels, geometry, None)
        edits, added, removed = [], 0, 0
        for slab in slabs(found[0]) if found is not None else ():
            region, before, after = found  # type: ignore[misc]
            part = within(slab, region)
            edit = _edit(editor, voxels, slab, after[part] & ~before[part], before[part] & ~after[part])
            if edit is not None:
                edits.append(edit)
                gained = editor.shown(edit.after).astype(np.int8) - editor.shown(edit.before)
                added, removed = added + int((gained > 0).sum()), removed + int((gained < 0).sum())
        facts = {"object": editor.object_id, "operation": _described(self.operation), "inside": self.inside}
        draft = Draft("shape", self.operation.title, state, tuple(edits), facts=facts if edits else {})
        return Plan(draft, revision, added, removed)

    def glance(self, ledger: Ledger, geometry: Geometry, plane: Plane) -> SliceChange:
        """Work out the change on one slice, looking no further than the operation does.

        Raises
        ------
        SessionError
            As `plan`.
        """
        state, voxels = ledger.state, ledger.voxels
        editor = Editor(state, transitions.unlocked(state, self.object_id).id)
        shape = plane.shape(geometry.shape)
        change = SliceChange(plane, np.zeros(shape, bool), np.zeros(shape, bool))
        found = self._target(editor, voxels, geometry, plane)
        here = overlap(found[0], plane.region(geometry.shape)) if found is not None else None
        if found is None or here is None:
            return change
        before, after = (mask[within(here, found[0])] for mask in found[1:])
        edit = _edit(editor, voxels, here, after & ~before, before & ~after)
        if edit is not None:
            old, new = editor.shown(edit.before), editor.shown(edit.after)
            whole = np.zeros([part.stop - part.start for part in plane.region(geometry.shape)], np.int8)
            whole[within(edit.piece.region, plane.region(geometry.shape))] = new.astype(np.int8) - old
            change.added[...], change.removed[...] = (whole > 0).reshape(shape), (whole < 0).reshape(shape)
        return change

    def _target(
        self, editor: Editor, voxels: VoxelStore, geometry: Geometry, plane: Plane | None
    ) -> tuple[Region, Mask, Mask] | None:
        """A box, the object in it, and what is to become of that; of a slice's surroundings if one is given."""
        near = voxels.reach(editor.object_id)
        looks = self.operation.reach(geometry.spacing)
        if near is not None and plane is not None and looks is not None and geometry.ndim == 3:
            around = list(voxels.whole)
            around[plane.axis] = slice(plane.index - looks[plane.axis], plane.index + looks[plane.axis] + 1)
            near = overlap(near, tuple(around))
        held = strokes.shown_in(editor.state, voxels, editor.object_id, near) if near is not None else None
        inner = box_of(held) if held is not None else None
        if near is None or held is None or inner is None:
            return None
        own = shift(near, inner)
        region = _grown(own, self.operation.margin(geometry.spacing), geometry.shape)
        before = np.zeros([part.stop - part.start for part in region], bool)
        before[within(own, region)] = held[inner]
        after = self.operation.apply(before, geometry.spacing, tuple(part.start for part in region))
        if self.inside is not None:
            after = after & (before | strokes.within_class(editor.state, voxels, self.inside, region))
        return region, before, after


def _edit(editor: Editor, voxels: VoxelStore, region: Region, add: Mask, remove: Mask) -> Edit | None:
    """Paint and erase within a box, journaling no more of it than is needed."""
    inner = box_of(add | remove)
    if inner is None:
        return None

    def change(cut: Cut) -> Cut:
        return editor.erase(editor.paint(cut, add[inner]), remove[inner])

    return voxels.edit(shift(region, inner), change)


def _grown(region: Region, margin: tuple[int, ...], shape: tuple[int, ...]) -> Region:
    parts = zip(region, margin, shape, strict=True)
    return tuple(slice(max(0, part.start - more), min(size, part.stop + more)) for part, more, size in parts)


def _described(operation: Operation) -> dict[str, Any]:
    """Return an operation as JSON values, for the record."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(operation).items()}  # type: ignore[call-overload]
    return {"kind": type(operation).__name__, **values}
