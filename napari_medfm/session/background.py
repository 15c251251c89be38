"""Embedding ahead of the person: the visible slice, its neighbours, then all the rest."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from napari_medfm.inference import EmbeddingProgress, embed_planes, order_planes
from napari_medfm.session.questions import View
from napari_medfm.volume import Plane
from napari_medfm.workers import Dispatch, Lane, Priority

NEIGHBOURS = 8
"""Slices embedded ahead of the visible one, those in scroll direction first."""

_LANES = {"visible": Priority.VISIBLE, "neighbours": Priority.NEIGHBOUR, "rest": Priority.BACKGROUND}


class Background:
    """Keeps the lane busy with what will be needed next, whenever nothing more urgent waits.

    Parameters
    ----------
    lane : Lane
        Where models run.
    dispatch : callable
        Brings a callback to the owner's thread.
    progressed : callable
        Told on that thread how far embedding everything is; None when it ends.
    failed : callable
        Told on that thread what went wrong.
    """

    def __init__(
        self,
        lane: Lane,
        dispatch: Dispatch,
        progressed: Callable[[EmbeddingProgress | None], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._lane = lane
        self._dispatch = dispatch
        self._progressed = progressed
        self._failed = failed
        self._axis: int | None = None
        self._running: dict[str, Future[None]] = {}

    def show(self, view: View, plane: Plane, direction: int = 0) -> None:
        """Turn to the slice that is visible now; see `LiveSegmentation.show`. Regions wait until they are asked for."""
        if view.predictor.answers_volumes:
            return
        order = _order(view, plane, direction)
        self._embed(view, order[:1], "visible")
        self._embed(view, order[: NEIGHBOURS + 1], "neighbours")
        if self._axis == plane.axis:
            self._embed(view, order, "rest")

    def embed_all(self, view: View, plane: Plane) -> None:
        """Embed every slice across a plane's axis, nearest to that plane first."""
        self._axis = plane.axis
        self._embed(view, _order(view, plane, 0), "rest")

    def pause(self) -> None:
        """Stop; what is embedded stays."""
        reported, self._axis = self._axis is not None, None
        for future in self._running.values():
            future.cancel()
        self._running.clear()
        if reported:
            self._progressed(None)

    def _embed(self, view: View, planes: Sequence[Plane], name: str) -> None:
        steps = embed_planes(view.predictor, view.volume, view.image, view.window, planes)
        if name in self._running:
            self._running[name].cancel()
        report = self._report if name == "rest" else None
        future = self._lane.submit_steps(steps, priority=_LANES[name], on_step=report)
        self._running[name] = future
        future.add_done_callback(lambda done: self._dispatch(partial(self._finish, name, done)))

    def _report(self, progress: EmbeddingProgress | None) -> None:
        if progress is not None:
            self._dispatch(partial(self._show, progress))

    def _show(self, progress: EmbeddingProgress) -> None:
        if self._axis is not None:
            self._progressed(progress)

    def _finish(self, name: str, done: Future[None]) -> None:
        if self._running.get(name) is not done or done.cancelled():
            return
        del self._running[name]
        if name == "rest":
            self._axis = None
            self._progressed(None)
        error = done.exception()
        if error is not None:
            self._failed(error)


def _order(view: View, plane: Plane, direction: int) -> list[Plane]:
    planes = view.volume.geometry.planes(plane.axis)
    return [planes[index] for index in order_planes(plane.index, direction, len(planes))]
