"""Reading the voxel bytes of a file, plain or gzip, and proving that they are undamaged.

A gzip stream is always read to its end: only then has its checksum been compared.
Readers that stop at the last voxel return wrong values for most flipped bits.
Inflating is what opening a volume waits for; ISA-L does it twice as fast as zlib.
"""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from napari_medfm.errors import UnreadableFileError

GZIP_MAGIC = b"\x1f\x8b"
FETCH_AGAIN = "Fetch the file again from where it came from."

_CHUNK = 1 << 18
_PIECE = 1 << 20
_WINDOW_BITS = 31  # the largest window, gzip header and trailer expected
_MOST_INFLATED = 1032  # deflate cannot do better, so a small file cannot hold a large image
_SLACK = 1 << 24  # bytes tolerated after the last voxel


def first_bytes(path: Path, count: int) -> bytes:
    """Return up to `count` bytes from the start of a file, decompressed if it is gzip.

    Raises
    ------
    UnreadableFileError
        The file is missing, unreadable, empty or damaged.
    """
    with _opened(path) as stream:
        if is_gzip(path):
            return b"".join(_until(_inflate(path.name, stream), count))[:count]
        return stream.read(count)


def check_readable(path: Path) -> None:
    """Refuse a file that is missing, may not be read, or is empty.

    Raises
    ------
    UnreadableFileError
        One of these.
    """
    is_gzip(path)


def is_gzip(path: Path) -> bool:
    """Whether a file starts as a gzip stream does.

    Raises
    ------
    UnreadableFileError
        The file is missing, may not be read, or is empty.
    """
    with _opened(path) as stream:
        start = stream.read(len(GZIP_MAGIC))
    if not start:
        raise UnreadableFileError(path.name, "is empty", FETCH_AGAIN)
    return start == GZIP_MAGIC


def file_identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from every other, whatever its name: device and inode."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check_length(path: Path, end: int) -> None:
    """Refuse, before anything is allocated, a file too short for what its header declares.

    Parameters
    ----------
    path : Path
        The file.
    end : int
        Position just after the last voxel, in decompressed bytes.

    Raises
    ------
    UnreadableFileError
        The file cannot hold that much.
    """
    size = path.stat().st_size
    most = size * _MOST_INFLATED if is_gzip(path) else size
    if most < end:
        raise _truncated(path.name, end, most)


def read_payload(path: Path, start: int, count: int, end: int) -> NDArray[np.uint8]:
    """Read a range of bytes, and prove the rest of the file undamaged where the format allows.

    Parameters
    ----------
    path : Path
        A plain or gzip file.
    start, count : int
        The range, in decompressed bytes.
    end : int
        How many decompressed bytes the file must have at least.

    Returns
    -------
    ndarray of uint8, (count,)

    Raises
    ------
    UnreadableFileError
        Truncated, damaged (checksum), or followed by more than 16 MB of something else.
    """
    buffer = np.empty(count, np.uint8)
    with _opened(path) as stream:
        if is_gzip(path):
            _drain(path.name, stream, buffer, start, end)
            return buffer
        stream.seek(start)
        got = stream.readinto(buffer.data)
    if got != count:
        raise _truncated(path.name, end, start + got)
    return buffer


def drain_gzip(name: str, stream: BufferedReader) -> None:
    """Read a gzip stream from where it stands to its end, and compare its checksum.

    Raises
    ------
    UnreadableFileError
        Truncated or damaged.
    """
    for _ in _inflate(name, stream):
        pass


def in_brief(error: BaseException) -> str:
    """Return the first line of what a library said, without the paths that operating-system errors quote."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _drain(name: str, stream: BufferedReader, buffer: NDArray[np.uint8], start: int, end: int) -> None:
    position = 0
    stop = start + buffer.size
    for piece in _inflate(name, stream):
        low, high = max(start, position), min(stop, position + len(piece))
        if low < high:
            part = memoryview(piece)[low - position : high - position]
            buffer[low - start : high - start] = np.frombuffer(part, np.uint8)
        position += len(piece)
        if position > end + _SLACK:
            reason = "inflates to much more than its header declares"
            raise UnreadableFileError(name, reason, "Do not use this file unless you know who made it.")
    if position < end:
        raise _truncated(name, end, position)


def _inflate(name: str, stream: BufferedReader) -> Iterator[bytes]:
    """Yield the content of every member of a gzip file; checksums are compared on the way."""
    pending = stream.read(_CHUNK)
    while pending.strip(b"\0"):  # tape blocks may be padded with zeros
        inflater = isal_zlib.decompressobj(_WINDOW_BITS)
        try:
            while not inflater.eof:
                if not pending:
                    raise UnreadableFileError(name, "is cut short: its gzip stream has no end", FETCH_AGAIN)
                piece = inflater.decompress(pending, _PIECE)
                if piece:
                    yield piece
                pending = inflater.unconsumed_tail or (b"" if inflater.eof else stream.read(_CHUNK))
        except IsalError as error:  # type: ignore[misc]  # isal's stubs declare an instance
            raise UnreadableFileError(name, f"is damaged ({str(error).lower()})", FETCH_AGAIN) from error
        pending = inflater.unused_data or stream.read(_CHUNK)


def _until(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        count -= len(piece)
        if count <= 0:
            return


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UnreadableFileError(path.name, "is not there", "Check the name and the folder.") from error
    except OSError as error:
        reason = f"cannot be opened ({error.strerror})"
        raise UnreadableFileError(path.name, reason, "Check that it is a file and that you may read it.") from error


def _truncated(name: str, end: int, got: int) -> UnreadableFileError:
    return UnreadableFileError(name, f"is cut short: {end} bytes are declared, at most {got} are there", FETCH_AGAIN)
