"""What each act of a person or a model does to state and voxels, worked out but not yet done."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, PromptError, SessionError, UnsupportedDataError
from napari_medfm.prompts import MaskPrompt, Prompt, PromptSet, check_inside
from napari_medfm.session import transitions
from napari_medfm.session.edits import Cut, Editor, Mask, lay
from napari_medfm.session.history import History
from napari_medfm.session.ledger import NEW_STEP, Draft
from napari_medfm.session.patches import bounds, box_of, overlap, shift, slabs, within
from napari_medfm.session.request import PredictionRequest, is_answered, is_current, needs_model
from napari_medfm.session.state import SessionState
from napari_medfm.session.strokes import within_class
from napari_medfm.session.voxels import Edit, VoxelStore
from napari_medfm.volume import WHOLE, Plane, Region

TITLES = {"point": "click", "box": "box", "scribble": "scribble", "lasso": "lasso", "mask": "mask"}
_Worked = tuple[tuple[Edit, ...], SessionState, dict[str, Any]]  # edits, the state after them, and where they are
_LARGEST_ID = 2**31 - 2**20  # hand marks are int32, and there must be room for ids of new objects


def add_prompt(state: SessionState, voxels: VoxelStore, prompt: Prompt, *, alone: bool = False) -> Draft:
    """Add a prompt to the active object, or to a new one if none is active.

    The first prompt on a plane where the object has voxels already is preceded by a
    mask prompt of them, so that the answer refines and never wipes; unless it is to
    stand `alone`, for a model that answers for all planes together.
    """
    check_prompt(prompt, voxels.shape)
    state = transitions.ensure_active(state)
    thing = transitions.unlocked(state)
    before: list[Prompt] = []
    if not (alone or len(thing.prompts.in_plane(prompt.plane))):
        present = plane_mask(state, voxels, thing.id, prompt.plane)
        before = [MaskPrompt.from_mask(prompt.plane, present)] if present.any() else []
    after = transitions.add_prompts(state, [*before, prompt])
    return _prompted(after, voxels, "add_prompt", TITLES[prompt.kind], [prompt.plane])


def remove_prompt(state: SessionState, voxels: VoxelStore, index: int) -> Draft:
    """Remove one of the active object's prompts; with the last one on a plane goes the model's part there."""
    thing = transitions.unlocked(state)
    plane = thing.prompts[transitions.check_index(thing, index)].plane
    after = transitions.remove_prompt(state, index)
    return _prompted(after, voxels, "remove_prompt", "delete prompt", [plane])


def move_prompt(state: SessionState, voxels: VoxelStore, index: int, prompt: Prompt) -> Draft:
    """Replace one of the active object's prompts."""
    check_prompt(prompt, voxels.shape)
    thing = transitions.unlocked(state)
    plane = thing.prompts[transitions.check_index(thing, index)].plane
    after = transitions.move_prompt(state, index, prompt)
    return _prompted(after, voxels, "move_prompt", "move prompt", dict.fromkeys([prompt.plane, plane]))


def answer(
    state: SessionState,
    voxels: VoxelStore,
    history: History,
    request: PredictionRequest,
    mask: Mask,
    facts: Mapping[str, Any],
    box: Region | None = None,
) -> Draft | None:
    """Put a model's answer in place; None if it comes too late.

    That of a model of volumes is about a box; where it answered last and no longer does, its voxels are given back.
    """
    if not is_current(state, request):
        return None
    work_out = _on_volume if request.plane == WHOLE else _on_plane
    edits, after, place = work_out(state, voxels, request, mask, box)
    about = {**facts, "object": request.object_id, **place}
    if is_answered(state, *request.subject):  # before, perhaps by another model
        return Draft("mask", "refresh", after, edits, facts=about if edits else {})
    region = bounds([edit.piece.region for edit in edits])
    step = history.joins(request.subject, region) or NEW_STEP
    return Draft("mask", "mask", after, edits, step, facts=about)


def _on_plane(
    state: SessionState, voxels: VoxelStore, request: PredictionRequest, mask: Mask, _box: Region | None
) -> _Worked:
    expected = request.plane.shape(voxels.shape)
    if mask.shape != expected or mask.dtype != np.bool_:
        reason = f"is {mask.dtype} of shape {mask.shape}, not bool of shape {expected}"
        raise SessionError("mask", reason, "Give the mask of the whole slice.")
    number, plane = request.subject
    edits = _predict(state, voxels, number, plane, mask)
    return edits, transitions.answered(state, number, [plane]), {"plane": [plane.axis, plane.index]}


def _on_volume(
    state: SessionState, voxels: VoxelStore, request: PredictionRequest, mask: Mask, box: Region | None
) -> _Worked:
    number, former = request.object_id, state.answered_box(request.object_id)
    edits: tuple[Edit, ...] = ()
    around = bounds([known for known in (box, former) if known is not None])
    if around is not None:
        wide = np.zeros([part.stop - part.start for part in around], bool)
        if box is not None:
            wide[within(check_box(box, mask, voxels.shape), around)] = mask
        edits = _predict_slabs(state, voxels, number, around, wide)
    corners = None if box is None else [[part.start, part.stop] for part in box]
    return edits, transitions.answered_whole(state, number, box), {"box": corners}


def delete_object(state: SessionState, voxels: VoxelStore, object_id: int) -> Draft:
    """Delete an object; what lay beneath it comes back."""
    after = transitions.delete_object(state, object_id)
    return Draft("delete_object", "delete object", after, _clear(state, voxels, object_id))


def reset(state: SessionState, voxels: VoxelStore, object_id: int | None) -> Draft:
    """Forget an object's prompts, mask and hand edits."""
    after = transitions.reset(state, object_id)
    return Draft("reset", "reset", after, _clear(state, voxels, state.object(object_id).id))


def brush(
    state: SessionState,
    voxels: VoxelStore,
    object_id: int,
    region: Region,
    mask: Mask,
    add: bool,
    inside: str | None = None,
) -> Draft:
    """Paint or erase voxels of an object by hand.

    Parameters
    ----------
    state, voxels
        As they are.
    object_id : int
        The object.
    region : Region
        A box.
    mask : ndarray of bool
        The voxels of the box.
    add : bool
        Paint or erase.
    inside : str, optional
        Class within which alone is painted.
    """
    editor = Editor(state, transitions.unlocked(state, object_id).id)
    region = check_box(region, mask, voxels.shape)
    if add and inside is not None:
        mask = mask & within_class(state, voxels, inside, region)
    inner = box_of(mask)
    edits: tuple[Edit, ...] = ()
    if inner is not None:
        change = editor.paint if add else editor.erase
        edits = edit_boxes(voxels, [shift(region, inner)], lambda cut: change(cut, mask[inner]))
    facts = {"object": object_id} if edits else {}
    return Draft("paint" if add else "erase", "brush" if add else "eraser", state, edits, facts=facts)


def import_labels(
    state: SessionState, voxels: VoxelStore, array: NDArray[Any], names: Mapping[int, str] | None
) -> Draft:
    """Open the labels of a file as accepted objects with the ids they have there."""
    values, numbers = check_labels(array, voxels.shape)
    clash = sorted(set(numbers) & set(state.objects))
    if clash:
        reason = f"has a label {clash[0]} that an object of the session has already"
        raise SessionError("label file", reason, "Delete that object, or import into a new session.")
    named = {number: (names or {}).get(number, f"Object {number}") for number in numbers}
    after = transitions.add_imported(state, named)
    edits: list[Edit] = []
    for slab in slabs(voxels.whole):
        inner = box_of(values[slab] > 0)
        if inner is not None:
            region = shift(slab, inner)
            edits += edit_boxes(voxels, [region], partial(_lay, values[region], state))
    return Draft("import", "import labels", after, tuple(edits))


def _lay(values: NDArray[Any], state: SessionState, cut: Cut) -> Cut:
    return lay(cut, values, state)


def check_prompt(prompt: Prompt, shape: tuple[int, ...]) -> None:
    """Check that a prompt lies in the image.

    Raises
    ------
    PromptError
        It does not.
    """
    plane = prompt.plane
    count = 1 if len(shape) == 2 else (shape[plane.axis] if 0 <= plane.axis < len(shape) else 0)
    if not 0 <= plane.index < count or (len(shape) == 2 and plane.axis != 0):
        raise PromptError(f"{prompt.kind} on slice {plane.index}", "lies outside the image", "Draw it on the image.")
    check_inside(prompt, plane.shape(shape))


def check_box(region: Region, mask: Mask, shape: tuple[int, ...]) -> Region:
    """Return a box with its corners spelt out, if a mask fits it.

    Raises
    ------
    SessionError
        It does not.
    """
    box = tuple(slice(*part.indices(size)[:2]) for part, size in zip(region, shape, strict=True))
    size = tuple(part.stop - part.start for part in box)
    if mask.shape != size or mask.dtype != np.bool_:
        reason = f"is {mask.dtype} of shape {mask.shape}, and the box has {size} voxels of the image"
        raise SessionError("mask", reason, "Give a mask of bool for a box within the image.")
    return box


def check_labels(array: NDArray[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], list[int]]:
    """Return a label array that can be imported, and the ids in it.

    Raises
    ------
    GeometryError
        Its shape is not that of the image.
    UnsupportedDataError
        It holds fractions, negative or too large numbers.
    """
    values = np.asarray(array)
    if values.shape != shape:
        reason = f"has {values.shape} voxels and the image has {shape}"
        raise GeometryError("label file", reason, "Resample it to the image first.")
    if values.dtype.kind not in "bui":
        reason = f"holds numbers of type {values.dtype}, which may be fractions"
        raise UnsupportedDataError("label file", reason, "Convert it to whole numbers first.")
    whole = tuple(slice(0, size) for size in shape)
    numbers = sorted({number for slab in slabs(whole) for number in _ids(values[slab])})
    if numbers and (numbers[0] < 0 or numbers[-1] > _LARGEST_ID):
        odd = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise UnsupportedDataError("label file", f"has the label {odd}", f"Use labels from 1 to {_LARGEST_ID}.")
    return values, [number for number in numbers if number]


def _ids(values: NDArray[Any]) -> list[int]:
    """Return the different numbers of an array; where a number goes on, it is looked at once."""
    flat = values.reshape(-1)
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    return [int(number) for number in np.unique(flat[starts])]


def plane_mask(state: SessionState, voxels: VoxelStore, object_id: int, plane: Plane) -> Mask:
    """Return an object's voxels on a plane, (rows, columns), those of objects inside it included."""
    whole = plane.region(voxels.shape)
    mask = np.zeros([part.stop - part.start for part in whole], bool)
    reach = voxels.reach(object_id)
    region = overlap(reach, whole) if reach is not None else None
    if region is not None:
        mask[within(region, whole)] = Editor(state, object_id).shown(voxels.read(region))
    return mask.reshape(plane.shape(voxels.shape))


def _prompted(after: SessionState, voxels: VoxelStore, kind: str, title: str, planes: Iterable[Plane]) -> Draft:
    """Complete a change of prompts: planes on which no model is asked are answered at once.

    So is a volume. While a model of volumes is still to be asked, a plane that lost its last prompt makes it owe an
    answer for all the others.
    """
    number = after.object().id
    prompts = after.object().prompts
    asked, box = next(iter(planes)), after.answered_box(number)
    if box is not None and not needs_model(prompts):
        return _settled_volume(after, voxels, kind, title, planes, box)
    settled = [plane for plane in planes if not needs_model(prompts.in_plane(plane))]
    edits: tuple[Edit, ...] = ()
    for plane in settled:
        edits += _predict(after, voxels, number, plane, _drawn(prompts.in_plane(plane), plane.shape(voxels.shape)))
    if box is not None and settled:
        after = transitions.unanswered(after, number)
    return Draft(kind, title, transitions.answered(after, number, settled), edits, subject=(number, asked))


def _settled_volume(
    after: SessionState, voxels: VoxelStore, kind: str, title: str, planes: Iterable[Plane], box: Region
) -> Draft:
    """Give back what a model of volumes answered in a box, but for what is drawn; so on planes beyond it."""
    thing = after.object()
    wide = np.zeros([part.stop - part.start for part in box], bool)
    edits: tuple[Edit, ...] = ()
    for plane in {*planes, *thing.prompts.planes}:
        drawn, whole = _drawn(thing.prompts.in_plane(plane), plane.shape(voxels.shape)), plane.region(voxels.shape)
        shared = overlap(whole, box)
        if shared is None:
            edits += _predict(after, voxels, thing.id, plane, drawn)
        else:
            wide[within(shared, box)] |= np.expand_dims(drawn, plane.axis)[within(shared, whole)]
    edits += _predict_slabs(after, voxels, thing.id, box, wide)
    settled = transitions.answered(transitions.forget_answers(after, thing.id), thing.id, thing.prompts.planes)
    return Draft(kind, title, settled, edits, subject=(thing.id, next(iter(planes))))


def _drawn(prompts: PromptSet, shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, bool)
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            mask |= prompt.to_mask(shape)
    return mask


def _predict(state: SessionState, voxels: VoxelStore, object_id: int, plane: Plane, mask: Mask) -> tuple[Edit, ...]:
    whole = plane.region(voxels.shape)
    return _predict_in(state, voxels, object_id, whole, mask.reshape([part.stop - part.start for part in whole]))


def _predict_in(state: SessionState, voxels: VoxelStore, object_id: int, whole: Region, wide: Mask) -> tuple[Edit, ...]:
    """Work out an object's answer in a box; beyond it nothing changes."""
    inner, reach = box_of(wide), voxels.reach(object_id)
    boxes = [shift(whole, inner)] if inner is not None else []
    near = overlap(reach, whole) if reach is not None else None
    held = voxels.find(object_id, near) if near is not None else None
    region = bounds([*boxes, held] if held is not None else boxes)
    if region is None:
        return ()
    part = wide[within(region, whole)]
    return edit_boxes(voxels, [region], lambda cut: Editor(state, object_id).predict(cut, part))


def _predict_slabs(
    state: SessionState, voxels: VoxelStore, object_id: int, whole: Region, wide: Mask
) -> tuple[Edit, ...]:
    """Work out an answer for a large box slice by slice: little memory, and no more written than has to be."""
    edits: tuple[Edit, ...] = ()
    for slab in slabs(whole):
        edits += _predict_in(state, voxels, object_id, slab, wide[within(slab, whole)])
    return edits


def _clear(state: SessionState, voxels: VoxelStore, object_id: int) -> tuple[Edit, ...]:
    reach = voxels.reach(object_id)
    traces = (voxels.trace(object_id, slab) for slab in (slabs(reach) if reach is not None else ()))
    return edit_boxes(voxels, (box for box in traces if box is not None), Editor(state, object_id).clear)


def edit_boxes(voxels: VoxelStore, regions: Iterable[Region], change: Callable[[Cut], Cut]) -> tuple[Edit, ...]:
    """Return what a change does to each of some boxes, those left out in which it does nothing."""
    made = (voxels.edit(region, change) for region in regions)
    return tuple(edit for edit in made if edit is not None)
