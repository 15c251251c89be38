"""Which model a share of the work is done by: said in plain values, loaded once by each process that does it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from napari_medfm.errors import ModelError

if TYPE_CHECKING:
    from napari_medfm.models import PromptableModel


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model, by what it is loaded from and by the digest of what it has to be.

    Attributes
    ----------
    name : str
        In the registry.
    weights, adapter : Path or None
        Files that it is loaded from, and that it is given.
    digest : str
        Its `ModelSpec.model_digest`, adapter included: who loads something else does not do the work.
    """

    name: str
    weights: Path | None = None
    adapter: Path | None = None
    digest: str = ""

    @classmethod
    def of(cls, name: str, weights: Path | None = None, adapter: Path | None = None) -> Self:
        """Load a model and return the choice of just this one.

        Raises
        ------
        ModelError, AdapterError
            It cannot be loaded, or the adapter does not fit it.
        """
        weights, adapter = (None if path is None else path.resolve() for path in (weights, adapter))
        _load.cache_clear()  # the files may have changed
        return cls(name, weights, adapter, _load(name, weights, adapter).spec.model_digest)

    def load(self) -> "PromptableModel":
        """Return the model, loaded at the first call in a process; with an adapter it is an `AdaptedModel`.

        Raises
        ------
        ModelError, AdapterError
            It cannot be loaded, or is another one here than where it was chosen.
        """
        files = self.weights, self.adapter
        model = _load(self.name, *files)
        if model.spec.model_digest != self.digest:
            _load.cache_clear()
            model = _load(self.name, *files)
        if model.spec.model_digest != self.digest:
            step = "Give all machines the same version of napari-medfm and the same files."
            raise ModelError(self.name, "has other weights where the work is done than where it was begun", step)
        return model


@lru_cache(maxsize=1)
def _load(name: str, weights: Path | None, adapter: Path | None) -> "PromptableModel":
    from napari_medfm.models import load_model

    model = load_model(name) if weights is None else load_model(name, weights=weights)
    if adapter is None:
        return model
    from napari_medfm.adaptation import AdaptedModel, adaptable, read_adapter

    return AdaptedModel(adaptable(model), read_adapter(adapter))
