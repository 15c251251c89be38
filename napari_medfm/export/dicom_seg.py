"""DICOM as a training set: series without their patients, and a DICOM-SEG file for each."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, CaseObject, CaseSource, Labels, Mask
from napari_medfm.export.deidentify import read_complete, remove_patient, write_image
from napari_medfm.export.exporter import DatasetPlan, Entry
from napari_medfm.export.manifest import read_json, read_manifest, read_provenance, write_json
from napari_medfm.export.maps import class_map
from napari_medfm.export.pairs import decided
from napari_medfm.export.segmentation import (
    UNDECIDED,
    one_dataset_each,
    read_masks,
    segments_of,
    write_segmentation,
)
from napari_medfm.export.sessions import named_channels
from napari_medfm.pseudonyms import Pseudonyms, load_pseudonyms
from napari_medfm.session import ObjectClass
from napari_medfm.volume import Volume, open_volume
from napari_medfm.volume.dicom import dicom_slices
from napari_medfm.volume.dicom_headers import SliceHeader

_IMAGES, _SEGMENTATIONS, _LEGEND = "images", "segmentations", "segments.json"
_STEP = "Use another form, such as nifti."


class DicomSeg:
    """De-identified series with a segmentation for each."""

    name = "dicom_seg"
    title = "DICOM-SEG"
    usage = (
        "`images` holds a folder for each case with its de-identified series, `segmentations` a DICOM-SEG file that "
        "refers to it: one segment for each object, which includes what lies inside it, and one called "
        f"`{UNDECIDED}` where nobody decided. `segments.json` tells the class of each segment, and which class lies in "
        "which."
    )

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Refuse a case that does not come from one DICOM series."""
        if len(case.images) > 1:
            raise ExportError(case.title, f"has {len(case.images)} images; DICOM-SEG lies on one series", _STEP)
        if not case.geometry.known or not _is_dicom(case):
            raise ExportError(case.title, "was not read from a DICOM series with a place in the patient", _STEP)
        if case.source is None:
            step = "Name its folder: napari-medfm export FOLDER -o DATASET --format dicom_seg."
            raise ExportError(case.title, "does not know where its DICOM series is", step)
        one_dataset_each(slices := dicom_slices(case.source, case.geometry), {header.file: None for header in slices})

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write the series and its segmentation; tell which object each segment is."""
        pseudonyms = load_pseudonyms()
        slices, datasets = _read_series(case)
        for number, dataset in enumerate(datasets.values(), start=1):
            pixels = remove_patient(dataset, pseudonyms, entry.patient)
            write_image(folder / _IMAGES / entry.id / f"{number:05d}.dcm", dataset, pixels)
            del dataset.PixelData  # a segmentation refers to headers; the next slice needs the memory
        segments = segments_of(case, class_map(case, plan) == plan.ignore)
        path = folder / _SEGMENTATIONS / f"{entry.id}.dcm"
        write_segmentation(path, segments, case.geometry, slices, one_dataset_each(slices, datasets))
        return [{"object": each.object_id, "class": each.class_name, "label": each.label} for each in segments]

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write what the segments are."""
        classes = [{"name": kind.name, "parent": kind.parent, "colour": list(kind.colour)} for kind in plan.classes]
        write_json(folder / _LEGEND, {"classes": classes, "segments": dict(written)})

    def recognises(self, folder: Path) -> bool:
        """Whether series, segmentations and their meaning are there."""
        return all((folder / name).is_dir() for name in (_IMAGES, _SEGMENTATIONS)) and (folder / _LEGEND).is_file()

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return every case that has a segmentation."""
        legend = read_json(folder / _LEGEND)
        paths = sorted((folder / _SEGMENTATIONS).glob("[!.]*.dcm"))
        if not paths:
            raise ExportError(folder.name, "holds no segmentation", "Choose another folder.")
        return [partial(_read, folder, path.stem, legend) for path in paths]


def export_segmentation(case: Case, path: Path) -> None:
    """Write the objects of a case as a DICOM-SEG file that belongs to the original series.

    The file names the patient, the study and the series as the series itself does: that is how an archive
    puts it where it belongs. To pass it on, export the training set `dicom_seg` instead.

    Parameters
    ----------
    case : Case
        With its source.
    path : Path
        File to write.

    Raises
    ------
    ExportError
        The case does not come from one DICOM series.
    WriteError
        Not written, or read back different.
    """
    DicomSeg().check(case, DatasetPlan("", case.classes, tuple(case.images), ()))
    slices, datasets = _read_series(case)
    write_segmentation(path, segments_of(case), case.geometry, slices, one_dataset_each(slices, datasets))


def _read_series(case: Case) -> tuple[tuple[SliceHeader, ...], dict[Path, Any]]:
    """Return the slices of a case, and the datasets that they are in."""
    assert case.source is not None
    slices = dicom_slices(case.source, case.geometry)
    datasets = {header.file: read_complete(header.file, case.title) for header in slices}
    for dataset in datasets.values():
        if not dataset.get("FrameOfReferenceUID"):
            # One series, one frame of reference: a segmentation has to name one.
            dataset.FrameOfReferenceUID = Pseudonyms(b"").uid(str(dataset.get("SeriesInstanceUID", "")))
    return slices, datasets


def _is_dicom(case: Case) -> bool:
    source = case.geometry.source
    return source is not None and "dicom" in source.header


def _read(folder: Path, name: str, legend: Mapping[str, Any]) -> Case:
    manifest = read_manifest(folder)
    entry = manifest.entry(name) if manifest is not None else None
    place = folder / _IMAGES / name
    volume = open_volume(place)
    masks = read_masks(folder / _SEGMENTATIONS / f"{name}.dcm", volume.geometry, dicom_slices(place, volume.geometry))
    classes, segments = _meaning(legend, name)
    if len(segments) != len(masks):
        reason = f"has {len(masks)} segments, and {len(segments)} are declared"
        raise ExportError(f"{name}.dcm", reason, "Export the cases again.")
    objects = {int(each["object"]): (str(each["class"]), mask) for each, mask in zip(segments, masks, strict=True)}
    ignored = next((mask for each, mask in zip(segments, masks, strict=True) if each["label"] == UNDECIDED), None)
    objects.pop(0, None)
    levels = _levels(objects, classes, volume)
    nothing = np.zeros(volume.shape, bool)
    return Case(
        patient=entry.patient if entry is not None else name,
        images=named_channels([volume]),
        labels=levels[0],
        objects=tuple(CaseObject(number, objects[number][0]) for number in sorted(objects)),
        classes=classes,
        extent=decided(ignored if ignored is not None else nothing, classes),
        name=name,
        beneath=levels[1:],
        ignored=ignored,
        provenance=read_provenance(folder, name),
        source=place,
    )


def _meaning(legend: Mapping[str, Any], name: str) -> tuple[tuple[ObjectClass, ...], Sequence[Mapping[str, Any]]]:
    try:
        classes = tuple(ObjectClass(kind["name"], tuple(kind["colour"]), kind["parent"]) for kind in legend["classes"])
        return classes, legend["segments"][name]
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(_LEGEND, f"is damaged ({type(error).__name__})", "Export the cases again.") from error


def _levels(
    objects: Mapping[int, tuple[str, Mask]], classes: Sequence[ObjectClass], volume: Volume
) -> tuple[Labels, ...]:
    """Return the ids of objects, topmost first; what lies inside a class lies on top of it."""
    parents = {kind.name: kind.parent for kind in classes}

    def depth(number: int) -> tuple[int, int]:
        name: str | None = objects[number][0]
        steps = 0
        while name is not None and (name := parents.get(name)) is not None:
            steps += 1
        return steps, number

    levels: list[Labels] = [np.zeros(volume.shape, np.uint32)]
    for number in sorted(objects, key=depth):
        above: Labels = np.where(objects[number][1], np.uint32(number), np.uint32(0))
        for index in range(len(levels)):
            pushed = np.where(above > 0, levels[index], 0).astype(np.uint32)
            levels[index] = np.where(above > 0, above, levels[index])
            above = pushed
        if above.any():
            levels.append(above)
    return tuple(levels)
