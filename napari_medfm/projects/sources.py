"""Which images of a folder, or of a project, there is work to do on, and which files are no images but labels."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from napari_medfm.errors import ChoiceRequiredError, MedfmError
from napari_medfm.projects.database import FILE
from napari_medfm.projects.project import Project
from napari_medfm.volume import LABEL_ENDINGS, Volume, find_images, looks_like_labels, open_volume
from napari_medfm.volume.nifti import NIFTI_SUFFIXES, nifti_grid, stem

_LABEL_FOLDER = re.compile(r"labels?(Tr|Ts|Va)?|masks?|segmentations?|labels_.*|masks_.*", re.IGNORECASE)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder with an image, or several, to work on.

    Attributes
    ----------
    path : Path
        Where it is.
    name : str
        What results are named after: its place in the folder without the ending, or the number of the case; unique.
    choice : int or None
        Which image is meant where there are several; None: all of them.
    title : str
        What it is called in a table; empty: as the image calls itself.
    twin : bool
        Whether another file has the same grid: one may be the other's labels, which its voxels tell.
    labels : str
        Why it is taken for labels, and passed over; empty if it is not.
    """

    path: Path
    name: str
    choice: int | None = None
    title: str = ""
    twin: bool = False
    labels: str = ""

    @property
    def label(self) -> str:
        """What it is called before it is open."""
        return self.title or self.path.name


def find_sources(folder: Path) -> tuple[Source, ...]:
    """Return the images of a folder and of those inside it, or the cases of a project, in order.

    Files that are labels of images by their name (``_labels``, ``_seg``, ``_mask``, ...) or by the name of their folder
    (``labelsTr``, ``masks``, ...) are marked as such.
    """
    if (folder / FILE).is_file():
        cases = Project(folder).cases()
        return tuple(Source(each.path, f"case_{each.id:04d}", each.choice, each.title) for each in cases)
    paths = find_images(folder)
    names = _names(paths, folder)
    twins = _twins(paths)
    return tuple(Source(path, names[path], twin=path in twins, labels=_named_as_labels(path, folder)) for path in paths)


def work_through(source: Source, blank: Mapping[str, Any], work: Callable[[Volume, str], Row]) -> list[Row]:
    """Do the same for every image of a source, and return a row about each. One bad image stops no other.

    Parameters
    ----------
    source : Source
        What there is to do.
    blank : mapping
        The row of an image on which nothing was done.
    work : callable
        Given an image and what its result is to be named after; returns what to tell of it.

    Returns
    -------
    list of dict
        `blank`, and what `work` told; ``image``: what it is called; ``seconds`` it took; ``passed_over``: why it
        was taken for labels; ``problem``: why it could not be used.
    """
    return [row | {"seconds": seconds} for row, seconds in _timed(_rows(source, blank, work))]


def _rows(source: Source, blank: Mapping[str, Any], work: Callable[[Volume, str], Row]) -> Iterator[Row]:
    row = {"image": source.label, **blank, "seconds": 0.0, "passed_over": source.labels, "problem": ""}
    if source.labels:
        yield row
        return
    choices = [source.choice]
    while choices:
        choice = choices.pop(0)
        try:
            volume = open_volume(source.path, choice=choice)
            if source.twin and looks_like_labels(np.asarray(volume.array)):
                yield row | {"passed_over": "labels, by their values and grid"}
            else:
                several = choice is not None and source.choice is None
                told = work(volume, f"{source.name}_{choice}" if several else source.name)
                yield row | {"image": source.title or volume.name} | told
        except ChoiceRequiredError as several_there:
            choices = list(range(len(several_there.choices)))
        except MedfmError as error:
            yield row | {"problem": str(error)}


def _timed(rows: Iterator[Row]) -> Iterator[tuple[Row, float]]:
    began = perf_counter()
    for row in rows:
        yield row, perf_counter() - began
        began = perf_counter()


def _names(paths: list[Path], folder: Path) -> dict[Path, str]:
    """Return the place of each in the folder; with its ending where another differs by that only."""
    short = {path: (path.parent / (path.name if path.is_dir() else stem(path))).relative_to(folder) for path in paths}
    often = Counter(short.values())
    names = {path: path.relative_to(folder) if often[name] > 1 else name for path, name in short.items()}
    return {path: str(name) if name != Path() else folder.name for path, name in names.items()}


def _twins(paths: list[Path]) -> set[Path]:
    """Return the NIfTI files that lie on the grid of another, by their headers."""
    grids = {path: nifti_grid(path) for path in paths if path.name.lower().endswith(NIFTI_SUFFIXES)}
    keys = {path: (grid.shape, np.round(grid.affine, 3).tobytes()) for path, grid in grids.items() if grid is not None}
    often = Counter(keys.values())
    return {path for path, key in keys.items() if often[key] > 1}


def _named_as_labels(path: Path, folder: Path) -> str:
    if path.is_file() and stem(path).lower().endswith(LABEL_ENDINGS):
        return "labels, by their name"
    inside = path.relative_to(folder).parts[:-1]
    return "labels, by their folder" if any(_LABEL_FOLDER.fullmatch(part) for part in inside) else ""
