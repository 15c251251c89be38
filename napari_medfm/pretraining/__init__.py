"""Training of the built-in model: from images with expert masks to the weights that ship.

Owns the pack of training images, the views drawn from it, the simulated person of training, and the trainer.
Its weights are loaded by `napari_medfm.models.backends.compact`. Knows neither napari nor Qt.

What trains uses torch, numpy, scipy, pillow and safetensors only, besides what importing the rooms below takes. What
packs (`napari_medfm.pretraining.pack`) and draws (`napari_medfm.pretraining.curves`) uses more, and is imported by
name.
"""

from napari_medfm.pretraining.bank import Bank, Source
from napari_medfm.pretraining.leftout import LEFT_OUT
from napari_medfm.pretraining.machine import Machine, Precision, fast_precision
from napari_medfm.pretraining.records import Record, read_records
from napari_medfm.pretraining.sampler import Batch, Choice, Sampler
from napari_medfm.pretraining.schedule import Budget, Recipe
from napari_medfm.pretraining.state import TrainingState
from napari_medfm.pretraining.trainer import Progress, Trainer
from napari_medfm.pretraining.weights import Provenance, read_provenance, write_weights

__all__ = [
    "LEFT_OUT",
    "Bank",
    "Batch",
    "Budget",
    "Choice",
    "Machine",
    "Precision",
    "Progress",
    "Provenance",
    "Recipe",
    "Record",
    "Sampler",
    "Source",
    "Trainer",
    "TrainingState",
    "fast_precision",
    "read_provenance",
    "read_records",
    "write_weights",
]
