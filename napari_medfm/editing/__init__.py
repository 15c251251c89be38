"""Editing by hand in millimetres: brushes, operations on an object's mask, and what is measured of it.

Pure functions on arrays of a box and the size of its voxels. Knows nothing of sessions, objects or models.
"""

from napari_medfm.editing.brushes import Brush, Stamp, range_around, stamp
from napari_medfm.editing.measuring import Diameters, Measurement, diameters, measure
from napari_medfm.editing.operations import (
    DropIslands,
    FillHoles,
    Grow,
    KeepLargest,
    KeepPiece,
    Operation,
    Shrink,
    Smooth,
)

__all__ = [
    "Brush",
    "Diameters",
    "DropIslands",
    "FillHoles",
    "Grow",
    "KeepLargest",
    "KeepPiece",
    "Measurement",
    "Operation",
    "Shrink",
    "Smooth",
    "Stamp",
    "diameters",
    "measure",
    "range_around",
    "stamp",
]
