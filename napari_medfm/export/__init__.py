"""Training sets out of annotated cases, checked after writing; and back again.

A `Case` is what any exporter gets; an `Exporter` is one form of training set; `export_dataset`
does what is the same for all: names, pseudonyms, divisions, card, provenance, all or nothing. Knows
sessions and images; knows neither models nor torch nor the interface.
"""

from napari_medfm.export.case import Case, CaseObject, CaseSource
from napari_medfm.export.counting import Counts, Tally
from napari_medfm.export.dataset import Dataset, Exported, export_dataset, open_dataset
from napari_medfm.export.exporter import DatasetPlan, Entry, Exporter, Facts, Fold
from napari_medfm.export.manifest import Manifest
from napari_medfm.export.maps import class_map
from napari_medfm.export.planning import Options
from napari_medfm.export.registry import exporters, find_exporter
from napari_medfm.export.sessions import (
    case_from_file,
    case_from_journal,
    case_from_labels,
    case_from_record,
    case_from_session,
)

__all__ = [
    "Case",
    "CaseObject",
    "CaseSource",
    "Counts",
    "Dataset",
    "DatasetPlan",
    "Entry",
    "Exported",
    "Exporter",
    "Facts",
    "Fold",
    "Manifest",
    "Options",
    "Tally",
    "case_from_file",
    "case_from_journal",
    "case_from_labels",
    "case_from_record",
    "case_from_session",
    "class_map",
    "export_dataset",
    "exporters",
    "find_exporter",
    "open_dataset",
]
