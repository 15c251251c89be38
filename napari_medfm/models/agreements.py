"""Licences of other people's weights that a person has agreed to, remembered between sittings."""

import json
import logging
from pathlib import Path

from napari_medfm.files import atomic_write_bytes, private_folder
from napari_medfm.models.base import ModelFacts

_log = logging.getLogger(__name__)


def needs_agreement(facts: ModelFacts) -> bool:
    """Whether somebody else's licence is to be shown before a model is used: its weights come from elsewhere."""
    return facts.weights in {"download", "file"}


def describe_licence(facts: ModelFacts) -> str:
    """Return what a person should know before agreeing, in two or three sentences."""
    licence = facts.licence or "an unknown licence"
    use = "" if facts.commercial_use else " No commercial use."
    return f"The weights of {facts.title} are their authors', under: {licence}.{use} For research, not for diagnosis."


class Agreements:
    """The licences agreed to, in a JSON file.

    Parameters
    ----------
    path : Path
        The file; made on the first agreement. One that is damaged counts as empty: people are asked again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, facts: ModelFacts) -> bool:
        """Whether this licence of this model needs no agreement, or has one; another licence is asked for anew."""
        return not needs_agreement(facts) or _line(facts) in self._read()

    def agree(self, facts: ModelFacts) -> None:
        """Remember an agreement.

        Raises
        ------
        WriteError
            It could not be written.
        """
        private_folder(self._path.parent)
        lines = sorted({*self._read(), _line(facts)})
        atomic_write_bytes(self._path, json.dumps(lines, indent=1).encode() + b"\n")

    def _read(self) -> list[str]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read (%s): licences are asked for again", self._path.name, type(error).__name__)
            return []
        return [line for line in found if isinstance(line, str)] if isinstance(found, list) else []


def _line(facts: ModelFacts) -> str:
    return f"{facts.title}: {facts.licence}"
