"""The models this package brings, and the registry everything uses unless given another."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from napari_medfm.models.base import ModelFacts, PromptableModel
from napari_medfm.models.registry import ModelEntry, ModelRegistry

ENTRY_POINT_GROUP = "napari_medfm.models"
"""Entry-point group in which other packages offer a `ModelEntry`."""

RANDOM_WALKER = ModelEntry(
    name="random_walker",
    factory="napari_medfm.models.backends.random_walker:load",
    facts=ModelFacts("Random walker", tier="classical", origin="no training", licence="BSD-3-Clause"),
)

_SAM = "napari_medfm.models.backends.sam:load"


def _like_sam(name: str, facts: ModelFacts) -> ModelEntry:
    return ModelEntry(name, _SAM, facts, {"model": name})


SAM = _like_sam(
    "sam",
    ModelFacts(
        "Segment Anything (ViT-B, L or H)",
        tier="general natural",
        origin="from scratch",
        licence="Apache-2.0",
        weights="file",
        recipe="sam",
    ),
)

MEDSAM = _like_sam(
    "medsam",
    ModelFacts(
        "MedSAM (ViT-B)",
        licence="Apache-2.0",
        weights="file",
        recipe="medsam",
        note="Trained with boxes only: draw a box first, clicks correct little.",
    ),
)

MEDICOSAM = _like_sam("medicosam", ModelFacts("MedicoSAM (ViT-B)", licence="MIT", weights="file", recipe="sam"))

MICRO_SAM = _like_sam(
    "micro-sam",
    ModelFacts(
        "micro-sam (light and electron microscopy, histopathology)",
        tier="modality",
        licence="see the model's card",
        weights="file",
        recipe="sam",
    ),
)

SCRIBBLEPROMPT_SAM = _like_sam(
    "scribbleprompt-sam",
    ModelFacts(
        "ScribblePrompt-SAM (ViT-B)",
        licence="not stated; code Apache-2.0",
        weights="file",
        recipe="scribbleprompt-sam",
        note="Sees grey images; a stroke counts pixel by pixel.",
    ),
)

MOBILE_SAM = _like_sam(
    "mobile-sam",
    ModelFacts("MobileSAM", tier="general natural", licence="Apache-2.0", weights="file", recipe="sam"),
)

LITE_MEDSAM = _like_sam(
    "lite-medsam",
    ModelFacts(
        "LiteMedSAM",
        licence="Apache-2.0",
        weights="file",
        recipe="lite-medsam",
        note="Trained with boxes only: draw a box first, clicks correct little.",
    ),
)

_MEMBERS = (SAM, MOBILE_SAM, MEDSAM, LITE_MEDSAM, MEDICOSAM, MICRO_SAM, SCRIBBLEPROMPT_SAM)

SAM_FAMILY = {entry.name: entry for entry in _MEMBERS}
"""State dicts of one layout; each has a `napari_medfm.models.recipes.Recipe` of its own."""

COMPACT = ModelEntry(
    name="compact",
    factory="napari_medfm.models.backends.compact:load",
    facts=ModelFacts("Compact (built in)", origin="from scratch", licence="CC-BY-SA-4.0", weights="package"),
)

DEFAULT_REGISTRY = ModelRegistry(
    (COMPACT, RANDOM_WALKER, *SAM_FAMILY.values()), lambda: entry_points(group=ENTRY_POINT_GROUP)
)
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
