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
from napari_medfm.errors import ExportError, UnreadableFileError, UnsupportedDataError, WriteError
from napari_medfm.export.case import Case, Mask
from napari_medfm.export.dicom_codes import class_code
from napari_medfm.files import atomic_write
from napari_medfm.volume import Geometry
from napari_medfm.volume.dicom_headers import SliceHeader
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.dicom_pixels import PIXEL_FAULTS
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.orientation import to_canonical, to_source
from napari_medfm.volume.payload import FETCH_AGAIN

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
        image = _build(library, segments, _Frames(masks, used, slices), datasets)
        image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = _measures(library, geometry)

        def verify(temporary: Path) -> None:
            instances = [str(dataset.SOPInstanceUID) for dataset in datasets]
            if not np.array_equal(_read_frames(temporary, instances, slices), masks):
                raise WriteError(path.name, "read back different from what was written", _STEP)

        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lambda temporary: image.save_as(temporary, enforce_file_format=True), verify)


def read_masks(path: Path, geometry: Geometry, slices: Sequence[SliceHeader]) -> tuple[Mask, ...]:
    """Return the mask of each segment of a file in canonical axes.

    Parameters
    ----------
    path : Path
        A DICOM-SEG file.
    geometry : Geometry
        Of the image.
    slices : sequence of SliceHeader
        Of the image, to which the file refers, in the order of its source grid.

    Raises
    ------
    UnreadableFileError
        It cannot be read, or refers to other slices.
    """
    assert geometry.source is not None
    try:
        stored = _read_frames(path, [header.instance for header in slices], slices)
    except (*PIXEL_FAULTS, import_module("pydicom").errors.InvalidDicomError) as error:
        reason = f"cannot be read as a segmentation of its series ({type(error).__name__})"
        raise UnreadableFileError(path.name, reason, FETCH_AGAIN) from error
    source = geometry.source
    return tuple(np.ascontiguousarray(to_canonical(mask.T, source)) for mask in np.moveaxis(stored, -1, 0))


def _read_frames(path: Path, instances: Sequence[str], slices: Sequence[SliceHeader]) -> NDArray[np.bool_]:
    """Return the segments of a file on slices whose files are called so, (slices, rows, columns, segments)."""
    library = _highdicom()
    places = {"ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
    with quiet_pydicom():
        image = library.seg.segread(path)
        if not {str(uids[-1]) for uids in image.get_source_image_uids()} <= set(instances):
            raise ValueError("refers to other images")
        if slices[0].frame is None:
            return np.asarray(image.get_pixels_by_source_instance(list(instances), **places)).astype(bool)
        frames = [(header.frame or 0) + 1 for header in slices]
        return np.asarray(image.get_pixels_by_source_frame(instances[0], frames, **places)).astype(bool)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """Masks, (slices, rows, columns, segments), which of the slices hold something, and their headers."""

    masks: NDArray[np.bool_]
    used: NDArray[Any]
    slices: Sequence[SliceHeader]


def _measures(library: ModuleType, geometry: Geometry) -> Any:
    """Return the size of a voxel, with the distance of slices for their thickness.

    highdicom repeats what the source says; readers take the thickness for the distance, which in a source it seldom is.
    """
    assert geometry.source is not None
    across, down, step = geometry.source.affine[:3, :3].T
    normal = np.cross(across, down)
    height = float(abs(step @ normal) / np.linalg.norm(normal))
    sizes = float(np.linalg.norm(down)), float(np.linalg.norm(across))
    return library.PixelMeasuresSequence(pixel_spacing=sizes, slice_thickness=height, spacing_between_slices=height)


def _build(library: ModuleType, segments: Sequence[Segment], frames: _Frames, datasets: Sequence[Any]) -> Any:
    masks = frames.masks
    if frames.slices[0].frame is None:
        sources, pixels = [datasets[int(index)] for index in frames.used], masks[frames.used]
    else:
        sources = list(datasets)
        pixels = np.zeros((int(datasets[0].NumberOfFrames), *masks.shape[1:]), bool)
        pixels[[header.frame or 0 for header in frames.slices]] = masks
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
