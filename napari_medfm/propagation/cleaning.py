"""What of a propagated object hangs together with its key slices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from napari_medfm.inference.proposals import Mask, Proposal
from napari_medfm.propagation.keys import KeySlice
from napari_medfm.propagation.shapes import signed_distance
from napari_medfm.volume import Geometry

_REACH = 0.5  # mm that each of two outlines may lie apart for every mm between their slices


def keep_connected(proposals: Sequence[Proposal], keys: Sequence[KeySlice], geometry: Geometry) -> list[Proposal]:
    """Return the proposals that lose something when only what hangs together with a key slice is kept.

    Parts on neighbouring slices hang together if their outlines come within as many mm as the slices
    are apart: in thick slices an oblique vessel need not overlap itself.

    Parameters
    ----------
    proposals : sequence of Proposal
        Of one object, each slice once.
    keys : sequence of KeySlice
        They are never changed.
    geometry : Geometry
        Of the volume.

    Returns
    -------
    list of Proposal
        To replace those of the same plane; the others stay as they are.
    """
    if not proposals or not any(key.mask.any() for key in keys):
        return []
    shape = keys[0].plane.shape(geometry.shape)
    masks = {item.plane.index: item.to_mask(shape) for item in proposals}
    masks |= {key.plane.index: key.mask for key in keys}
    kept = _kept(masks, keys, geometry)
    changed = []
    for proposal in proposals:
        mask = masks[proposal.plane.index] & kept[proposal.plane.index]
        if np.count_nonzero(mask) < np.count_nonzero(proposal.inside):
            changed.append(Proposal.of(proposal.plane, mask, proposal.confidence))
    return changed


def _kept(masks: dict[int, Mask], keys: Sequence[KeySlice], geometry: Geometry) -> dict[int, NDArray[np.bool_]]:
    """Where parts lie, widened, that reach a key slice; by index."""
    plane = keys[0].plane
    spacing, reach = geometry.plane_spacing(plane), _REACH * geometry.spacing[plane.axis]
    first, last = min(masks), max(masks)
    stack = np.zeros((last - first + 1, *plane.shape(geometry.shape)), bool)
    for index, mask in masks.items():
        box = _around(mask, [int(reach / step) + 1 for step in spacing])
        stack[index - first][box] = signed_distance(mask[box], spacing) > -reach
    parts, _ = label(stack, generate_binary_structure(3, 1))
    anchored = np.unique(np.concatenate([parts[key.plane.index - first][key.mask] for key in keys]))
    return {index: np.isin(parts[index - first], anchored[anchored > 0]) for index in masks}


def _around(mask: Mask, margin: Sequence[int]) -> tuple[slice, slice]:
    """The box of a mask and a margin beside it; empty where the mask is."""
    ends = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    if not ends[0].size:
        return slice(0), slice(0)
    rows, columns = (
        slice(max(0, int(at[0]) - beside), int(at[-1]) + 1 + beside) for at, beside in zip(ends, margin, strict=True)
    )
    return rows, columns
