"""The commands ``project``: many cases, and who does what."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.terminal import UNUSABLE_INPUT, Flawed, Row, bar
from napari_medfm.errors import ProjectError

if TYPE_CHECKING:
    from napari_medfm.projects import Case, CaseStatus

project_app = typer.Typer(no_args_is_help=True, help="Many cases: what is to do, in progress, done, reviewed.")

Folder = Annotated[Path, typer.Argument(help="Folder of the project.")]
Person = Annotated[str, typer.Option("--annotator", help="Who you are.")]


@project_app.command()
def new(
    folder: Folder,
    classes: Annotated[Path | None, typer.Option(help="Class list: .json, .csv or .txt.")] = None,
) -> Row:
    """Make a project in a new folder, or in one without a project."""
    from napari_medfm.projects import Project
    from napari_medfm.session import read_classes

    project = Project.create(folder, () if classes is None else read_classes(classes))
    return {"project": folder.name, "classes": ", ".join(kind.name for kind in project.classes)}


@project_app.command("open")
def open_project(folder: Folder) -> None:
    """Work through the cases of a project in napari."""
    from napari_medfm.projects import Project

    Project(folder)  # refused here, where the person looks
    # A process of its own: the core never imports napari.
    command = [sys.executable, "-m", "napari_medfm._plugin", str(folder)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@project_app.command()
def add(
    folder: Folder,
    images: Annotated[Path, typer.Argument(help="Folder of NIfTI, NRRD, MetaImage and DICOM, or one image.")],
    patients: Annotated[
        str | None, typer.Option(help="Expression that finds the patient in a file's name; of DICOM the id counts.")
    ] = None,
) -> list[Row]:
    """Add all images of a folder and of those inside it as cases to do; one bad image stops no other.

    Lists what was added. Images that are there already, by their voxels, are passed over. Leaves with 3 if an image
    could not be used.
    """
    from napari_medfm.projects import Project, add_folder
    from napari_medfm.projects.finding import PATIENT_IN_NAME
    from napari_medfm.pseudonyms import load_pseudonyms

    pattern = PATIENT_IN_NAME if patients is None else patients
    rows, bad = [], 0
    with bar("Reading") as move:
        for added in add_folder(Project(folder), images, load_pseudonyms(), pattern):
            move(added.done, added.total)
            if added.found.problem:
                bad += 1
                typer.echo(f"{added.found.path.name}: {added.found.problem}", err=True)
            rows += [] if added.case is None else [_row(added.case)]
    if bad:
        raise Flawed(rows, UNUSABLE_INPUT)
    return rows


@project_app.command("list")
def list_cases(
    folder: Folder,
    status: Annotated[str | None, typer.Option(help="to do, in progress, done or reviewed.")] = None,
    patient: Annotated[str | None, typer.Option(help="Pseudonym.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Of whom.")] = None,
) -> list[Row]:
    """List the cases of a project."""
    from napari_medfm.projects import Project

    chosen = None if status is None else _status(status)
    return [_row(case) for case in Project(folder).cases(status=chosen, patient=patient, annotator=annotator)]


@project_app.command("status")
def show_status(
    folder: Folder,
    case: Annotated[int | None, typer.Argument(help="Id of a case; without it the progress over all is shown.")] = None,
    become: Annotated[str | None, typer.Argument(help="to do, in progress, done or reviewed.")] = None,
    annotator: Person = "",
    note: Annotated[str | None, typer.Option(help="To tell the next one.")] = None,
) -> Row | list[Row]:
    """Show how far a project or a case is, or take a case a step further."""
    from napari_medfm.projects import Project

    project = Project(folder)
    if case is None:
        progress = project.progress()
        return {**{str(status): count for status, count in progress.counts.items()}, "share_done": progress.share}
    if become is not None:
        return _row(project.change(project.case(case), _status(become), annotator, note))
    steps = project.history(case)
    project.case(case)
    return [{"time": step.time, "person": step.person, "status": str(step.status), "note": step.note} for step in steps]


@project_app.command("next")
def next_case(folder: Folder, annotator: Person) -> Row:
    """Take the next case to do; nobody else gets it. What you left in progress comes first."""
    from napari_medfm.projects import Project

    case = Project(folder).take_next(annotator)
    if case is None:
        raise ProjectError(folder.name, "has nothing left to do", "Review what is done: project list --status done.")
    return {**_row(case), "image": str(case.path), "choice": case.choice}


def _row(case: "Case") -> Row:
    return {
        "case": case.id,
        "patient": case.patient,
        "modality": case.modality,
        "size": " x ".join(str(size) for size in case.shape[::-1]),
        "spacing": " x ".join(f"{step:.4g}" for step in case.spacing[::-1]),
        "status": str(case.status),
        "annotator": case.annotator,
        "reviewer": case.reviewer,
        "note": case.note,
    }


def _status(text: str) -> "CaseStatus":
    from napari_medfm.projects import CaseStatus

    try:
        return CaseStatus(text.replace("-", " ").replace("_", " "))
    except ValueError as error:
        options = ", ".join(CaseStatus)
        raise typer.BadParameter(f"is none of {options}", param_hint="STATUS") from error
