"""Images with expert masks: listed in a manifest, or lying in the folder of a known challenge format.

A manifest is a CSV file with the columns ``dataset, image, mask, modality, targets``.
Paths are relative to its folder; ``targets`` is ``labels`` (each value that is not 0 is
an object) or ``components`` (each connected component of one value is).

A folder holds a ``dataset.json``: nnU-Net v2 (``imagesTr/CASE_0000.*`` and ``labelsTr/CASE.*``)
or Medical Segmentation Decathlon (``training`` lists the pairs). Their objects are labels;
nnU-Net's label ``ignore`` is none.
"""

import csv
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_medfm.errors import EvaluationError

ObjectsAre = Literal["labels", "components"]
"""What in a mask is an object: each value that is not 0, or each connected component of one."""

COLUMNS = ("dataset", "image", "mask", "modality", "targets")
"""Of a manifest, in any order; more may be there."""

_LAYOUT = "Give a manifest.csv, or a folder of nnU-Net v2 or Medical Segmentation Decathlon form."


@dataclass(frozen=True, slots=True)
class Case:
    """An image and what an expert marked on it.

    Attributes
    ----------
    number : int
        Its row in the manifest or place in the folder, counted from 1.
    dataset : str
        Name of the data set.
    image, mask : Path
        Their files.
    modality : str
        As its source says; for the report only.
    targets : str
        What in the mask is an object.
    ignore : int, optional
        A value of the mask that is no object.
    choice : int, optional
        Which volume of the image file, where it holds several.
    """

    number: int
    dataset: str
    image: Path
    mask: Path
    modality: str = ""
    targets: ObjectsAre = "labels"
    ignore: int | None = None
    choice: int | None = None


def read_cases(path: Path, *, channel: int = 0) -> tuple[Case, ...]:
    """Read a manifest, or the folder of a data set.

    Parameters
    ----------
    path : Path
        A CSV file; a folder with a ``manifest.csv``; or one with a ``dataset.json``.
    channel : int
        Which image of a folder's cases, where each has several.

    Raises
    ------
    EvaluationError
        Neither of them, or one that is not as it should be.
    """
    if path.is_file():
        return read_manifest(path)
    if (path / "manifest.csv").is_file():
        return read_manifest(path / "manifest.csv")
    if (path / "dataset.json").is_file():
        return read_dataset_folder(path, channel=channel)
    reason = "holds no dataset.json and no manifest.csv" if path.is_dir() else "is not there"
    raise EvaluationError(path.name, reason, _LAYOUT)


def read_manifest(path: Path) -> tuple[Case, ...]:
    """Read a CSV file of images and masks.

    Raises
    ------
    EvaluationError
        Not such a file; the message names the row, counted as a spreadsheet does, the header being 1.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                step = f"Its first line has to name {', '.join(COLUMNS)}."
                raise EvaluationError(path.name, f"has no column {', '.join(missing)}", step)
            cases = tuple(_read_row(path, reader.line_num, row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        step = "Save it as CSV in UTF-8, separated by commas."
        raise EvaluationError(path.name, f"cannot be read ({type(error).__name__})", step) from error
    if not cases:
        raise EvaluationError(path.name, "lists no image", "Add a row for each image.")
    return cases


def read_dataset_folder(path: Path, *, channel: int = 0) -> tuple[Case, ...]:
    """Read a folder of nnU-Net v2 or Medical Segmentation Decathlon form.

    Parameters
    ----------
    path : Path
        It holds a ``dataset.json``.
    channel : int
        Which image of each case: nnU-Net's ``_0000``, ``_0001``, ..., or the volume of a 4-D image.

    Raises
    ------
    EvaluationError
        It is of neither form, or pairs are missing.
    """
    content = _read_json(path / "dataset.json")
    if isinstance(content.get("training"), list):
        cases = list(_decathlon(path, content, channel))
    elif (path / "imagesTr").is_dir() and (path / "labelsTr").is_dir():
        cases = list(_nnunet(path, content, channel))
    else:
        reason = "names no pairs under 'training', and no imagesTr and labelsTr lie beside it"
        raise EvaluationError(f"{path.name}/dataset.json", reason, _LAYOUT)
    if not cases:
        raise EvaluationError(path.name, f"holds no case with an image of channel {channel} and a mask", _LAYOUT)
    return tuple(cases)


def select_cases(
    cases: Sequence[Case], *, datasets: Iterable[str] = (), images: int | None = None, seed: int = 0
) -> tuple[Case, ...]:
    """Choose which cases to evaluate on.

    Parameters
    ----------
    cases : sequence of Case
        All there are.
    datasets : iterable of str
        Names of those to keep; all if none is named.
    images : int, optional
        Cases of each data set at most, drawn at random.
    seed : int
        Of that draw. It does not depend on which other data sets there are.

    Raises
    ------
    EvaluationError
        There is no data set of that name.
    """
    known = dict.fromkeys(case.dataset for case in cases)
    wanted = list(dict.fromkeys(datasets)) or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise EvaluationError(", ".join(unknown), "is no data set that is listed", f"Choose of: {', '.join(known)}.")
    groups = ([case for case in cases if case.dataset == name] for name in wanted)
    return tuple(case for group in groups for case in _draw(group, images, seed))


def seed_of(seed: int, *names: object) -> list[int]:
    """Return a seed for one thing of many, which does not depend on the others; for `numpy.random.default_rng`."""
    return [seed, *(zlib.crc32(str(name).encode()) for name in names)]


def _draw(group: list[Case], images: int | None, seed: int) -> list[Case]:
    if images is None or len(group) <= images:
        return group
    rng = np.random.default_rng(seed_of(seed, group[0].dataset))
    return [group[index] for index in sorted(rng.choice(len(group), images, replace=False))]


def _read_row(path: Path, line: int, row: Mapping[str | None, Any]) -> Case:
    subject = f"{path.name}, row {line}"
    if None in row or any(row[name] is None for name in COLUMNS):
        step = "Quote values that hold a comma."
        raise EvaluationError(subject, "has not as many values as the first line names", step)
    values = {name: row[name].strip() for name in COLUMNS}
    empty = [name for name in ("dataset", "image", "mask") if not values[name]]
    if empty:
        raise EvaluationError(subject, f"has no {' and no '.join(empty)}", "Fill it in, or delete the row.")
    if values["targets"] not in get_args(ObjectsAre):
        reason = f"has the targets {values['targets']!r}"
        raise EvaluationError(subject, reason, f"Write {' or '.join(get_args(ObjectsAre))}.")
    image, mask = path.parent / values["image"], path.parent / values["mask"]
    return Case(line, values["dataset"], image, mask, values["modality"], values["targets"])


def _read_json(path: Path) -> dict[str, Any]:
    subject = f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        step = "Write it as nnU-Net or the Medical Segmentation Decathlon prescribe."
        raise EvaluationError(subject, f"cannot be read ({type(error).__name__})", step) from error
    if not isinstance(content, dict):
        raise EvaluationError(subject, "is no JSON object", "Put its fields into { }.")
    return content


def _decathlon(path: Path, content: Mapping[str, Any], channel: int) -> Iterator[Case]:
    modalities = content.get("modality")
    several = isinstance(modalities, Mapping) and len(modalities) > 1
    name = content.get("name") if isinstance(content.get("name"), str) else path.name
    for number, pair in enumerate(content["training"], start=1):
        if not isinstance(pair, Mapping) or not all(isinstance(pair.get(key), str) for key in ("image", "label")):
            subject = f"{path.name}/dataset.json, training case {number}"
            raise EvaluationError(subject, "names no image and label", "Give both as paths in the folder.")
        yield Case(
            number,
            str(name),
            path / pair["image"],
            path / pair["label"],
            _modality(modalities, channel),
            choice=channel if several else None,
        )


def _nnunet(path: Path, content: Mapping[str, Any], channel: int) -> Iterator[Case]:
    ending = content.get("file_ending")
    if not isinstance(ending, str):
        step = 'Add it, such as "file_ending": ".nii.gz".'
        raise EvaluationError(f"{path.name}/dataset.json", "has no file_ending", step)
    labels = content.get("labels")
    ignore = labels.get("ignore") if isinstance(labels, Mapping) else None
    modality = _modality(content.get("channel_names"), channel)
    masks = sorted(mask for mask in (path / "labelsTr").glob(f"*{ending}") if not mask.name.startswith("."))
    for number, mask in enumerate(masks, start=1):
        image = path / "imagesTr" / f"{mask.name.removesuffix(ending)}_{channel:04d}{ending}"
        if not image.is_file():
            step = "Add the image, remove the mask, or choose another channel."
            raise EvaluationError(mask.name, f"has no image of channel {channel}", step)
        yield Case(number, path.name, image, mask, modality, ignore=ignore if isinstance(ignore, int) else None)


def _modality(names: object, channel: int) -> str:
    return str(names.get(str(channel), "")) if isinstance(names, Mapping) else ""
