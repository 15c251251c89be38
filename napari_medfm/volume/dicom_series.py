"""How the slices of one DICOM series lie in space, and whether that is a plain volume.

Positions come from ImagePositionPatient alone, sorted along the normal of the
slices: instance numbers, thickness and SpacingBetweenSlices are often wrong.
Nothing is averaged or filled in: an uneven series is refused with its positions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, UnsupportedDataError

_EVEN = 0.05
"""Part of the slice distance by which a slice may be out of place: scanners round positions."""
_LEAST = 0.02  # mm, the same for thin slices
_TILT = 0.5  # degrees between stacking direction and normal
_SAME_DIRECTION = 1e-3
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EXPORT = "Export the whole series again, each acquisition as a series of its own."


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What one file says about its slice; None where it says nothing usable.

    Attributes
    ----------
    name : str
        File name.
    series : str
        SeriesInstanceUID.
    number : int
        SeriesNumber, 0 if missing.
    modality, photometric, frame_of_reference, transfer_syntax : str
        As in the file.
    shape : tuple of int
        Rows, columns.
    kind : tuple of int
        BitsAllocated, BitsStored, PixelRepresentation.
    frames, samples : int
        Frames per file and values per pixel.
    position : tuple of float or None
        ImagePositionPatient, mm in LPS.
    orientation : tuple of float or None
        ImageOrientationPatient.
    spacing : tuple of float or None
        PixelSpacing: mm between rows, between columns.
    thickness : float
        SliceThickness in mm, 1 if missing: used for a single slice only.
    slope, intercept : float
        Rescale to real values.
    has_table : bool
        Whether a modality lookup table replaces the rescale.
    """

    name: str
    series: str
    number: int
    modality: str
    photometric: str
    frame_of_reference: str
    transfer_syntax: str
    shape: tuple[int, int]
    kind: tuple[int, int, int]
    frames: int
    samples: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float
    slope: float
    intercept: float
    has_table: bool


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Slices in order along their normal.

    Attributes
    ----------
    order : tuple of int
        Indices into the given slices.
    affine : ndarray, (4, 4)
        (column, row, slice) to RAS mm.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]


def series_name(slices: Sequence[SliceHeader]) -> str:
    """Return how a series is called in messages: no patient data."""
    return f"DICOM series {slices[0].number}"


def arrange(slices: Sequence[SliceHeader]) -> Arrangement:
    """Put slices in order and find their affine.

    Raises
    ------
    UnsupportedDataError
        Multi-frame, colour, MONOCHROME1, a lookup table, or slices of different kinds.
    GeometryError
        No position, mixed orientations, gaps, duplicates, uneven distances, or gantry tilt.
    """
    name = series_name(slices)
    for header in slices:
        _check_plain(header)
    _check_same(name, slices)
    for header in slices:
        _check_placed(header)
    across, down = _directions(name, slices)
    normal = np.cross(across, down)
    positions = np.array([header.position for header in slices], dtype=np.float64)
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    _check_duplicates(name, heights[order], [slices[index].name for index in order])
    _check_even(name, heights[order])
    step = _step(name, positions[order], normal, slices[0])
    row_step, column_step = slices[0].spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([across * column_step, down * row_step, step], axis=1)
    affine[:3, 3] = positions[order[0]]
    return Arrangement(tuple(int(index) for index in order), _LPS_TO_RAS @ affine + 0.0)  # no negative zeros


def _check_plain(header: SliceHeader) -> None:
    convert = "Convert it to NIfTI first, for example with dcm2niix."
    if header.frames > 1:
        raise UnsupportedDataError(header.name, f"is a multi-frame image ({header.frames} frames)", convert)
    if header.samples > 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedDataError(header.name, f"is a colour image ({header.photometric})", "Save it as PNG first.")
    if header.photometric == "MONOCHROME1":
        raise UnsupportedDataError(header.name, "stores its values inverted (MONOCHROME1)", convert)
    if header.kind[0] not in (8, 16, 32):
        raise UnsupportedDataError(header.name, f"stores {header.kind[0]} bits per pixel", convert)
    if header.has_table:
        raise UnsupportedDataError(header.name, "gives its values by a modality lookup table", convert)


def _check_same(name: str, slices: Sequence[SliceHeader]) -> None:
    traits: dict[str, Callable[[SliceHeader], Any]] = {
        "sizes": lambda header: header.shape,
        "pixel types": lambda header: header.kind,
        "rescale values": lambda header: (header.slope, header.intercept),
        "modalities": lambda header: header.modality,
        "frames of reference": lambda header: header.frame_of_reference,
    }
    for trait, of in traits.items():
        other = next((header for header in slices if of(header) != of(slices[0])), None)
        if other is not None:
            reason = f"mixes {trait}: {slices[0].name} and {other.name} differ"
            raise UnsupportedDataError(name, reason, _EXPORT)


def _check_placed(header: SliceHeader) -> None:
    fields = {
        "ImagePositionPatient": header.position,
        "ImageOrientationPatient": header.orientation,
        "PixelSpacing": header.spacing,
    }
    missing = [field for field, value in fields.items() if value is None]
    if missing:
        reason = f"does not say where it lies: {', '.join(missing)} missing"
        raise GeometryError(header.name, reason, "Export it again as an original CT or MR image, or save it as PNG.")


def _directions(name: str, slices: Sequence[SliceHeader]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    orientations = np.array([header.orientation for header in slices], dtype=np.float64)
    spacings = np.array([header.spacing for header in slices], dtype=np.float64)
    for values, words in ((orientations, "orientations"), (spacings, "pixel sizes")):
        away = np.abs(values - values[0]).max(axis=1)
        if away.max() > _SAME_DIRECTION:
            other = slices[int(away.argmax())].name
            raise GeometryError(name, f"mixes {words}: {slices[0].name} and {other} differ", _EXPORT)
    across, down = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > _SAME_DIRECTION or abs(across @ down) > _SAME_DIRECTION:
        raise GeometryError(name, "has an ImageOrientationPatient that is no pair of perpendicular directions", _EXPORT)
    if spacings.min() <= 0:
        raise GeometryError(name, f"has a PixelSpacing of {spacings.min():g} mm", _EXPORT)
    return across / lengths[0], down / lengths[1]


def _check_duplicates(name: str, heights: NDArray[np.float64], names: Sequence[str]) -> None:
    double = np.flatnonzero(np.diff(heights) < _LEAST / 2)
    if double.size:
        first = int(double[0])
        where = ", ".join(f"{heights[index]:.2f}" for index in double[:5])
        reason = f"has several slices at the same place (at {where} mm; {names[first]} and {names[first + 1]})"
        raise GeometryError(name, reason, _EXPORT)


def _check_even(name: str, heights: NDArray[np.float64]) -> None:
    distances = np.diff(heights)
    if distances.size < 2:
        return
    usual, least = float(np.median(distances)), float(distances.min())
    even = heights[0] + np.linspace(0, heights[-1] - heights[0], len(heights))
    if np.abs(heights - even).max() <= max(_EVEN * usual, _LEAST):
        return
    steps = np.round(distances / least)
    if np.abs(distances / least - steps).max() < 2 * _EVEN:  # every distance is a whole number of slices
        words = "; ".join(
            f"{int(steps[gap]) - 1} between {heights[gap]:.2f} and {heights[gap + 1]:.2f} mm"
            for gap in np.flatnonzero(steps > 1)[:5]
        )
        raise GeometryError(name, f"lacks slices: {words}", _EXPORT)
    change = int(np.abs(distances - usual).argmax())
    where = f"{heights[change]:.2f} and {heights[change + 1]:.2f} mm"
    reason = f"has uneven slice distances, {distances.min():.2f} to {distances.max():.2f} mm (between {where})"
    raise GeometryError(name, reason, "Resample it to even distances first, or export the even part of it.")


def _step(
    name: str, positions: NDArray[np.float64], normal: NDArray[np.float64], header: SliceHeader
) -> NDArray[np.float64]:
    if len(positions) == 1:
        return np.asarray(normal * header.thickness)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    height = float(step @ normal)
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(step - height * normal), height)))
    if tilt > _TILT:
        reason = f"was taken with a tilted gantry ({tilt:.1f} degrees): its slices are stacked askew"
        raise GeometryError(name, reason, "Convert it first with a program that undoes the tilt, such as dcm2niix.")
    even = positions[0] + np.arange(len(positions))[:, None] * step
    sideways = float(np.linalg.norm(positions - even, axis=1).max())
    if sideways > max(_EVEN * height, _LEAST) + min(header.spacing or (1.0,)) / 2:
        raise GeometryError(name, f"has slices shifted sideways by up to {sideways:.2f} mm", _EXPORT)
    return np.asarray(step)
