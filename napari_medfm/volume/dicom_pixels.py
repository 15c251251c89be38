"""The pixels of DICOM slices: decoding, rescaling, and what to tell of the values."""

import struct
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError, UnsupportedDataError
from napari_medfm.volume.dicom_headers import SliceHeader, series_name
from napari_medfm.volume.dicom_stacks import copies
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.payload import FETCH_AGAIN, in_brief

PIXEL_FAULTS = (
    *(ValueError, KeyError, AttributeError, TypeError, IndexError),
    *(RuntimeError, NotImplementedError, OSError, EOFError, struct.error),
)
"""What pydicom and its codecs raise on damaged files."""

_PACKAGES = {"JPEG 2000": "pylibjpeg pylibjpeg-openjpeg", "JPEG": "python-gdcm"}
_EXTENDED = "1.2.840.10008.1.2.4.51"  # lossy JPEG, of whose 12 bits GDCM decodes 8
_GPL = "pylibjpeg pylibjpeg-libjpeg"
_NONE_NEEDED = "pydicom"
_MEASURED = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities whose values mean something by themselves, however they are to be shown."""

_SCALED_BYTES = 8  # of a voxel while it is rescaled
_MEMORY_STEP = "Open it on a machine with more memory."


def check_codecs(slices: Sequence[SliceHeader]) -> None:
    """Refuse a compression that is not read, or whose decoder is not installed.

    Raises
    ------
    UnsupportedDataError
        One of the two; the package that is missing is named with its command.
    """
    pixels, uids = import_module("pydicom.pixels"), import_module("pydicom.uid")
    for syntax, bits in {(header.transfer_syntax, header.kind[1]) for header in slices}:
        uid = uids.UID(syntax)
        name = series_name(slices)
        try:
            plugins = pixels.get_decoder(uid).available_plugins if uid.is_compressed else (_NONE_NEEDED,)
        except (NotImplementedError, ValueError) as error:
            reason = f"is stored in a way that is not read ({_words(uid)})"
            raise UnsupportedDataError(name, reason, "Export it uncompressed, or as JPEG 2000.") from error
        deep = syntax == _EXTENDED and bits > 8
        if not plugins or (deep and "pylibjpeg" not in plugins):
            packages = next((packages for word, packages in _PACKAGES.items() if word in uid.name), "pylibjpeg")
            packages, licence = (_GPL, " (under the GPL)") if deep else (packages, "")
            step = f'Install it with "pip install {packages}"{licence}, or export the series uncompressed.'
            raise UnsupportedDataError(name, f"needs the package {packages.split()[-1]} to decode {uid.name}", step)


def check_copies(stack: Sequence[SliceHeader]) -> tuple[str, ...]:
    """Return what to tell of slices that lie in a folder several times.

    Raises
    ------
    UnsupportedDataError
        Two files claim to be the same slice and hold other pixels.
    """
    twins = [group for group in copies(stack) if len(group) > 1]
    for first, *others in twins:
        pixels = read_slice(first)
        for other in others:
            if not np.array_equal(pixels, read_slice(other)):
                reason = f"and {first.name} claim to be the same slice, but hold different pixels"
                raise UnsupportedDataError(other.name, reason, "Find out which one is right, and remove the other.")
    count = sum(len(group) - 1 for group in twins)
    return (f"{count} files are copies of others and are left out",) if count else ()


def read_slice(header: SliceHeader) -> NDArray[Any]:
    """Return the stored values of one slice, (rows, columns[, 3]).

    Raises
    ------
    UnreadableFileError
        Damaged, or not of the declared size and type.
    """
    return next(_stored([header]))


def read_stack(slices: Sequence[SliceHeader], limit: int | None) -> NDArray[Any]:
    """Return stored values, (slices, rows, columns), of slices that share one rescale.

    Raises
    ------
    UnreadableFileError
        Damaged pixels.
    TooLargeError
        More memory needed than allowed.
    """
    dtype = np.result_type(*{_dtype(header) for header in slices})
    shape = (len(slices), *slices[0].shape)
    check_memory(series_name(slices), int(np.prod(shape)) * (dtype.itemsize + 4), limit, _MEMORY_STEP)
    stack = np.empty(shape, dtype)
    for index, pixels in enumerate(_stored(slices)):
        stack[index] = pixels
    return stack


def read_rescaled(slices: Sequence[SliceHeader], limit: int | None) -> NDArray[np.float32]:
    """Return real values, (slices, rows, columns), each slice by the rescale of its own.

    Raises
    ------
    UnreadableFileError, TooLargeError
        As for `read_stack`.
    """
    shape = (len(slices), *slices[0].shape)
    check_memory(series_name(slices), int(np.prod(shape)) * _SCALED_BYTES, limit, _MEMORY_STEP)
    stack = np.empty(shape, np.float32)
    for index, (header, pixels) in enumerate(zip(slices, _stored(slices), strict=True)):
        stack[index] = pixels * np.float64(header.slope) + header.intercept
    return stack


def rescales(slices: Sequence[SliceHeader]) -> set[tuple[float, float]]:
    """Return the different slopes and intercepts of some slices."""
    return {(header.slope, header.intercept) for header in slices}


def rescale_notes(slices: Sequence[SliceHeader]) -> tuple[str, ...]:
    """Return what to tell of slices that are rescaled one by one."""
    if len(rescales(slices)) == 1:
        return ()
    slopes = [header.slope for header in slices]
    return (f"Each slice was rescaled by its own values (slopes {min(slopes):.4g} to {max(slopes):.4g})",)


def upright_greys(values: NDArray[Any], header: SliceHeader) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return values whose larger ones are brighter, and what to tell of them.

    MONOCHROME1 asks viewers to show low values bright. Of values that are measurements (HU, activity) that says
    nothing and they stay; those of a radiograph are turned round within the range of their bits.
    """
    if header.photometric != "MONOCHROME1":
        return values, ()
    if header.modality in _MEASURED:
        return values, ("Low values are meant to be shown bright (MONOCHROME1); values are as they were measured",)
    _, bits, signed = header.kind
    ends = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    total = sum(end * header.slope + header.intercept for end in ends)
    wide = values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)
    turned = total - wide
    kind = np.int32 if values.dtype.kind in "iu" and total == int(total) else np.float32
    return turned.astype(kind), (f"Stored inverted (MONOCHROME1): each value v was turned into {total:g} - v",)


def _stored(slices: Sequence[SliceHeader]) -> Iterator[NDArray[Any]]:
    """Yield stored values in order; the frames of a multi-frame file in one pass."""
    start = 0
    while start < len(slices):
        stop = start + 1
        while stop < len(slices) and slices[start].frame is not None and slices[stop].file == slices[start].file:
            stop += 1
        yield from _of_one_file(slices[start:stop])
        start = stop


def _of_one_file(slices: Sequence[SliceHeader]) -> Iterator[NDArray[Any]]:
    pixels = import_module("pydicom.pixels")
    frames = [header.frame or 0 for header in slices]
    found = pixels.iter_pixels(slices[0].file, indices=frames, decoding_plugin=_plugin(slices[0].transfer_syntax))
    for header in slices:
        try:
            values = np.asarray(next(found))
        except StopIteration as error:
            raise UnreadableFileError(header.name, "lacks its pixels", FETCH_AGAIN) from error
        except PIXEL_FAULTS as error:
            raise UnreadableFileError(header.name, f"has damaged pixels ({in_brief(error)})", FETCH_AGAIN) from error
        _check_declared(header, values)
        yield values


def _plugin(syntax: str) -> str:
    """Return what decodes a syntax; empty for pydicom's choice, which for JPEG 2000 is GDCM, for no good reason."""
    uid = import_module("pydicom.uid").UID(syntax)
    if "JPEG 2000" not in uid.name:
        return ""
    plugins = import_module("pydicom.pixels").get_decoder(uid).available_plugins
    return "pylibjpeg" if "pylibjpeg" in plugins else ""


def _check_declared(header: SliceHeader, values: NDArray[Any]) -> None:
    shape = header.shape if header.samples == 1 else (*header.shape, header.samples)
    dtype = _dtype(header)
    if values.shape != shape or not np.can_cast(values.dtype, dtype):
        reason = f"has {values.shape} {values.dtype.name} pixels where {shape} {dtype.name} are declared"
        raise UnreadableFileError(header.name, reason, FETCH_AGAIN)


def _dtype(header: SliceHeader) -> np.dtype[Any]:
    bits, _, signed = header.kind
    return np.dtype(f"{'i' if signed else 'u'}{bits // 8}")


def _words(uid: Any) -> str:
    return uid.name if uid.name != str(uid) else "an unknown transfer syntax"
