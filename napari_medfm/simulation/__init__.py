"""A robot user and the measures of its success.

Owns simulated prompts, the published interaction protocols and the metrics. Used by
tests, training, adaptation and evaluation; knows masks and prompts, no models.
"""

from napari_medfm.simulation.metrics import clicks_to, dice, dsc_auc, hd95, iou, nsd
from napari_medfm.simulation.protocols import Answer, ProtocolName, RobotTrace, run_robot
from napari_medfm.simulation.robot import component_click, error_scribble, middle_box, next_click, noisy_box

__all__ = [
    "Answer",
    "ProtocolName",
    "RobotTrace",
    "clicks_to",
    "component_click",
    "dice",
    "dsc_auc",
    "error_scribble",
    "hd95",
    "iou",
    "middle_box",
    "next_click",
    "noisy_box",
    "nsd",
    "run_robot",
]
