"""Models by name: a name and facts are registered, code is imported only when a model is loaded.

A factory is named as text, ``"package.module:factory"``; calling it with the
options given to `load_model` returns a `PromptableModel`. Other packages offer
models through entry points, each naming a `ModelEntry` in a module that imports
no heavy library.
"""

import difflib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any, Self

from napari_medfm.errors import ModelError, UnknownModelError
from napari_medfm.models.base import ModelFacts, PromptableModel

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be loaded, and what is known of it before anything is imported.

    Attributes
    ----------
    name : str
        Lower-case letters, digits, ``_``, ``.`` and ``-``.
    factory : str
        ``"package.module:factory"``; called with the caller's options.
    facts : ModelFacts
        Title, tier, origin, licence, and where the weights come from.
    options : mapping of str to Any
        Passed to the factory before the caller's; entries that share a factory tell themselves apart by them.

    Raises
    ------
    ModelError
        The name or the factory is malformed.
    """

    name: str
    factory: str
    facts: ModelFacts
    options: Mapping[str, Any] = field(default_factory=dict)

    def renamed(self, name: str, title: str) -> Self:
        """Return it under a name and a title of one's own, where they are not empty."""
        return replace(self, name=name or self.name, facts=replace(self.facts, title=title or self.facts.title))

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            step = "Use lower-case letters, digits, '_', '.' and '-'."
            raise ModelError(repr(self.name), "is not a model name", step)
        if not _FACTORY.fullmatch(self.factory):
            step = "Write it as 'package.module:factory'."
            raise ModelError(self.name, f"{self.factory!r} does not name a factory", step)

    def load(self, **options: Any) -> PromptableModel:
        """Import the factory and call it.

        Raises
        ------
        ModelError
            The factory cannot be imported or makes no model; also whatever it raises, such as `WeightsError`.
        """
        module, _, attribute = self.factory.partition(":")
        try:
            factory = getattr(import_module(module), attribute)
        except Exception as error:  # a module runs on import, and may raise anything
            step = "Install the package that provides this model, or repair it."
            raise ModelError(self.name, f"cannot be imported ({error})", step) from error
        model = factory(**{**self.options, **options})
        if not isinstance(model, PromptableModel):
            reason = f"what {self.factory!r} made is no promptable model"
            raise ModelError(self.name, reason, "Report it to the authors of that package.")
        return model


class ModelRegistry:
    """A set of model entries.

    Parameters
    ----------
    entries : iterable of ModelEntry
        What it holds from the start.
    discover : callable
        Returns the entry points of other packages, and entries known only then; called once, on first use.
    """

    def __init__(
        self, entries: Iterable[ModelEntry] = (), discover: Callable[[], Iterable[EntryPoint | ModelEntry]] = tuple
    ) -> None:
        self._entries: dict[str, ModelEntry] = {}
        self._discover: Callable[[], Iterable[EntryPoint | ModelEntry]] | None = discover
        for entry in entries:
            self.register(entry)

    def register(self, entry: ModelEntry) -> Callable[[], None]:
        """Add an entry and return a function that takes it out again.

        Raises
        ------
        ModelError
            The name is taken.
        """
        if entry.name in self._entries:
            step = "Choose another name, or dispose of the first registration."
            raise ModelError(entry.name, "is already registered", step)
        self._entries[entry.name] = entry

        def dispose() -> None:
            if self._entries.get(entry.name) is entry:
                del self._entries[entry.name]

        return dispose

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return every entry, in order of registration; other packages' come last."""
        self._add_discovered()
        return tuple(self._entries.values())

    def entry(self, name: str) -> ModelEntry:
        """Return the entry of that name.

        Raises
        ------
        UnknownModelError
            There is none; the message names the closest.
        """
        self._add_discovered()
        if name not in self._entries:
            raise UnknownModelError(repr(name), "is not a registered model", self._suggestion(name))
        return self._entries[name]

    def _suggestion(self, name: str) -> str:
        names = sorted(self._entries)
        known = f"Known models: {', '.join(names) or 'none'}."
        close = difflib.get_close_matches(name.lower(), names, n=1)
        return f"Did you mean '{close[0]}'? {known}" if close else known

    def _add_discovered(self) -> None:
        discover, self._discover = self._discover, None
        for point in discover() if discover is not None else ():
            try:
                self.register(point if isinstance(point, ModelEntry) else _entry_of(point))
            except ModelError as error:
                # One broken package must not take the other models away.
                _log.warning("model entry point %r is left out: %s", point.name, error)


def _entry_of(point: EntryPoint) -> ModelEntry:
    step = "Report it to the authors of that package."
    try:
        entry = point.load()
    except Exception as error:  # as above
        raise ModelError(point.name, f"cannot be imported ({error})", step) from error
    if not isinstance(entry, ModelEntry):
        raise ModelError(point.name, "does not name a ModelEntry", step)
    return entry
