"""Where things are kept, and the few numbers a user may set.

Environment variables: ``MEDFM_DATA_DIR`` (journals, adapters), ``MEDFM_CACHE_DIR``
(embeddings, weights), ``MEDFM_CACHE_GB`` (disk budget of the embedding cache),
``MEDFM_MEMORY_GB`` (memory budget of the embedding cache), ``MEDFM_GPU_GB`` (budget
of what stays on a GPU between questions), ``MEDFM_THREADS`` (threads a model may
use), ``MEDFM_DEVICE`` (auto, cpu, cuda, mps), ``MEDFM_MIRROR`` (address of a folder
with weights), ``MEDFM_OFFLINE`` (1: nothing is downloaded), ``MEDFM_COMPILE`` (1: large
encoders are compiled for a CUDA device when they are loaded).
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_medfm.errors import SettingsError

DEFAULT_MODEL = "compact"
"""Registry name of the model that is used where nobody has chosen one."""

_APP = "napari-medfm"
_GB = 10**9
_DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Settings:
    """Folders and budgets, fixed for the life of a process.

    Attributes
    ----------
    data_dir : Path
        Journals: the work itself. Never on a network drive.
    cache_dir : Path
        Embeddings and weights: everything in it can be made again.
    cache_bytes : int
        Disk budget of the embedding cache, in bytes.
    memory_bytes : int
        Memory budget of the embedding cache, in bytes.
    device_bytes : int
        Budget of what stays on a GPU between questions, in bytes.
    threads : int
        Threads a model may use on the CPU.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    mirror : str
        Address of a folder from which weights are downloaded instead of their publishers'; empty for these.
    offline : bool
        Whether nothing may be downloaded.
    compiled : bool
        Whether large encoders are compiled for a CUDA device.
    """

    data_dir: Path
    cache_dir: Path
    cache_bytes: int = 20 * _GB
    memory_bytes: int = 2 * _GB
    device_bytes: int = 1 * _GB
    threads: int = 1
    device: str = "auto"
    mirror: str = ""
    offline: bool = False
    compiled: bool = False

    @property
    def sessions_dir(self) -> Path:
        """Folder of the session journals."""
        return self.data_dir / "sessions"

    @property
    def adapters_dir(self) -> Path:
        """Folder of adapters, and of the labelled slices that they were made from."""
        return self.data_dir / "adapters"

    @property
    def embeddings_dir(self) -> Path:
        """Folder of the embedding cache."""
        return self.cache_dir / "embeddings"

    @property
    def weights_dir(self) -> Path:
        """Folder of downloaded weights."""
        return self.cache_dir / "weights"


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from the environment; nothing is created on disk.

    Parameters
    ----------
    environ : mapping
        Environment variables, injectable for tests. An empty one counts as not set.

    Raises
    ------
    SettingsError
        A number that is none or is negative, or an unknown device.
    """
    return Settings(
        data_dir=Path(environ.get("MEDFM_DATA_DIR") or platformdirs.user_data_dir(_APP, appauthor=False)),
        cache_dir=Path(environ.get("MEDFM_CACHE_DIR") or platformdirs.user_cache_dir(_APP, appauthor=False)),
        cache_bytes=int(_number(environ, "MEDFM_CACHE_GB", 20) * _GB),
        memory_bytes=int(_number(environ, "MEDFM_MEMORY_GB", 2) * _GB),
        device_bytes=int(_number(environ, "MEDFM_GPU_GB", 1) * _GB),
        threads=max(1, int(_number(environ, "MEDFM_THREADS", (os.cpu_count() or 2) - 1))),
        device=_device(environ),
        mirror=environ.get("MEDFM_MIRROR") or "",
        offline=_switch(environ, "MEDFM_OFFLINE"),
        compiled=_switch(environ, "MEDFM_COMPILE"),
    )


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise SettingsError(name, f"{text!r} is not a number from 0 upwards", f"Set it to one such as {default:g}.")
    return number


def _switch(environ: Mapping[str, str], name: str) -> bool:
    return (environ.get(name) or "0") not in {"0", "false", "no"}


def _device(environ: Mapping[str, str]) -> str:
    device = environ.get("MEDFM_DEVICE") or "auto"
    if device not in _DEVICES:
        raise SettingsError("MEDFM_DEVICE", f"{device!r} is not a device", f"Set it to one of {', '.join(_DEVICES)}.")
    return device
