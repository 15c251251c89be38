"""nnU-Net v2: imagesTr, labelsTr, dataset.json, splits_final.json; nested classes as regions, and an ignore label."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, CaseSource, descendants
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.manifest import read_json, read_manifest, write_json
from napari_medfm.export.maps import class_map
from napari_medfm.export.pairs import ENDING, Legend, Pair, read_pair, write_pair
from napari_medfm.session import ObjectClass
from napari_medfm.session.transitions import default_colour

_JSON = "dataset.json"
_RESERVED = ("background", "ignore")
_SHEAR = 1e-3
"""Deviation of two axes from a right angle, as a cosine, that ITK takes for none."""


class NnUNet:
    """The raw data set of nnU-Net v2."""

    name = "nnunet"
    title = "nnU-Net v2"
    usage = (
        "Put this folder into `nnUNet_raw`, named `DatasetNNN_NAME`, and run `nnUNetv2_plan_and_preprocess -d NNN "
        "--verify_dataset_integrity`. Then copy `splits_final.json` into `nnUNet_preprocessed/DatasetNNN_NAME`: "
        "without it nnU-Net divides by case, and a patient may be on both sides. What is in `imagesTs` is held out."
    )

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Refuse what ITK or nnU-Net's own check refuses: sheared grids, and voxels that are no numbers."""
        for kind in plan.classes:
            if kind.name in _RESERVED:
                raise ExportError(f"class {kind.name}", "has a name that nnU-Net keeps for itself", "Rename it.")
        steps = case.geometry.affine[:3, :3]
        axes = steps / np.linalg.norm(steps, axis=0)
        if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR:
            reason = "has slanting axes, such as of a tilted gantry, which ITK and so nnU-Net cannot read"
            raise ExportError(case.title, reason, "Resample it to a straight grid, or export plain NIfTI.")
        for name, volume in case.images.items():
            if volume.array.dtype.kind == "f" and not np.isfinite(np.asarray(volume.array)).all():
                reason = "holds voxels that are no finite numbers, which nnU-Net refuses"
                raise ExportError(f"{case.title}, {name}", reason, "Replace them in the image, or export plain NIfTI.")

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write images and label map; tell whether anything is ignored."""
        part = "Ts" if entry.test else "Tr"
        mapped = class_map(case, plan)
        names = [f"{entry.id}_{number:04d}{ENDING}" for number in range(len(plan.channels))]
        images = [folder / f"images{part}" / name for name in names]
        write_pair(case, mapped, images, folder / f"labels{part}" / f"{entry.id}{ENDING}")
        return {"ignored": bool((mapped == plan.ignore).any())}

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write dataset.json and the divisions."""
        ignores = any(fact["ignored"] for fact in written.values())
        nested = any(kind.parent for kind in plan.classes)
        content = {
            "name": plan.name,
            "description": plan.facts.description,
            "reference": plan.facts.reference,
            "licence": plan.facts.licence,
            "channel_names": {str(number): name for number, name in enumerate(plan.channels)},
            "labels": {"background": 0, **_regions(plan), **({"ignore": plan.ignore} if ignores else {})},
            **({"regions_class_order": list(plan.values.values())} if nested else {}),
            "numTraining": sum(not entry.test for entry in plan.entries),
            "file_ending": ENDING,
        }
        write_json(folder / _JSON, content)
        if plan.folds:
            folds = [{"train": list(fold.training), "val": list(fold.validation)} for fold in plan.folds]
            write_json(folder / "splits_final.json", folds)

    def recognises(self, folder: Path) -> bool:
        """Whether nnU-Net would take it."""
        has_folders = (folder / "imagesTr").is_dir() and (folder / "labelsTr").is_dir()
        return has_folders and (folder / _JSON).is_file() and "channel_names" in read_json(folder / _JSON)

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return the cases of imagesTr and, where they have labels, imagesTs."""
        manifest = read_manifest(folder)
        content = read_json(folder / _JSON)
        legend = _legend(content, manifest.plan.classes if manifest is not None else ())
        ending = content.get("file_ending")
        if not isinstance(ending, str):
            raise ExportError(f"{folder.name}/{_JSON}", "has no file_ending", 'Add it, such as ".nii.gz".')
        pairs = [pair for part in ("Tr", "Ts") for pair in _pairs(folder, part, ending, len(legend.channels))]
        if not pairs:
            raise ExportError(folder.name, "holds no case with labels", "Choose another folder.")
        return [partial(read_pair, pair, legend, folder, manifest) for pair in pairs]


def _regions(plan: DatasetPlan) -> dict[str, int | list[int]]:
    """Return the values of each class, those of what lies inside it included."""
    values = plan.values
    regions: dict[str, int | list[int]] = {}
    for kind in plan.classes:
        inside = [values[name] for name in descendants(plan.classes, kind.name)]
        regions[kind.name] = [values[kind.name], *inside] if inside else values[kind.name]
    return regions


def _legend(content: Mapping[str, Any], known: Sequence[ObjectClass]) -> Legend:
    labels, channels = content.get("labels"), content.get("channel_names")
    if not isinstance(labels, Mapping) or not isinstance(channels, Mapping):
        raise ExportError(_JSON, "names no labels or no channels", "Write it as nnU-Net v2 prescribes.")
    ignore = labels.get("ignore")
    regions = {str(name): frozenset(_numbers(name, value)) for name, value in labels.items() if name not in _RESERVED}
    owners = {value: _innermost(regions, value) for value in frozenset().union(*regions.values())}
    colours = {kind.name: kind.colour for kind in known}
    classes = tuple(
        ObjectClass(name, colours.get(name) or default_colour(number), _around(regions, name))
        for number, name in enumerate(regions, start=1)
    )
    names = tuple(str(name) for _, name in sorted(channels.items(), key=lambda item: int(item[0])))
    return Legend(classes, owners, ignore if isinstance(ignore, int) else None, _unique(names))


def _numbers(name: object, value: object) -> list[int]:
    listed = value if isinstance(value, list) else [value]
    numbers = [number for number in listed if isinstance(number, int)]
    if len(numbers) < len(listed):
        raise ExportError(_JSON, f"gives the label {name} the value {value}", "Give numbers, or lists of them.")
    return [number for number in numbers if number]


def _innermost(regions: Mapping[str, frozenset[int]], value: int) -> str:
    return min((name for name in regions if value in regions[name]), key=lambda name: len(regions[name]))


def _around(regions: Mapping[str, frozenset[int]], name: str) -> str | None:
    around = [other for other in regions if regions[name] < regions[other]]
    return min(around, key=lambda other: len(regions[other]), default=None)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name if names.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(names))


def _pairs(folder: Path, part: str, ending: str, channels: int) -> list[Pair]:
    pairs = []
    for labels in sorted((folder / f"labels{part}").glob(f"*{ending}")):
        case = labels.name.removesuffix(ending)
        images = [folder / f"images{part}" / f"{case}_{number:04d}{ending}" for number in range(channels)]
        missing = next((image for image in images if not image.is_file()), None)
        if case.startswith("."):
            continue
        if missing is not None:
            raise ExportError(labels.name, f"has no image {missing.name}", "Add the image, or remove the labels.")
        pairs.append(Pair(case, tuple((image, None) for image in images), labels))
    return pairs
