"""What a training begins with: an encoder that has seen photographs, or random weights that let signals through."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_medfm.errors import WeightsError
from napari_medfm.models.compact_network import Encoder

_PARTS = {"expand": "expand", "depthwise": "dw", "project": "project"}


def scale_backbone(encoder: Encoder) -> None:
    """Draw the backbone's weights so that signals neither fade nor grow (He et al., ICCV 2015), in place.

    Its batch norm is folded in: there is none to set the scale.
    """
    _scale(encoder.stem, 1.0)
    for block in encoder.blocks:
        for name, part in block.named_children():
            # What comes out of ReLU has lost half of its power; what expands comes from no ReLU.
            _scale(part, 1.0 if name == "expand" else 2**0.5)


def _scale(part: nn.Module, gain: float) -> None:
    weight, bias = part.get_parameter("weight"), part.get_parameter("bias")
    nn.init.normal_(weight, std=gain / weight[0].numel() ** 0.5)
    nn.init.zeros_(bias)


def load_imagenet(encoder: Encoder, path: Path) -> None:
    """Put the weights of a MobileNetV2 with folded batch norm into the encoder; the rest of it stays.

    Parameters
    ----------
    encoder : Encoder
        Changed in place, whole or not at all.
    path : Path
        An npz file with ``stem`` and ``block0`` .. ``block16`` ``.expand``, ``.dw`` and ``.project``, each with
        ``.weight`` (out, in, h, w) and ``.bias``.

    Raises
    ------
    WeightsError
        Not such a file.
    """
    names = {f"stem.{end}": f"stem.{end}" for end in ("weight", "bias")}
    for at, block in enumerate(encoder.blocks):
        for key in block.state_dict():
            part, end = key.split(".")
            names[f"blocks.{at}.{key}"] = f"block{at}.{_PARTS[part]}.{end}"
    step = "Choose MobileNetV2 weights with batch norm folded in, as npz."
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            found = {key: torch.from_numpy(arrays[name]) for key, name in names.items()}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(path.name, f"holds no such weights ({type(error).__name__})", step) from error
    own = encoder.state_dict()
    differing = [key for key, tensor in found.items() if tensor.shape != own[key].shape]
    if differing:
        raise WeightsError(path.name, f"{differing[0]} has shape {tuple(found[differing[0]].shape)}", step)
    encoder.load_state_dict(own | found)
