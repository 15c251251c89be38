"""DICOM going out: the command ``deidentify``, and segmentations for the archive."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.terminal import UNUSABLE_INPUT, Flawed, Row, bar
from napari_medfm.errors import ExportError

if TYPE_CHECKING:
    from napari_medfm.session import AnnotationSession

SEGMENTATION_SUFFIX = ".dcm"


def deidentify(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files, in it or in folders inside it.")],
    output: Annotated[Path, typer.Argument(help="New folder for the copies.")],
) -> list[Row]:
    """Copy DICOM images without their patients (PS3.15 Basic Profile, and no free text at all).

    Patients, files and folders get new names, the same ones every time; the key to them stays in the data folder. Only
    images are copied. What cannot be made safe is left out and told, by its number in the order of paths; the command
    leaves with 3 then.
    """
    from napari_medfm.export.deidentify import FACES, deidentify_folder
    from napari_medfm.pseudonyms import load_pseudonyms

    with bar("De-identifying") as move:
        done = deidentify_folder(folder, output, load_pseudonyms(), progress=move)
    if not done.series:
        raise ExportError(folder.name, "holds no DICOM image that could be copied", "Choose another folder.")
    typer.echo(FACES, err=True)
    for title, reason in done.left_out.items():
        typer.echo(f"{title}: {reason}", err=True)
    rows: list[Row] = [
        {"patient": patient, "series": series, "files": files} for (patient, series), files in done.series.items()
    ]
    if done.refused:
        raise Flawed(rows, UNUSABLE_INPUT)
    return rows


def save_segmentation(session: "AnnotationSession", image: Path, output: Path) -> None:
    """Save the objects of a session as DICOM-SEG that belongs to the series the image was read from."""
    from napari_medfm.export import case_from_session
    from napari_medfm.export.dicom_seg import export_segmentation

    export_segmentation(replace(case_from_session(session, patient=""), source=image), output)
    message = "names the patient as the series does; to pass it on, export a training set of the form dicom_seg"
    typer.echo(f"{output.name} {message}", err=True)
