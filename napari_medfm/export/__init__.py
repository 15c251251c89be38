"""Training sets out of annotated cases, checked after writing; and back again.

A `Case` is what any exporter gets; an `Exporter` is one form of training set. Knows sessions and
images; knows neither models nor torch nor the interface.
"""

from napari_medfm.export.case import Case, CaseObject, CaseSource
from napari_medfm.export.exporter import DatasetPlan, Entry, Exporter, Facts, Fold

__all__ = [
    "Case",
    "CaseObject",
    "CaseSource",
    "DatasetPlan",
    "Entry",
    "Exporter",
    "Facts",
    "Fold",
]
