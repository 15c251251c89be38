"""A model by the name that was typed."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from napari_medfm.models import PromptableModel


def load(model: str, weights: Path | None = None, option: str = "--weights") -> "PromptableModel":
    """Load a model; weights for one that takes none are a mistake of that option."""
    from napari_medfm.models import available_models, load_model

    if weights is not None and any(
        entry.name == model and entry.facts.weights == "none" for entry in available_models()
    ):
        raise typer.BadParameter(f"{model} needs no weights", param_hint=option)
    return load_model(model) if weights is None else load_model(model, weights=weights)
