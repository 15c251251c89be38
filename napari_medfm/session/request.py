"""From what a session knows to the question a model is asked."""

import hashlib
import json
from dataclasses import dataclass

from napari_medfm.prompts import MaskPrompt, PromptSet, to_json
from napari_medfm.session.state import SessionState
from napari_medfm.volume import WHOLE, Plane


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A question to a model; also, as a value, the generation of its answer.

    Two requests are equal if the same answer is right for both; an answer whose request
    no longer equals the current one is stale.

    Attributes
    ----------
    object_id : int
        The object that is prompted.
    plane : Plane
        The slice, or `napari_medfm.volume.WHOLE` if a model of volumes is asked.
    prompts : PromptSet
        All prompts of the object on that slice, or in the volume, at least one.
    image : str
        Fingerprint of the image that the model sees.
    context : str
        What else the answer depends on: window and model, as their owner names them.
    """

    object_id: int
    plane: Plane
    prompts: PromptSet
    image: str
    context: str = ""

    @property
    def subject(self) -> tuple[int, Plane]:
        """The object and the slice."""
        return self.object_id, self.plane


def resolve(
    state: SessionState, plane: Plane, *, object_id: int | None = None, context: str = ""
) -> PredictionRequest | None:
    """Return what to ask a model about an object on a plane, or None if nothing has to be asked.

    A plane that holds no prompts needs no model, nor does one whose only prompts are
    masks (they are their own answer), nor a locked object.

    Parameters
    ----------
    state : SessionState
        What the session knows.
    plane : Plane
        The slice; of `napari_medfm.volume.WHOLE` all prompts of the object belong together.
    object_id : int, optional
        The object; the active one if not given.
    context : str
        Passed on to the request.
    """
    number = state.active if object_id is None else object_id
    thing = None if number is None else state.objects.get(number)
    if thing is None or thing.locked:
        return None
    prompts = thing.prompts if plane == WHOLE else thing.prompts.in_plane(plane)
    if not needs_model(prompts):
        return None
    return PredictionRequest(thing.id, plane, prompts, state.image, context)


def is_current(state: SessionState, request: PredictionRequest) -> bool:
    """Whether an answer to the request would still be right."""
    return resolve(state, request.plane, object_id=request.object_id, context=request.context) == request


def needs_model(prompts: PromptSet) -> bool:
    """Whether prompts of one plane ask for more than the masks among them."""
    return any(not isinstance(prompt, MaskPrompt) for prompt in prompts)


def prompts_digest(prompts: PromptSet) -> str:
    """Return a digest by which prompts can be compared later; empty for none."""
    if not len(prompts):
        return ""
    text = json.dumps(to_json(prompts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def outstanding(state: SessionState) -> tuple[tuple[int, Plane], ...]:
    """Return the objects and planes whose prompts no answer was applied for, such as after a crash."""
    return tuple(
        (thing.id, plane)
        for thing in state.objects.values()
        for plane in thing.prompts.planes
        if not is_answered(state, thing.id, plane)
    )


def is_answered(state: SessionState, object_id: int, plane: Plane) -> bool:
    """Whether there is nothing to ask about an object on a plane, or its voxels answer the prompts there.

    In the whole volume they do if they do on every plane.
    """
    if resolve(state, plane, object_id=object_id) is None:
        return True
    if plane == WHOLE:
        return all(is_answered(state, object_id, one) for one in state.object(object_id).prompts.planes)
    prompts = state.object(object_id).prompts.in_plane(plane)
    return state.answers.get((object_id, plane)) == prompts_digest(prompts)


def places(state: SessionState, object_id: int | None, plane: Plane, *, volumes: bool) -> tuple[Plane, ...]:
    """Return where a model has to be asked so that an object is answered for on a plane, or everywhere.

    Parameters
    ----------
    state : SessionState
        What the session knows.
    object_id : int or None
        The object; the active one if None.
    plane : Plane
        The slice, or `napari_medfm.volume.WHOLE`.
    volumes : bool
        Whether it is a model of volumes: whatever plane a prompt is on, it answers all of them together.
    """
    if volumes or plane != WHOLE:
        return (WHOLE if volumes else plane,)
    number = state.active if object_id is None else object_id
    return tuple(where for known, where in outstanding(state) if known == number)
