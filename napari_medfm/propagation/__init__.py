"""From an object's mask on a few slices to the object in 3-D, as proposals that a person accepts or not.

Owns what a slice tells about its neighbours: shape, movement, and when to stop. Knows predictors and
planes; knows nothing of sessions and writes into no label volume.
"""

from napari_medfm.propagation.cleaning import keep_connected
from napari_medfm.propagation.correcting import as_large_as, without_denied
from napari_medfm.propagation.crossing import Crossing, agree, cross
from napari_medfm.propagation.ending import taper
from napari_medfm.propagation.following import follow, gathered
from napari_medfm.propagation.keys import KeySlice, Stop, StopReason
from napari_medfm.propagation.propagating import Course, beside, propagate
from napari_medfm.propagation.scene import Held, Scene
from napari_medfm.propagation.shapes import interpolate
from napari_medfm.propagation.stopping import StopRules

__all__ = [
    "Course",
    "Crossing",
    "Held",
    "KeySlice",
    "Scene",
    "Stop",
    "StopReason",
    "StopRules",
    "agree",
    "as_large_as",
    "beside",
    "cross",
    "follow",
    "gathered",
    "interpolate",
    "keep_connected",
    "propagate",
    "taper",
    "without_denied",
]
