"""The file that a finished data set of ours holds: what it is, whose cases, and the digest of every file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_medfm.errors import ExportError
from napari_medfm.export.exporter import DatasetPlan, Entry, Facts, Fold
from napari_medfm.files import atomic_write_bytes, sha256_file
from napari_medfm.session import ObjectClass

MANIFEST = "medfm.json"
"""Its name; it is written last."""

PROVENANCE = "provenance"
"""Folder of what is known of how each case was made."""

_FORMAT = 1
_STEP = "Export the cases again."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a data set says of itself.

    Attributes
    ----------
    form : str
        Name of the exporter.
    plan : DatasetPlan
        What was decided before it was written.
    files : mapping of str to str
        SHA-256 of each file, by path in the data set, this one left out.
    """

    form: str
    plan: DatasetPlan
    files: Mapping[str, str]

    def entry(self, case: str) -> Entry | None:
        """Return the place of a case; None if it was added by somebody else."""
        return next((entry for entry in self.plan.entries if entry.id == case), None)


def write_manifest(folder: Path, form: str, plan: DatasetPlan) -> Path:
    """Write the manifest of a data set that is complete otherwise."""
    files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in _files(folder)}
    content = {"format": _FORMAT, "form": form, "plan": asdict(plan), "files": files}
    return write_json(folder / MANIFEST, content)


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a data set; None if there is none.

    Raises
    ------
    ExportError
        It was damaged, or written by a later version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    content = read_json(path)
    if content.get("format") != _FORMAT:
        raise ExportError(path.name, "was written by another version", "Read it with that version.")
    try:
        return Manifest(str(content["form"]), _plan(content["plan"]), dict(content["files"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(path.name, f"is damaged ({type(error).__name__})", _STEP) from error


def changed_files(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the files of a data set that are missing or not as they were written."""
    return tuple(
        name
        for name, digest in manifest.files.items()
        if not (folder / name).is_file() or sha256_file(folder / name) != digest
    )


def read_provenance(folder: Path, case: str) -> Mapping[str, Any]:
    """Return what a data set says of how a case was made; empty if nothing."""
    path = folder / PROVENANCE / f"{case}.json"
    return read_json(path) if path.is_file() else {}


def write_json(path: Path, content: Any) -> Path:
    """Write JSON, indented, through an atomic write."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    return atomic_write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ExportError
        It cannot be read, or is something else.
    """
    subject = f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ExportError(subject, f"cannot be read ({type(error).__name__})", "Choose another data set.") from error
    if not isinstance(content, dict):
        raise ExportError(subject, "is no JSON object", "Put its fields into { }.")
    return content


def _plan(values: Mapping[str, Any]) -> DatasetPlan:
    plan = DatasetPlan(
        values["name"],
        tuple(_class(kind) for kind in values["classes"]),
        tuple(values["channels"]),
        tuple(Entry(**entry) for entry in values["entries"]),
        tuple(Fold(tuple(fold["training"]), tuple(fold["validation"])) for fold in values["folds"]),
    )
    return replace(plan, facts=Facts(**values["facts"]))


def _class(values: Mapping[str, Any]) -> ObjectClass:
    red, green, blue = values["colour"]
    return ObjectClass(values["name"], (red, green, blue), values["parent"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
