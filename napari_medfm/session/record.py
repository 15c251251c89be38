"""A journal as it is read without being opened for work: what became of it, and each event that still counts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medfm.errors import JournalError
from napari_medfm.session.journal import Event, Journal
from napari_medfm.session.opening import check_birth, journal_path
from napari_medfm.session.restore import load
from napari_medfm.session.state import SessionState
from napari_medfm.session.voxels import Labels, frozen
from napari_medfm.volume import Volume


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person or a model did, as far as it was not taken back.

    Attributes
    ----------
    kind : str
        As the journal calls it: ``add_prompt``, ``mask``, ``paint``, ``erase``, ``import``, ...
    time : str
        UTC, ISO 8601.
    annotator : str
        Who; empty if they did not say.
    facts : mapping
        JSON values: model, digests, object.
    """

    kind: str
    time: str
    annotator: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SessionRecord:
    """Everything a journal holds, frozen.

    Attributes
    ----------
    fingerprint : str
        Of the image.
    state : SessionState
        Objects, classes and extent.
    levels : tuple of ndarray of unsigned integers
        The labels, then the ids that lie beneath them; read-only.
    deeds : tuple of Deed
        In order; what was undone is left out.
    head : str
        Digest of the last event, hexadecimal: it stands for the whole journal.
    """

    fingerprint: str
    state: SessionState
    levels: tuple[Labels, ...]
    deeds: tuple[Deed, ...]
    head: str


def read_record(volume: Volume, fingerprint: str, folder: Path | None = None) -> SessionRecord:
    """Read the journal of an image, on any thread, also while a session writes it.

    Parameters
    ----------
    volume : Volume
        The image.
    fingerprint : str
        Of its voxels.
    folder : Path, optional
        Where the journal is kept; the person's own sessions folder if not given.

    Raises
    ------
    JournalError
        There is no journal, or it is of another image.
    JournalDamagedError
        It was altered or damaged.
    GeometryError
        The image has the same voxels but lies elsewhere.
    """
    path = journal_path(fingerprint, folder)
    if not path.is_file():
        raise JournalError(path.name, "does not exist", "Annotate the image first.")
    journal = Journal.open(path, writable=False)
    try:
        check_birth(journal, fingerprint, volume.geometry)
        ledger = load(journal, volume.shape)
        levels = tuple(frozen(ledger.voxels.level(level)) for level in range(ledger.voxels.depth))
        return SessionRecord(fingerprint, ledger.state, levels, _deeds(journal.events()), journal.head[1].hex())
    finally:
        journal.close()


def _deeds(events: Iterable[Event]) -> tuple[Deed, ...]:
    counted: dict[int, Deed | None] = {}
    kept: dict[int, Deed] = {}
    for event in events:
        facts = json.loads(event.facts)
        if event.kind in ("undo", "redo"):
            counted[facts["of"]] = kept[facts["of"]] if event.kind == "redo" else None
        else:
            kept[event.seq] = counted[event.seq] = Deed(event.kind, event.time, event.annotator, facts)
    return tuple(deed for deed in counted.values() if deed is not None)
