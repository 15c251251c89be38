"""DICOM-SEG by highdicom: a segment for each object, on the slices of the series that they were drawn on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm import __version__
from napari_medfm.errors import ExportError, UnsupportedDataError, WriteError
from napari_medfm.export.case import Case, Mask
from napari_medfm.export.dicom_codes import class_code
from napari_medfm.files import atomic_write
from napari_medfm.volume import Geometry
from napari_medfm.volume.dicom_headers import SliceHeader
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.orientation import to_canonical, to_source

UNDECIDED = "not annotated"
"""Label of the segment that holds what nobody decided."""

_MAKER = "napari-medfm"
_SERIES_NUMBER = 900
_STEP = "Nothing was exported. Try again, or write to another disk."
_LONGEST_LABEL = 64


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One segment; its number is its place in a sequence, from 1.

    Attributes
    ----------
    label : str
        What viewers show.
    class_name : str
        What it is.
    object_id : int
        Of the object in the case; 0 if it is none.
    colour : tuple of int
        Red, green, blue.
    mask : ndarray of bool
        Canonical axes of the case.
    """

    label: str
    class_name: str
    object_id: int
    colour: tuple[int, int, int]
    mask: Mask


def segments_of(case: Case, undecided: Mask | None = None) -> tuple[Segment, ...]:
    """Return the segments of a case: numbered from 1 without gaps, whatever the ids of its objects; none is empty.

    A case without any object gets one empty segment of its first class, so that it can be told from one
    that was not looked at.

    Parameters
    ----------
    case : Case
        Its objects may lie inside one another: their segments overlap.
    undecided : ndarray of bool, optional
        What nobody decided; becomes a segment of its own.
    """
    colours = {kind.name: kind.colour for kind in case.classes}
    found = []
    for thing in case.objects:
        mask = case.object_mask(thing.id)
        if mask.any():
            same = [other.id for other in case.objects if other.class_name == thing.class_name]
            label = thing.class_name if len(same) == 1 else f"{thing.class_name} {same.index(thing.id) + 1}"
            found.append(Segment(label, thing.class_name, thing.id, colours[thing.class_name], mask))
    if not found:
        first = case.classes[0]
        found = [Segment(first.name, first.name, 0, first.colour, np.zeros(case.geometry.shape, bool))]
    if undecided is not None and undecided.any():
        found.append(Segment(UNDECIDED, UNDECIDED, 0, (128, 128, 128), undecided))
    return tuple(found)


def write_segmentation(
    path: Path, segments: Sequence[Segment], geometry: Geometry, slices: Sequence[SliceHeader], datasets: Sequence[Any]
) -> None:
    """Write segments as one DICOM-SEG file, read it again and compare every voxel.

    Patient and study are those of the datasets.

    Parameters
    ----------
    path : Path
        File to write.
    segments : sequence of Segment
        At least one.
    geometry : Geometry
        Of the image that the segments lie on.
    slices : sequence of SliceHeader
        Of that image, in the order of its source grid: `napari_medfm.volume.dicom.dicom_slices`.
    datasets : sequence of pydicom.Dataset
        The files that these slices are in: one for each, or a single multi-frame one. Pixels are not needed.

    Raises
    ------
    UnsupportedDataError
        highdicom is missing.
    TooLargeError
        The segments do not fit the memory.
    WriteError
        Not written, or read back different.
    """
    library = _highdicom()
    step = "Export fewer objects at a time."
    check_memory(path.name, 3 * len(segments) * int(np.prod(geometry.shape)), None, step)
    masks = np.stack([_frames(segment.mask, geometry) for segment in segments], axis=-1)
    used = np.flatnonzero(masks.any(axis=(1, 2, 3)))
    used = used if used.size else np.arange(len(slices))
    with quiet_pydicom():
        image = _build(library, segments, masks, used, slices, datasets)

        def verify(temporary: Path) -> None:
            if not np.array_equal(read_frames(temporary, slices, datasets), masks):
                raise WriteError(path.name, "read back different from what was written", _STEP)

        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda temporary: image.save_as(temporary, enforce_file_format=True), verify)


def read_frames(path: Path, slices: Sequence[SliceHeader], datasets: Sequence[Any]) -> NDArray[np.bool_]:
    """Return the segments of a file on the slices that it refers to.

    Returns
    -------
    ndarray of bool, (slices, rows, columns, segments)
    """
    library = _highdicom()
    with quiet_pydicom():
        image = library.seg.segread(path)
        places = {"ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
        if slices[0].frame is not None:
            frames = [(header.frame or 0) + 1 for header in slices]
            uid = str(datasets[0].SOPInstanceUID)
            return np.asarray(image.get_pixels_by_source_frame(uid, frames, **places)).astype(bool)
        uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
        return np.asarray(image.get_pixels_by_source_instance(uids, **places)).astype(bool)


def read_masks(
    path: Path, geometry: Geometry, slices: Sequence[SliceHeader], datasets: Sequence[Any]
) -> tuple[Mask, ...]:
    """Return the mask of each segment of a file in canonical axes.

    Parameters
    ----------
    path, geometry, slices, datasets
        As for `write_segmentation`.
    """
    assert geometry.source is not None
    frames = np.moveaxis(read_frames(path, slices, datasets), -1, 0)
    return tuple(np.ascontiguousarray(to_canonical(segment.T, geometry.source)) for segment in frames)


def one_dataset_each(slices: Sequence[SliceHeader], datasets: Mapping[Path, Any]) -> list[Any]:
    """Return the datasets of slices in their order; a multi-frame file once.

    Raises
    ------
    ExportError
        The slices are frames of several files.
    """
    files = list(dict.fromkeys(header.file for header in slices))
    if slices[0].frame is not None and len(files) > 1:
        step = "Export it as NIfTI."
        raise ExportError("DICOM series", "is made of frames of several files, which DICOM-SEG cannot refer to", step)
    return [datasets[file] for file in files]


def _frames(mask: Mask, geometry: Geometry) -> NDArray[np.bool_]:
    assert geometry.source is not None
    return np.asarray(to_source(mask, geometry.source).T)


def _build(
    library: ModuleType,
    segments: Sequence[Segment],
    masks: NDArray[np.bool_],
    used: NDArray[Any],
    slices: Sequence[SliceHeader],
    datasets: Sequence[Any],
) -> Any:
    if slices[0].frame is None:
        sources, pixels = [datasets[int(index)] for index in used], masks[used]
    else:
        sources = list(datasets)
        pixels = np.zeros((int(datasets[0].NumberOfFrames), *masks.shape[1:]), bool)
        pixels[[header.frame or 0 for header in slices]] = masks
    return library.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[_description(library, number, each) for number, each in enumerate(segments, start=1)],
        series_instance_uid=library.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=library.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_MAKER,
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        omit_empty_frames=bool(masks.any()),
    )


def _description(library: ModuleType, number: int, segment: Segment) -> Any:
    code = class_code(segment.class_name)
    codes = import_module("pydicom.sr.codedict").codes
    return library.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:_LONGEST_LABEL],
        segmented_property_category=code.category,
        segmented_property_type=code.kind,
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=library.AlgorithmIdentificationSequence(
            name=_MAKER, family=codes.cid7162.ArtificialIntelligence, version=__version__
        ),
        tracking_uid=library.UID(),
        tracking_id=f"object {segment.object_id}" if segment.object_id else segment.label[:_LONGEST_LABEL],
        display_color=library.color.CIELabColor.from_rgb(*segment.colour),
    )


def _highdicom() -> ModuleType:
    try:
        library = import_module("highdicom")
        import_module("highdicom.seg")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[dicom]".'
        raise UnsupportedDataError("DICOM-SEG", "needs the package highdicom", step) from error
    return library
