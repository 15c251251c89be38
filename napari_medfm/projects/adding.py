"""A folder of images into a project, one after the other, so that it can be watched and stopped."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medfm.errors import ProjectError
from napari_medfm.projects.cases import Case
from napari_medfm.projects.finding import PATIENT_IN_NAME, Found, check_pattern, look_into
from napari_medfm.projects.project import Project
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume import find_images


@dataclass(frozen=True, slots=True)
class Added:
    """One image that was looked at.

    Attributes
    ----------
    done, total : int
        Files and folders that were looked at, this one included, and all.
    found : Found
        The image, or why it cannot be used.
    case : Case or None
        The new case; None if it cannot be used or was there before.
    """

    done: int
    total: int
    found: Found
    case: Case | None


def add_folder(
    project: Project, images: Path, pseudonyms: Pseudonyms, pattern: str = PATIENT_IN_NAME
) -> Iterator[Added]:
    """Add all images of a folder and of those inside it, or one file; each is in the project once it is yielded.

    Parameters
    ----------
    project : Project
        Gets the cases.
    images, pseudonyms, pattern
        As in `find_cases`.

    Raises
    ------
    ProjectError
        There is no such folder, the pattern is none, or the project cannot be written to.
    """
    check_pattern(pattern)
    if not images.exists():
        raise ProjectError(images.name, "is not there", "Check the name and the folder.")
    paths = find_images(images) if images.is_dir() else [images]
    for done, path in enumerate(paths, start=1):
        for found in look_into(path, pseudonyms, pattern):
            yield Added(done, len(paths), found, next(iter(project.add([found])), None))
