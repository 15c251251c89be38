"""Writing files so that a crash leaves the old file or the new one, never half of one."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_medfm.errors import WriteError

_BLOCK = 1 << 20

# Some network and user-space file systems answer this to the flush of a folder; the file itself is on the disk by then.
_FLUSH_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP}


def atomic_write(
    path: Path,
    write: Callable[[Path], None],
    verify: Callable[[Path], None] | None = None,
) -> Path:
    """Write a file completely or not at all.

    The content goes to a temporary file in the same folder (same suffixes, so
    that writers which choose a format by name work), is flushed to the disk,
    read back by `verify`, and only then moved over `path`; the folder is flushed
    last, so that the new name itself survives a power loss. A file that is
    replaced keeps its permissions.

    Parameters
    ----------
    path : Path
        The file to create or replace.
    write : callable
        Writes the content to the path it is given.
    verify : callable, optional
        Reads the temporary file again and raises if it is not what was meant.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    WriteError
        The disk is full, the folder is not writable, or the content did not read back equal.
    """
    path = Path(path)
    try:
        with _temporary_beside(path) as temporary:
            write(temporary)
            flush_file(temporary)
            if verify is not None:
                verify(temporary)
            if path.exists():
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        reason = f"could not be written ({error.strerror or error})"
        step = "Check free space and permissions, or choose another folder."
        raise WriteError(path.name, reason, step) from error
    return path


def atomic_write_bytes(path: Path, content: bytes) -> Path:
    """Write bytes completely or not at all, and compare what was written.

    Raises
    ------
    WriteError
        As in `atomic_write`.
    """

    def verify(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise WriteError(path.name, "read back different from what was written", "Try another disk.")

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return atomic_write(path, write, verify)


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can read, and return it.

    Embeddings and journals are patient data: the folder gets mode 0700.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def flush_file(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def flush_folder(path: Path) -> None:
    """Force a folder's entries to the disk, where the platform allows it."""
    if os.name == "nt":  # Windows cannot open a folder; NTFS journals renames itself.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FLUSH_NOT_OFFERED:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    suffix = "".join(path.suffixes[-2:])
    temporary = path.with_name(f".medfm-{secrets.token_hex(8)}{suffix}")
    # Not tempfile, whose files only their owner may read: an export belongs to whomever the umask says.
    temporary.touch(exist_ok=False)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
