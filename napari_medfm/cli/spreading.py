"""What the commands for many images share: which images, how many processes, and the table at the end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from napari_medfm.cli.terminal import UNUSABLE_INPUT, Flawed, Row, track
from napari_medfm.errors import UnreadableFileError

if TYPE_CHECKING:
    from napari_medfm.projects.sources import Source

Jobs = Annotated[int, typer.Option(min=0, help="Processes for the images of a folder; 0: one for every core.")]
Cluster = Annotated[
    str, typer.Option(help="Address of a Dask scheduler whose workers do it; they see the same folders. See the docs.")
]


class Order(Protocol):
    """What is to be done with one source."""

    @property
    def source(self) -> "Source":
        """The source."""


Given = TypeVar("Given", bound=Order)


def is_many(images: Path) -> bool:
    """Whether a path is a folder of images, or of a project, and not one DICOM series."""
    from napari_medfm.volume import find_images

    return images.is_dir() and find_images(images) != [images]


def sources_of(folder: Path) -> "Sequence[Source]":
    """Return the images of a folder or project.

    Raises
    ------
    UnreadableFileError
        There are none.
    """
    from napari_medfm.projects.sources import find_sources

    found = find_sources(folder)
    if all(each.labels for each in found):
        raise UnreadableFileError(folder.name, "holds no image", "Choose a folder with images, or an image.")
    return found


def carry_out(
    work: Callable[[Given], list[Row]], orders: Sequence[Given], title: str, jobs: int = 1, cluster: str = ""
) -> list[Row]:
    """Do all orders, tell on the way how many are done, and return what became of each image, in order.

    Raises
    ------
    Flawed
        There was a problem with one; the others are done all the same.
    """
    from napari_medfm.spreading import spread, warning_about

    if cluster and (warning := warning_about(cluster)):
        typer.echo(warning, err=True)
    told: dict[int, list[Row]] = {}
    for outcome in track(spread(work, orders, jobs=jobs, cluster=cluster), title, len(orders)):
        name = orders[outcome.number].source.label
        told[outcome.number] = outcome.result or [{"image": name, "problem": outcome.problem}]
    rows = [row for number in sorted(told) for row in told[number]]
    names = dict.fromkeys(name for row in rows for name in row)
    rows = [{name: row.get(name) for name in names} for row in rows]
    _sum_up(rows)
    if any(row["problem"] for row in rows):
        raise Flawed(rows, UNUSABLE_INPUT)
    return rows


def _sum_up(rows: Sequence[Row]) -> None:
    failed, passed = sum(bool(row["problem"]) for row in rows), sum(bool(row.get("passed_over")) for row in rows)
    done = len(rows) - failed - passed
    typer.echo(f"{len(rows)} images: {done} done, {passed} passed over as labels, {failed} not done", err=True)
