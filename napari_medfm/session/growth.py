"""What becomes of proposals that a person accepts: which objects they belong to, and what that does to the voxels."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_medfm.inference import Proposal
from napari_medfm.session import transitions
from napari_medfm.session.drafts import edit_boxes, plane_mask
from napari_medfm.session.edits import Cut, Editor, Mask
from napari_medfm.session.ledger import Draft
from napari_medfm.session.patches import bounds, within
from napari_medfm.session.state import CommitPolicy, Extent, SessionState
from napari_medfm.session.voxels import Edit, VoxelStore
from napari_medfm.volume import Plane, Region

Target = str | int
"""What is proposed: all of a class, by its name, or more of one object, by its id."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who proposes.

    Attributes
    ----------
    model, model_digest : str, str
        Name, and digest of weights and preprocessing.
    adapters : tuple of str
        Digests of adapters that were on.
    several : bool
        Whether parts of the target that do not touch are objects of their own.
    """

    model: str
    model_digest: str = ""
    adapters: tuple[str, ...] = ()
    several: bool = False


def parts_of(proposals: Sequence[Proposal]) -> list[tuple[Proposal, ...]]:
    """Return proposals grouped by what hangs together: those of neighbouring slices that overlap.

    Parameters
    ----------
    proposals : sequence of Proposal
        Across one axis, in any order.
    """
    by_index: defaultdict[int, list[int]] = defaultdict(list)
    for number, proposal in enumerate(proposals):
        by_index[proposal.plane.index].append(number)
    links = [
        (one, other)
        for index, numbers in by_index.items()
        for one in numbers
        for other in by_index.get(index + 1, ())
        if proposals[one].overlaps(proposals[other])
    ]
    ends = np.array(links, np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links), bool), (ends[0], ends[1])), shape=(len(proposals),) * 2)
    count, part = connected_components(graph, directed=False)
    return [tuple(proposals[int(number)] for number in np.flatnonzero(part == one)) for one in range(count)]


def accept(
    state: SessionState,
    voxels: VoxelStore,
    target: Target,
    chosen: Sequence[Proposal],
    origin: Origin,
    confirmed: Iterable[Plane] = (),
) -> Draft:
    """Make accepted proposals voxels of objects that are accepted, in one step.

    They only add, where no object is but one of a parent class, and where no hand erased. An object that is proposed
    more of grows. Of a class the one object grows; where there may be several, each part makes a new object, or goes
    on with the one that it overlaps on a neighbouring slice. Locked objects do not grow.

    Parameters
    ----------
    state, voxels
        As they are.
    target : str or int
        What was proposed.
    chosen : sequence of Proposal
        Across one axis.
    origin : Origin
        Who proposed.
    confirmed : iterable of Plane
        Slices that the person looked at: of them the class is fully annotated then.

    Raises
    ------
    LockedObjectError
        More of an object was proposed, and it is locked.
    SessionError
        There is no such object or class.
    """
    after, owners = _owners(state, voxels, target, chosen, origin.several)
    by_plane: defaultdict[Plane, list[tuple[int, Proposal]]] = defaultdict(list)
    for number, proposal in owners:
        by_plane[proposal.plane].append((number, proposal))
    edits = [edit for plane in sorted(by_plane) for edit in _grow(after, voxels, by_plane[plane])]
    if isinstance(target, str):
        after = _confirm(after, voxels, target, confirmed, frozenset(by_plane))
    facts = {
        "model": origin.model,
        "model_digest": origin.model_digest,
        "adapters": list(origin.adapters),
        "objects": sorted({number for number, _ in owners}),
        "axis": chosen[0].plane.axis if chosen else 0,
        "confidence": {str(plane.index): _least(by_plane[plane]) for plane in sorted(by_plane)},
    }
    return Draft("accept_proposals", "accept proposals", replace(after, active=state.active), tuple(edits), facts=facts)


def confirm(state: SessionState, voxels: VoxelStore, class_name: str, planes: Iterable[Plane]) -> Draft:
    """Say that all of a class on some slices is labelled: objects there are accepted; where none is, there is none."""
    after = _confirm(state, voxels, class_name, planes, frozenset())
    return Draft("confirm_slice", "slice is complete", after)


def members_on(state: SessionState, voxels: VoxelStore, class_name: str, plane: Plane) -> tuple[int, ...]:
    """Return the ids of a class's own objects that have voxels on a plane."""
    return tuple(
        thing.id
        for thing in state.objects.values()
        if thing.class_name == class_name and plane_mask(state, voxels, thing.id, plane).any()
    )


def grower(state: SessionState, target: Target, *, several: bool = False) -> int | None:
    """Return the object that grows if proposals are accepted; None if new ones are made."""
    if isinstance(target, int):
        return target
    mine = [thing.id for thing in state.objects.values() if thing.class_name == target and not thing.locked]
    return mine[0] if mine and not several else None


def _owners(
    state: SessionState, voxels: VoxelStore, target: Target, chosen: Sequence[Proposal], several: bool
) -> tuple[SessionState, list[tuple[int, Proposal]]]:
    """Return the state with the objects that are needed, and whose each proposal is."""
    if isinstance(target, int):
        return state, [(transitions.unlocked(state, target).id, proposal) for proposal in chosen]
    state.object_class(target)
    mine = [thing.id for thing in state.objects.values() if thing.class_name == target and not thing.locked]
    owners: list[tuple[int, Proposal]] = []
    for part in parts_of(chosen) if several else [tuple(chosen)] if chosen else []:
        found = _continued(state, voxels, mine, part) if several else grower(state, target)
        if found is None:
            state = transitions.add_object(state, target)
            found = state.object().id
        owners += [(found, proposal) for proposal in part]
    for number in {number for number, _ in owners}:
        state = transitions.alter(state, replace(state.objects[number], accepted=True))
    return state, owners


def _continued(state: SessionState, voxels: VoxelStore, mine: Sequence[int], part: Sequence[Proposal]) -> int | None:
    """The object that a part overlaps most on the slices beside it."""
    shared: defaultdict[int, int] = defaultdict(int)
    if len(voxels.shape) < 3:
        return None
    for proposal in part:
        plane = proposal.plane
        for index in (plane.index - 1, plane.index + 1):
            if 0 <= index < voxels.shape[plane.axis]:
                beside = Plane(plane.axis, index)
                for number in mine:
                    mask = plane_mask(state, voxels, number, beside)[proposal.box]
                    shared[number] += int(np.count_nonzero(mask & proposal.inside))
    best = max(shared, key=shared.__getitem__, default=None)
    return best if best is not None and shared[best] else None


def _grow(state: SessionState, voxels: VoxelStore, owned: Sequence[tuple[int, Proposal]]) -> tuple[Edit, ...]:
    """Change one slice: its boxes may overlap, so that it is one edit."""
    ndim = len(voxels.shape)
    region = bounds([proposal.region(ndim) for _, proposal in owned if not proposal.is_empty])
    if region is None:
        return ()
    careful = replace(state, policy=CommitPolicy.KEEP)
    masks = [(number, _placed(proposal, region, ndim)) for number, proposal in owned if not proposal.is_empty]
    return edit_boxes(voxels, [region], partial(_extend, careful, masks))


def _extend(state: SessionState, masks: Sequence[tuple[int, Mask]], cut: Cut) -> Cut:
    for number, mask in masks:
        cut = Editor(state, number).extend(cut, mask & ~_erased(state, number, cut))
    return cut


def _erased(state: SessionState, number: int, cut: Cut) -> NDArray[np.bool_] | np.bool_:
    """Where the hand erased the object, or another of its class."""
    if cut.hand is None:
        return np.False_
    kind = state.objects[number].class_name
    same = [each.id for each in state.objects.values() if each.id == number or (kind and each.class_name == kind)]
    return np.isin(cut.hand, [-other for other in same])


def _placed(proposal: Proposal, region: Region, ndim: int) -> Mask:
    mask = np.zeros([part.stop - part.start for part in region], bool)
    place = within(proposal.region(ndim), region)
    mask[place] = proposal.inside.reshape(mask[place].shape)
    return mask


def _confirm(
    state: SessionState, voxels: VoxelStore, class_name: str, planes: Iterable[Plane], grown: frozenset[Plane]
) -> SessionState:
    marks: Mapping[Extent, list[Plane]] = {Extent.ANNOTATED: [], Extent.NEGATIVE: []}
    for plane in planes:
        for number in members_on(state, voxels, class_name, plane):
            state = transitions.alter(state, replace(state.objects[number], accepted=True))
        # What lies inside the class is part of it, even where nothing of its own is left.
        there = any(plane_mask(state, voxels, number, plane).any() for number in state.members(class_name))
        marks[Extent.ANNOTATED if there or plane in grown else Extent.NEGATIVE].append(plane)
    for extent, marked in marks.items():
        state = transitions.set_extent(state, class_name, marked, extent)
    return state


def _least(owned: Sequence[tuple[int, Proposal]]) -> float:
    return round(min(proposal.confidence for _, proposal in owned), 4)
