"""The objects of an image that a model has to find, chosen by stated rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from skimage.measure import label, regionprops

from napari_medfm.evaluation.cases import Case, seed_of
from napari_medfm.volume import Plane, Region

Mask = NDArray[np.bool_]

Form = Literal["plain", "thin", "odd"]
"""Of an object on a slice: small models fail where it is thin, and boxes say little where it is odd.

``thin``
    Its area is that of more than 5 of the largest discs that fit into it: vessels, ducts, membranes.
``odd``
    Not thin, and it fills less than 3/4 of its convex hull: branching, curved or scattered things.
``plain``
    All others.
"""

_AXIAL = 0
_THIN = 5.0
_ODD = 0.75


@dataclass(frozen=True, slots=True)
class TargetRules:
    """Which objects of an image count.

    Attributes
    ----------
    objects : int
        At most so many of an image, drawn at random.
    smallest : int
        Pixels that an object has at least on a slice; the outlines of smaller ones are
        mostly the raster's. 64 are a disc 9 pixels wide.
    slices : int
        Axial slices of each object of a volume: 1 takes the one on which it is largest;
        more are spread evenly over those that it has; 0 takes all of them.
    forms : tuple of str
        The forms it may have on a slice, see `Form`.

    Raises
    ------
    ValueError
        A negative number, or no object at all.
    """

    objects: int = 3
    smallest: int = 64
    slices: int = 1
    forms: tuple[Form, ...] = get_args(Form)

    def __post_init__(self) -> None:
        if self.objects < 1 or self.smallest < 1 or self.slices < 0 or not self.forms:
            msg = f"rules need objects and smallest of at least 1, slices of at least 0, and a form, not {self}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One object on one slice.

    Attributes
    ----------
    number : int
        Its value in the mask; of a connected component its place in row-major order, from 1.
    plane : Plane
        The slice.
    mask : ndarray of bool, (rows, columns)
        The expert's mask of it there.
    """

    number: int
    plane: Plane
    mask: Mask

    @property
    def pixels(self) -> int:
        """Size on the slice."""
        return int(np.count_nonzero(self.mask))

    @property
    def form(self) -> Form:
        """What it looks like on the slice."""
        return form_of(self.mask)


def form_of(mask: Mask) -> Form:
    """Return what an object, (rows, columns), looks like; see `Form`."""
    thing = regionprops(mask.astype(np.uint8))[0]
    radius = distance_transform_edt(np.pad(thing.image, 1)).max()
    if thing.area > _THIN * np.pi * radius**2:
        return "thin"
    return "odd" if thing.solidity < _ODD else "plain"


def find_targets(case: Case, expert: NDArray[Any], rules: TargetRules, seed: int = 0) -> tuple[Target, ...]:
    """Return the objects of an image that the rules choose, slice by slice.

    Parameters
    ----------
    case : Case
        Says what in the mask is an object.
    expert : ndarray of int, (rows, columns) or (z, rows, columns)
        What the expert marked, in canonical axes. Components are of one value and hang together over
        edges and corners (8 neighbours, in a volume 26): an axon and the myelin around it are two.
    rules : TargetRules
        Which of them count.
    seed : int
        Of the draw; the same image gives the same objects whatever else is evaluated.
    """
    marked = _number_objects(case, expert)
    found = [thing for thing in _objects(marked) if thing.largest >= rules.smallest]
    if len(found) > rules.objects:
        rng = np.random.default_rng(seed_of(seed, case.dataset, case.number))
        found = [found[index] for index in sorted(rng.choice(len(found), rules.objects, replace=False))]
    cut = (target for thing in found for target in _cut(marked, thing, rules))
    return tuple(target for target in cut if target.form in rules.forms)


def mask_of(case: Case, expert: NDArray[Any], number: int, plane: Plane) -> Mask:
    """Return the expert's mask of one object on one slice, (rows, columns).

    Parameters
    ----------
    case, expert
        As in `find_targets`.
    number : int
        See `Target`.
    plane : Plane
        The slice.
    """
    return np.asarray(plane.take(_number_objects(case, expert), expert.ndim) == number)


def _number_objects(case: Case, expert: NDArray[Any]) -> NDArray[Any]:
    marked = np.where(expert == case.ignore, 0, expert) if case.ignore is not None else expert
    if case.targets == "components":
        return np.asarray(label(marked, connectivity=marked.ndim))
    return marked


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """An object's value, the box it lies in, and its pixels on each axial slice of that box."""

    number: int
    first: int
    sizes: NDArray[np.intp]

    @property
    def largest(self) -> int:
        return int(self.sizes.max())


def _objects(marked: NDArray[Any]) -> Iterator[_Object]:
    boxes: list[Region | None] = find_objects(marked.astype(np.int64, copy=False))
    for number, box in enumerate(boxes, start=1):
        if box is not None:
            inside = marked[box] == number
            stack = inside[None] if marked.ndim == 2 else inside
            yield _Object(number, 0 if marked.ndim == 2 else box[0].start, np.count_nonzero(stack, axis=(1, 2)))


def _cut(marked: NDArray[Any], thing: _Object, rules: TargetRules) -> Iterator[Target]:
    for index in _slices(thing.sizes, rules):
        plane = Plane(_AXIAL, thing.first + index)
        yield Target(thing.number, plane, plane.take(marked, marked.ndim) == thing.number)


def _slices(sizes: NDArray[np.intp], rules: TargetRules) -> list[int]:
    large = np.flatnonzero(sizes >= rules.smallest)
    if rules.slices == 1:
        return [int(np.argmax(sizes))]
    if rules.slices == 0 or len(large) <= rules.slices:
        return [int(index) for index in large]
    middles = (np.arange(rules.slices) + 0.5) / rules.slices * len(large)
    return [int(large[int(middle)]) for middle in middles]
