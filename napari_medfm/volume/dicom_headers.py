"""What DICOM files say about their slices: one header per slice, whether a file holds one or hundreds.

Only what a volume needs is read; nothing that identifies the patient is. Values that
a file lacks or garbles are None: whether that matters is decided by those who need them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TAGS = (
    "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "ImageType", "PhotometricInterpretation",
    "FrameOfReferenceUID", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames",
    "SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "SliceThickness", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime",
    "DiffusionBValue", "TriggerTime",
)  # fmt: skip
"""Elements that are read of each file; none of them names a patient, a person or a place."""

_PHASES = {
    "TemporalPositionIdentifier": "time point",
    "EchoTime": "echo time",
    "DiffusionBValue": "b-value",
    "TriggerTime": "trigger time",
    "AcquisitionNumber": "acquisition",
}
"""What slices at the same place may differ in, and how it is called."""

_FRAME_PHASES = {
    "TemporalPositionIndex": "time point",
    "EffectiveEchoTime": "echo time",
    "DiffusionBValue": "b-value",
    "NominalCardiacTriggerDelayTime": "trigger time",
    "FrameAcquisitionNumber": "acquisition",
}
_FRAME_GROUPS = (
    *("FrameContentSequence", "MREchoSequence", "MRDiffusionSequence", "CardiacSynchronizationSequence"),
    *("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"),
)
_KIND = "kind"
_OTHER = "OT"
_PHOTOMETRICS = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
)
_MODALITIES = frozenset(
    {"CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "IO", "PX", "ES", "OP", "OPT", "SM", "XC", "BI", "EC"}
)
_LOCALISER = "LOCALIZER"


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What is said about one slice; None where nothing usable is said.

    Attributes
    ----------
    file : Path
        Where it is.
    frame : int or None
        Which frame of a multi-frame file, counted from 0; None if the file is the slice.
    instance, series : str
        SOPInstanceUID, that of the file's own header if it is empty; SeriesInstanceUID.
    number : int
        SeriesNumber, 0 if missing.
    modality, photometric : str
        As in the file, as far as they are terms of the standard.
    frame_of_reference, transfer_syntax : str
        As in the file.
    shape : tuple of int
        Rows, columns.
    kind : tuple of int
        BitsAllocated, BitsStored, PixelRepresentation.
    frames, samples : int
        Frames in the file that do not say where they lie (1: none), and values per pixel.
    position : tuple of float or None
        ImagePositionPatient, mm in LPS.
    orientation : tuple of float or None
        ImageOrientationPatient.
    spacing : tuple of float or None
        PixelSpacing: mm between rows, between columns.
    at_detector : tuple of float or None
        ImagerPixelSpacing: the same, measured at the detector of a projection.
    thickness : float
        SliceThickness in mm, 1 if missing: used for a single slice only.
    slope, intercept : float
        Rescale to real values.
    has_table : bool
        Whether a modality lookup table replaces the rescale.
    localiser : bool
        Whether it is a scout view.
    stack : str
        StackID of a multi-frame file.
    phases : tuple of (str, str)
        What may tell slices at the same place apart, such as an echo time: name and value.
    """

    file: Path
    frame: int | None = None
    instance: str = ""
    series: str = ""
    number: int = 0
    modality: str = ""
    photometric: str = "MONOCHROME2"
    frame_of_reference: str = ""
    transfer_syntax: str = ""
    shape: tuple[int, int] = (0, 0)
    kind: tuple[int, int, int] = (16, 16, 0)
    frames: int = 1
    samples: int = 1
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None
    at_detector: tuple[float, ...] | None = None
    thickness: float = 1.0
    slope: float = 1.0
    intercept: float = 0.0
    has_table: bool = False
    localiser: bool = False
    stack: str = ""
    phases: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """File name, and frame if there are several."""
        return self.file.name if self.frame is None else f"{self.file.name}, frame {self.frame + 1}"


def series_name(slices: Sequence[SliceHeader]) -> str:
    """Return how a series is called in messages: no patient data."""
    return f"DICOM series {slices[0].number}"


def slice_headers(file: Path, dataset: Any) -> Iterator[SliceHeader]:
    """Yield one header per slice of a file.

    Parameters
    ----------
    file : Path
        Where it is.
    dataset : pydicom.Dataset
        Its elements, `TAGS` at least; it has rows.
    """
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        yield SliceHeader(
            frames=int(dataset.get("NumberOfFrames") or 1),
            **_of_file(file, dataset),
            **_placement(dataset, dataset, dataset),
            **_values(dataset),
            **_phases(_PHASES, dataset, [dataset]),
        )
        return
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    for frame, own in enumerate(groups):
        yield _frame_header(file, dataset, frame, (own, shared))


def _frame_header(file: Path, dataset: Any, frame: int, groups: tuple[Any, Any]) -> SliceHeader:
    def group(keyword: str) -> Any:
        return next((found for part in groups if (found := _first(part.get(keyword)))), {})

    position, orientation = group("PlanePositionSequence"), group("PlaneOrientationSequence")
    said = [group(keyword) for keyword in _FRAME_GROUPS]
    return SliceHeader(
        frame=frame,
        stack=str(group("FrameContentSequence").get("StackID", "")),
        **_of_file(file, dataset),
        **_placement(position, orientation, group("PixelMeasuresSequence")),
        **_values(group("PixelValueTransformationSequence") or dataset),
        **_phases(_FRAME_PHASES, next((part for part in said if "FrameType" in part), dataset), said),
    )


def _of_file(file: Path, dataset: Any) -> dict[str, Any]:
    return {
        "file": file,
        "instance": str(dataset.get("SOPInstanceUID") or dataset.file_meta.get("MediaStorageSOPInstanceUID", "")),
        "series": str(dataset.get("SeriesInstanceUID", "")),
        "number": int(dataset.get("SeriesNumber") or 0),
        "modality": _known(str(dataset.get("Modality", "")), _MODALITIES, _OTHER),
        "photometric": _known(str(dataset.get("PhotometricInterpretation", "")), _PHOTOMETRICS, "unknown"),
        "frame_of_reference": str(dataset.get("FrameOfReferenceUID", "")),
        "transfer_syntax": str(dataset.file_meta.get("TransferSyntaxUID", "")),
        "shape": (int(dataset.Rows), int(dataset.Columns)),
        "kind": (int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.PixelRepresentation)),
        "samples": int(dataset.get("SamplesPerPixel") or 1),
        "at_detector": _numbers(dataset, "ImagerPixelSpacing", 2),
        "has_table": "ModalityLUTSequence" in dataset,
    }


def _placement(position: Any, orientation: Any, measures: Any) -> dict[str, Any]:
    return {
        "position": _numbers(position, "ImagePositionPatient", 3),
        "orientation": _numbers(orientation, "ImageOrientationPatient", 6),
        "spacing": _numbers(measures, "PixelSpacing", 2),
        "thickness": (_numbers(measures, "SliceThickness", 1) or (1.0,))[0] or 1.0,
    }


def _values(group: Any) -> dict[str, Any]:
    return {
        "slope": (_numbers(group, "RescaleSlope", 1) or (1.0,))[0] or 1.0,
        "intercept": (_numbers(group, "RescaleIntercept", 1) or (0.0,))[0],
    }


def _phases(names: dict[str, str], typed: Any, groups: list[Any]) -> dict[str, Any]:
    words = [str(word) for word in typed.get("FrameType", typed.get("ImageType", None)) or ()]
    found = [(name, str(group[tag].value)) for tag, name in names.items() for group in groups if tag in group]
    return {"localiser": _LOCALISER in words, "phases": (*found, (_KIND, "/".join(words[2:])))}


def _known(word: str, words: frozenset[str], other: str) -> str:
    """Return a term as it is if the standard knows it: what else stands there may be anything, a name too."""
    return word if word in words or not word else other


def _first(sequence: Any) -> Any:
    return sequence[0] if sequence else {}


def _numbers(group: Any, tag: str, count: int) -> tuple[float, ...] | None:
    value = group.get(tag)
    if value is None or value == "":
        return None
    values = tuple(float(part) for part in (value if count > 1 else [value]))
    return values if len(values) == count and np.isfinite(values).all() else None
