"""The weights a training ends with, as the built-in model loads them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_medfm.errors import WeightsError
from napari_medfm.files import atomic_write
from napari_medfm.models.compact_network import CompactNetwork
from napari_medfm.models.weights import load_state_dict
from napari_medfm.pretraining.bank import Source

WEIGHTS = "weights.safetensors"
"""Name of the file in the folder of a training."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where weights come from.

    Attributes
    ----------
    command : str
        That made them; file names only, never folders.
    minutes : float
        Of training.
    samples : int
        Objects asked for.
    sources : tuple of Source
        The data sets.
    """

    command: str
    minutes: float
    samples: int
    sources: tuple[Source, ...]


def write_weights(path: Path, network: CompactNetwork, provenance: Provenance) -> Path:
    """Write float16 weights as safetensors, with where they come from as JSON in the header's ``provenance``.

    Raises
    ------
    WriteError
        They cannot be written.
    """
    tensors = {key: value.detach().to("cpu", torch.float16).contiguous() for key, value in network.state_dict().items()}
    metadata = {"format": "pt", "provenance": json.dumps(asdict(provenance))}

    def verify(temporary: Path) -> None:
        read = load_state_dict(temporary)
        if any(not torch.equal(read[key], tensor) for key, tensor in tensors.items()):
            raise WeightsError(path.name, "read back different from what was written", "Try another disk.")

    return atomic_write(path, lambda temporary: _store(temporary, save(tensors, metadata)), verify)


def _store(path: Path, content: bytes) -> None:
    # Not save_file, whose files only their owner may read.
    path.write_bytes(content)


def read_provenance(path: Path) -> Provenance:
    """Return where the weights in a file come from.

    Raises
    ------
    WeightsError
        The file does not say so.
    """
    try:
        with safe_open(path, "pt") as stored:
            metadata: Mapping[str, str] = stored.metadata() or {}
        values = json.loads(metadata["provenance"])
        sources = tuple(Source(**source) for source in values.pop("sources"))
        return Provenance(**values, sources=sources)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        step = "Only weights that this program trained say so."
        raise WeightsError(path.name, "does not say where it comes from", step) from error
