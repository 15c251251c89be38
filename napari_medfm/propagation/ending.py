"""How an object ends towards a slice of which a person says that it is not there."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_medfm.inference.proposals import Mask, Proposal
from napari_medfm.propagation.keys import KeySlice
from napari_medfm.propagation.shapes import between
from napari_medfm.volume import Geometry

_STAYS = 0.25  # of an object, or of the key slice if that is smaller, that lies where the key slice holds it


def taper(proposals: Sequence[Proposal], keys: Sequence[KeySlice], geometry: Geometry) -> list[Proposal]:
    """Return the proposals that lose something because the object ends where a key slice holds nothing.

    What runs on at full width up to the slice where it is denied has mostly spread into its surroundings. Towards
    such a slice the object is no wider than the key slice before it, shrunk as an ellipsoid does. One that does not
    stay where that key slice holds it, such as an oblique vessel, is left as it is.

    Parameters
    ----------
    proposals : sequence of Proposal
        Of one object, each slice once.
    keys : sequence of KeySlice
        Across one axis; they are never changed.
    geometry : Geometry
        Of the volume.

    Returns
    -------
    list of Proposal
        To replace those of the same plane; the others stay as they are.
    """
    changed = []
    for first, second in pairwise(sorted(keys, key=lambda key: key.plane)):
        if first.mask.any() != second.mask.any():
            key, end = (first, second) if first.mask.any() else (second, first)
            inside = [each for each in proposals if first.plane < each.plane < second.plane]
            changed += _tapered(inside, key, end, geometry)
    return changed


def _tapered(proposals: Sequence[Proposal], key: KeySlice, end: KeySlice, geometry: Geometry) -> list[Proposal]:
    masks = [each.to_mask(key.mask.shape) for each in proposals]
    if not _stays(masks, key.mask):
        return []
    spacing, way = geometry.plane_spacing(key.plane), end.plane.index - key.plane.index
    found = []
    for proposal, mask in zip(proposals, masks, strict=True):
        share = (proposal.plane.index - key.plane.index) / way
        rest = mask & between(key.mask, end.mask, share, spacing)
        if np.count_nonzero(rest) < np.count_nonzero(mask):
            found.append(Proposal.of(proposal.plane, rest, proposal.confidence))
    return found


def _stays(masks: Sequence[Mask], held: Mask) -> bool:
    areas = [min(np.count_nonzero(mask), np.count_nonzero(held)) for mask in masks]
    return bool(sum(np.count_nonzero(mask & held) for mask in masks) >= _STAYS * sum(areas))
