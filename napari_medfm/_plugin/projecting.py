"""A project in the viewer: what its panel asks for is done on a worker, and its cases are opened for annotation."""

import concurrent.futures
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from napari.layers import Image
from napari.viewer import Viewer

from napari_medfm._napari.layers import is_in
from napari_medfm._napari.notices import tell
from napari_medfm._plugin.adding import Adding
from napari_medfm._plugin.annotator import Annotator
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.export_run import ExportRun
from napari_medfm._plugin.opening import Terms
from napari_medfm._plugin.project_export import ProjectExport
from napari_medfm._plugin.reader import keep_reader, known_reader
from napari_medfm._plugin.wording import worded
from napari_medfm._qt import MainThreadDispatcher
from napari_medfm._qt.images_dialog import ImagesChoice
from napari_medfm._qt.project_panel import ProjectPanel
from napari_medfm.errors import ProjectError
from napari_medfm.projects import Case, CaseStatus, Progress, Project, Step, is_writable
from napari_medfm.session import AnnotationSession, ObjectClass, read_classes
from napari_medfm.volume import Volume, open_volume
from napari_medfm.workers import Lane, Latest

T = TypeVar("T")

_PATIENCE = 3.0  # seconds that closing may wait for the database


class Annotators(Protocol):
    """Where images are annotated in the viewer."""

    def __call__(self, *, show: bool) -> Annotator | None:
        """Return who annotates; with `show` the panel is opened if it is not there."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project as it was when somebody looked.

    Attributes
    ----------
    project : Project
    cases : tuple of Case
    progress : Progress
    """

    project: Project
    cases: tuple[Case, ...]
    progress: Progress


@dataclass(frozen=True, slots=True)
class Opened:
    """The case that is open in the viewer.

    Attributes
    ----------
    case : Case
        As it was last seen.
    taken : bool
        Whether opening it took it: it goes back if nothing is drawn.
    terms : Terms or None
        On which its session is open; None until its image was read.
    """

    case: Case
    taken: bool
    terms: Terms | None = None


class ProjectControl:
    """Does what the panel of a project asks for.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    panel : ProjectPanel
        Shows the project.
    dispatch : MainThreadDispatcher
        Brings answers to the thread of the interface.
    annotators : Annotators
        Who opens its cases.
    """

    def __init__(
        self, viewer: Viewer, panel: ProjectPanel, dispatch: MainThreadDispatcher, annotators: Annotators
    ) -> None:
        self._viewer, self._panel, self._annotators, self._dispatch = viewer, panel, annotators, dispatch
        self._engine = Engine.hold()
        self._lane = Lane("projects")
        self._choosing, self._moving = Latest(self._lane, dispatch), Latest(self._lane, dispatch)
        self._looking, self._reading = Latest(self._lane, dispatch), Latest(self._engine.files, dispatch)
        self._adding = Adding(self._engine.files, dispatch, panel, self.refresh, self._fail)
        self._project: Project | None = None
        self._classes: tuple[ObjectClass, ...] = ()
        self._opened: Opened | None = None
        self._layer: Image | None = None
        self._session: AnnotationSession | None = None
        self._export = ProjectExport(
            panel, ExportRun(self._engine.exports, dispatch, panel.exporting, self._fail), self._fail
        )
        self._intents = (
            (panel.case_requested, self.open_case),
            (panel.step_requested, self._take_step),
            (panel.reader_changed, self._change_reader),
            (panel.refresh_requested, self.refresh),
        )
        for signal, slot in self._intents:
            signal.connect(slot)
        if not panel.reader:
            panel.name.setText(known_reader(self._engine.settings.data_dir))

    @property
    def project(self) -> Project | None:
        """The project that is open."""
        return self._project

    @property
    def current(self) -> Case | None:
        """The case that is open."""
        return self._opened.case if self._opened is not None else None

    def open(self, folder: Path) -> None:
        """Open the project of a folder."""
        self._choose(partial(_open, folder))

    def make(self, choice: ImagesChoice) -> None:
        """Make a project, and add the images that were chosen to it."""
        if choice.project is not None:
            self._choose(partial(_make, choice.project, choice.classes), choice)

    def add(self, choice: ImagesChoice) -> None:
        """Add the images of a folder to the project that is open."""
        if self._project is not None and choice.images is not None:
            self._adding.begin(self._project, choice.images, choice.pattern)

    def refresh(self, _: object = None) -> None:
        """Look what others did meanwhile."""
        if self._project is not None:
            self._looking.ask(partial(_look, self._project), self._show, self._fail)

    def open_case(self, number: int) -> None:
        """Open a case of the project: one to do is taken, and what somebody else has is shown only."""
        project, case, person = self._project, self._panel.model.case(number), self._panel.reader
        if project is None or case is None or self._moving.waiting:
            return
        if not person:
            self._fail(ProjectError("project", "does not know who you are", "Type your name beside Reader."))
            return
        task = partial(_go_to, project, self._untouched(), case, person)
        self._moving.ask(task, partial(self._went, case), self._failed)

    def close(self) -> None:
        """Let go; a case that was only looked at goes back to do."""
        for signal, slot in self._intents:
            signal.disconnect(slot)
        self._adding.close()
        self._export.close()
        self.abandon()

    def abandon(self) -> None:
        """Let go when the panel is no more."""
        self._adding.stop()
        for asked in (self._choosing, self._moving, self._looking, self._reading):
            asked.forget()
        self._leave()
        self._project = None
        self._lane.wait_idle(_PATIENCE)
        self._lane.close(wait=False)
        self._engine.release()

    def _change_reader(self, name: str) -> None:
        self._engine.files.submit(partial(keep_reader, self._engine.settings.data_dir, name))
        self.refresh()

    def _choose(
        self, task: Callable[[], tuple[Snapshot, tuple[ObjectClass, ...]]], choice: ImagesChoice | None = None
    ) -> None:
        def chosen(answer: tuple[Snapshot, tuple[ObjectClass, ...]]) -> None:
            self._took(*answer)
            if choice is not None:
                self.add(choice)

        self._choosing.ask(task, chosen, self._failed)

    def _took(self, snapshot: Snapshot, classes: tuple[ObjectClass, ...]) -> None:
        """Show another project; what was open of the one before stays open, but is no case any more."""
        self._adding.forget()
        self._reading.forget()
        self._leave()
        self._project, self._classes = snapshot.project, classes
        self._panel.set_project(snapshot.project.folder.name)
        self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        if snapshot.project is not self._project:
            return
        self._panel.set_cases(snapshot.cases, snapshot.progress)
        self._follow({case.id: case for case in snapshot.cases})

    def _follow(self, cases: dict[int, Case]) -> None:
        """Let the open session be writable exactly as long as its case is this person's."""
        opened = self._opened
        now = cases.get(opened.case.id) if opened is not None else None
        if opened is None or now is None:
            return
        terms = self._terms(now) if opened.terms is not None else None
        self._opened = Opened(now, opened.taken and now.version == opened.case.version, terms)
        if terms is None or opened.terms == terms:
            return
        if terms.look and now.status is CaseStatus.IN_PROGRESS:
            step = "Everything that you drew is kept; look at it, and talk to each other."
            self._fail(ProjectError(now.title, f"is in progress with {now.annotator} now, and shown only", step))
        annotator = self._annotators(show=False)
        if annotator is not None and self._layer is not None:
            annotator.reopen(self._layer, terms)

    def _went(self, asked: Case, answer: tuple[Snapshot, Case]) -> None:
        snapshot, case = answer
        if snapshot.project is not self._project:
            return
        if self._is_open(case):
            self._show(snapshot)
            return
        annotator = self._annotators(show=False)
        if annotator is not None:
            annotator.leave()
        self._opened, self._session = Opened(case, taken=asked.status is CaseStatus.TO_DO), None
        self._panel.set_cases(snapshot.cases, snapshot.progress)
        self._panel.set_open(case.id)
        self._reading.ask(partial(open_volume, case.path, choice=case.choice), self._read, self._unreadable)

    def _read(self, volume: Volume) -> None:
        """Show the image of the case that was asked for, instead of that of the one before."""
        opened = self._opened
        annotator = self._annotators(show=True) if opened is not None else None
        if opened is None or annotator is None:
            return
        terms, before = self._terms(opened.case), self._layer
        self._opened = Opened(opened.case, opened.taken, terms)
        # By its number: names of files may be names of patients.
        self._layer = annotator.open_alone(replace(volume, name=opened.case.title), terms)
        self._remove(before)

    def _unreadable(self, error: BaseException) -> None:
        """Tell it, and leave the case to somebody who has its image."""
        opened, failure = self._opened, worded(error)
        if opened is not None:
            failure = ProjectError(opened.case.title, f"{failure.subject} {failure.reason}", failure.next_step)
        self._leave()
        self._panel.set_open(None)
        self._remove(self._layer)
        self._failed(failure)

    def _remove(self, layer: Image | None) -> None:
        if layer is not None and is_in(layer, self._viewer.layers):
            self._viewer.layers.remove(layer)

    def _take_step(self, case: Case, step: Step, note: str) -> None:
        project, person = self._project, self._panel.reader
        if step is Step.START:
            self.open_case(case.id)
        elif project is not None:
            task = partial(_change, project, case, step.status, person, note or None)
            future = self._lane.submit(task)  # every step that was asked for is taken
            answer = partial(self._stepped, case, step)
            future.add_done_callback(lambda done: self._dispatch(lambda: self._settle(done, answer)))

    def _settle(self, done: "concurrent.futures.Future[Snapshot]", answer: Callable[[Snapshot], None]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            answer(done.result())
        else:
            self._failed(error)

    def _stepped(self, case: Case, step: Step, snapshot: Snapshot) -> None:
        self._show(snapshot)
        begun = step in (Step.REOPEN, Step.REDO)
        if begun and (self._opened is None or self._opened.case.id != case.id):
            self.open_case(case.id)

    def _untouched(self) -> Case | None:
        """Return the open case if opening it took it, and nothing was drawn in it."""
        opened = self._opened
        if opened is None or not opened.taken:
            return None
        state = self._session.state if self._session is not None else None
        return opened.case if state is None or not (state.objects or state.extent) else None

    def _leave(self) -> None:
        """Think no more of the case that is open; one that was only looked at goes back to do."""
        project, left = self._project, self._untouched()
        if project is not None and left is not None:
            self._lane.submit(partial(_put_back, project, left))
        self._opened = self._session = None

    def _keep(self, session: AnnotationSession) -> None:
        self._session = session

    def _is_open(self, case: Case) -> bool:
        """Whether the session of a case is open, or about to be."""
        annotator, opened = self._annotators(show=False), self._opened
        if annotator is None or opened is None or opened.case.id != case.id:
            return False
        if opened.terms is None or annotator.opening.is_under_way:
            return True
        return annotator.case is not None and annotator.case.session.fingerprint == case.fingerprint

    def _terms(self, case: Case) -> Terms:
        look = not is_writable(case, self._panel.reader)
        return Terms(case.title, case.fingerprint, self._classes, "" if look else case.annotator, look, self._keep)

    def _failed(self, error: BaseException) -> None:
        """Tell it, and show how things are now: somebody else may have been quicker."""
        self._fail(worded(error))
        self.refresh()

    def _fail(self, error: BaseException) -> None:
        failure = worded(error)
        self._panel.show_error(failure)
        tell(failure)


def _look(project: Project) -> Snapshot:
    return Snapshot(project, project.cases(), project.progress())


def _open(folder: Path) -> tuple[Snapshot, tuple[ObjectClass, ...]]:
    project = Project(folder)
    return _look(project), project.classes


def _make(folder: Path, classes: Path | None) -> tuple[Snapshot, tuple[ObjectClass, ...]]:
    project = Project.create(folder, () if classes is None else read_classes(classes))
    return _look(project), project.classes


def _change(project: Project, case: Case, status: CaseStatus, person: str, note: str | None) -> Snapshot:
    project.change(case, status, person, note)
    return _look(project)


def _go_to(project: Project, left: Case | None, case: Case, person: str) -> tuple[Snapshot, Case]:
    """Leave a case and take up another one, as far as it can be taken."""
    if not case.path.exists():
        step = "Put it back, or add the folder where it is now: it is known by its voxels."
        raise ProjectError(case.title, f"its image {case.path.name} is not there any more", step)
    if case.status is CaseStatus.TO_DO:
        project.change(case, CaseStatus.IN_PROGRESS, person)
    if left is not None and left.id != case.id:
        _put_back(project, left)
    return _look(project), project.case(case.id)


def _put_back(project: Project, case: Case) -> None:
    """Leave a case to somebody, unless that has happened already."""
    now = project.case(case.id)
    if is_writable(now, case.annotator):
        project.change(now, CaseStatus.TO_DO, case.annotator)
