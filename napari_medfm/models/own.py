"""Models of one's own: checkpoints of a known family, such as a fine-tuned MedSAM, under a name and with a digest."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from napari_medfm.errors import ModelError, WeightsError
from napari_medfm.files import atomic_write_bytes, private_folder, sha256_file
from napari_medfm.models.registry import ModelEntry

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A checkpoint that somebody added.

    Attributes
    ----------
    name, title : str
        In the registry, and shown to people.
    like : str
        Registry name of the model whose architecture and preprocessing it has.
    file : str
        Its absolute path; the file stays where it is.
    sha256 : str
        What it was when it was added: another file in its place is refused.
    """

    name: str
    title: str
    like: str
    file: str
    sha256: str

    def entry(self, family: ModelEntry) -> ModelEntry:
        """Return what the registry needs."""
        facts = replace(family.facts, title=self.title, origin="adapted", weights="none", file=None)
        given = {"weights": self.file, "sha256": self.sha256, "name": self.name, "title": self.title}
        return ModelEntry(self.name, family.factory, facts, {**family.options, **given})


def describe_checkpoint(name: str, like: str, weights: Path, title: str = "") -> OwnModel:
    """Return what is to be remembered of a checkpoint; its file is read for the digest.

    Raises
    ------
    WeightsError
        There is no such file.
    """
    if not weights.is_file():
        raise WeightsError(weights.name, "there is no such file", "Choose another file.")
    return OwnModel(name, title or name, like, str(weights.resolve()), sha256_file(weights))


def read_own(path: Path) -> tuple[OwnModel, ...]:
    """Return the models that were added.

    Parameters
    ----------
    path : Path
        The list, see `write_own`.

    Raises
    ------
    ModelError
        It is damaged: whoever writes it anew would lose what it holds.
    """
    if not path.exists():
        return ()
    try:
        return tuple(OwnModel(**row) for row in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        step = "Repair or remove it; the models in it are not offered meanwhile."
        raise ModelError(path.name, f"is no list of added models ({type(error).__name__})", step) from error


def write_own(path: Path, models: Iterable[OwnModel]) -> None:
    """Write the list of added models as JSON.

    Raises
    ------
    WriteError
        It was not written; what was there stays.
    """
    private_folder(path.parent)
    atomic_write_bytes(path, json.dumps([asdict(model) for model in models], indent=1).encode() + b"\n")


def own_entries(path: Path, families: Mapping[str, ModelEntry]) -> list[ModelEntry]:
    """Return the entries of added models whose family is known; the others, or a damaged list, are logged."""
    found = []
    try:
        models = read_own(path)
    except ModelError as error:
        _log.warning("%s", error)
        return []
    for model in models:
        try:
            found.append(model.entry(_family(model, families)))
        except ModelError as error:
            _log.warning("an added model is left out: %s", error)
    return found


def _family(model: OwnModel, families: Mapping[str, ModelEntry]) -> ModelEntry:
    if model.like not in families:
        step = f"Choose one of: {', '.join(families)}."
        raise ModelError(model.name, f"{model.like!r} is no family of models", step)
    return families[model.like]
