"""Embeddings and predictions: an image is encoded once, kept, and answered from at will.

Knows models, prompts and volumes; knows nothing of sessions.
"""

from napari_medfm.inference.disk import DiskStore, StoreCheck, open_disk_store
from napari_medfm.inference.keys import EmbeddingKey
from napari_medfm.inference.lane import open_lane
from napari_medfm.inference.predictor import Predictor
from napari_medfm.inference.proposals import Proposal
from napari_medfm.inference.regions import VolumePrediction, answer_steps
from napari_medfm.inference.schedule import (
    EmbeddingProgress,
    embed_plane,
    embed_planes,
    order_planes,
    pixel_aspect,
    slice_image,
)
from napari_medfm.inference.stores import EmbeddingStore, MemoryStore, StoreInfo, TieredStore
from napari_medfm.inference.write_behind import WriteBehind

__all__ = [
    "DiskStore",
    "EmbeddingKey",
    "EmbeddingProgress",
    "EmbeddingStore",
    "MemoryStore",
    "Predictor",
    "Proposal",
    "StoreCheck",
    "StoreInfo",
    "TieredStore",
    "VolumePrediction",
    "WriteBehind",
    "answer_steps",
    "embed_plane",
    "embed_planes",
    "open_disk_store",
    "open_lane",
    "order_planes",
    "pixel_aspect",
    "slice_image",
]
