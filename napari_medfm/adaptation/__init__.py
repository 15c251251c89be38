"""A model that learns a structure from the few slices just labelled.

Owns the support set, what is trained on it, the adapter that comes of it and what an adapted model offers: masks
without prompts, better answers to prompts, proposals for whole volumes, and where to look next. Trains on embeddings
that were made once. Knows neither sessions nor interfaces: slices come in as values, adapters and proposals go out.
"""

from napari_medfm.adaptation.adapted import AdaptedModel
from napari_medfm.adaptation.adapter import Adapter, AdapterFacts, Readout
from napari_medfm.adaptation.filling import Filled, clean, cleaned, entropy, fill, propose
from napari_medfm.adaptation.finding import Finding, Found, probability_of
from napari_medfm.adaptation.library import AdapterLibrary, Listed, read_adapter, read_facts, write_adapter
from napari_medfm.adaptation.progress import Progress
from napari_medfm.adaptation.shelf import Shelved, SupportShelf, read_slice
from napari_medfm.adaptation.suggestions import Suggestion, suggest
from napari_medfm.adaptation.support import SupportSet, SupportSlice
from napari_medfm.adaptation.training import Adaptation, Recipe, adaptable
from napari_medfm.adaptation.variation import Variation, make_ahead

__all__ = [
    "Adaptation",
    "AdaptedModel",
    "Adapter",
    "AdapterFacts",
    "AdapterLibrary",
    "Filled",
    "Finding",
    "Found",
    "Listed",
    "Progress",
    "Readout",
    "Recipe",
    "Shelved",
    "Suggestion",
    "SupportSet",
    "SupportShelf",
    "SupportSlice",
    "Variation",
    "adaptable",
    "clean",
    "cleaned",
    "entropy",
    "fill",
    "make_ahead",
    "probability_of",
    "propose",
    "read_adapter",
    "read_facts",
    "read_slice",
    "suggest",
    "write_adapter",
]
