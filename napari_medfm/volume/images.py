"""Two-dimensional pictures: PNG and JPEG through Pillow, TIFF through tifffile.

They say nothing of the patient: their position is unknown and 1 pixel counts as 1 mm.
"""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_medfm.errors import (
    GeometryError,
    TooLargeError,
    UnreadableFileError,
    UnsupportedDataError,
    VolumeError,
    WriteError,
)
from napari_medfm.files import atomic_write
from napari_medfm.volume.choices import choose
from napari_medfm.volume.geometry import Geometry, SourceGrid
from napari_medfm.volume.intensities import intensity_notes
from napari_medfm.volume.limits import check_memory
from napari_medfm.volume.orientation import plain_grid, to_canonical, to_source, unplaced_geometry
from napari_medfm.volume.payload import FETCH_AGAIN, file_identity, first_bytes, in_brief
from napari_medfm.volume.volume import Volume

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", *TIFF_SUFFIXES)

_KEY = "image"
_ORIENTATION_TAG = 0x0112
_UPRIGHT: dict[int, tuple[tuple[int, int], tuple[bool, bool]]] = {
    1: ((0, 1), (False, False)),
    2: ((0, 1), (False, True)),
    3: ((0, 1), (True, True)),
    4: ((0, 1), (True, False)),
    5: ((1, 0), (False, False)),
    6: ((1, 0), (False, True)),
    7: ((1, 0), (True, True)),
    8: ((1, 0), (True, False)),
}
"""EXIF orientation: which stored axes become rows and columns, and which are flipped."""

_PLAIN_MODES = {
    "L": np.uint8,
    "I;16": np.uint16,
    "I;16B": np.uint16,
    "I;16L": np.uint16,
    "I": np.int32,
    "F": np.float32,
}
_COLOUR_CHANNELS = 3
_TIFF_FAULTS = (
    *(tifffile.TiffFileError, struct.error, zlib.error, OSError),
    *(ValueError, KeyError, IndexError, TypeError, ZeroDivisionError),
)
"""What tifffile raises on damaged files: it trusts sizes, offsets and counts."""

_UNTOUCHED = "Nothing was replaced. Try again, or write to another disk."
_CROP = "Crop it, or cut it into tiles."


@dataclass(frozen=True, slots=True)
class _Picture:
    """Stored pixels, (rows, columns[, 3]), with the EXIF orientation and what was changed."""

    pixels: NDArray[Any]
    orientation: int = 1
    notes: tuple[str, ...] = ()


def read_image(path: Path, choice: int | None = None, limit: int | None = None) -> Volume:
    """Read a grey or RGB picture as a 2-D volume.

    A photograph's EXIF orientation is applied, as viewers do, and undone when
    labels are written. Alpha is dropped; colour of equal channels becomes grey.

    Parameters
    ----------
    path : Path
        A PNG, JPEG or TIFF file.
    choice : int, optional
        Which page, counted from 0, of a file with several.
    limit : int, optional
        Bytes of memory that may be used; by default most of what is free.

    Raises
    ------
    UnreadableFileError
        Missing, damaged or truncated.
    UnsupportedDataError
        A pixel type or compression that is not read.
    TooLargeError
        More pixels than may be decoded.
    ChoiceRequiredError
        Several pages and no `choice`.
    """
    is_tiff = path.name.lower().endswith(TIFF_SUFFIXES)
    picture = (_read_tiff if is_tiff else _read_picture)(path, choice, limit)
    pixels, notes = _grey_if_equal(picture.pixels)
    axes, flips = _UPRIGHT[picture.orientation]
    header = {_KEY: {"orientation": picture.orientation}, "file": file_identity(path)}
    source = SourceGrid(pixels.shape[:2], np.eye(4), axes, flips, header)
    if picture.orientation != 1:
        notes += ("The picture is shown turned as its EXIF orientation says; labels are saved in its stored order",)
    array = np.ascontiguousarray(to_canonical(pixels, source))
    notes = (*picture.notes, *notes, *intensity_notes(array), "The size of a pixel is not known: 1 mm is assumed")
    return Volume(array, unplaced_geometry(source, notes=notes), name=path.stem)


def read_label_image(path: Path, like: Geometry) -> NDArray[Any]:
    """Read label values of a picture, stored in the pixel order of the image file, in canonical axes.

    Palette images give their indices, whatever colours those show.

    Raises
    ------
    UnsupportedDataError
        JPEG, whose compression changes labels, or colour.
    GeometryError
        Another size than the image's.
    """
    if path.name.lower().endswith((".jpg", ".jpeg")):
        raise UnsupportedDataError(path.name, "is JPEG, which changes label values", "Save labels as PNG or TIFF.")
    is_tiff = path.name.lower().endswith(TIFF_SUFFIXES)
    pixels = _read_tiff(path, None, None).pixels if is_tiff else _read_picture(path, None, None, indices=True).pixels
    pixels, _ = _grey_if_equal(pixels)
    source = image_grid(like)
    if pixels.ndim > 2:
        raise UnsupportedDataError(path.name, "shows labels as colours", "Save them as numbers: 0, 1, 2 and so on.")
    if pixels.shape != source.shape:
        reason = f"is {_size(pixels.shape)} pixels, the image {_size(source.shape)}"
        raise GeometryError(path.name, reason, "Use the labels made on this image.")
    return to_canonical(pixels, source)


def write_image(path: Path, array: NDArray[Any], geometry: Geometry) -> Path:
    """Write a 2-D canonical array in the pixel order of its file, read it again and compare.

    Parameters
    ----------
    path : Path
        A PNG or TIFF name.
    array : ndarray
        uint8 or uint16 for PNG, any real type for TIFF; (rows, columns) or uint8 (rows, columns, 3).
    geometry : Geometry
        The image's.

    Raises
    ------
    WriteError
        JPEG, a volume, a type the format lacks, or read back different.
    """
    name = path.name.lower()
    is_tiff = name.endswith(TIFF_SUFFIXES)
    if name.endswith((".jpg", ".jpeg")):
        raise WriteError(
            path.name, "would be changed by JPEG compression", "Use a name ending in .png, .tif or .nii.gz."
        )
    if geometry.ndim != 2 or (not is_tiff and array.dtype not in (np.uint8, np.uint16)):
        raise WriteError(path.name, "cannot hold this image", "Use a name ending in .nii.gz.")
    stored = np.ascontiguousarray(to_source(array, image_grid(geometry)))
    write = _tiff_writer(stored) if is_tiff else _png_writer(stored)

    def verify(temporary: Path) -> None:
        try:
            read = _read_tiff(temporary, None, None) if is_tiff else _read_picture(temporary, None, None)
        except VolumeError as error:
            raise WriteError(path.name, f"could not be read back: {error.reason}", _UNTOUCHED) from error
        if not np.array_equal(read.pixels, stored, equal_nan=stored.dtype.kind == "f"):
            raise WriteError(path.name, "read back different from what was written", _UNTOUCHED)

    return atomic_write(path, write, verify)


def image_grid(geometry: Geometry) -> SourceGrid:
    """Return the pixel order in which pictures of this image are stored."""
    if geometry.source is not None and _KEY in geometry.source.header:
        return geometry.source
    return plain_grid(geometry.shape, tuple(range(geometry.ndim)))


def _read_picture(path: Path, choice: int | None, limit: int | None, *, indices: bool = False) -> _Picture:
    with _decoding(path, limit):
        with Image.open(path) as image:
            image.verify()  # every chunk's checksum; Pillow's decoder does not look
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            image.seek(choose(path.name, "pages", _labels(count), choice))
            check_memory(path.name, image.width * image.height * 8, limit, _CROP)
            pixels, notes = _pixels(image, indices)
            orientation = int(image.getexif().get(_ORIENTATION_TAG, 1))
    if path.suffix.lower() == ".png" and _is_deep_colour(first_bytes(path, 26)):
        notes += ("The 16-bit colours are shown with 8 bits",)
    return _Picture(pixels, orientation if orientation in _UPRIGHT else 1, notes)


@contextmanager
def _decoding(path: Path, limit: int | None) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise UnreadableFileError(path.name, "is not the picture its name says", FETCH_AGAIN) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(path.name, "declares more pixels than a picture may have", _CROP) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableFileError(path.name, f"is damaged ({in_brief(error)})", FETCH_AGAIN) from error


def _pixels(image: Image.Image, indices: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
    mode = image.mode
    if indices and mode in ("P", "1"):
        return np.asarray(image).astype(np.uint8), ()
    if mode in _PLAIN_MODES:
        return np.asarray(image).astype(_PLAIN_MODES[mode]), ()
    if mode == "1":
        return np.asarray(image.convert("L")), ()
    notes: tuple[str, ...] = ()
    if image.has_transparency_data:
        notes = ("The picture's transparency was left out",)
    if mode == "LA":
        return np.asarray(image)[..., 0].copy(), notes
    if mode not in ("RGB", "RGBA", "P"):
        notes += (f"The picture's {mode} colours were converted to RGB",)
    colour = np.asarray(image.convert("RGBA" if mode == "P" and notes else "RGB") if mode != "RGBA" else image)
    return np.ascontiguousarray(colour[..., :3]), notes


def _is_deep_colour(start: bytes) -> bool:
    """Whether a PNG header declares 16-bit colour, which Pillow reduces to 8 bits."""
    return len(start) >= 26 and start[24] == 16 and start[25] in (2, 6)


def _read_tiff(path: Path, choice: int | None, limit: int | None) -> _Picture:
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [(series, index) for series in tiff.series for index in range(_page_count(series))]
            series, index = pages[choose(path.name, "pages", _labels(len(pages)), choice)]
            check_memory(path.name, 2 * int(series.nbytes), limit, _CROP)
            tag = series.keyframe.tags.get(_ORIENTATION_TAG)
            pixels, notes = _tiff_pixels(path.name, series, index)
    except _TIFF_FAULTS as error:
        if "imagecodecs" in str(error):
            step = 'Install it with "pip install imagecodecs", or save the file without compression.'
            raise UnsupportedDataError(path.name, "needs the package imagecodecs to be decompressed", step) from error
        raise UnreadableFileError(path.name, f"is damaged or no TIFF file ({in_brief(error)})", FETCH_AGAIN) from error
    orientation = int(tag.value) if tag is not None else 1
    return _Picture(pixels, orientation if orientation in _UPRIGHT else 1, notes)


def _labels(count: int) -> list[str]:
    return [f"page {index + 1} of {count}" for index in range(count)]


def _page_count(series: tifffile.TiffPageSeries) -> int:
    return prod(size for size, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS")


def _tiff_pixels(name: str, series: tifffile.TiffPageSeries, index: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    axes: str = series.axes
    array = np.asarray(series.asarray())
    in_page = [axes.index(axis) for axis in "YXS" if axis in axes]
    outer = [axis for axis in range(array.ndim) if axis not in in_page]
    page = np.transpose(array, (*outer, *in_page)).reshape(-1, *(array.shape[axis] for axis in in_page))[index]
    photometric = series.keyframe.photometric
    if page.ndim > 2:
        return _tiff_colour(name, page, photometric)
    if page.dtype.kind == "c":
        raise UnsupportedDataError(name, "holds complex numbers", "Convert it to real numbers, such as the magnitude.")
    if page.dtype.kind == "b":
        page = page.astype(np.uint8) * np.uint8(255)
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        return (series.keyframe.colormap[:, page].transpose(1, 2, 0) >> 8).astype(np.uint8), ()
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.dtype.kind == "u":
        return np.iinfo(page.dtype).max - page, ("The file stores white as 0: values were inverted",)
    return page.astype(page.dtype.newbyteorder("=")), ()


def _tiff_colour(name: str, page: NDArray[Any], photometric: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    channels = page.shape[-1]
    if photometric == tifffile.PHOTOMETRIC.MINISBLACK and channels <= 2:
        return page[..., 0], ("The picture's transparency was left out",) if channels == 2 else ()
    if photometric not in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR) or channels < _COLOUR_CHANNELS:
        raise UnsupportedDataError(name, f"has {channels} channels that are not RGB", "Save one channel, or RGB.")
    notes = ("The picture's transparency was left out",) if channels > _COLOUR_CHANNELS else ()
    if page.dtype == np.uint16:
        page, notes = (page >> 8).astype(np.uint8), (*notes, "The 16-bit colours are shown with 8 bits")
    if page.dtype != np.uint8:
        raise UnsupportedDataError(name, f"has {page.dtype.name} colours", "Save the colours with 8 bits.")
    return page[..., :_COLOUR_CHANNELS], notes


def _grey_if_equal(pixels: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    if pixels.ndim < 3 or not (pixels[..., :1] == pixels[..., 1:]).all():
        return pixels, ()
    return pixels[..., 0], ("The three colour channels are equal: read as grey",)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _png_writer(stored: NDArray[Any]) -> Callable[[Path], None]:
    return lambda temporary: Image.fromarray(stored).save(temporary, format="PNG")


def _tiff_writer(stored: NDArray[Any]) -> Callable[[Path], None]:
    photometric = "rgb" if stored.ndim > 2 else "minisblack"
    return lambda temporary: tifffile.imwrite(
        temporary, stored, photometric=photometric, compression="zlib", metadata=None
    )
