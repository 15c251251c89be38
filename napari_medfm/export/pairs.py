"""Images and label maps as NIfTI pairs: written, read again by another reader and compared; and read to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from napari_medfm.errors import ExportError, WriteError
from napari_medfm.export.case import Case, CaseObject, Labels, Mask, count_values
from napari_medfm.export.manifest import Manifest, read_provenance
from napari_medfm.export.planning import channel_names
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import (
    Geometry,
    Plane,
    Volume,
    open_labels,
    open_volume,
    write_labels,
    write_stack,
    write_volume,
)

ENDING = ".nii.gz"
_AFFINE = 1e-5
_LANDMARK = 1e-3
_STEP = "Nothing was exported. Try again, or write to another disk."


def grey_images(case: Case) -> tuple[Volume, ...]:
    """Return the images of a case as grey ones, three for a colour image, ready to be written."""
    volumes: list[Volume] = []
    for volume in case.images.values():
        bands = np.moveaxis(np.asarray(volume.array), -1, 0) if volume.is_rgb else [np.asarray(volume.array)]
        volumes += [replace(volume, array=band, geometry=plain(volume.geometry)) for band in bands]
    return tuple(replace(volume, name=name) for name, volume in zip(channel_names(case), volumes, strict=True))


def plain(geometry: Geometry) -> Geometry:
    """Return a grid as it is written into data sets: in the axes of its file, but with one position all readers see.

    A file may hold two positions that differ, of which some programs read the first and some the second.
    """
    if geometry.source is None:
        return geometry
    return replace(geometry, source=replace(geometry.source, header={}))


def write_pair(case: Case, mapped: Labels, images: Sequence[Path], labels: Path) -> None:
    """Write a case as grey images and a label map, and compare them as another program reads them.

    Parameters
    ----------
    case : Case
        The case.
    mapped : ndarray of unsigned integers
        Its label map.
    images : sequence of Path
        One for each grey image; or one for all of them, which then has a fourth axis.
    labels : Path
        Of the label map.

    Raises
    ------
    WriteError
        They were not written, or do not lie on each other.
    """
    grey = grey_images(case)
    for path in (*images, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    if len(images) == len(grey):
        for path, volume in zip(images, grey, strict=True):
            write_volume(path, volume)
    else:
        write_stack(images[0], grey)
    write_labels(labels, mapped, plain(case.geometry))
    check_pair(case.geometry, mapped, images, labels)


def check_pair(geometry: Geometry, mapped: Labels, images: Sequence[Path], labels: Path) -> None:
    """Compare files that were written with what was meant, as nibabel alone reads them.

    Grid and affine of every image are those of the label map; each label has as many voxels as it should;
    and the rarest label has its centre where it lies in the patient.

    Raises
    ------
    WriteError
        Something differs.
    """
    held = nib.load(labels)
    values = np.asanyarray(held.dataobj)
    for path in images:
        image = nib.load(path)
        if image.shape[:3] != held.shape[:3] or not np.allclose(image.affine, held.affine, rtol=0, atol=_AFFINE):
            raise WriteError(path.name, "does not lie on its label map after writing", _STEP)
    expected, found = count_values(mapped), count_values(values)
    if expected != found:
        raise WriteError(labels.name, "holds other numbers of voxels after writing", _STEP)
    marked = [value for value in expected if value]
    if marked and geometry.known:
        rarest = min(marked, key=lambda value: expected[value])
        meant = geometry.to_world(np.argwhere(mapped == rarest)).mean(axis=0)
        voxels = np.argwhere(values == rarest)[:, :3]
        lies = apply_affine(held.affine, voxels).mean(axis=0)
        if np.abs(meant - lies).max() > _LANDMARK:
            raise WriteError(labels.name, f"has label {rarest} elsewhere in the patient after writing", _STEP)


@dataclass(frozen=True, slots=True)
class Legend:
    """What the numbers of label maps mean.

    Attributes
    ----------
    classes : tuple of ObjectClass
        All there are.
    values : mapping of int to str
        Name of the innermost class of each value.
    ignore : int, optional
        Value of voxels that nobody decided.
    channels : tuple of str
        Names of the images of a case.
    """

    classes: tuple[ObjectClass, ...]
    values: Mapping[int, str]
    ignore: int | None
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a case of a data set lies.

    Attributes
    ----------
    id : str
        Its name.
    images : tuple of (Path, int or None)
        Files, and which of the volumes in them.
    labels : Path
        The label map.
    """

    id: str
    images: tuple[tuple[Path, int | None], ...]
    labels: Path


def read_pair(pair: Pair, legend: Legend, folder: Path, manifest: Manifest | None) -> Case:
    """Read a case of a data set. Each value of its label map becomes an object with the value as its id.

    Raises
    ------
    ExportError
        A value is of no class.
    VolumeError
        A file cannot be read, or image and labels lie on different grids.
    """
    volumes = [open_volume(path, choice=choice) for path, choice in pair.images]
    named = zip(legend.channels, volumes, strict=True)
    images = {name: replace(volume, name=name, modality=volume.modality or _modality(name)) for name, volume in named}
    labels = np.array(open_labels(pair.labels, volumes[0]))
    ignored = labels == legend.ignore if legend.ignore is not None else np.zeros(labels.shape, bool)
    labels[ignored] = 0
    values = sorted(value for value in count_values(labels) if value)
    unknown = [value for value in values if value not in legend.values]
    if unknown:
        raise ExportError(pair.labels.name, f"holds the label {unknown[0]}, which is not declared", "Declare it.")
    entry = manifest.entry(pair.id) if manifest is not None else None
    return Case(
        patient=entry.patient if entry is not None else pair.id,
        images=images,
        labels=labels,
        objects=tuple(CaseObject(value, legend.values[value]) for value in values),
        classes=legend.classes,
        extent=decided(ignored, legend.classes),
        name=pair.id,
        ignored=ignored if ignored.any() else None,
        provenance=read_provenance(folder, pair.id),
        source=pair.images[0][0],
    )


def decided(ignored: Mask, classes: Sequence[ObjectClass]) -> Mapping[tuple[str, Plane], Extent]:
    """Return the extent of labels in which every axial slice without an ignored voxel is fully annotated."""
    slices = [ignored] if ignored.ndim == 2 else ignored
    planes = [Plane(0, index) for index, part in enumerate(slices) if not part.any()]
    return MappingProxyType({(kind.name, plane): Extent.ANNOTATED for kind in classes for plane in planes})


def _modality(name: str) -> str:
    upper = name.upper()
    return "MR" if upper.startswith("MR") else upper if upper in ("CT", "PT", "US") else ""
