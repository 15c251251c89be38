"""Medical Segmentation Decathlon: imagesTr, labelsTr, imagesTs and a dataset.json that lists the pairs."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, CaseSource
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.manifest import Manifest, read_json, read_manifest, write_json
from napari_medfm.export.maps import class_map
from napari_medfm.export.pairs import ENDING, Legend, Pair, read_pair, write_pair
from napari_medfm.session import ObjectClass
from napari_medfm.session.transitions import default_colour

_JSON = "dataset.json"
_IGNORE = "ignore"


class Decathlon:
    """The form of the Medical Segmentation Decathlon, which MONAI reads."""

    name = "decathlon"
    title = "Medical Segmentation Decathlon"
    usage = (
        'MONAI reads it by `load_decathlon_datalist("dataset.json", data_list_key="training")`; `validation` is the '
        "first fold, and `fold` names each case's own. Several images of a case are the fourth axis of one file. The "
        "form knows no nested classes: each voxel has its innermost one. Where a label is named `ignore`, nobody "
        "decided: give its value to the loss as the index to ignore; it is neither background nor a class."
    )

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Refuse a class that is called what the form calls something else."""
        for kind in plan.classes:
            if kind.name in ("background", _IGNORE):
                raise ExportError(f"class {kind.name}", "has a name that the form keeps for itself", "Rename it.")

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write images and label map; tell whether anything is ignored."""
        part = "Ts" if entry.test else "Tr"
        mapped = class_map(case, plan)
        image, labels = (folder / f"{kind}{part}" / f"{entry.id}{ENDING}" for kind in ("images", "labels"))
        write_pair(case, mapped, [image], labels)
        return {"ignored": bool((mapped == plan.ignore).any())}

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write dataset.json."""
        names = ["background", *plan.values]
        if any(fact["ignored"] for fact in written.values()):
            names.append(_IGNORE)
        parts = {part: [entry for entry in plan.entries if plan.part(entry) == part] for part in _PARTS}
        content = {
            "name": plan.name,
            "description": plan.facts.description,
            "reference": plan.facts.reference,
            "licence": plan.facts.licence,
            "release": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "tensorImageSize": "3D" if len(plan.channels) == 1 else "4D",
            "modality": {str(number): name for number, name in enumerate(plan.channels)},
            "labels": {str(number): name for number, name in enumerate(names)},
            "numTraining": len(parts["training"]),
            "numTest": len(parts["test"]),
            "training": [_item(entry, plan) for entry in parts["training"]],
            "validation": [_item(entry, plan) for entry in parts["validation"]],
            "test": [f"./imagesTs/{entry.id}{ENDING}" for entry in parts["test"]],
        }
        write_json(folder / _JSON, content)

    def recognises(self, folder: Path) -> bool:
        """Whether a dataset.json lists pairs."""
        return (folder / _JSON).is_file() and isinstance(read_json(folder / _JSON).get("training"), list)

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return the cases for training and validation and, where they have labels, those for the test."""
        manifest = read_manifest(folder)
        content = read_json(folder / _JSON)
        legend = _legend(content, manifest)
        pairs = list(_pairs(folder, content, len(legend.channels)))
        if not pairs:
            raise ExportError(folder.name, "holds no case with labels", "Choose another folder.")
        return [partial(read_pair, pair, legend, folder, manifest) for pair in pairs]


_PARTS = ("training", "validation", "test")


def _item(entry: Entry, plan: DatasetPlan) -> dict[str, Any]:
    fold = next((number for number, fold in enumerate(plan.folds) if entry.id in fold.validation), None)
    item = {"image": f"./imagesTr/{entry.id}{ENDING}", "label": f"./labelsTr/{entry.id}{ENDING}"}
    return item if fold is None else {**item, "fold": fold}


def _legend(content: Mapping[str, Any], manifest: Manifest | None) -> Legend:
    labels, modality = content.get("labels"), content.get("modality")
    if not isinstance(labels, Mapping) or not isinstance(modality, Mapping):
        raise ExportError(_JSON, "names no labels or no modality", "Write it as the Decathlon prescribes.")
    names = {int(number): str(name) for number, name in labels.items() if int(number)}
    ignore = next((number for number, name in names.items() if name == _IGNORE), None)
    values = {number: name for number, name in names.items() if number != ignore}
    known = {kind.name: kind for kind in manifest.plan.classes} if manifest is not None else {}
    classes = tuple(
        known.get(name) or ObjectClass(name, default_colour(number)) for number, name in sorted(values.items())
    )
    channels = tuple(str(name) for _, name in sorted(modality.items(), key=lambda item: int(item[0])))
    return Legend(classes, values, ignore, channels)


def _pairs(folder: Path, content: Mapping[str, Any], channels: int) -> Iterator[Pair]:
    listed = [item for part in ("training", "validation") for item in content.get(part, [])]
    for number, item in enumerate([*listed, *_tested(folder, content)], start=1):
        if not isinstance(item, Mapping) or not all(isinstance(item.get(key), str) for key in ("image", "label")):
            subject = f"{folder.name}/{_JSON}, case {number}"
            raise ExportError(subject, "names no image and label", "Give both as paths in the folder.")
        image, labels = _inside(folder, item["image"]), _inside(folder, item["label"])
        places = [None] if channels == 1 else list(range(channels))
        yield Pair(labels.name.removesuffix(ENDING), tuple((image, place) for place in places), labels)


def _tested(folder: Path, content: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    for image in content.get("test", []):
        name = Path(str(image)).name
        if (folder / "labelsTs" / name).is_file():
            yield {"image": str(image), "label": f"labelsTs/{name}"}


def _inside(folder: Path, path: str) -> Path:
    found = folder / path
    if not found.resolve().is_relative_to(folder.resolve()):
        raise ExportError(f"{folder.name}/{_JSON}", "names a file outside of its folder", "Correct the path.")
    return found
