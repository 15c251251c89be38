"""Plain NIfTI: a folder of images, one of label maps, and what their numbers mean."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, CaseSource
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.manifest import read_json, read_manifest, write_json
from napari_medfm.export.maps import class_map
from napari_medfm.export.naming import distinct_names
from napari_medfm.export.pairs import ENDING, Legend, Pair, read_pair, write_pair
from napari_medfm.session import ObjectClass

_LEGEND, _SPLITS = "labels.json", "splits.json"


class PlainNifti:
    """Images and label maps beside each other."""

    name = "nifti"
    title = "plain NIfTI"
    usage = (
        "`images` holds each case's images, `labels` its label map under the same name. `labels.json` tells what the "
        "values mean, which class lies in which, and the value of voxels that nobody decided: no background. "
        "`splits.json` divides the cases by patient."
    )

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Take any case."""

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write images and label map; tell whether anything is ignored."""
        mapped = class_map(case, plan)
        images = [folder / "images" / name for name in _image_names(entry.id, plan.channels)]
        write_pair(case, mapped, images, folder / "labels" / f"{entry.id}{ENDING}")
        return {"ignored": bool((mapped == plan.ignore).any())}

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write what the values mean, and the divisions."""
        ignores = any(fact["ignored"] for fact in written.values())
        values = plan.values
        content = {
            "channels": list(plan.channels),
            "labels": [
                {"value": values[kind.name], "name": kind.name, "parent": kind.parent, "colour": list(kind.colour)}
                for kind in plan.classes
            ],
            "ignore": plan.ignore if ignores else None,
        }
        write_json(folder / _LEGEND, content)
        splits = {
            "test": [entry.id for entry in plan.entries if entry.test],
            "folds": [{"training": list(fold.training), "validation": list(fold.validation)} for fold in plan.folds],
        }
        write_json(folder / _SPLITS, splits)

    def recognises(self, folder: Path) -> bool:
        """Whether images, labels and their meaning are there."""
        return (folder / "images").is_dir() and (folder / "labels").is_dir() and (folder / _LEGEND).is_file()

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return every case with a label map."""
        manifest = read_manifest(folder)
        legend = _legend(read_json(folder / _LEGEND))
        pairs = []
        for labels in sorted((folder / "labels").glob(f"[!.]*{ENDING}")):
            case = labels.name.removesuffix(ENDING)
            images = [folder / "images" / name for name in _image_names(case, legend.channels)]
            pairs.append(Pair(case, tuple((image, None) for image in images), labels))
        if not pairs:
            raise ExportError(folder.name, "holds no case with labels", "Choose another folder.")
        return [partial(read_pair, pair, legend, folder, manifest) for pair in pairs]


def _image_names(case: str, channels: Sequence[str]) -> list[str]:
    if len(channels) == 1:
        return [f"{case}{ENDING}"]
    return [f"{case}_{name}{ENDING}" for name in distinct_names(channels, "image")]


def _legend(content: Mapping[str, Any]) -> Legend:
    try:
        classes = tuple(ObjectClass(row["name"], tuple(row["colour"]), row["parent"]) for row in content["labels"])
        values = {int(row["value"]): str(row["name"]) for row in content["labels"]}
        return Legend(classes, values, content["ignore"], tuple(content["channels"]))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"does not tell what the labels mean ({type(error).__name__})"
        raise ExportError(_LEGEND, reason, "Export the cases again.") from error
