"""Looking for more of a lesion in many images, slice by slice, on embeddings that are kept.

`search_case` is a plain function of values that can be pickled, so that cases can be spread over processes; `search`
does one after the other, as steps that may be stopped between any two slices.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label

from napari_medfm.adaptation import adaptable
from napari_medfm.errors import ChoiceRequiredError, MedfmError, ProjectError, UnreadableFileError
from napari_medfm.inference import Predictor, WriteBehind, embed_plane, open_disk_store, pixel_aspect, slice_image
from napari_medfm.models.steps import finish
from napari_medfm.projects.database import FILE
from napari_medfm.projects.lookalikes import Box, FeatureMap, Floats, Query, Sight, Sighting, overlap
from napari_medfm.projects.model_choice import ModelChoice
from napari_medfm.projects.project import Project
from napari_medfm.projects.sources import find_sources
from napari_medfm.volume import (
    PRESETS,
    Plane,
    Volume,
    Window,
    automatic_window,
    find_images,
    fingerprint,
    is_ct,
    looks_like_labels,
    open_volume,
)

_SLICES = 3  # of one lesion, as examples
_BEHIND = 4  # more slices of its volume, for how features vary
_FROM_A_CASE = 20  # candidates at most
_SIDE = 96  # pixels of a picture
_CONTEXT = 2.0  # its side in sides of the box, at least


@dataclass(frozen=True, slots=True)
class Target:
    """An image that is searched.

    Attributes
    ----------
    path : Path
        File or folder.
    title : str
        What people see; no folder.
    choice : int or None
        Which image, where there are several; None searches all of them.
    case : int or None
        Its id, in a project.
    twin : bool
        Whether another file has the same grid: then it may hold labels, which nothing is searched in.
    """

    path: Path
    title: str
    choice: int | None = None
    case: int | None = None
    twin: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SearchOrder:
    """One image to search, in plain values.

    Attributes
    ----------
    target : Target
        The image, or the file of several.
    query : Query
        What is looked for.
    model : ModelChoice
        By which the query was made.
    """

    target: Target
    query: Query
    model: ModelChoice


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An image, as a model sees it.

    Attributes
    ----------
    volume : Volume
        The image.
    fingerprint : str
        Of its voxels.
    window : Window
        What the model sees it through.
    """

    volume: Volume
    fingerprint: str
    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """A lesion on one slice.

    Attributes
    ----------
    image : Seen
        The image.
    plane : Plane
        The slice.
    box : Box
        Around the lesion, in pixels of the slice.
    """

    image: Seen
    plane: Plane
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A place in an image that looks like the lesion.

    Attributes
    ----------
    target : Target
        The image; its `choice` is known.
    fingerprint : str
        Of its voxels.
    plane : Plane
        The slice.
    box : Box
        Where on it, in voxels.
    score : float
        See `Sighting`.
    description : ndarray of float32
        By which it is compared.
    picture : ndarray of uint8, (rows, columns[, 3])
        What it looks like, with what is around it.
    frame : Box
        The box, in pixels of the picture.
    """

    target: Target
    fingerprint: str
    plane: Plane
    box: Box
    score: float
    description: Floats
    picture: NDArray[np.uint8]
    frame: Box


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """An image that was searched, or why it could not be.

    Attributes
    ----------
    target : Target
        The image.
    candidates : tuple of Candidate
        Best first.
    problem : str
        Empty if all went well.
    done, total : int
        Images so far, and in all.
    """

    target: Target
    candidates: tuple[Candidate, ...]
    problem: str
    done: int
    total: int


def find_targets(folder: Path) -> tuple[Target, ...]:
    """Return the cases of a project, or the images of a folder and of those inside it; or the one image.

    Files that are labels by their name are left out.

    Raises
    ------
    ProjectError
        The project has no case.
    UnreadableFileError
        There is no image.
    """
    if (folder / FILE).is_file():
        cases = Project(folder).cases()
        if not cases:
            raise ProjectError(folder.name, "has no case", "Add images: napari-medfm project add.")
        return tuple(Target(case.path, case.title, case.choice, case.id) for case in cases)
    if not folder.is_dir() or find_images(folder) == [folder]:
        return (Target(folder, folder.name),)
    sources = [each for each in find_sources(folder) if not each.labels]
    if not sources:
        raise UnreadableFileError(folder.name, "holds no image", "Choose a folder with images, or a project.")
    return tuple(Target(each.path, each.label, each.choice, twin=each.twin) for each in sources)


def lesions_of(image: Seen, mask: NDArray[np.bool_], axis: int = 0) -> tuple[Lesion, ...]:
    """Return a lesion on the slices that show it best: where it is largest, and some beside that are not much smaller.

    Parameters
    ----------
    image : Seen
        The image.
    mask : ndarray of bool
        On the volume's grid.
    axis : int
        Across which slices are searched.

    Raises
    ------
    ProjectError
        The mask is empty.
    """
    volume = image.volume
    planes = volume.geometry.planes(axis if volume.ndim == 3 else 0)
    areas = np.array([np.count_nonzero(plane.take(mask, volume.ndim)) for plane in planes])
    if not areas.any():
        raise ProjectError(volume.name, "holds nothing of what is looked for", "Choose an object that has a mask.")
    large = np.flatnonzero(areas >= areas.max() / 2)
    middle = int(areas.argmax())
    chosen = {middle, *large[np.linspace(0, len(large) - 1, _SLICES).round().astype(int)].tolist()}
    shown = sorted(chosen, key=lambda index: (index != middle, index))[:_SLICES]
    return tuple(Lesion(image, planes[index], box_of(planes[index].take(mask, volume.ndim))) for index in shown)


def make_query(lesions: Sequence[Lesion], predictor: Predictor) -> Query:
    """Describe lesions, from one image or several.

    Raises
    ------
    AdapterError
        The model's features cannot be had.
    """
    return finish(make_query_steps(lesions, predictor))


def make_query_steps(lesions: Sequence[Lesion], predictor: Predictor) -> Generator[None, None, Query]:
    """Do what `make_query` does, one slice for every ``next``."""
    first = lesions[0]
    preset = first.image.window.name if first.image.window.name in PRESETS and is_ct(first.image.volume) else ""
    examples, background = [], []
    for lesion in lesions:
        background.append(_map(predictor, lesion.image, lesion.plane))
        examples.append((background[-1], lesion.box))
        yield
    planes = first.image.volume.geometry.planes(first.plane.axis)
    for index in np.linspace(0, len(planes) - 1, _BEHIND).astype(int) if len(planes) > 1 else ():
        background.append(_map(predictor, first.image, planes[index]))
        yield
    spacing = [each.image.volume.geometry.plane_spacing(each.plane) for each in lesions]
    return Query.of(examples, spacing, background, Sight(first.plane.axis, preset))


def search_case(target: Target, query: Query, predictor: Predictor) -> list[Candidate]:
    """Return what looks like the lesion in an image, best first.

    Parameters
    ----------
    target : Target
        The image, or the file of several.
    query : Query
        What is looked for.
    predictor : Predictor
        Of the model that the query was made with. Slices that are not stored are embedded.

    Raises
    ------
    MedfmError
        The image cannot be used.
    """
    return finish(search_case_steps(target, query, predictor))


def search_order(order: SearchOrder) -> list[Candidate]:
    """Do what `search_case` does, wherever the work is done.

    Raises
    ------
    MedfmError
        The image cannot be used, or the model is another one there.
    """
    with WriteBehind(open_disk_store()) as store:
        return search_case(order.target, order.query, Predictor(order.model.load(), store))


def search_case_steps(target: Target, query: Query, predictor: Predictor) -> Generator[None, None, list[Candidate]]:
    """Do what `search_case` does, one slice for every ``next``."""
    found: list[Candidate] = []
    waiting = [target]
    while waiting:
        one = waiting.pop(0)
        try:
            image = open_target(one, query.sight)
        except ChoiceRequiredError as several:
            waiting = each_of(one, several)
        else:
            found += yield from search_image_steps(one, image, query, predictor)
    return sorted(found, key=lambda each: -each.score)


def each_of(target: Target, several: ChoiceRequiredError) -> list[Target]:
    """Return the images of a file or folder that holds several."""
    return [replace(target, choice=choice) for choice in range(len(several.choices))]


def open_target(target: Target, sight: Sight) -> Seen:
    """Open an image to be searched.

    Raises
    ------
    ChoiceRequiredError
        There are several, see `each_of`.
    MedfmError
        It cannot be read.
    """
    volume = open_volume(target.path, choice=target.choice)
    window = PRESETS[sight.window] if sight.window and is_ct(volume) else automatic_window(volume)
    return Seen(volume, fingerprint(volume), window)


def search(targets: Sequence[Target], query: Query, predictor: Predictor) -> Iterator[Searched | None]:
    """Search images one after the other; one that cannot be used stops no other. To stop, close the generator.

    Yields
    ------
    Searched or None
        After each image; None between two slices.
    """
    for done, target in enumerate(targets, start=1):
        try:
            candidates = yield from search_case_steps(target, query, predictor)
        except MedfmError as error:
            yield Searched(target, (), str(error), done, len(targets))
        else:
            yield Searched(target, tuple(candidates), "", done, len(targets))


def ranked(candidates: Iterable[Candidate], query: Query) -> list[Candidate]:
    """Return candidates with the scores that a query gives them, best first; such as after some were refused."""
    known = list(candidates)
    if not known:
        return []
    scores = query.rate(np.stack([each.description for each in known])).tolist()
    rated = [replace(each, score=score) for each, score in zip(known, scores, strict=True)]
    return sorted(rated, key=lambda each: -each.score)


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the box of the largest piece of a mask that is not empty, (rows, columns)."""
    numbers, _ = label(mask)
    piece = numbers == np.bincount(numbers[mask]).argmax()
    rows, columns = (np.flatnonzero(piece.any(axis=1 - axis)) for axis in range(2))
    return float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1)


def search_image_steps(
    target: Target, image: Seen, query: Query, predictor: Predictor
) -> Generator[None, None, list[Candidate]]:
    """Return what looks like the lesion in an image that is open, best first; one slice for every ``next``.

    Parameters
    ----------
    target, image : Target, Seen
        The image, see `open_target`.
    query, predictor
        As for `search_case`.
    """
    volume = image.volume
    if target.twin and looks_like_labels(np.asarray(volume.array)):
        return []
    places: list[tuple[Plane, Sighting]] = []
    for plane in volume.geometry.planes(query.sight.axis if volume.ndim == 3 else 0):
        spacing = volume.geometry.plane_spacing(plane)
        places += [(plane, each) for each in query.find(_map(predictor, image, plane), spacing)]
        yield
    kept = _apart(places, volume, float(np.median(query.sizes)))[:_FROM_A_CASE]
    return [_candidate(target, image, plane, each) for plane, each in kept]


def _apart(places: list[tuple[Plane, Sighting]], volume: Volume, depth: float) -> list[tuple[Plane, Sighting]]:
    """Leave the best slice of each place: what lies above another within `depth` mm is the same."""
    kept: list[tuple[Plane, Sighting]] = []
    for plane, each in sorted(places, key=lambda place: -place[1].score):
        step = volume.spacing[plane.axis]
        if not any(
            abs(plane.index - other.index) * step <= depth and overlap(each.box, known.box) > 0
            for other, known in kept
            if other != plane
        ):
            kept.append((plane, each))
    return kept


def _candidate(target: Target, image: Seen, plane: Plane, sighting: Sighting) -> Candidate:
    pixels = slice_image(image.volume, plane, image.window)
    picture, frame = _picture(pixels, sighting.box, pixel_aspect(image.volume, plane))
    known = target, image.fingerprint, plane
    return Candidate(*known, sighting.box, sighting.score, sighting.description, picture, frame)


def _picture(image: NDArray[np.uint8], box: Box, aspect: float) -> tuple[NDArray[np.uint8], Box]:
    """Cut out what is around a box, in proportion; also where the box lies in it."""
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = max(_CONTEXT * max((box[2] - box[0]) * aspect, box[3] - box[1]), 24.0)
    halves = side / aspect / 2, side / 2
    (top, bottom), (left, right) = (
        (max(0, round(at - half)), min(size, round(at + half)))
        for at, half, size in zip(middle, halves, image.shape[:2], strict=True)
    )
    height, width = (bottom - top) * aspect, right - left
    scale = _SIDE / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    cut = np.ascontiguousarray(image[top:bottom, left:right])
    picture = np.asarray(Image.fromarray(cut).resize((columns, rows), Image.Resampling.BILINEAR))
    down, across = rows / (bottom - top), columns / (right - left)
    frame = (box[0] - top) * down, (box[1] - left) * across, (box[2] - top) * down, (box[3] - left) * across
    return picture, frame


def _map(predictor: Predictor, image: Seen, plane: Plane) -> FeatureMap:
    """Return what the model sees of a slice."""
    model = adaptable(getattr(predictor.model, "base", predictor.model))
    embedding = embed_plane(predictor, image.volume, image.fingerprint, image.window, plane)
    look = model.look(embedding)
    features = look.features.float().cpu().numpy()
    height, width = (size / cells for size, cells in zip(look.square.extent, features.shape[1:], strict=True))
    rows, columns = (
        math.ceil(size / cell - 1e-6) for size, cell in zip(embedding.image_shape, (height, width), strict=True)
    )
    inside = np.ascontiguousarray(features[:, :rows, :columns].transpose(1, 2, 0))
    return FeatureMap(inside, (height, width), embedding.image_shape)
