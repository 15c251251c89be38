"""Promptable models behind one protocol, found by name, loaded when asked for.

The only room (with those above it) that may import torch, and importing it does
not: backends are imported when a model is loaded. Knows images and prompts;
knows neither caches nor sessions.
"""

from napari_medfm.models.base import (
    EncodesBatches,
    EncodesInSteps,
    ImageEmbedding,
    MaskPrediction,
    ModelFacts,
    ModelSpec,
    PromptableModel,
    RegionModel,
    RegionRecipe,
    WeightsFile,
)
from napari_medfm.models.catalogue import add_model, available_models, load_model, register_model
from napari_medfm.models.registry import ModelEntry, ModelRegistry

__all__ = [
    "EncodesBatches",
    "EncodesInSteps",
    "ImageEmbedding",
    "MaskPrediction",
    "ModelEntry",
    "ModelFacts",
    "ModelRegistry",
    "ModelSpec",
    "PromptableModel",
    "RegionModel",
    "RegionRecipe",
    "WeightsFile",
    "add_model",
    "available_models",
    "load_model",
    "register_model",
]
