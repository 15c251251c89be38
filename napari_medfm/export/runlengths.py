"""Masks in COCO's run-length code, by the package that defines it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Mask


def encode(mask: Mask) -> dict[str, Any]:
    """Return a mask, (rows, columns), in COCO's compressed run-length code, as JSON values."""
    coded = coder().encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(size) for size in coded["size"]], "counts": coded["counts"].decode("ascii")}


def decode(coded: Mapping[str, Any]) -> Mask:
    """Return the mask that `encode` coded."""
    return np.asarray(coder().decode(dict(coded))).astype(bool)


def coder() -> Any:
    """Return pycocotools' coder of masks.

    Raises
    ------
    ExportError
        It is not installed.
    """
    try:
        return import_module("pycocotools.mask")
    except ImportError as error:
        step = "Run: pip install 'napari-medfm[export]'"
        raise ExportError("COCO", "needs the package pycocotools, which is not installed", step) from error
