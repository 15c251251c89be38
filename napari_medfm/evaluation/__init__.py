"""How well a model serves a person, found out by a robot user that works like one.

The robot goes through the same session and the same conversation with the model as
the interface does. Owns the walk through an image with expert labels, and pictures of
the result; knows neither napari nor Qt.
"""

from napari_medfm.evaluation.pictures import draw_comparison, draw_planes
from napari_medfm.evaluation.walkthrough import ObjectScore, ask, expert_masks, segment_like_expert

__all__ = ["ObjectScore", "ask", "draw_comparison", "draw_planes", "expert_masks", "segment_like_expert"]
