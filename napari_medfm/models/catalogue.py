"""The registry everything uses unless given another, and the functions around it."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from napari_medfm.errors import UnknownModelError
from napari_medfm.models.base import ModelFacts, PromptableModel
from napari_medfm.models.own import describe_checkpoint, own_entries, read_own, write_own
from napari_medfm.models.registry import ModelEntry, ModelRegistry
from napari_medfm.models.zoo import COMPACT, FAMILIES, RANDOM_WALKER, REGION_FAMILY, SAM2_FAMILY, SAM_FAMILY
from napari_medfm.settings import load_settings

ENTRY_POINT_GROUP = "napari_medfm.models"
"""Entry-point group in which other packages offer a `ModelEntry`."""


def _discover() -> Iterator[EntryPoint | ModelEntry]:
    yield from entry_points(group=ENTRY_POINT_GROUP)
    yield from own_entries(_own_list(), FAMILIES)


def _own_list() -> Path:
    return load_settings().data_dir / "models.json"


_MODELS = (COMPACT, RANDOM_WALKER, *SAM_FAMILY.values(), *SAM2_FAMILY.values(), *REGION_FAMILY.values())

DEFAULT_REGISTRY = ModelRegistry(_MODELS, _discover)
"""The registry of this process."""


def register_model(
    name: str, factory: str, facts: ModelFacts | None = None, *, registry: ModelRegistry = DEFAULT_REGISTRY
) -> Callable[[], None]:
    """Register a model and return a function that takes it out again; nothing is imported.

    Parameters
    ----------
    name : str
        Lower-case letters, digits, ``_``, ``.`` and ``-``.
    factory : str
        ``"package.module:factory"``; `load_model` calls it with the options it was given.
    facts : ModelFacts, optional
        What is known before loading; by default only the title, which is the name.
    registry : ModelRegistry
        The package's own by default.

    Raises
    ------
    ModelError
        The name is taken, or name or factory is malformed.
    """
    return registry.register(ModelEntry(name, factory, facts or ModelFacts(title=name)))


def add_model(name: str, like: str, weights: Path, title: str = "") -> ModelEntry:
    """Add a checkpoint of a known family for good, such as a fine-tuned MedSAM; it is loaded once to see that it fits.

    Parameters
    ----------
    name : str
        For the registry.
    like : str
        One of `FAMILIES`: whose architecture and preprocessing it has.
    weights : Path
        Its file, which stays where it is. Its digest is remembered: another file in its place will be refused.
    title : str
        Shown to people; by default the name.

    Raises
    ------
    ModelError
        The name is taken or malformed, the family unknown, or the list of added models damaged; `WeightsError` if
        the file does not fit.
    WriteError
        The list of added models cannot be written.
    """
    if like not in FAMILIES:
        raise UnknownModelError(repr(like), "is no family of models", f"Choose one of: {', '.join(FAMILIES)}.")
    known = read_own(_own_list())
    model = describe_checkpoint(name, like, weights, title)
    entry = model.entry(FAMILIES[like])
    entry.load()
    take_out = DEFAULT_REGISTRY.register(entry)
    try:
        write_own(_own_list(), (*known, model))
    except BaseException:
        take_out()
        raise
    return entry


def load_model(name: str, *, registry: ModelRegistry = DEFAULT_REGISTRY, **options: Any) -> PromptableModel:
    """Load a model by name.

    Parameters
    ----------
    name : str
        One of `available_models`.
    registry : ModelRegistry
        The package's own by default.
    **options
        Passed to the model's factory, such as ``weights=path``.

    Raises
    ------
    UnknownModelError
        No model of that name.
    ModelError
        The model cannot be imported or made; `WeightsError` if its weights were refused.
    """
    return registry.entry(name).load(**options)


def available_models(*, registry: ModelRegistry = DEFAULT_REGISTRY) -> tuple[ModelEntry, ...]:
    """Return every registered model with its facts; no model is imported."""
    return registry.entries()
