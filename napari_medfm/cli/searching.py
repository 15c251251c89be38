"""The command ``search``."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medfm.cli.loading import (
    Axis,
    Choice,
    Image,
    ModelName,
    Weights,
    WindowName,
    check_model,
    check_window,
    choose_window,
    open_image,
)
from napari_medfm.cli.spreading import Cluster, Jobs
from napari_medfm.cli.terminal import UNUSABLE_INPUT, Flawed, Row, track
from napari_medfm.errors import ProjectError
from napari_medfm.files import atomic_write, atomic_write_bytes
from napari_medfm.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_medfm.projects.gallery import Gallery
    from napari_medfm.projects.searching import Candidate, SearchOrder, Target
    from napari_medfm.volume import Volume


def search(  # noqa: PLR0913 - each argument is an option of the command
    image: Image,
    where: Annotated[Path, typer.Argument(help="Folder of a project, or of images, that is searched.")],
    labels: Annotated[
        Path | None, typer.Option(help="Label file with the lesion; by default the image's session.")
    ] = None,
    objects: Annotated[
        list[int] | None,
        typer.Option("--object", help="Label, or object of the session; several may be given. All if none."),
    ] = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many candidates to list.")] = 50,
    structure: Annotated[str, typer.Option(help="What the lesion is called in the project.")] = "look-alike",
    table: Annotated[Path | None, typer.Option("--csv", help="File for all candidates.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="PNG file for pictures of the candidates that are listed.")] = None,
    axis: Annotated[Axis, typer.Option(help="Across which axis to take the slices.")] = Axis.AXIAL,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    window: WindowName = "auto",
    choice: Choice = None,
    jobs: Jobs = 1,
    cluster: Cluster = "",
) -> list[Row]:
    """Search many images for regions that look like a lesion, and list them, the most alike first.

    Slices that are not in the cache are embedded. Of a project, candidates are kept; what was rejected there lowers
    what looks like it. The image of the lesion itself is left out. One bad image stops no other; leaves with 3 then.
    """
    from napari_medfm.inference import Predictor, WriteBehind, open_disk_store
    from napari_medfm.projects.model_choice import ModelChoice
    from napari_medfm.projects.searching import SearchOrder, Seen, find_targets, lesions_of, make_query, ranked
    from napari_medfm.volume import fingerprint

    check_window(window)
    check_model(model, weights)
    volume, targets, chosen = open_image(image, choice), find_targets(where), ModelChoice.of(model, weights)
    seen = Seen(volume, fingerprint(volume), choose_window(volume, window))
    masks = _masks(volume, seen.fingerprint, labels, objects or [])
    gallery = _gallery(where)
    with WriteBehind(open_disk_store()) as store:
        predictor = Predictor(chosen.load(), store)
        lesions = [one for mask in masks for one in lesions_of(seen, mask, list(Axis).index(axis))]
        query = make_query(lesions, predictor)
    encoder = predictor.spec.encoder_digest
    if gallery is not None:
        query = query.without(gallery.refused(structure, encoder))
    found: list[Candidate] = []

    def take(target: "Target", candidates: "list[Candidate]") -> None:
        if gallery is not None and target.case is not None:
            gallery.keep(structure, encoder, target.case, candidates)
        found.extend(each for each in candidates if each.fingerprint != seen.fingerprint)

    problems = _carry_out([SearchOrder(target, query, chosen) for target in targets], take, jobs, cluster)
    rows = _told(ranked(found, query), most, table, sheet)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise Flawed(rows, UNUSABLE_INPUT)
    return rows


def _carry_out(
    orders: "list[SearchOrder]", take: "Callable[[Target, list[Candidate]], None]", jobs: int, cluster: str
) -> list[str]:
    """Search all images, give away what is found in each as it comes, and return what went wrong."""
    from napari_medfm.projects.searching import search_order
    from napari_medfm.spreading import spread, warning_about

    if cluster and (warning := warning_about(cluster)):
        typer.echo(warning, err=True)
    problems = []
    for outcome in track(spread(search_order, orders, jobs=jobs, cluster=cluster), "Searching", len(orders)):
        if outcome.problem:
            problems.append(outcome.problem)
        else:
            take(orders[outcome.number].target, outcome.result or [])
    return problems


def _told(candidates: "list[Candidate]", most: int, table: Path | None, sheet: Path | None) -> list[Row]:
    """Write what was asked for, and return the best."""
    from napari_medfm.projects.contact_sheet import draw_sheet

    rows = [_row(place, each) for place, each in enumerate(candidates, start=1)]
    if table is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, [*_row(0, candidates[0])] if candidates else ["rank"])
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_bytes(table, text.getvalue().encode())
    if sheet is not None:
        picture = draw_sheet(candidates[:most])
        atomic_write(sheet, lambda path: picture.save(path, format="PNG"))
    return rows[:most]


def _row(place: int, candidate: "Candidate") -> Row:
    top, left, bottom, right = (round(edge, 1) for edge in candidate.box)
    known = {"rank": place, "image": candidate.target.title, "choice": candidate.target.choice}
    seen = {"plane": candidate.plane.name, "slice": candidate.plane.index, "score": round(candidate.score, 4)}
    return {**known, **seen, "top": top, "left": left, "bottom": bottom, "right": right}


def _masks(volume: "Volume", digest: str, labels: Path | None, objects: list[int]) -> "list[NDArray[np.bool_]]":
    """Return the lesions out of a label file or of the session of the image."""
    import numpy as np

    array = _session_labels(volume, digest) if labels is None else _label_file(volume, labels)
    there = np.unique(array[array > 0]).tolist()
    missing = sorted(set(objects) - set(there))
    if missing or not there:
        reason = f"holds no object {', '.join(map(str, missing)) or 'at all'}"
        raise ProjectError(
            volume.name if labels is None else labels.name, reason, "Choose one that it holds: --object."
        )
    return [array == number for number in objects or there]


def _label_file(volume: "Volume", labels: Path) -> "NDArray[Any]":
    from napari_medfm.volume import open_labels

    return open_labels(labels, volume)


def _session_labels(volume: "Volume", digest: str) -> "NDArray[Any]":
    from napari_medfm.session import AnnotationSession

    if not AnnotationSession.exists(digest):
        raise ProjectError(volume.name, "has no session", "Annotate the lesion, or give a label file: --labels.")
    with AnnotationSession.resume(volume, digest) as session:
        return session.labels.copy()


def _gallery(where: Path) -> "Gallery | None":
    from napari_medfm.projects.database import FILE

    if not (where / FILE).is_file():
        return None
    from napari_medfm.projects import Project
    from napari_medfm.projects.gallery import Gallery

    return Gallery(Project(where))
