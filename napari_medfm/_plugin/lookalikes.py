"""From an object to a gallery of its look-alikes, and from there to the next image with a box.

Images are read on the lane of files, slices looked at on that of the device, where clicks go first; what was found is
ranked beside both.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray

from napari_medfm._napari.layers import is_in
from napari_medfm._napari.notices import attempt, tell
from napari_medfm._plugin.case import Case
from napari_medfm._plugin.dialogs import ask_for_folder
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.reader import keep_reader, known_reader
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm._qt.gallery import LookAlikeGallery, Tile
from napari_medfm.errors import ChoiceRequiredError, ProjectError, SessionError
from napari_medfm.inference import Predictor
from napari_medfm.prompts import Box
from napari_medfm.volume import Region, Volume, Window
from napari_medfm.workers import Latest, Priority

if TYPE_CHECKING:
    from napari_medfm.projects.gallery import Gallery, Kept
    from napari_medfm.projects.lookalikes import Floats, Query
    from napari_medfm.projects.searching import Candidate, Lesion, Seen, Target

_SHOWN = 60
_NOTHING = "Draw the object first, and choose it in the table."


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """The object whose look-alikes are searched."""

    name: str
    structure: str
    volume: Volume
    fingerprint: str
    window: Window
    region: Region
    mask: NDArray[np.bool_]  # of the region
    axis: int
    predictor: Predictor


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """Where is searched, as it was prepared away from the interface."""

    lesions: "tuple[Lesion, ...]"
    targets: "tuple[Target, ...]"
    gallery: "Gallery | None"
    refused: "list[Floats]"


@dataclass(slots=True, eq=False)
class _Find:
    """A candidate, and what was said of it."""

    candidate: "Candidate"
    kept: "Kept | None"
    accepted: bool


@dataclass(slots=True, eq=False)
class _Hunt:
    """One search, and how far it is; touched by the thread of the interface only."""

    subject: _Subject
    query: "Query | None" = None
    gallery: "Gallery | None" = None
    targets: "deque[Target]" = field(default_factory=deque)
    total: int = 0
    done: int = 0
    found: dict[int, _Find] = field(default_factory=dict)
    refused: "list[Floats]" = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class LookAlikes:
    """Searches images for what looks like an object, and shows what was found.

    Parameters
    ----------
    viewer : Viewer
        Shows images.
    panel : MedfmPanel
        Owns the gallery.
    engine : Engine
        Lanes.
    dispatch : MainThreadDispatcher
        Brings answers to the thread of the interface.
    show : callable
        Opens an image, or the layer of one, as a case of its own, and returns its layer.

    Attributes
    ----------
    gallery : LookAlikeGallery or None
        What is shown, once it was asked for.
    """

    def __init__(
        self,
        viewer: Viewer,
        panel: MedfmPanel,
        engine: Engine,
        dispatch: MainThreadDispatcher,
        show: Callable[[Volume | Image], Image],
    ) -> None:
        self._viewer, self._panel, self._engine = viewer, panel, engine
        self._dispatch, self._show = dispatch, show
        self._reading, self._fetching = Latest(engine.files, dispatch), Latest(engine.files, dispatch)
        self._ranking = Latest(engine.editing, dispatch)
        self._job: Future[Any] | None = None
        self._subject: _Subject | None = None
        self._hunt: _Hunt | None = None
        self._case: Case | None = None
        self._waiting: Candidate | None = None
        self._layers: WeakValueDictionary[str, Image] = WeakValueDictionary()
        self._brought: Image | None = None  # what only the gallery has a use for
        self.gallery: LookAlikeGallery | None = None

    def ask(self, case: Case) -> None:
        """Show the gallery for the active object of a case."""
        try:
            self._subject = _subject(case)
        except SessionError as error:
            tell(error)
            return
        self.stop()
        self._hunt = None
        if case.workspace.layers.image is self._brought:
            self._brought = None  # who searches from it wants to come back
        gallery = self._shown()
        known = case.session.annotator or gallery.reader or known_reader(self._engine.settings.data_dir)
        gallery.set_reader(known, asked=False)
        gallery.set_subject(f"What looks like {self._subject.name}, in other images of a project or folder")
        gallery.show_status("Nothing searched yet")
        gallery.show_problems(())
        gallery.show_tiles(())

    def search(self, folder: Path) -> None:
        """Search the images of a folder or project for the object that the gallery was asked for."""
        self.stop()
        if self._subject is not None and self.gallery is not None:
            self._hunt = _Hunt(self._subject)
            self.gallery.show_status("Looking at the object")
            self.gallery.show_problems(())
            self.gallery.show_tiles(())
            self._reading.ask(partial(_prepare, self._subject, folder), self._prepared, self._failed)

    def stop(self) -> None:
        """Search no further; what was found stays."""
        self._reading.forget()
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        if self._hunt is not None and self.gallery is not None:
            self._hunt.targets.clear()
            self.gallery.show_progress(0, 0)

    def arrived(self, case: Case) -> None:
        """Go on with a case that was opened: the box, if it was opened for one."""
        self._case = case
        self._layers[case.session.fingerprint] = case.workspace.layers.image
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.fingerprint == case.session.fingerprint:
            self._prompt(case, waiting)

    def left(self) -> None:
        """Forget the case, which is closed."""
        self._case = None

    def close(self) -> None:
        """Stop, and take the gallery away."""
        self.stop()
        self._fetching.forget()
        self._ranking.forget()
        self._case = self._subject = self._hunt = self._waiting = self._brought = None
        gallery, self.gallery = self.gallery, None
        if gallery is not None:
            gallery.close()
            gallery.deleteLater()

    def _shown(self) -> LookAlikeGallery:
        if self.gallery is None:
            self.gallery = LookAlikeGallery(self._panel)
            for signal, slot in (
                (self.gallery.where_requested, self._ask_where),
                (self.gallery.stop_requested, self.stop),
                (self.gallery.open_requested, self._open),
                (self.gallery.accept_requested, self._accept),
                (self.gallery.refuse_requested, self._refuse),
                (self.gallery.reader_changed, self._keep_reader),
            ):
                signal.connect(slot)
        self.gallery.show()
        self.gallery.raise_()
        return self.gallery

    def _ask_where(self) -> None:
        folder = ask_for_folder(self._panel, "Search for look-alikes in")
        if folder is not None:
            self.search(folder)

    def _prepared(self, ground: _Ground) -> None:
        from napari_medfm.projects.searching import make_query_steps

        hunt = self._hunt
        if hunt is not None:
            hunt.gallery, hunt.refused = ground.gallery, ground.refused
            hunt.targets, hunt.total = deque(ground.targets), len(ground.targets)
            if self.gallery is not None:
                self.gallery.set_reader(self.gallery.reader, asked=ground.gallery is not None)
            self._run(make_query_steps(ground.lesions, hunt.subject.predictor), partial(self._described, hunt))

    def _described(self, hunt: _Hunt, query: "Query") -> None:
        hunt.query = query.without(hunt.refused)
        self._next(hunt)

    def _next(self, hunt: _Hunt) -> None:
        from napari_medfm.projects.searching import open_target

        if self.gallery is not None:
            self.gallery.show_progress(hunt.done, hunt.total)
            self.gallery.show_problems(hunt.problems)
        if hunt.targets and hunt.query is not None:
            target = hunt.targets.popleft()
            task = partial(open_target, target, hunt.query.sight)
            self._reading.ask(task, partial(self._look, hunt, target), partial(self._skip, hunt, target))

    def _look(self, hunt: _Hunt, target: "Target", image: "Seen") -> None:
        from napari_medfm.projects.searching import search_image_steps

        if image.fingerprint == hunt.subject.fingerprint or hunt.query is None:
            self._took(hunt, [])
        else:
            steps = search_image_steps(target, image, hunt.query, hunt.subject.predictor)
            self._run(steps, partial(self._looked, hunt, target))

    def _looked(self, hunt: _Hunt, target: "Target", candidates: "list[Candidate]") -> None:
        task = partial(_keep, hunt.gallery, hunt.subject, target, candidates)
        self._reading.ask(task, partial(self._took, hunt), self._failed)

    def _took(self, hunt: _Hunt, finds: list[_Find]) -> None:
        first = max(hunt.found, default=0) + 1
        hunt.found |= dict(enumerate(finds, start=first))
        hunt.done += 1
        self._rank(hunt)
        self._next(hunt)

    def _skip(self, hunt: _Hunt, target: "Target", error: BaseException) -> None:
        from napari_medfm.projects.searching import each_of

        if isinstance(error, ChoiceRequiredError):
            several = each_of(target, error)
            hunt.targets.extendleft(reversed(several))
            hunt.total += len(several) - 1
        else:
            hunt.problems.append(str(worded(error)))
            hunt.done += 1
        self._next(hunt)

    def _run(self, steps: Generator[None, None, Any], then: Callable[[Any], None]) -> None:
        job = self._job = self._engine.device.submit_steps(steps, priority=Priority.BACKGROUND)
        job.add_done_callback(lambda done: self._dispatch(lambda: self._ran(done, then)))

    def _ran(self, job: Future[Any], then: Callable[[Any], None]) -> None:
        if job is not self._job or job.cancelled():
            return
        self._job = None
        error = job.exception()
        if error is None:
            then(job.result())
        else:
            self._failed(error)

    def _rank(self, hunt: _Hunt) -> None:
        if hunt.query is not None:
            self._ranking.ask(partial(_tiles, dict(hunt.found), hunt.query), self._show_tiles, self._failed)

    def _show_tiles(self, tiles: Sequence[Tile]) -> None:
        if self.gallery is not None:
            self.gallery.show_tiles(tiles)

    def _accept(self, key: int) -> None:
        hunt = self._hunt
        if hunt is not None and key in hunt.found and self._is_named(hunt):
            hunt.found[key].accepted = True
            self._judge(hunt, hunt.found[key], "accepted")
            self._rank(hunt)

    def _refuse(self, key: int) -> None:
        hunt = self._hunt
        if hunt is not None and hunt.query is not None and key in hunt.found and self._is_named(hunt):
            find = hunt.found.pop(key)
            hunt.refused = [*hunt.refused, find.candidate.description]
            hunt.query = hunt.query.without(hunt.refused)
            self._judge(hunt, find, "rejected")
            self._rank(hunt)

    def _is_named(self, hunt: _Hunt) -> bool:
        """Whether it is known who judges, which a project has to be told."""
        named = hunt.gallery is None or bool(self.gallery is not None and self.gallery.reader)
        if not named:
            tell(ProjectError("project", "does not know who you are", "Type your name beside Reader."))
        return named

    def _keep_reader(self, name: str) -> None:
        self._engine.files.submit(partial(keep_reader, self._engine.settings.data_dir, name))

    def _judge(self, hunt: _Hunt, find: _Find, verdict: str) -> None:
        """Tell the project, if one was searched."""
        if hunt.gallery is not None and find.kept is not None and self.gallery is not None:
            judging = self._engine.files.submit(partial(_judged, hunt.gallery, find, verdict, self.gallery.reader))
            judging.add_done_callback(lambda done: self._dispatch(lambda: self._told(done)))

    def _told(self, judging: "Future[None]") -> None:
        error = None if judging.cancelled() else judging.exception()
        if error is not None:
            tell(worded(error))

    def _open(self, key: int) -> None:
        """Open the image of a candidate at its slice, with its box as a prompt."""
        if self._hunt is None or key not in self._hunt.found:
            return
        candidate = self._hunt.found[key].candidate
        if self._case is not None and self._case.session.fingerprint == candidate.fingerprint:
            self._prompt(self._case, candidate)
            return
        self._waiting = candidate
        layer = self._layers.get(candidate.fingerprint)
        if layer is not None and is_in(layer, self._viewer.layers):
            self._bring(layer)
        else:
            self._fetching.ask(partial(_read, candidate), self._bring, self._failed)

    def _bring(self, image: Volume | Image) -> None:
        """Open the image of a candidate in the place of the one that was read for the candidate before."""
        before, layer = self._brought, self._show(image)
        is_read = layer is not image  # else the layer was there
        self._brought = layer if is_read or layer is before else None
        if before is not None and before is not layer and is_in(before, self._viewer.layers):
            self._viewer.layers.remove(before)

    def _prompt(self, case: Case, candidate: "Candidate") -> None:
        structure = self._subject.structure if self._subject is not None else None
        classes = {kind.name for kind in case.session.state.classes}
        top, left, bottom, right = candidate.box
        case.workspace.show_plane(candidate.plane)

        def draw() -> None:
            case.session.add_object(structure if structure in classes else None)
            case.live.add_prompt(Box(candidate.plane, (top, left), (bottom, right)))

        attempt(draw)

    def _failed(self, error: BaseException) -> None:
        if self.gallery is not None:
            self.gallery.show_progress(0, 0)
            self.gallery.show_status("Stopped")
        tell(worded(error))


def _subject(case: Case) -> _Subject:
    """Return the active object of a case.

    Raises
    ------
    SessionError
        There is none, or it has no voxels.
    """
    session = case.session
    number = session.state.active
    region = session.bounding_box(number) if number is not None else None
    if number is None or region is None:
        raise SessionError("look-alikes", "there is no object with a mask to look for", _NOTHING)
    thing, view, plane = session.state.object(number), case.live.view(), case.workspace.bridge.plane
    mask = np.asarray(session.labels[region] == number)
    name = thing.name or f"object {number}"
    seen = view.volume, view.image, view.window, region, mask, plane.axis if plane is not None else 0
    return _Subject(name, thing.class_name or name, *seen, view.predictor)


def _prepare(subject: _Subject, folder: Path) -> _Ground:
    from napari_medfm.projects import Project
    from napari_medfm.projects.database import FILE
    from napari_medfm.projects.gallery import Gallery
    from napari_medfm.projects.searching import Seen, find_targets, lesions_of

    mask = np.zeros(subject.volume.shape, dtype=np.bool_)
    mask[subject.region] = subject.mask
    lesions = lesions_of(Seen(subject.volume, subject.fingerprint, subject.window), mask, subject.axis)
    gallery = Gallery(Project(folder)) if (folder / FILE).is_file() else None
    refused = gallery.refused(subject.structure, subject.predictor.spec.encoder_digest) if gallery is not None else []
    return _Ground(lesions, find_targets(folder), gallery, refused)


def _keep(gallery: "Gallery | None", subject: _Subject, target: "Target", candidates: "list[Candidate]") -> list[_Find]:
    """Keep candidates in the project, if one was searched; what was rejected before is not shown again."""
    if gallery is None or target.case is None:
        return [_Find(each, None, False) for each in candidates]
    from napari_medfm.projects.gallery import Verdict, matched

    kept = gallery.keep(subject.structure, subject.predictor.spec.encoder_digest, target.case, candidates)
    return [
        _Find(each, known, known is not None and known.verdict is Verdict.ACCEPTED)
        for each, known in matched(candidates, kept)
        if known is None or known.verdict is not Verdict.REJECTED
    ]


def _judged(gallery: "Gallery", find: _Find, verdict: str, person: str) -> None:
    from napari_medfm.projects.gallery import Verdict

    if find.kept is not None:
        find.kept = gallery.judge(find.kept, Verdict(verdict), person)


def _tiles(found: Mapping[int, _Find], query: "Query") -> list[Tile]:
    """Return the best candidates, ranked."""
    if not found:
        return []
    scores = query.rate(np.stack([each.candidate.description for each in found.values()])).tolist()
    best = sorted(zip(scores, found, strict=True), reverse=True)[:_SHOWN]
    return [_tile(key, score, found[key]) for score, key in best]


def _tile(key: int, score: float, find: _Find) -> Tile:
    one = find.candidate
    where = f"{one.target.title}, slice {one.plane.index + 1}"
    return Tile(key, one.picture, one.frame, score, where, find.accepted)


def _read(candidate: "Candidate") -> Volume:
    from napari_medfm.volume import open_volume

    return open_volume(candidate.target.path, choice=candidate.target.choice)
