"""Which forms of training sets there are, ours and those that other packages offer."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from napari_medfm.errors import ExportError
from napari_medfm.export.coco import Coco
from napari_medfm.export.decathlon import Decathlon
from napari_medfm.export.dicom_seg import DicomSeg
from napari_medfm.export.exporter import Exporter
from napari_medfm.export.nifti import PlainNifti
from napari_medfm.export.nnunet import NnUNet

GROUP = "napari_medfm.exporters"
"""Entry-point group in which a package names a callable that returns an `Exporter`."""

_OURS: tuple[type[Exporter], ...] = (NnUNet, Decathlon, Coco, DicomSeg, PlainNifti)


def exporters() -> Mapping[str, Exporter]:
    """Return every form of training set by its name, ours first."""
    found: dict[str, Exporter] = {}
    for make in (*_OURS, *(entry.load() for entry in entry_points(group=GROUP))):
        exporter = make()
        found.setdefault(exporter.name, exporter)
    return found


def find_exporter(name: str) -> Exporter:
    """Return a form of training set.

    Raises
    ------
    ExportError
        There is none of that name.
    """
    known = exporters()
    if name not in known:
        raise ExportError(name, "is no form of training set", f"Choose of: {', '.join(known)}.")
    return known[name]
