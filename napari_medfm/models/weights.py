"""Weights from files that nobody vouches for: read without running anything, refused with a reason.

Pickles are read by torch's restricted unpickler, which knows tensors and plain
containers only; it is never switched off. Every refusal happens before a model
is touched, so that the model in use stays as it was.
"""

import hashlib
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_medfm.errors import WeightsError
from napari_medfm.files import sha256_file
from napari_medfm.models.registry import ModelEntry
from napari_medfm.settings import load_settings

_WRAPPERS = ("model", "model_state", "state_dict")
_WRAPPED_AT_MOST = 4  # a dict can be made to hold itself
_PREFIXES = ("module.", "sam.")
_HEADER_LIMIT = 100_000_000  # what the safetensors format allows
_AGAIN = "Download it again and compare its size and checksum with the publisher's."
_OTHER = "Choose a .pth, .pt or .safetensors file of model weights."
_TENSORS_ONLY = "Use it only as safetensors, or ask its publisher for a file that holds nothing but tensors."

# What the readers of zip and safetensors were seen to raise on damaged files.
_DAMAGED = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, OSError, AssertionError)


def load_state_dict(path: Path | str, *, sha256: str = "") -> dict[str, Tensor]:
    """Read a state dict and refuse everything that is not one.

    Wrappers that trainers put around it (``model``, ``model_state``,
    ``state_dict``; prefixes ``module.`` and ``sam.``) are taken off.

    Parameters
    ----------
    path : Path or str
        A safetensors file or one written by ``torch.save``.
    sha256 : str, optional
        The digest the file must have, hexadecimal.

    Returns
    -------
    dict of str to Tensor
        On the CPU, in the precision of the file, all finite.

    Raises
    ------
    WeightsError
        Not a weights file, damaged, of another digest, holding objects other
        than tensors, or NaN or infinite values. Nothing in it was run.
    """
    path = Path(path)
    _check_kind(path)
    _check_digest(path, sha256)
    content = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    tensors = _strip_prefixes(_unwrap(content, path.name))
    _check_plain(tensors, path.name)
    _check_finite(tensors, path.name)
    return tensors


def weights_of(entry: ModelEntry) -> Path:
    """Return the file that was downloaded for a model.

    Raises
    ------
    WeightsError
        There is none; the message says how to come by it.
    """
    file = entry.facts.file
    found = None if file is None else file.find(load_settings().weights_dir)
    if found is None:
        step = (
            "Choose one (weights=)." if file is None else f"Download it ('napari-medfm models download {entry.name}')."
        )
        raise WeightsError(entry.name, "needs a file of weights", step)
    return found


def fit(module: nn.Module, tensors: Mapping[str, Tensor], subject: str) -> None:
    """Put a state dict into a module, whole or not at all.

    Parameters
    ----------
    module : Module
        May be on the ``meta`` device; its parameters are replaced, as float32.
    tensors : mapping of str to Tensor
        From `load_state_dict`.
    subject : str
        File name, for the message.

    Raises
    ------
    WeightsError
        Keys are missing or unknown, or shapes differ.
    """
    expected = module.state_dict()
    step = "Choose the weights of this architecture."
    for what, keys in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has unknown", tensors.keys() - expected.keys()),
    ):
        if keys:
            raise WeightsError(subject, f"{what} {len(keys)} of the model's weights ({_first(keys)})", step)
    differing = [key for key, tensor in tensors.items() if tensor.shape != expected[key].shape]
    if differing:
        key = min(differing)
        reason = f"{key} has shape {tuple(tensors[key].shape)}, not {tuple(expected[key].shape)}"
        raise WeightsError(subject, reason, step)
    module.load_state_dict({key: tensor.float() for key, tensor in tensors.items()}, strict=True, assign=True)


def state_digest(tensors: Mapping[str, Tensor], *seasoning: str) -> str:
    """Return the SHA-256 of names, types, shapes and values, whatever file they came from.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The order does not matter.
    *seasoning : str
        What else changes the result, such as the preprocessing.
    """
    digest = hashlib.sha256("\n".join(seasoning).encode())
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu().contiguous()
        digest.update(f"\n{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_kind(path: Path) -> None:
    if not path.exists():
        raise WeightsError(path.name, "there is no such file", "Choose another file.")
    if not path.is_file():
        raise WeightsError(path.name, "is a folder, not a file", _OTHER)
    head = _head(path, 512)
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(
            path.name, "is a Git LFS pointer, not the weights", "Run 'git lfs pull' or download the file."
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(path.name, "is a web page, not the weights", "Follow the download link in a browser.")
    if not head:
        raise WeightsError(path.name, "is empty", _AGAIN)


def _check_digest(path: Path, expected: str) -> None:
    if expected and (found := sha256_file(path)) != expected.lower():
        raise WeightsError(path.name, f"has SHA-256 {found[:12]}..., not {expected[:12].lower()}...", _AGAIN)


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors" or _head(path, 9)[8:] == b"{"


def _read_safetensors(path: Path) -> object:
    head = _head(path, 8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else path.stat().st_size
    if length > min(_HEADER_LIMIT, path.stat().st_size - 8):
        raise WeightsError(path.name, "its safetensors header is longer than the file or than allowed", _AGAIN)
    try:
        return load_file(path)
    except (SafetensorError, *_DAMAGED) as error:
        raise WeightsError(path.name, "is a damaged safetensors file", _AGAIN) from error


def _read_torch(path: Path) -> object:
    if _head(path, 2) == b"PK":
        _check_archive(path)
    elif _head(path, 1) != b"\x80":  # every pickle since protocol 2 begins so
        raise WeightsError(path.name, "is not a weights file", _OTHER)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "is damaged or holds something other than tensors, which could run code"
        raise WeightsError(path.name, reason, _TENSORS_ONLY) from error
    except Exception as error:  # random bytes after a pickle's first two were seen to raise much else
        raise WeightsError(path.name, "is a damaged weights file", _AGAIN) from error


def _check_archive(path: Path) -> None:
    """Refuse zip files that torch would read wrongly: packed, or with a record that fails its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            packed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
            pickled = any(record.filename.endswith("data.pkl") for record in records)
            program = any(record.filename.endswith("constants.pkl") for record in records)
            damaged = None if packed else archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, *_DAMAGED) as error:
        raise WeightsError(path.name, "is a damaged or truncated weights file", _AGAIN) from error
    if program:
        raise WeightsError(path.name, "is a TorchScript program, not weights", _TENSORS_ONLY)
    if packed or not pickled:
        raise WeightsError(path.name, "is a zip archive, not a weights file", "Unpack it and choose the file inside.")
    if damaged is not None:
        raise WeightsError(path.name, f"its record {Path(damaged).name} is damaged", _AGAIN)


def _unwrap(content: object, name: str) -> dict[str, Tensor]:
    for _ in range(_WRAPPED_AT_MOST):
        if isinstance(content, Mapping):
            content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(name, "holds no named weights", _OTHER)
    for key, value in content.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise WeightsError(name, f"{key!r} in it is no tensor", _TENSORS_ONLY)
    return dict(content)


def _strip_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _check_plain(tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse sparse, quantised, complex and storageless tensors, and a few bytes that claim to be terabytes."""
    for key, tensor in tensors.items():
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.is_quantized or tensor.is_complex() or _spread(tensor):
            raise WeightsError(name, f"{key} is no plain array of numbers", _OTHER)


def _spread(tensor: Tensor) -> bool:
    """Whether elements share memory, so that a copy would be larger than the file."""
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def _check_finite(tensors: Mapping[str, Tensor], name: str) -> None:
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(name, f"{key} holds NaN or infinite values", "Choose another checkpoint of this model.")


def _first(keys: set[str]) -> str:
    shown = sorted(keys)[:3]
    return ", ".join(shown) + (", ..." if len(keys) > len(shown) else "")
