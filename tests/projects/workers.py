"""What processes do to a shared project."""

from contextlib import suppress

from napari_medfm.errors import ProjectError
from napari_medfm.projects import CaseStatus, Project
from napari_medfm.projects.gallery import Gallery, Verdict


def take_all(folder, person):
    """Take and finish cases until there are none; return their ids."""
    project, taken = Project(folder), []
    while (case := project.take_next(person)) is not None:
        project.change(case, CaseStatus.DONE, person)
        taken.append(case.id)
    return taken


def toggle(folder, person, count):
    """Change the status of the first case that many times, reading again whenever somebody was quicker."""
    project, made = Project(folder), 0
    while made < count:
        case = project.case(1)
        step = CaseStatus.IN_PROGRESS if case.status is CaseStatus.TO_DO else CaseStatus.TO_DO
        with suppress(ProjectError):
            project.change(case, step, person)
            made += 1
    return made


def judge_all(folder, verdict):
    """Judge candidates that nobody judged yet, and return of how many nobody was quicker."""
    gallery, mine = Gallery(Project(folder)), 0
    for candidate in gallery.candidates("cyst"):
        if candidate.verdict is Verdict.NEW:
            with suppress(ProjectError):
                gallery.judge(candidate, Verdict(verdict), "ann")
                mine += 1
    return mine
