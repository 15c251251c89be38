"""One annotated case as every exporter gets it and every reader of a data set returns it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import ExportError
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Geometry, Plane, Region, Volume
from napari_medfm.volume.grids import grid_difference

Labels = NDArray[np.unsignedinteger[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CaseObject:
    """One structure of a case.

    Attributes
    ----------
    id : int
        Its value in the labels of the case, from 1.
    class_name : str
        Name of its class; every object of a case has one.
    accepted : bool
        Whether the person said it is right.
    """

    id: int
    class_name: str
    accepted: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An image, or several on one grid, with what was annotated on it.

    Names of files, folders and patients are not in it; `patient` is a pseudonym.

    Attributes
    ----------
    patient : str
        Pseudonym: equal for two cases of one person and for nobody else.
    images : mapping of str to Volume
        The channels by name, such as ``{"CT": volume}``, in order; all on the grid of the first.
    labels : ndarray of unsigned integers
        Object ids on that grid, 0 where there is none; the topmost object where several lie in one another.
    objects : tuple of CaseObject
        All that may occur in `labels`, by id.
    classes : tuple of ObjectClass
        All that could have been annotated, also those that do not occur.
    extent : mapping of (str, Plane) to Extent
        By class name and plane; what is not in it is `Extent.UNSEEN`.
    name : str
        What the case is called in a data set. Leave it empty to have it numbered; give only what names no patient.
    beneath : tuple of ndarray
        Ids that lie under `labels`, nearest first: an organ under its lesion.
    ignored : ndarray of bool, optional
        Voxels that nobody decided, where that is known by voxel. It then stands in place of `extent`.
    provenance : mapping
        JSON values: who made it, with which prompts, models and adapters, and when.
    source : Path, optional
        File or folder that the first image was read from, for formats that refer to it. Never written anywhere.

    Raises
    ------
    ExportError
        The parts do not belong together.
    """

    patient: str
    images: Mapping[str, Volume]
    labels: Labels
    objects: tuple[CaseObject, ...]
    classes: tuple[ObjectClass, ...]
    extent: Mapping[tuple[str, Plane], Extent] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""
    beneath: tuple[Labels, ...] = ()
    ignored: Mask | None = None
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: Path | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise ExportError(self.title, "has no image", "Give at least one.")
        for name, volume in self.images.items():
            difference = grid_difference(self.geometry, volume.geometry)
            if difference is not None:
                step = "Resample it onto the first one, or leave it out."
                raise ExportError(f"{self.title}, {name}", f"does not lie on the first image: {difference}", step)
        arrays = [self.labels, *self.beneath, *([] if self.ignored is None else [self.ignored])]
        if any(array.shape != self.geometry.shape for array in arrays):
            raise ExportError(self.title, "has labels of another shape than its image", "Use the image's own labels.")
        self._check_names()

    def _check_names(self) -> None:
        known = {kind.name for kind in self.classes}
        unknown = [thing for thing in self.objects if thing.class_name not in known]
        if unknown:
            reason = f"holds object {unknown[0].id} of the class {unknown[0].class_name!r}, which it does not define"
            raise ExportError(self.title, reason, "Give the object a class of the list.")
        strangers = set(count_values(self.labels)) - {0, *(thing.id for thing in self.objects)}
        if strangers:
            reason = f"holds the label {min(strangers)}, which no object has"
            raise ExportError(self.title, reason, "Open the labels in a session, and name its objects.")

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or "case"

    @property
    def geometry(self) -> Geometry:
        """The voxel grid of all of it."""
        return next(iter(self.images.values())).geometry

    def members(self, class_name: str) -> frozenset[int]:
        """Return the ids of the objects of a class and of every class inside it."""
        inside = {class_name, *descendants(self.classes, class_name)}
        return frozenset(thing.id for thing in self.objects if thing.class_name in inside)

    def class_mask(self, class_name: str) -> Mask:
        """Return where a class is, what lies inside it included."""
        return np.isin(self.labels, list(self.members(class_name)))

    def object_mask(self, object_id: int, region: Region | None = None) -> Mask:
        """Return where an object is, objects inside it included.

        Parameters
        ----------
        object_id : int
            The object.
        region : Region, optional
            A box; everything if not given.
        """
        box = region if region is not None else tuple(slice(0, size) for size in self.labels.shape)
        labels = self.labels[box]
        mask: Mask = labels == object_id
        inside = self._inside(object_id) if self.beneath else []
        covered = np.isin(labels, inside) if inside else None
        for level in self.beneath if covered is not None else ():
            mask |= (level[box] == object_id) & covered
        return mask

    def _inside(self, object_id: int) -> list[int]:
        """Return the ids of the objects whose class is inside that of one."""
        own = next(thing.class_name for thing in self.objects if thing.id == object_id)
        inner = set(descendants(self.classes, own))
        return [thing.id for thing in self.objects if thing.class_name in inner]


CaseSource = Callable[[], Case]
"""Reads a case when it is needed: many do not fit the memory together."""


def descendants(classes: tuple[ObjectClass, ...], class_name: str) -> tuple[str, ...]:
    """Return the names of every class inside a class, in the order of the list."""
    parents = {kind.name: kind.parent for kind in classes}

    def inside(name: str | None) -> bool:
        while name is not None:
            name = parents.get(name)
            if name == class_name:
                return True
        return False

    return tuple(kind.name for kind in classes if inside(kind.name))


def count_values(array: NDArray[Any]) -> dict[int, int]:
    """Return how often each value of a label map occurs; values in a row are looked at once."""
    counts: Counter[int] = Counter()
    for part in array:
        flat = part.reshape(-1)
        starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
        values, places = np.unique(flat[starts], return_inverse=True)
        lengths = np.bincount(places, weights=np.diff(starts, append=flat.size), minlength=values.size)
        counts.update(dict(zip(values.astype(int).tolist(), lengths.astype(int).tolist(), strict=True)))
    return dict(counts)
