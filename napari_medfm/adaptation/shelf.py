"""Labelled slices of earlier images, kept so that the next case learns from them, too."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_medfm.adaptation.library import SUFFIX, slug
from napari_medfm.adaptation.support import SupportSlice
from napari_medfm.errors import AdapterError
from napari_medfm.files import atomic_write, private_folder
from napari_medfm.models import ImageEmbedding

_KEY = "napari-medfm slice"
_FOLDER = "slices"
_EMBEDDING = "embedding."
_MOST = 8  # of the newest that are offered


@dataclass(frozen=True, slots=True, eq=False)
class Shelved:
    """A labelled slice of an earlier image.

    Attributes
    ----------
    path : Path
        Its file.
    title : str
        Shown to people; no name of a file or a patient.
    picture : ndarray of uint8, (rows, columns, 3)
        Small, with what is labelled outlined.
    """

    path: Path
    title: str
    picture: NDArray[np.uint8]


class SupportShelf:
    """A folder of labelled slices, beside the adapters that were made from them; readable by its owner only.

    A slice that was labelled anew replaces what was kept of it.

    Parameters
    ----------
    folder : Path
        That of the `AdapterLibrary`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, structure: str, source: str, labelled: SupportSlice, picture: NDArray[np.uint8]) -> Path:
        """Write a slice.

        Parameters
        ----------
        structure : str
            Name of the class.
        source : str
            Fingerprint of the image.
        labelled : SupportSlice
            The slice; with its title it is known again.
        picture : ndarray of uint8, (rows, columns, 3)
            To be shown.

        Raises
        ------
        WriteError
            The disk is full, or the folder is not writable.
        """
        folder = private_folder(private_folder(private_folder(self._folder) / slug(structure)) / _FOLDER)
        known_by = f"{structure} {source} {labelled.embedding.encoder_digest} {labelled.title}"
        name = hashlib.sha256(known_by.encode()).hexdigest()
        header = {
            "structure": structure,
            "source": source,
            "title": labelled.title,
            "encoder": labelled.embedding.encoder_digest,
            "shape": labelled.embedding.image_shape,
            "aspect": labelled.embedding.aspect,
        }
        arrays = {_EMBEDDING + key: np.ascontiguousarray(value) for key, value in labelled.embedding.arrays.items()}
        arrays |= {"labels": labelled.labels, "ignore": labelled.ignore.astype(np.uint8), "picture": picture}
        arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        metadata = {_KEY: json.dumps(header)}
        return atomic_write(folder / f"{name[:32]}{SUFFIX}", lambda place: save_file(arrays, place, metadata), _header)

    def list(self, structure: str, encoder_digest: str, but_not_of: str = "") -> tuple[Shelved, ...]:
        """Return the newest slices of a structure that fit an encoder, are whole, and of other images."""
        found = []
        files = (self._folder / slug(structure) / _FOLDER).glob(f"[0-9a-f]*{SUFFIX}")
        for path in sorted(files, key=lambda path: -path.stat().st_mtime_ns):
            try:
                header = _header(path)
                known = header["structure"], header["encoder"]  # folders of two structures may have one name
                if known == (structure, encoder_digest) and header["source"] != but_not_of:
                    found.append(Shelved(path, f"earlier image, {header['title']}", _arrays(path)["picture"]))
            except (AdapterError, KeyError):
                continue
            if len(found) == _MOST:
                break
        return tuple(found)


def read_slice(path: Path) -> SupportSlice:
    """Read a slice that was kept.

    Raises
    ------
    AdapterError
        It is damaged, or something else.
    """
    header, arrays = _header(path), _arrays(path)
    try:
        parts = {key.removeprefix(_EMBEDDING): value for key, value in arrays.items() if key.startswith(_EMBEDDING)}
        shape, aspect = (header["shape"][0], header["shape"][1]), header.get("aspect", 1.0)
        embedding = ImageEmbedding(parts, shape, header["encoder"], aspect=aspect)
        title = f"{header['title']} of an earlier image"
        return SupportSlice.annotated(embedding, arrays["labels"], arrays["ignore"].astype(np.bool_), title)
    except (KeyError, IndexError) as error:
        raise _damaged(path) from error


def _header(path: Path) -> Any:
    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {})[_KEY])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> AdapterError:
    return AdapterError(path.name, "is no labelled slice that was kept", "Leave it out, or delete it.")
