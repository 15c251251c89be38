"""COCO: slices as pictures, objects as instances in run-length code; areas that nobody decided as crowds to ignore."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_medfm.errors import ExportError, WriteError
from napari_medfm.export.case import Case, CaseSource
from napari_medfm.export.coco_reading import PARTS, annotation_files, file_name, read_case
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.manifest import read_json, write_json
from napari_medfm.export.maps import undecided
from napari_medfm.export.runlengths import coder, encode
from napari_medfm.files import atomic_write
from napari_medfm.volume import Geometry, Plane, Volume, Window, automatic_window


class Coco:
    """Detection and instance segmentation as in COCO, one picture for each axial slice."""

    name = "coco"
    title = "COCO"
    usage = (
        "`pycocotools.coco.COCO` reads the files in `annotations`: `instances_train.json`, `instances_val.json` and "
        "`instances_test.json`, as far as there are such cases. The pictures are in `images`: axial slices of the "
        "first image, 8 bit, in the window named under `cases`. Each object on a slice is an instance; what lies "
        "inside it is part of it. Annotations with `iscrowd` 1 cover where a class was not looked for: leave them "
        "out of training, as evaluation does. Slices that nobody looked at are not there."
    )

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Refuse everything where the coder of masks is not installed."""
        coder()

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write the pictures, and return what is annotated on them."""
        image = next(iter(case.images.values()))
        window = automatic_window(image)
        scene = _Scene(case, plan)
        pictures = []
        for plane in scene.planes:
            pixels = _pixels(image, plane, window)
            write_picture(folder / "images" / file_name(entry.id, plane, case.geometry), pixels)
            pictures.append({"plane": plane.index, **scene.describe(plane)})
        geometry = case.geometry
        about = {"shape": list(geometry.shape), "affine": geometry.affine.tolist(), "known": geometry.known}
        return {"case": {**about, "window": window.key, "modality": image.modality}, "pictures": pictures}

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write one file of annotations for each part."""
        for part, name in PARTS.items():
            entries = [entry for entry in plan.entries if plan.part(entry) == part]
            if entries:
                path = folder / "annotations" / f"instances_{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, _content(plan, entries, written))

    def recognises(self, folder: Path) -> bool:
        """Whether it is one of ours: others do not tell where their pictures lie in a volume."""
        return any("cases" in read_json(path) for path in annotation_files(folder))

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return the cases, put together from their slices; images are 8 bit, as they were written."""
        contents = [read_json(path) for path in annotation_files(folder)]
        if not any("cases" in content for content in contents):
            reason = "does not tell which slices make a volume"
            raise ExportError(folder.name, reason, "Choose a data set that napari-medfm exported.")
        return [partial(read_case, case, content, folder) for content in contents for case in content["cases"]]


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a PNG, and compare it with what was meant.

    Raises
    ------
    WriteError
        It was not written, or read back different.
    """
    path.parent.mkdir(parents=True, exist_ok=True)

    def verify(temporary: Path) -> None:
        if not np.array_equal(np.asarray(Image.open(temporary)), pixels):
            raise WriteError(path.name, "read back different from what was written", "Try another disk.")

    return atomic_write(path, lambda temporary: Image.fromarray(pixels).save(temporary, format="PNG"), verify)


def _pixels(image: Volume, plane: Plane, window: Window) -> NDArray[np.uint8]:
    return np.ascontiguousarray(window.to_uint8(image.plane(plane)))


class _Scene:
    """What is on the slices of a case."""

    def __init__(self, case: Case, plan: DatasetPlan) -> None:
        self._case, self._plan = case, plan
        unknown = {kind.name: undecided(case, plan, kind.name) for kind in plan.classes}
        self._open = {name: mask for name, mask in unknown.items() if mask is not None}

    @property
    def planes(self) -> list[Plane]:
        """Slices on which anything is decided."""
        return [plane for plane in self._case.geometry.planes() if self._decided(plane)]

    def describe(self, plane: Plane) -> dict[str, Any]:
        """Return what is annotated on a slice, and the classes that nobody decided everywhere on it."""
        region, values = plane.region(self._case.labels.shape), self._plan.values
        masks = [(thing.id, thing.class_name, self._case.object_mask(thing.id, region)) for thing in self._case.objects]
        masks += [(0, name, mask[region]) for name, mask in self._open.items()]
        found = [
            {"category": values[name], "object": number, "mask": encode(mask.reshape(mask.shape[-2:]))}
            for number, name, mask in masks
            if mask.any()
        ]
        return {"annotations": found, "open": [each["category"] for each in found if not each["object"]]}

    def _decided(self, plane: Plane) -> bool:
        closed = [kind for kind in self._plan.classes if not self._is_open(kind.name, plane)]
        return bool(closed) or bool(_take(self._case.labels, plane).any())

    def _is_open(self, name: str, plane: Plane) -> bool:
        return name in self._open and bool(_take(self._open[name], plane).all())


def _take(array: NDArray[Any], plane: Plane) -> NDArray[Any]:
    return plane.take(array, array.ndim)


def _content(plan: DatasetPlan, entries: Sequence[Entry], written: Mapping[str, Any]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for entry in entries:
        for picture in written[entry.id]["pictures"]:
            images.append(_image(len(images) + 1, entry.id, picture, written[entry.id]["case"]))
            for found in picture["annotations"]:
                annotations.append(_annotation(len(annotations) + 1, images[-1]["id"], found))
    return {
        "info": {"description": plan.facts.description or plan.name, "url": plan.facts.reference},
        "licenses": [{"id": 1, "name": plan.facts.licence or "not stated", "url": ""}],
        "categories": [
            {"id": plan.values[kind.name], "name": kind.name, "supercategory": kind.parent or ""}
            for kind in plan.classes
        ],
        "images": images,
        "annotations": annotations,
        "cases": [{"id": entry.id, "patient": entry.patient, **written[entry.id]["case"]} for entry in entries],
    }


def _image(number: int, case: str, picture: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    height, width = about["shape"][-2:]
    geometry = Geometry(tuple(about["shape"]), np.asarray(about["affine"]))
    return {
        "id": number,
        "file_name": file_name(case, Plane(0, picture["plane"]), geometry),
        "height": height,
        "width": width,
        "license": 1,
        "case": case,
        "slice": picture["plane"],
        "not_exhaustive_category_ids": picture["open"],
    }


def _annotation(number: int, image: int, found: Mapping[str, Any]) -> dict[str, Any]:
    mask, coded = found["mask"], coder()
    return {
        "id": number,
        "image_id": image,
        "category_id": found["category"],
        "object": found["object"],
        "iscrowd": int(found["object"] == 0),
        "segmentation": mask,
        "area": int(coded.area(mask)),
        "bbox": [float(value) for value in coded.toBbox(mask)],
    }
