"""Images on disk and where their voxels lie.

Owns reading and writing of image formats, the canonical voxel grid, and
intensity windows. Knows nothing of models, sessions or napari.
"""

from napari_medfm.volume.fingerprint import fingerprint
from napari_medfm.volume.formats import (
    can_read,
    find_images,
    open_labels,
    open_volume,
    readable_suffixes,
    write_labels,
    write_stack,
    write_volume,
)
from napari_medfm.volume.geometry import PLANE_NAMES, WHOLE, Geometry, Plane, Region, SourceGrid, array_geometry
from napari_medfm.volume.labels import LABEL_ENDINGS, looks_like_labels
from napari_medfm.volume.lattice import Lattice, LatticeRegion
from napari_medfm.volume.lazy import is_lazy
from napari_medfm.volume.orientation import EdgeLetters, edge_letters, rows_grow_upwards
from napari_medfm.volume.volume import Volume
from napari_medfm.volume.windows import AUTOMATIC, PRESETS, Window, automatic_window, is_ct, named_window

__all__ = [
    "AUTOMATIC",
    "LABEL_ENDINGS",
    "PLANE_NAMES",
    "PRESETS",
    "WHOLE",
    "EdgeLetters",
    "Geometry",
    "Lattice",
    "LatticeRegion",
    "Plane",
    "Region",
    "SourceGrid",
    "Volume",
    "Window",
    "array_geometry",
    "automatic_window",
    "can_read",
    "edge_letters",
    "find_images",
    "fingerprint",
    "is_ct",
    "is_lazy",
    "looks_like_labels",
    "named_window",
    "open_labels",
    "open_volume",
    "readable_suffixes",
    "rows_grow_upwards",
    "write_labels",
    "write_stack",
    "write_volume",
]
