"""What a person points at: frozen values in voxel space, used unchanged by every room above.

Owns the prompt types, their JSON form, the voxels they cover, and their translation
to points. Knows planes and nothing else: no images, no models, no widgets.
"""

from napari_medfm.prompts.points import as_points, as_volume_points
from napari_medfm.prompts.prompts import Box, Lasso, MaskPrompt, Point, Position, Prompt, PromptSet, Scribble
from napari_medfm.prompts.rasterize import check_inside, rasterize, voxel_at
from napari_medfm.prompts.serialize import from_json, to_json

__all__ = [
    "Box",
    "Lasso",
    "MaskPrompt",
    "Point",
    "Position",
    "Prompt",
    "PromptSet",
    "Scribble",
    "as_points",
    "as_volume_points",
    "check_inside",
    "from_json",
    "rasterize",
    "to_json",
    "voxel_at",
]
