"""What the command ``propagate`` does with an object, once it was prompted."""

from typing import TYPE_CHECKING

from napari_medfm.cli.terminal import track

if TYPE_CHECKING:
    from napari_medfm.session import AnnotationSession, LiveSegmentation


def carry_object(session: "AnnotationSession", live: "LiveSegmentation", number: int, most: int) -> None:
    """Carry an object from the slices it was prompted on into their neighbours, and accept what is found.

    Parameters
    ----------
    session, live
        What is annotated, and who answers; nothing is outstanding.
    number : int
        The object; nothing happens to one that is on no slice.
    most : int
        Slices beyond the outermost prompted ones at most; 0 until the model is unsure.
    """
    from napari_medfm.propagation import Scene, follow, gathered
    from napari_medfm.session import Origin, key_slices

    if live.predictor.answers_volumes:  # it has said all already
        return
    thing = session.state.object(number)
    axis = min((plane.axis for plane in thing.prompts.planes), default=0)
    keys = key_slices(session, number, axis)
    if session.volume.ndim < 3 or not any(key.mask.any() for key in keys):
        return
    view, count = live.view(), session.volume.shape[axis]
    beyond = most or count
    within = range(max(0, keys[0].plane.index - beyond), min(count, keys[-1].plane.index + beyond + 1))
    steps = follow(view.predictor, Scene(view.volume, view.image, view.window), keys, within)
    found = gathered(iter(track(steps, f"Propagating {thing.name}", 3 * len(within))))
    if found:
        spec = view.predictor.spec
        session.accept_proposals(number, found, Origin(spec.name, view.model_digest))
