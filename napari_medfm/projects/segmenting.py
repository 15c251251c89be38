"""Finding the structure of an adapter in the images of a folder or project: the share of one source.

Beside every label file lies a record of what it was made from. The same order again makes again what is missing, what
was made from another image, model, adapter or window, and what is not the file that was written.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm import __version__
from napari_medfm.adaptation import AdaptedModel, cleaned, fill
from napari_medfm.errors import ModelError, WriteError
from napari_medfm.files import atomic_write_bytes, sha256_file
from napari_medfm.inference import Predictor, WriteBehind, embed_plane, open_disk_store
from napari_medfm.projects.model_choice import ModelChoice
from napari_medfm.projects.sources import Row, Source, work_through
from napari_medfm.volume import AUTOMATIC, Volume, fingerprint, named_window, write_labels

_BLANK = {"structure": "", "slices": 0, "voxels": 0, "confidence": None, "was_there": False}


@dataclass(frozen=True, slots=True)
class SegmentOrder:
    """One source to segment, in plain values.

    Attributes
    ----------
    source : Source
        The file or folder.
    model : ModelChoice
        With an adapter.
    folder : Path
        Where label files go; they are named as their images, ``_labels.nii.gz`` behind, in folders as theirs.
    window : str
        Name of a preset, or `napari_medfm.volume.AUTOMATIC`.
    """

    source: Source
    model: ModelChoice
    folder: Path
    window: str = AUTOMATIC


def segment_source(order: SegmentOrder) -> list[Row]:
    """Find the structure in all images of a source; what was done already, by content, is skipped.

    Returns
    -------
    list of dict
        As `work_through` tells, with the ``structure``, the number of ``slices`` and ``voxels`` that hold it, mean
        ``confidence``, and whether the file ``was_there``.
    """
    return work_through(order.source, _BLANK, partial(_segment, order))


def segment_image(
    order: SegmentOrder, volume: Volume, path: Path, progress: Callable[[int, int], None] | None = None
) -> Row:
    """Find the structure on all axial slices of one image, and save it as label 1.

    Parameters
    ----------
    order : SegmentOrder
        By which model, and through which window.
    volume : Volume
        The image.
    path : Path
        Label file to write.
    progress : callable, optional
        Given how many slices are done, and how many there are.

    Raises
    ------
    ModelError
        The model has no adapter.
    WriteError
        Not written, or read back different.
    """
    model = _adapted(order)
    facts, planes = model.adapter.facts, volume.geometry.planes(0)
    window, digest = named_window(volume, order.window), fingerprint(volume)
    filled = []
    with WriteBehind(open_disk_store()) as store:
        predictor = Predictor(model, store)
        for each in fill(model, planes, lambda plane: embed_plane(predictor, volume, digest, window, plane)):
            filled.append(each)
            if progress is not None:
                progress(len(filled), len(planes))
    if volume.ndim == 3:
        filled = cleaned(filled, volume.spacing, parts=facts.parts)
    found = np.stack([each.mask for each in filled])
    write_labels(path, _shaped(found, volume), volume.geometry)
    held = [each for each in filled if each.proposals]
    sure = float(np.mean([each.confidence for each in held])) if held else None
    voxels = int(np.count_nonzero(found))
    return {"structure": facts.structure, "slices": len(held), "voxels": voxels, "confidence": sure}


def _shaped(found: NDArray[np.bool_], volume: Volume) -> NDArray[np.uint8]:
    return (found if volume.ndim == 3 else found[0]).astype(np.uint8)


def _segment(order: SegmentOrder, volume: Volume, name: str) -> Row:
    path, record = (order.folder / f"{name}_labels{ending}" for ending in (".nii.gz", ".json"))
    of = _made_from(order, volume)
    told = _done(record, path, of)
    if told is not None:
        return told | {"was_there": True}
    _make_folder(path.parent)
    told = segment_image(order, volume, path)
    content = {"made_from": of, "labels_sha256": sha256_file(path), "result": told}
    atomic_write_bytes(record, (json.dumps(content, indent=2) + "\n").encode())
    return told


def _made_from(order: SegmentOrder, volume: Volume) -> Row:
    """Return all that a label file depends on, and nothing that names an image."""
    return {
        "image": fingerprint(volume),
        "affine": hashlib.sha256(np.round(volume.geometry.affine, 6).tobytes()).hexdigest(),
        "model": order.model.name,
        "model_and_adapter": order.model.digest,
        "adapter": _adapted(order).adapter.digest,
        "window": named_window(volume, order.window).key,
        "software": f"napari-medfm {__version__}",
    }


def _adapted(order: SegmentOrder) -> AdaptedModel:
    model = order.model.load()
    if not isinstance(model, AdaptedModel):
        raise ModelError(order.model.name, "has no adapter to find a structure with", "Give one: --adapter FILE.")
    return model


def _done(record: Path, labels: Path, of: Row) -> Row | None:
    """Return what was told when a label file was made, if it is still that, and made from the same."""
    try:
        content: Any = json.loads(record.read_text(encoding="utf-8"))
        if content["made_from"] != of or content["labels_sha256"] != sha256_file(labels):
            return None
        told: Row = dict(content["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"is no folder that can be written to ({error.strerror})"
        raise WriteError(folder.name, reason, "Choose another.") from error
