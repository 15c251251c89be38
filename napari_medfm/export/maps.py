"""One integer per voxel: classes by value, and what nobody decided."""

from collections.abc import Mapping

import numpy as np

from napari_medfm.export.case import Case, Labels, Mask, descendants
from napari_medfm.export.exporter import DatasetPlan
from napari_medfm.session import Extent
from napari_medfm.volume import Plane

_LARGEST_TABLE = 1 << 20
"""Ids up to this are looked up in a table."""


def class_map(case: Case, plan: DatasetPlan) -> Labels:
    """Return the value of the innermost class at each voxel; `DatasetPlan.ignore` where nobody decided.

    A voxel without an object is background only if every class of the data set was looked for
    there, in a slice of whatever direction. A voxel of a class stays undecided while a class that lies inside
    it was not looked for: it might be a lesion.

    Returns
    -------
    ndarray of uint8 or wider
        On the grid of the case.
    """
    values = plan.values
    mapped = _mapped(case, {thing.id: values[thing.class_name] for thing in case.objects})
    if plan.ignore > np.iinfo(mapped.dtype).max:
        mapped = mapped.astype(np.uint16)
    for kind in plan.classes:
        unknown = undecided(case, plan, kind.name)
        if unknown is not None:
            mapped[unknown] = plan.ignore
    return mapped


def _mapped(case: Case, values: Mapping[int, int]) -> Labels:
    width = np.min_scalar_type(max(values.values(), default=0))
    largest = max(values, default=0)
    if largest < _LARGEST_TABLE:
        table = np.zeros(largest + 1, width)
        table[list(values)] = list(values.values())
        mapped: Labels = table[case.labels]
        return mapped
    mapped = np.zeros(case.labels.shape, width)
    for number, value in values.items():
        mapped[case.labels == number] = value
    return mapped


def undecided(case: Case, plan: DatasetPlan, class_name: str) -> Mask | None:
    """Return where nobody knows whether a class is; None if everywhere somebody does.

    That is where it was not looked for, on background and on what it could lie in.

    Returns
    -------
    ndarray of bool or None
        On the grid of the case.
    """
    if case.ignored is not None:
        return case.ignored
    if plan.facts.complete:
        return None
    seen = _seen(case, class_name)
    if seen.all():
        return None
    unknown = ~seen
    around = {kind.name for kind in plan.classes if class_name in descendants(plan.classes, kind.name)}
    open_to = [0, *(thing.id for thing in case.objects if thing.class_name in around)]
    unknown &= np.isin(case.labels, open_to)
    return unknown if unknown.any() else None


def _seen(case: Case, class_name: str) -> Mask:
    seen = np.zeros(case.labels.shape, bool)
    for plane in seen_planes(case, class_name):
        seen[plane.region(seen.shape)] = True
    return seen


def seen_planes(case: Case, class_name: str) -> tuple[Plane, ...]:
    """Return the planes on which a class was looked for, whether it was found or not."""
    return tuple(
        plane for (name, plane), mark in case.extent.items() if name == class_name and mark is not Extent.UNSEEN
    )
