"""What a NIfTI header says, judged before a voxel is read.

nibabel parses the fields; what they may be is decided here, because nibabel
accepts or repairs silently much that would put labels in the wrong place.
"""

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError
from napari_medfm.volume.payload import FETCH_AGAIN

HEADER_BYTES = 540
"""Size of the larger of the two headers, NIfTI-2's."""

POSITION_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
"""Header fields that say where the voxels lie, copied into every label file."""

_SFORM_FIELDS = ("srow_x", "srow_y", "srow_z")
_QFORM_FIELDS = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_CIFTI_INTENTS = range(3000, 3100)
_REAL_PART = "Convert it to real numbers first, for example its magnitude."
_REFUSED_TYPES = {
    0: ("an unnamed type of data", "Check the program that wrote it."),
    1: ("single bits", "Convert it to uint8 first."),
    32: ("complex numbers (complex64)", _REAL_PART),
    1536: ("extended-precision numbers (float128)", "Convert it to float64 first."),
    1792: ("complex numbers (complex128)", _REAL_PART),
    2048: ("complex numbers (complex256)", _REAL_PART),
}
"""By NIfTI data type code: what is refused, and the next step."""
_FLATTEST = 1e-4  # determinant over product of the axis lengths; below it the axes lie in a plane
_FORMS_AGREE = 0.25  # voxels: single-precision quaternions err by up to 0.15 in a correct file
_PERPENDICULAR = 1e-3  # cosine between two axes


@dataclass(frozen=True, slots=True)
class Content:
    """Which voxels a NIfTI file declares.

    Attributes
    ----------
    shape : tuple of int
        All axes the header declares.
    dtype : numpy.dtype
        Stored type, in the file's byte order; structured for RGB.
    offset : int
        Position of the first voxel in the decompressed file.
    slope, intercept : float
        Stored values to real ones; 1 and 0 if the header gives no usable scale.
    notes : tuple of str
        What was doubted.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    notes: tuple[str, ...]

    @property
    def voxels(self) -> int:
        """Number of voxels over all axes."""
        return prod(self.shape)

    @property
    def end(self) -> int:
        """Position just after the last voxel."""
        return self.offset + self.voxels * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Position:
    """Where a NIfTI file says its voxels lie.

    Attributes
    ----------
    affine : ndarray, (4, 4)
        File voxel indices of the first three axes to RAS mm.
    known : bool
        False if the affine is a guess.
    fields : dict
        Header fields, with what was broken taken out, that reproduce `affine`.
    notes : tuple of str
        What was converted or doubted.
    """

    affine: NDArray[np.float64]
    known: bool
    fields: dict[str, Any]
    notes: tuple[str, ...]


def parse_header(name: str, start: bytes) -> nib.Nifti1Header:
    """Parse the first bytes of a single-file NIfTI-1 or NIfTI-2, in either byte order.

    Parameters
    ----------
    name : str
        File name for messages.
    start : bytes
        The first `HEADER_BYTES` bytes, or all there are.

    Raises
    ------
    UnreadableFileError
        No NIfTI header.
    UnsupportedDataError
        A relative of NIfTI: Analyze, a header/image pair, CIFTI.
    """
    magic = {344: start[344:348], 4: start[4:8]}
    if magic[344] == b"n+1\0" and len(start) >= 348:
        header = nib.Nifti1Header(start[:348], _byte_order(start, 348), check=False)
    elif magic[4] == b"n+2\0" and len(start) >= 540:
        header = nib.Nifti2Header(start[:540], _byte_order(start, 540), check=False)
    elif b"ni1\0" in magic.values() or b"ni2\0" in magic.values() or _is_analyze(start):
        step = "Convert it to a single .nii or .nii.gz file, for example with nibabel."
        raise UnsupportedDataError(name, "is an Analyze file or one half of a header/image pair", step)
    else:
        raise UnreadableFileError(name, "is not a NIfTI file: its header is missing or damaged", FETCH_AGAIN)
    if int(header["intent_code"]) in _CIFTI_INTENTS:
        raise UnsupportedDataError(name, "holds CIFTI connectivity data, not an image", "Open the volume it came from.")
    return header


def read_content(name: str, header: nib.Nifti1Header) -> Content:
    """Judge shape, type and scaling.

    Raises
    ------
    UnreadableFileError
        Impossible numbers of axes, sizes or offset, or an unknown type.
    UnsupportedDataError
        Complex or extended-precision values, or an empty axis.
    """
    shape = _shape(name, header)
    offset = float(header["vox_offset"])
    least = int(header["sizeof_hdr"])
    if not isfinite(offset) or offset < least or offset != int(offset):
        raise UnreadableFileError(name, f"places its voxels at byte {offset:g}, inside its header", FETCH_AGAIN)
    dtype = _dtype(name, header)
    slope, intercept, notes = _scaling(header)
    if "A" in (dtype.names or ()):
        notes += ("The colours' transparency was left out",)
    return Content(shape, dtype, int(offset), slope, intercept, notes)


def read_position(header: nib.Nifti1Header) -> Position:
    """Judge where the voxels lie: sform before qform before bare voxel sizes.

    A transform that cannot be used is left out with a note; with none left the
    grid is placed as nibabel does, and `Position.known` is False.
    """
    mended, size_notes = _with_sizes_mended(header)
    sform, sform_notes = _usable_sform(mended)
    qform, qform_notes = _usable_qform(mended)
    notes = [*size_notes, *sform_notes, *qform_notes]
    if sform is not None:
        affine, known = sform, True
        notes += _disagreement(mended, sform, qform)
    elif qform is not None:
        affine, known = qform, not size_notes
    else:
        affine, known = mended.get_base_affine(), False
        notes.append("The file does not say where it lies: orientation letters and sides are guesses")
    fields = _fields(mended, keep_sform=sform is not None, keep_qform=qform is not None)
    unit = int(header["xyzt_units"]) & 7
    if unit in _UNIT_NAMES:
        notes.append(f"The header counts in {_UNIT_NAMES[unit]}, shown here in mm")
    affine = np.diag([_MILLIMETRES.get(unit, 1.0)] * 3 + [1.0]) @ affine
    notes += _shear(affine)
    return Position(affine, known, fields, tuple(notes))


def _byte_order(start: bytes, size: int) -> str:
    """Return the order in which the header's own size reads right; nibabel would look at the damageable axes."""
    return ">" if int.from_bytes(start[:4], "big") == size else "<"


def _is_analyze(start: bytes) -> bool:
    return len(start) >= 348 and start[:4] in {b"\x5c\x01\0\0", b"\0\0\x01\x5c"} and start[38:39] == b"r"


def _shape(name: str, header: nib.Nifti1Header) -> tuple[int, ...]:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise UnreadableFileError(name, f"declares {count} axes", FETCH_AGAIN)
    shape = tuple(int(size) for size in header["dim"][1 : count + 1])
    if min(shape) < 0:
        raise UnreadableFileError(name, f"declares a negative size {shape}", FETCH_AGAIN)
    if min(shape) == 0:
        raise UnsupportedDataError(name, f"has an empty axis {shape}", "Check the program that wrote it.")
    return shape


def _dtype(name: str, header: nib.Nifti1Header) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in _REFUSED_TYPES:
        what, step = _REFUSED_TYPES[code]
        raise UnsupportedDataError(name, f"holds {what}", step)
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise UnreadableFileError(name, f"declares the unknown data type {code}", FETCH_AGAIN) from error
    return dtype


def _scaling(header: nib.Nifti1Header) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not isfinite(slope) or not isfinite(intercept):
        note = f"The header's scale ({slope:g}, {intercept:g}) cannot be used: stored values are shown unscaled"
        return 1.0, 0.0, (note,)
    return slope, intercept, ()


def _with_sizes_mended(header: nib.Nifti1Header) -> tuple[nib.Nifti1Header, list[str]]:
    mended = header.copy()
    sizes = mended["pixdim"].astype(np.float64)
    stated = sizes[1 : min(int(header["dim"][0]), 3) + 1].copy()
    usable = np.isfinite(sizes) & (sizes != 0)
    mended["pixdim"] = np.where(usable, np.abs(sizes), 1.0)
    mended["pixdim"][0] = -1.0 if sizes[0] < 0 else 1.0
    if (np.isfinite(stated) & (stated > 0)).all():
        return mended, []
    words = " x ".join(f"{size:g}" for size in stated)
    return mended, [f"The header's voxel size ({words}) has values that are not positive: taken as positive, zero as 1"]


def _usable_sform(header: nib.Nifti1Header) -> tuple[NDArray[np.float64] | None, list[str]]:
    if int(header["sform_code"]) <= 0:
        return None, []
    affine = np.asarray(header.get_sform(), dtype=np.float64)
    if _spans_space(affine):
        return affine, []
    return None, ["The header's sform is zero, not a number or flat, and was not used"]


def _usable_qform(header: nib.Nifti1Header) -> tuple[NDArray[np.float64] | None, list[str]]:
    if int(header["qform_code"]) <= 0:
        return None, []
    note = "The header's qform has an impossible rotation or position, and was not used"
    if not all(isfinite(float(header[field])) for field in _QFORM_FIELDS):
        return None, [note]
    try:
        affine = np.asarray(header.get_qform(), dtype=np.float64)
    except ValueError:  # the quaternion is longer than 1
        return None, [note]
    return (affine, []) if _spans_space(affine) else (None, [note])


def _spans_space(affine: NDArray[np.float64]) -> bool:
    if not np.isfinite(affine).all():
        return False
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    box = float(np.prod(np.linalg.norm(affine[:3, :3], axis=0)))
    return box > 0 and volume / box > _FLATTEST


def _disagreement(header: nib.Nifti1Header, sform: NDArray[np.float64], qform: NDArray[np.float64] | None) -> list[str]:
    if qform is None:
        return []
    shape = [int(size) for size in header["dim"][1:4]]
    distance = corner_distance(shape, sform, qform)
    if distance <= _FORMS_AGREE:
        return []
    return [f"The sform and qform differ by up to {distance:.1f} voxels: the sform was used, other programs may not"]


def corner_distance(shape: list[int], affine: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return by how many voxels of `affine` the corners of a grid move under `other`, at most."""
    size = np.maximum(np.asarray([*shape, 1, 1, 1][:3]), 1) - 1
    corners = np.array(np.meshgrid(*[(0, last) for last in size])).reshape(3, -1)
    points = np.vstack([corners, np.ones(8)])
    moved = np.linalg.inv(affine) @ other @ points
    return float(np.abs(moved - points).max())


def _shear(affine: NDArray[np.float64]) -> list[str]:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if cosine <= _PERPENDICULAR:
        return []
    degrees = np.degrees(np.arccos(min(cosine, 1.0)))
    return [f"The axes of this image are not perpendicular ({degrees:.1f} degrees): distances are approximate"]


def _fields(header: nib.Nifti1Header, *, keep_sform: bool, keep_qform: bool) -> dict[str, Any]:
    fields = {field: header[field].copy() for field in POSITION_FIELDS}
    fields["pixdim"] = header["pixdim"][:4].copy()
    dropped = [] if keep_sform else ["sform_code", *_SFORM_FIELDS]
    dropped += [] if keep_qform else ["qform_code", *_QFORM_FIELDS]
    return fields | {field: np.zeros_like(fields[field]) for field in dropped}
