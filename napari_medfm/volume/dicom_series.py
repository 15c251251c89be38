"""How the slices of one stack lie in space, and whether that is a volume.

Positions come from ImagePositionPatient alone, sorted along the normal of the
slices: instance numbers, thickness and SpacingBetweenSlices are often wrong.
Nothing is averaged or filled in: an uneven series is refused with its positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import GeometryError, UnsupportedDataError
from napari_medfm.volume.dicom_headers import SliceHeader, series_name
from napari_medfm.volume.dicom_stacks import SAME_DIRECTION, heights, without_copies

_EVEN = 0.05
"""Part of the slice distance by which a slice may be out of place: scanners round positions."""
_LEAST = 0.02  # mm, the same for thin slices
_TOLD = 0.01  # mm from which a slice out of place is told
_TILT = 0.5  # degrees between stacking direction and normal from which it is told
_STEEPEST = 45.0  # degrees that a gantry tilts, generously
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EXPORT = "Export the whole series again, each acquisition as a series of its own."


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Slices in order along their normal.

    Attributes
    ----------
    slices : tuple of SliceHeader
        Lowest first.
    affine : ndarray, (4, 4)
        (column, row, slice) to RAS mm; sheared if the gantry was tilted.
    notes : tuple of str
        What is to be known of it, one sentence each.
    """

    slices: tuple[SliceHeader, ...]
    affine: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def arrange(stack: Sequence[SliceHeader]) -> Arrangement:
    """Put the slices of a stack in order and find their affine.

    Parameters
    ----------
    stack : sequence of SliceHeader
        Of one direction and size, as `dicom_stacks.split` makes them.

    Raises
    ------
    UnsupportedDataError
        Pixels that are no grey values, or frames without a place.
    GeometryError
        No position, gaps, duplicates, uneven distances, or slices shifted sideways.
    """
    slices = without_copies(stack)
    name = series_name(slices)
    for header in slices:
        check_grey(header)
        _check_placed(header)
    across, down = _directions(name, slices)
    normal = np.cross(across, down)
    places = heights(slices)
    order = [int(index) for index in np.argsort(places, kind="stable")]
    slices, places = tuple(slices[index] for index in order), places[order]
    positions = np.array([header.position for header in slices], dtype=np.float64)
    _check_duplicates(name, places, [header.name for header in slices])
    uneven = _check_even(name, places)
    step, askew = _step(name, positions, normal, slices[0])
    row_step, column_step = slices[0].spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([across * column_step, down * row_step, step], axis=1)
    affine[:3, 3] = positions[0]
    return Arrangement(slices, _LPS_TO_RAS @ affine + 0.0, (*uneven, *askew))  # no negative zeros


def check_grey(header: SliceHeader) -> None:
    """Refuse what holds no grey values of one slice.

    Raises
    ------
    UnsupportedDataError
        Frames without a place, colour, odd bit depths, lookup tables.
    """
    convert = "Convert it to NIfTI first, for example with dcm2niix."
    if header.frames > 1:
        reason = f"is a multi-frame image ({header.frames} frames) that does not say where each frame lies"
        raise UnsupportedDataError(header.name, reason, convert)
    if header.samples > 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedDataError(header.name, f"is a colour image ({header.photometric})", "Save it as PNG first.")
    if header.kind[0] not in (8, 16, 32):
        raise UnsupportedDataError(header.name, f"stores {header.kind[0]} bits per pixel", convert)
    if header.has_table:
        raise UnsupportedDataError(header.name, "gives its values by a modality lookup table", convert)


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
    orientation = np.array(slices[0].orientation, dtype=np.float64)
    across, down = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > SAME_DIRECTION or abs(across @ down) > SAME_DIRECTION:
        raise GeometryError(name, "has an ImageOrientationPatient that is no pair of perpendicular directions", _EXPORT)
    spacing = slices[0].spacing or (1.0, 1.0)
    if min(spacing) <= 0:
        raise GeometryError(name, f"has a PixelSpacing of {min(spacing):g} mm", _EXPORT)
    return across / lengths[0], down / lengths[1]


def _check_duplicates(name: str, heights: NDArray[np.float64], names: Sequence[str]) -> None:
    double = np.flatnonzero(np.diff(heights) < _LEAST / 2)
    if double.size:
        first = int(double[0])
        where = ", ".join(f"{heights[index]:.2f}" for index in double[:5])
        reason = f"has several slices at the same place (at {where} mm; {names[first]} and {names[first + 1]})"
        raise GeometryError(name, reason, _EXPORT)


def _check_even(name: str, heights: NDArray[np.float64]) -> tuple[str, ...]:
    """Return what to tell of slices that are a little out of place."""
    distances = np.diff(heights)
    if distances.size < 2:
        return ()
    usual, least = float(np.median(distances)), float(distances.min())
    even = heights[0] + np.linspace(0, heights[-1] - heights[0], len(heights))
    out_of_place = float(np.abs(heights - even).max())
    if out_of_place <= max(_EVEN * usual, _LEAST):
        words = f"Slices lie up to {out_of_place:.2f} mm beside even distances, as if their positions had been rounded"
        return (words,) if out_of_place > _TOLD else ()
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
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the way from slice to slice in mm, and what to tell of it."""
    if len(positions) == 1:
        return np.asarray(normal * header.thickness), ()
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    height = float(step @ normal)
    sideways = float(np.linalg.norm(step - height * normal))
    even = positions[0] + np.arange(len(positions))[:, None] * step
    shifted = float(np.linalg.norm(positions - even, axis=1).max())
    if shifted > max(_EVEN * height, _LEAST) + min(header.spacing or (1.0,)) / 2:
        raise GeometryError(name, f"has slices shifted sideways by up to {shifted:.2f} mm", _EXPORT)
    tilt = float(np.degrees(np.arctan2(sideways, height)))
    if tilt > _STEEPEST:
        reason = f"has slices stacked askew by {tilt:.1f} degrees, more than any gantry tilts"
        raise GeometryError(name, reason, _EXPORT)
    told = (
        f"The gantry was tilted by {tilt:.1f} degrees: each slice lies {sideways:.2f} mm further sideways than the one "
        "before. Positions in mm are right; coronal and sagittal planes look askew"
    )
    beside = f"Slices lie up to {shifted:.2f} mm sideways of a straight stack"
    return np.asarray(step), (*((told,) if tilt > _TILT else ()), *((beside,) if shifted > _TOLD else ()))
