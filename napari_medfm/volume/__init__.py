"""Images on disk and where their voxels lie.

Owns reading and writing of image formats, the canonical voxel grid, and
intensity windows. Knows nothing of models, sessions or napari.
"""

from napari_medfm.volume.geometry import PLANE_NAMES, Geometry, Plane, Region, SourceGrid, array_geometry
from napari_medfm.volume.volume import Volume

__all__ = ["PLANE_NAMES", "Geometry", "Plane", "Region", "SourceGrid", "Volume", "array_geometry"]
