"""Volumes put together from the slices of a COCO data set of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_medfm.export.case import Case, CaseObject, Labels, Mask, descendants
from napari_medfm.export.manifest import read_manifest, read_provenance
from napari_medfm.export.runlengths import decode
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Geometry, Plane, Volume

PARTS = {"training": "train", "validation": "val", "test": "test"}
"""What COCO calls the parts of a data set."""


def file_name(case: str, plane: Plane, geometry: Geometry) -> str:
    """Return the name of the picture of a slice."""
    return f"{case}.png" if geometry.ndim == 2 else f"{case}_z{plane.index:04d}.png"


def annotation_files(folder: Path) -> list[Path]:
    """Return the files of annotations that are there."""
    paths = [folder / "annotations" / f"instances_{name}.json" for name in PARTS.values()]
    return [path for path in paths if path.is_file()]


def read_case(about: Mapping[str, Any], content: Mapping[str, Any], folder: Path) -> Case:
    """Put a case together: labels and what lies beneath them, what nobody decided, and the pictures as its image.

    Parameters
    ----------
    about, content : mapping
        What the file of annotations says of the case, and all of it.
    folder : Path
        Of the data set.
    """
    shape = tuple(about["shape"])
    geometry = Geometry(shape, np.asarray(about["affine"], np.float64), known=about["known"])
    classes = _classes(content, folder)
    pictures = {image["id"]: image for image in content["images"] if image["case"] == about["id"]}
    found = [each for each in content["annotations"] if each["image_id"] in pictures]
    names = {category["id"]: category["name"] for category in content["categories"]}
    owners = {each["object"]: names[each["category_id"]] for each in found if not each["iscrowd"]}
    planes = {number: Plane(0, image["slice"]) for number, image in pictures.items()}
    levels = _levels(shape, [each for each in found if not each["iscrowd"]], planes, _depths(classes, owners))
    ignored = _ignored(shape, [each for each in found if each["iscrowd"]], planes)
    volume = Volume(_stack(folder, pictures, shape), geometry, "image", about["modality"])
    return Case(
        patient=about["patient"],
        images={"image": volume},
        labels=levels[0],
        objects=tuple(CaseObject(number, owners[number]) for number in sorted(owners)),
        classes=classes,
        extent=_extent(pictures, planes, classes, {name: number for number, name in names.items()}),
        name=about["id"],
        beneath=tuple(levels[1:]),
        ignored=ignored if ignored.any() else None,
        provenance=read_provenance(folder, about["id"]),
    )


def _classes(content: Mapping[str, Any], folder: Path) -> tuple[ObjectClass, ...]:
    manifest = read_manifest(folder)
    if manifest is not None:
        return manifest.plan.classes
    return tuple(ObjectClass(each["name"], parent=each["supercategory"] or None) for each in content["categories"])


def _depths(classes: tuple[ObjectClass, ...], owners: Mapping[int, str]) -> Mapping[int, int]:
    """Return how many classes each object lies in."""
    return {number: sum(name in descendants(classes, kind.name) for kind in classes) for number, name in owners.items()}


def _levels(
    shape: tuple[int, ...],
    found: Sequence[Mapping[str, Any]],
    planes: Mapping[int, Plane],
    depths: Mapping[int, int],
) -> list[Labels]:
    """Return labels, and what lies beneath them, from objects that hold what lies inside them."""
    levels: list[Labels] = [np.zeros(shape, np.uint32)]
    for each in sorted(found, key=lambda one: depths[one["object"]]):
        region = planes[each["image_id"]].region(shape)
        mask = decode(each["segmentation"]).reshape(levels[0][region].shape)
        fallen = each["object"] * mask.astype(np.uint32)
        for level in levels:
            before = level[region].copy()
            level[region] = np.where(mask & (fallen > 0), fallen, before)
            fallen = np.where(mask & (fallen > 0), before, 0)
        if fallen.any():
            levels.append(np.zeros(shape, np.uint32))
            levels[-1][region] = fallen
    return levels


def _ignored(shape: tuple[int, ...], crowds: Sequence[Mapping[str, Any]], planes: Mapping[int, Plane]) -> Mask:
    """Return where nobody decided: slices that are not there, and crowds."""
    ignored = np.ones(shape, bool)
    for plane in planes.values():
        ignored[plane.region(shape)] = False
    for each in crowds:
        part = ignored[planes[each["image_id"]].region(shape)]
        part[decode(each["segmentation"]).reshape(part.shape)] = True
    return ignored


def _stack(folder: Path, pictures: Mapping[int, Mapping[str, Any]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pictures as one image; slices that are not there are black."""
    paths = {image["slice"]: folder / "images" / image["file_name"] for image in pictures.values()}
    slices = {index: np.asarray(Image.open(path)) for index, path in paths.items()}
    colour = next((pixels.shape[2:] for pixels in slices.values()), ())
    stack = np.zeros((*shape, *colour), np.uint8)
    for index, pixels in slices.items():
        stack[index if len(shape) == 3 else ...] = pixels
    return stack


def _extent(
    pictures: Mapping[int, Mapping[str, Any]],
    planes: Mapping[int, Plane],
    classes: Sequence[ObjectClass],
    numbers: Mapping[str, int],
) -> Mapping[tuple[str, Plane], Extent]:
    return {
        (kind.name, planes[number]): Extent.ANNOTATED
        for number, image in pictures.items()
        for kind in classes
        if numbers[kind.name] not in image["not_exhaustive_category_ids"]
    }
