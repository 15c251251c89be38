"""Which device a model runs on."""

import logging
from pathlib import Path

import torch

from napari_medfm.errors import ModelError
from napari_medfm.settings import load_settings

_log = logging.getLogger(__name__)
_PROCESSORS = Path("/proc/cpuinfo")


def choose_device(wanted: str | None = None) -> torch.device:
    """Return the device to run on: the wanted one, or the best there is.

    A fall-back to the CPU is logged as a warning; the model's ``device`` says what came of it.

    Parameters
    ----------
    wanted : str, optional
        ``auto`` (CUDA, then MPS, then CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``;
        by default the setting ``MEDFM_DEVICE``.

    Raises
    ------
    ModelError
        There is no such kind of device.
    """
    wanted = wanted or load_settings().device
    if wanted == "auto":
        return _best()
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        step = "Set MEDFM_DEVICE to auto, cpu, cuda or mps."
        raise ModelError(f"device {wanted!r}", "is of no known kind", step) from error
    if _available(device):
        return device
    _log.warning("device %s is not available: running on the CPU", wanted)
    return torch.device("cpu")


def _best() -> torch.device:
    for name in ("cuda", "mps"):
        if _available(torch.device(name)):
            return torch.device(name)
    return torch.device("cpu")


def _available(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself: the built-in model's decoder is a third faster so.

    Of CPUs those with avx512_bf16; on other systems than Linux none is known to.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _PROCESSORS.exists() and "avx512_bf16" in _PROCESSORS.read_text()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had no memory left for what was asked; of the CPU PyTorch says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
