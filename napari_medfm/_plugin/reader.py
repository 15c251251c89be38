"""The name that somebody goes by, as that person gave it; kept over restarts, and never that of the login."""

import contextlib
import json
from pathlib import Path

from napari_medfm.errors import MedfmError
from napari_medfm.files import atomic_write_bytes, private_folder

_FILE = "reader.json"


def known_reader(folder: Path) -> str:
    """Return the name that was given last; empty if none was, or if that is not known."""
    try:
        name = json.loads((folder / _FILE).read_text(encoding="utf-8"))["reader"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def keep_reader(folder: Path, name: str) -> None:
    """Keep a name in the data folder; where that cannot be written, it is asked for again next time."""
    with contextlib.suppress(OSError, MedfmError):
        private_folder(folder)
        atomic_write_bytes(folder / _FILE, json.dumps({"reader": name}).encode())
