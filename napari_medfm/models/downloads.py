"""Weights from the internet: pinned, resumed where the last attempt ended, and never in place before they are whole."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from napari_medfm.errors import WeightsError
from napari_medfm.files import private_folder
from napari_medfm.models.base import WeightsFile

Report = Callable[[int, int], None]
"""Told (bytes there, bytes in all) after each piece; what it raises stops the download, which can be resumed."""

_PIECE = 1 << 20  # bytes
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_log = logging.getLogger(__name__)


def fetch_weights(
    file: WeightsFile, folder: Path, *, mirror: str = "", offline: bool = False, report: Report | None = None
) -> Path:
    """Download a file of weights, unless it is there, and check it against its digest.

    Parameters
    ----------
    file : WeightsFile
        Which.
    folder : Path
        Where to; made if need be. An attempt that broke off leaves a ``.part`` there, and the next one goes on.
    mirror : str
        Address of a folder that holds the file under the same name, used instead of the publisher's.
    offline : bool
        Ask nobody.
    report : callable, optional
        See `Report`.

    Returns
    -------
    Path
        Of the whole file.

    Raises
    ------
    WeightsError
        Not to be had: offline, no address, no answer, no room, not over an encrypted connection, or of another
        digest. Whatever was in place before still is.
    """
    address = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
    _check(file, address, folder, offline=offline)
    _hush()
    partial = folder / f"{file.name}.part"
    try:
        found = pooch.retrieve(
            address, file.digest, file.name, folder, downloader=_Resuming(partial, file.size, report or _nothing)
        )
    except ValueError as error:  # of another digest: pooch has removed it
        step = "Try again later, or download it by hand and compare its digest with the publisher's."
        raise WeightsError(file.name, "is not what its publisher made: its digest differs", step) from error
    except (requests.RequestException, OSError) as error:
        reason = f"could not be downloaded from {urlsplit(address).hostname} ({type(error).__name__})"
        raise WeightsError(file.name, reason, "Try again: it goes on where it stopped.") from error
    return Path(found)


def verify_weights(file: WeightsFile, folder: Path) -> Path:
    """Read a downloaded file again and compare it with its digest.

    Raises
    ------
    WeightsError
        It is not there, or is not what its publisher made.
    """
    path = file.find(folder)
    if path is None:
        raise WeightsError(file.name, "is not there", "Download it.")
    kind, _, expected = file.digest.partition(":")
    if pooch.file_hash(str(path), alg=kind) != expected:
        raise WeightsError(file.name, f"is damaged: its {kind} differs", "Remove it and download it again.")
    return path


@dataclass(frozen=True, slots=True)
class _Resuming:
    """A downloader for pooch that goes on with what it had when it broke off."""

    partial: Path
    size: int
    report: Report

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        there = self.partial.stat().st_size if self.partial.exists() else 0
        if not self.size or there != self.size:
            self._go_on(url, there if there < (self.size or there + 1) else 0)
        # Before the digest is compared: a wrong file is thrown away whole, and not resumed for ever.
        self.partial.replace(output_file)

    def _go_on(self, url: str, there: int) -> None:
        headers = {"Range": f"bytes={there}-", "Accept-Encoding": "identity"}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.partial.unlink(missing_ok=True)  # it has become another file
            answer.raise_for_status()
            resumes = there > 0 and answer.status_code == requests.codes.partial_content
            done = there if resumes else 0
            total = self.size or done + int(answer.headers.get("Content-Length", 0))
            with self.partial.open("ab" if resumes else "wb") as stream:
                for piece in answer.iter_content(_PIECE):
                    stream.write(piece)
                    done += len(piece)
                    self.report(done, total)


def _check(file: WeightsFile, address: str, folder: Path, *, offline: bool) -> None:
    if not (address and file.digest):
        step = f"Bring it yourself: {file.name} from its authors, and choose the file."
        raise WeightsError(file.name, "has no address and digest by which it could be downloaded", step)
    if offline:
        step = "Unset MEDFM_OFFLINE, or bring the file and choose it."
        raise WeightsError(file.name, "is not there, and nothing is downloaded offline", step)
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise WeightsError(file.name, "is not to be had over an encrypted connection", "Give an address with https.")
    try:
        private_folder(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        step = "Set MEDFM_CACHE_DIR to another folder."
        raise WeightsError(file.name, f"cannot be stored ({error.strerror})", step) from error
    if free < file.size:
        reason = f"needs {file.size / 1e9:.2f} GB and {free / 1e9:.2f} GB are free"
        raise WeightsError(file.name, reason, "Make room, or set MEDFM_CACHE_DIR to another disk.")


def _nothing(done: int, total: int) -> None:
    """Report to nobody."""


def _hush() -> None:
    """Keep pooch from printing where files are put: paths may name people."""
    pooch.get_logger().setLevel(logging.ERROR)
