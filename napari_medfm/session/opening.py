"""Which file a session lives in, who may write it, and what to do when it is damaged."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout

from napari_medfm.errors import GeometryError, JournalBusyError, JournalError, SessionError
from napari_medfm.files import private_folder
from napari_medfm.session.journal import Journal, move_aside, worded
from napari_medfm.session.ledger import NO_STEP, Draft, Ledger
from napari_medfm.session.restore import load
from napari_medfm.session.state import ObjectClass, SessionState
from napari_medfm.session.transitions import check_classes
from napari_medfm.session.voxels import VoxelStore
from napari_medfm.settings import load_settings
from napari_medfm.volume import Geometry, Volume
from napari_medfm.volume.grids import grid_difference

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a session has of its journal.

    Attributes
    ----------
    lock : BaseFileLock or None
        Held by who writes; None if nothing can be changed.
    looking : bool
        Whether that is so because the person only wants to look.
    """

    lock: BaseFileLock | None
    looking: bool = False


def journal_path(fingerprint: str, folder: Path | None = None) -> Path:
    """Return the file that holds the journal of an image.

    Parameters
    ----------
    fingerprint : str
        Of the image, hexadecimal; it names the file.
    folder : Path, optional
        The person's own sessions folder if not given.

    Raises
    ------
    JournalError
        The fingerprint could not name a file.
    """
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,128}", fingerprint):
        raise JournalError("fingerprint", "has characters that no digest has", "Compute it with volume.fingerprint.")
    return (folder if folder is not None else load_settings().sessions_dir) / f"{fingerprint}.medfm"


def lock_journal(path: Path) -> FileLock | None:
    """Return the held lock of a journal, or None if another session holds it.

    The system lets go of it when its process ends, however it ends.
    """
    lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def require_lock(path: Path) -> FileLock:
    """Return the held lock of a journal.

    Raises
    ------
    JournalBusyError
        Another session holds it.
    """
    lock = lock_journal(path)
    if lock is None:
        raise busy(path)
    return lock


def busy(path: Path) -> JournalBusyError:
    """Return the error for writing to a journal that another session writes."""
    reason = "this image is being annotated in another window, so this session is read-only"
    return JournalBusyError(path.name, reason, "Close the other window, then open the image again.")


def refusal(path: Path, hold: Hold) -> SessionError:
    """Return the error for writing to a journal that a session can only read."""
    if hold.looking:
        return SessionError("this image", "is shown only, nothing can be changed", "Take its case to annotate it.")
    return busy(path)


def create(
    volume: Volume, fingerprint: str, folder: Path | None, classes: tuple[ObjectClass, ...], annotator: str
) -> tuple[Ledger, Hold]:
    """Start the journal of an image that has none; see `AnnotationSession.create`."""
    check_classes(classes)
    path = journal_path(fingerprint, folder)
    with worded(path):
        private_folder(path.parent)
    lock = require_lock(path)
    try:
        state = SessionState(image=fingerprint, classes=classes)
        birth = Draft("create", "new session", state, step=NO_STEP, facts=_birth(fingerprint, volume.geometry))
        if path.exists():
            raise JournalError(path.name, "exists already", "Resume it, or set it aside first.")
        with Journal.draft(path) as draft:
            Ledger(draft, VoxelStore(volume.shape), annotator=annotator).commit(birth)
        Journal.publish(path)
        return _load(Journal.open(path), volume, annotator), Hold(lock)
    except BaseException:
        lock.release()
        raise


def resume(volume: Volume, fingerprint: str, folder: Path | None, annotator: str, *, look: bool) -> tuple[Ledger, Hold]:
    """Open the journal of an image; see `AnnotationSession.resume`."""
    path = journal_path(fingerprint, folder)
    if not path.is_file():
        raise JournalError(path.name, "does not exist", "Start a new session.")
    lock = None if look else lock_journal(path)
    try:
        journal = Journal.open(path, writable=lock is not None)
        try:
            check_birth(journal, fingerprint, volume.geometry)
            return _load(journal, volume, annotator), Hold(lock, look)
        except BaseException:
            journal.close()
            raise
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def close(ledger: Ledger, hold: Hold) -> None:
    """Leave a journal so that it reopens quickly, and let others write it."""
    try:
        if hold.lock is not None:
            ledger.tidy()
    except JournalError as error:  # nothing is lost: events are written, only checkpoints are not
        _log.warning("closing the journal: %s", error.reason)
    finally:
        ledger.journal.close()
        if hold.lock is not None:
            hold.lock.release()


def check_grid(geometry: Geometry, expected: Geometry, name: str) -> None:
    """Check that an image lies on the voxels of the session.

    Raises
    ------
    GeometryError
        It does not.
    """
    difference = grid_difference(expected, geometry)
    if difference is not None:
        step = "Resample it onto the image of the session, or open it on its own."
        raise GeometryError(name, f"does not lie on the image: {difference}", step)


def _load(journal: Journal, volume: Volume, annotator: str) -> Ledger:
    ledger = load(journal, volume.shape)
    ledger.annotator = annotator
    return ledger


def _birth(fingerprint: str, geometry: Geometry) -> dict[str, object]:
    """Return what the first event says of the image: neither name nor path."""
    affine = [round(float(value), 6) for value in geometry.affine.ravel()]
    return {"fingerprint": fingerprint, "shape": list(geometry.shape), "affine": affine, "known": geometry.known}


def check_birth(journal: Journal, fingerprint: str, geometry: Geometry) -> None:
    """Check that a journal is of an image, and that the image lies where it did.

    Raises
    ------
    JournalError
        It is of another.
    GeometryError
        It has the same voxels but lies elsewhere.
    """
    facts = json.loads(journal.event(1).facts)
    if facts["fingerprint"] != fingerprint or tuple(facts["shape"]) != geometry.shape:
        raise JournalError(journal.path.name, "is of another image", "Open the image it was made for.")
    affine = np.array(facts["affine"]).reshape(4, 4)
    check_grid(geometry, Geometry(geometry.shape, affine, known=facts["known"]), "image")


def set_aside(path: Path) -> Path:
    """Rename the journal of an image, so that a new session can be started; nothing of it is deleted.

    Parameters
    ----------
    path : Path
        The journal, see `journal_path`.

    Returns
    -------
    Path
        The new name.

    Raises
    ------
    JournalBusyError
        A session holds it.
    """
    with require_lock(path):
        return move_aside(path)
