"""Adapters as files: tensors with everything known about them in the header, older versions kept."""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_medfm.adaptation.adapter import Adapter, AdapterFacts
from napari_medfm.errors import AdapterError, WeightsError
from napari_medfm.files import atomic_write, private_folder
from napari_medfm.models.weights import load_state_dict

SUFFIX = ".safetensors"
_KEY = "napari-medfm adapter"
_DIGEST = "digest"
_LOCK = "versions.lock"
_CHOOSE = "Choose a file that was saved as an adapter, or adapt again."


@dataclass(frozen=True, slots=True)
class Listed:
    """An adapter in a library.

    Attributes
    ----------
    path : Path
        Its file.
    version : int
        Counts the adapters of one structure from 1.
    facts : AdapterFacts
        What is known of it.
    digest : str
        Of the adapter.
    """

    path: Path
    version: int
    facts: AdapterFacts
    digest: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return what is known of a file in a library.

        Raises
        ------
        AdapterError
            No adapter, damaged, or of a later version.
        """
        facts, digest = read_facts(path)
        return cls(path, _version(path), facts, digest)


class AdapterLibrary:
    """A folder of adapters: one folder for each structure, one file for each version. None is ever overwritten.

    Parameters
    ----------
    folder : Path
        Made when the first adapter is saved; readable by its owner only, as digests tell which images were used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def save(self, adapter: Adapter) -> Path:
        """Write a new version and return its file.

        Raises
        ------
        WriteError
            The disk is full, the folder is not writable, or the file did not read back equal.
        """
        folder = private_folder(private_folder(self._folder) / slug(adapter.facts.structure))
        with FileLock(folder / _LOCK):  # two programs that save at once must not choose the same number
            version = max((_version(path) for path in folder.glob(f"*{SUFFIX}")), default=0) + 1
            return write_adapter(adapter, folder / f"{version:04d}{SUFFIX}")

    def list(self, structure: str | None = None) -> tuple[Listed, ...]:
        """Return all adapters, or those of one structure; newest versions first. Damaged files are left out."""
        found = []
        for path in sorted(self._folder.glob(f"*/[0-9]*{SUFFIX}")):  # nothing that a crash left half written
            try:
                listed = Listed.of(path)
            except AdapterError:
                continue
            if structure is None or listed.facts.structure == structure:
                found.append(listed)
        return tuple(sorted(found, key=lambda each: (each.facts.structure, -each.version)))


def write_adapter(adapter: Adapter, path: Path) -> Path:
    """Write an adapter to a file and read it back.

    Raises
    ------
    WriteError
        See `napari_medfm.files.atomic_write`.
    """
    facts = adapter.facts
    if not facts.created:
        facts = replace(facts, created=datetime.now(UTC).isoformat(timespec="seconds"))
    header = {_KEY: json.dumps(facts.to_json()), _DIGEST: adapter.digest}
    tensors = {name: tensor.contiguous() for name, tensor in adapter.tensors.items()}
    return atomic_write(path, lambda place: save_file(tensors, place, header), lambda place: _verify(place))


def read_adapter(path: Path) -> Adapter:
    """Read an adapter; nothing in the file is run.

    Raises
    ------
    AdapterError
        No adapter, damaged, of a later version, or other tensors than it says.
    """
    facts, digest = read_facts(path)
    try:
        adapter = Adapter(facts, load_state_dict(path))
    except WeightsError as error:
        raise AdapterError(path.name, error.reason, error.next_step) from error
    if adapter.digest != digest:
        raise AdapterError(path.name, "holds other numbers than were saved", _CHOOSE)
    return adapter


def read_facts(path: Path) -> tuple[AdapterFacts, str]:
    """Return what is known of an adapter and its digest, without reading its tensors.

    Raises
    ------
    AdapterError
        No adapter, damaged, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        return AdapterFacts.from_json(json.loads(header[_KEY])), header[_DIGEST]
    except KeyError as error:
        raise AdapterError(path.name, "is no adapter", _CHOOSE) from error
    except (SafetensorError, OSError) as error:
        raise AdapterError(path.name, "cannot be read as safetensors", _CHOOSE) from error
    except (TypeError, ValueError) as error:
        raise AdapterError(path.name, "was saved by another version of this program", _CHOOSE) from error


def _verify(path: Path) -> None:
    read_adapter(path)


def _version(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0


def slug(name: str) -> str:
    """Return a name of a structure as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "structure"
