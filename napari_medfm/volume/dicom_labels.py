"""DICOM-SEG opened as labels: each frame is put where it lies, whatever file the image was read from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, UnreadableFileError, UnsupportedDataError
from napari_medfm.volume.dicom_library import quiet_pydicom
from napari_medfm.volume.dicom_pixels import PIXEL_FAULTS
from napari_medfm.volume.geometry import Geometry
from napari_medfm.volume.payload import FETCH_AGAIN

_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_ON_GRID = 1e-3  # voxels
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def is_segmentation(path: Path) -> bool:
    """Whether a DICOM file is a DICOM-SEG, by its header."""
    with quiet_pydicom() as pydicom:
        try:
            header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        except (*PIXEL_FAULTS, pydicom.errors.InvalidDicomError):
            return False
        return str(header.get("SOPClassUID", "")) == _SEGMENTATION


def read_segmentation_labels(path: Path, like: Geometry) -> NDArray[np.uint16]:
    """Return the segments of a file on the grid of an image: label k is segment k, 0 is none.

    Of segments that lie inside one another the inner one is the label.

    Parameters
    ----------
    path : Path
        A DICOM-SEG file with binary segments.
    like : Geometry
        Of the image; it need not be read from DICOM.

    Raises
    ------
    UnreadableFileError
        It is damaged.
    UnsupportedDataError
        Its segments are fractions, or overlap without one lying inside the other.
    GeometryError
        It does not lie on the grid of the image: it belongs to another series.
    """
    with quiet_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(path)
            kind = str(dataset.get("SegmentationType", ""))
            if kind != "BINARY":
                reason = f"holds segments that are not yes or no for each voxel ({kind.lower() or 'unknown'})"
                raise UnsupportedDataError(path.name, reason, "Export it with binary segments.")
            masks = _masks(path.name, dataset, pydicom.pixels.pixel_array(dataset), like)
        except (*PIXEL_FAULTS, pydicom.errors.InvalidDicomError) as error:
            raise UnreadableFileError(path.name, f"is damaged ({type(error).__name__})", FETCH_AGAIN) from error
    return _stacked(path.name, masks, like.shape)


def _masks(name: str, dataset: Any, pixels: NDArray[Any], like: Geometry) -> dict[int, NDArray[np.bool_]]:
    masks: dict[int, NDArray[np.bool_]] = {}
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frames = pixels.reshape(-1, *pixels.shape[-2:])
    for own, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        segment = int(own.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        mask = masks.setdefault(segment, np.zeros(like.shape, bool))
        if frame.any():
            mask[_voxels(name, _corner(own, shared), np.argwhere(frame), like)] = True
    return masks


def _corner(own: Any, shared: Any) -> NDArray[np.float64]:
    """Return where the first pixel of a frame lies, and the steps to the next row and column: (3, 3), mm in RAS."""

    def group(keyword: str) -> Any:
        return (own if keyword in own else shared)[keyword].value[0]

    position = np.array(group("PlanePositionSequence").ImagePositionPatient, float)
    orientation = np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float)
    rows, columns = (float(size) for size in group("PixelMeasuresSequence").PixelSpacing)
    return np.asarray(np.stack([position, orientation[3:] * rows, orientation[:3] * columns]) * _LPS_TO_RAS)


def _voxels(
    name: str, corner: NDArray[np.float64], pixels: NDArray[np.int64], like: Geometry
) -> tuple[NDArray[np.int64], ...]:
    """Return the voxels of the image at which pixels, (N, 2), lie."""
    places = like.to_voxel(corner[0] + pixels @ corner[1:])
    voxels = np.round(places).astype(np.int64)
    away = float(np.abs(places - voxels).max())
    world = float(np.abs(like.to_world(voxels) - corner[0] - pixels @ corner[1:]).max())
    outside = bool((voxels < 0).any() or (voxels >= np.array(like.shape)).any())
    if outside or away > _ON_GRID * 10 or world > _ON_GRID * 10 * max(like.spacing):
        reason = "does not lie on the image: " + ("parts are outside of it" if outside else "its voxels are others")
        raise GeometryError(name, reason, "Open the series that it was made on, or resample it.")
    return tuple(voxels.T)


def _stacked(name: str, masks: dict[int, NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return one label for each voxel: large segments first, so that what lies inside them is on top."""
    labels = np.zeros(shape, np.uint16)
    for number, mask in sorted(masks.items(), key=lambda each: (-np.count_nonzero(each[1]), each[0])):
        for other, count in _counted(labels[mask]):
            if other and count < np.count_nonzero(mask):
                reason = f"has segments {other} and {number} that overlap, neither inside the other"
                raise UnsupportedDataError(name, reason, "One voxel holds one label here: export them apart.")
        labels[mask] = number
    return labels


def _counted(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    found, counts = np.unique(values, return_counts=True)
    yield from zip(found.tolist(), counts.tolist(), strict=True)
