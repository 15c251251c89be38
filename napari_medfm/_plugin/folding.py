"""Which sections of the panel are folded, kept over restarts."""

import contextlib
import json
from functools import partial
from pathlib import Path

from napari_medfm._qt import MedfmPanel
from napari_medfm.errors import MedfmError
from napari_medfm.files import atomic_write_bytes, private_folder
from napari_medfm.workers import Lane


class Folding:
    """Folds a panel's sections as they were left, and keeps how they are left.

    Parameters
    ----------
    panel : MedfmPanel
        Whose sections.
    path : Path
        A small JSON file; one that is missing or damaged changes nothing.
    lane : Lane
        Where it is written.
    """

    def __init__(self, panel: MedfmPanel, path: Path, lane: Lane) -> None:
        self._panel, self._path, self._lane = panel, path, lane
        panel.set_folds(read_folds(path))
        panel.folds_changed.connect(self._keep)

    def close(self) -> None:
        """Let go of the panel."""
        self._panel.folds_changed.disconnect(self._keep)

    def _keep(self) -> None:
        self._lane.submit(partial(write_folds, self._path, self._panel.folds()))


def read_folds(path: Path) -> dict[str, bool]:
    """Return which sections were folded, by title; nothing if that is not known."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["folded"]
        return {str(title): bool(folded) for title, folded in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_folds(path: Path, folds: dict[str, bool]) -> None:
    """Keep which sections are folded; where that cannot be written, they begin as they always did."""
    with contextlib.suppress(OSError, MedfmError):
        private_folder(path.parent)
        atomic_write_bytes(path, json.dumps({"folded": folds}, indent=1).encode())
