"""What another model makes of the prompts that a session holds: asked again, compared, nothing changed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import SessionError
from napari_medfm.inference import Predictor, embed_plane
from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import PromptSet
from napari_medfm.session.request import needs_model
from napari_medfm.session.session import AnnotationSession
from napari_medfm.volume import Plane, Window


@dataclass(frozen=True, slots=True)
class Replayed:
    """An object on one slice, as it is and as another model has it.

    Attributes
    ----------
    object_id : int
        The object.
    plane : Plane
        The slice.
    before, after : int
        Voxels it has there, and would have.
    common : int
        Voxels of both.
    """

    object_id: int
    plane: Plane
    before: int
    after: int
    common: int


def replay(session: AnnotationSession, predictor: Predictor, window: Window) -> Iterator[Replayed]:
    """Give all prompts of a session to another model, one by one as they were made, a slice for every ``next``.

    What the hand painted or erased, and what other objects hold, stays so in both: only the model's part is compared.
    Slices that were made without a model (by brush, or by a mask) are left out.

    Parameters
    ----------
    session : AnnotationSession
        Is not changed.
    predictor : Predictor
        Of a model of slices, perhaps adapted.
    window : Window
        What it sees the image through.

    Raises
    ------
    SessionError
        The image is not open.
    """
    volume, fingerprint = session.image, session.state.image
    if volume is None:
        raise SessionError("image", "the one that the model saw is not open", "Open it again, or choose another image.")
    for thing in session.state.objects.values():
        for plane in thing.prompts.planes:
            prompts = thing.prompts.in_plane(plane)
            if needs_model(prompts):
                embedding = embed_plane(predictor, volume, fingerprint, window, plane)
                answer = None
                for asked in _as_made(prompts):
                    answer = predictor.decode(embedding, asked, answer)
                yield _compare(session, thing.id, plane, answer)


def _as_made(prompts: PromptSet) -> Iterator[PromptSet]:
    """The questions that were asked while prompts came one after the other."""
    for count in range(1, len(prompts) + 1):
        asked = PromptSet(prompts.prompts[:count])
        if needs_model(asked):
            yield asked


def _compare(session: AnnotationSession, number: int, plane: Plane, answer: MaskPrediction | None) -> Replayed:
    before = session.object_mask(number, plane)
    after = before if answer is None else _laid(session, number, plane, answer.mask) & _free(session, plane, before)
    return Replayed(number, plane, *(int(np.count_nonzero(mask)) for mask in (before, after, before & after)))


def _laid(session: AnnotationSession, number: int, plane: Plane, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    hand = plane.take(session.hand, session.volume.ndim)
    laid: NDArray[np.bool_] = (mask | (hand == number)) & (hand != -number)
    return laid


def _free(session: AnnotationSession, plane: Plane, mine: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where nobody else is."""
    free: NDArray[np.bool_] = mine | (plane.take(session.labels, session.volume.ndim) == 0)
    return free
