"""Promptable models behind one protocol, found by name, loaded when asked for.

The only room (with those above it) that may import torch. Knows images and
prompts; knows neither caches nor sessions.
"""

from napari_medfm.models.base import ImageEmbedding, MaskPrediction, ModelSpec, PromptableModel

__all__ = ["ImageEmbedding", "MaskPrediction", "ModelSpec", "PromptableModel"]
