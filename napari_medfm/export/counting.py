"""What is in a case, counted, for the card of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from napari_medfm.export.case import Case, count_values
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.maps import class_map, seen_planes


@dataclass(frozen=True, slots=True)
class Tally:
    """What one class has in one case.

    Attributes
    ----------
    objects : int
        Objects of the class itself.
    ml : float
        Volume of the class, what lies inside it included; 0 where the image has no third dimension.
    voxels : int
        Of it.
    slices : int
        Planes on which it was looked for.
    """

    objects: int
    ml: float
    voxels: int
    slices: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in a case.

    Attributes
    ----------
    entry : Entry
        Its place.
    part : str
        ``training``, ``validation`` or ``test``.
    shape : tuple of int
        Voxels, (x, y[, z]).
    spacing : tuple of float
        In mm, (x, y[, z]).
    known : bool
        Whether the image says where it lies; if not, millimetres are a guess.
    classes : mapping of str to Tally
        By name.
    ignored : float
        Share of the voxels that nobody decided.
    open_objects : int
        Objects that nobody accepted.
    provenance : mapping
        As in `Case`.
    """

    entry: Entry
    part: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    known: bool
    classes: Mapping[str, Tally]
    ignored: float
    open_objects: int
    provenance: Mapping[str, Any]


def count(case: Case, entry: Entry, plan: DatasetPlan) -> Counts:
    """Count what is in a case."""
    geometry = case.geometry
    mapped = count_values(class_map(case, plan))
    held = count_values(case.labels)
    return Counts(
        entry,
        plan.part(entry),
        geometry.shape[::-1],
        geometry.spacing[::-1],
        geometry.known,
        {kind.name: _tally(case, kind.name, held) for kind in plan.classes},
        mapped.get(plan.ignore, 0) / case.labels.size,
        sum(not thing.accepted for thing in case.objects),
        case.provenance,
    )


def _tally(case: Case, name: str, held: Mapping[int, int]) -> Tally:
    geometry = case.geometry
    voxels = sum(held.get(number, 0) for number in case.members(name))
    ml = voxels * prod(geometry.spacing) / 1000 if geometry.ndim == 3 else 0.0
    objects = sum(thing.class_name == name for thing in case.objects)
    return Tally(objects, ml, voxels, len(seen_planes(case, name)))
