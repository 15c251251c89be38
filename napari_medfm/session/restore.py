"""From a journal back to state, voxels and history, exactly as they were."""

import json
import logging
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import JournalDamagedError, PromptError
from napari_medfm.session import changes as state_changes
from napari_medfm.session import checkpoints
from napari_medfm.session.checkpoints import CheckpointQueue
from napari_medfm.session.history import History
from napari_medfm.session.journal import Checkpoint, Event, Journal
from napari_medfm.session.ledger import Ledger, entry_of, read_patch
from napari_medfm.session.patches import Piece, overlap
from napari_medfm.session.state import SessionState
from napari_medfm.session.voxels import VoxelStore
from napari_medfm.volume import Region

_UNREADABLE = (ValueError, LookupError, TypeError, zlib.error, PromptError)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Survey:
    """What one pass over all events tells, without decoding any of them.

    Attributes
    ----------
    history : History
        What can be undone and redone.
    covered : int
        Every event up to this one is contained in the checkpoints.
    digests : mapping of str to str
        The digest that the checkpoint of each part must have.
    """

    history: History
    covered: int
    digests: dict[str, str]


def survey(events: Iterable[Event]) -> Survey:
    """Pass over all events of a journal."""
    found = Survey(History(), 0, {})
    for event in events:
        found.history.record(entry_of(event))
        found.covered = event.covered
        found.digests.update(json.loads(event.checkpoints))
    return found


def load(journal: Journal, shape: tuple[int, ...]) -> Ledger:
    """Return everything a journal holds, ready to go on.

    Every event's digest is checked. Checkpoints are used if all of them are as the
    events say, and if later events fit them; if not, everything is replayed from the
    first event.

    Parameters
    ----------
    journal : Journal
        Just opened.
    shape : tuple of int
        Spatial shape of the image.

    Raises
    ------
    JournalDamagedError
        An event was altered, is missing, or does not fit the ones before it.
    """
    found = survey(journal.events())
    replay = _from_checkpoints(journal, shape, found)
    if replay is None:
        _log.warning("a checkpoint of the journal is damaged; replaying all events")
        replay = Replay(shape)
        for event in journal.events():
            replay.take(event)
    return Ledger(journal, replay.voxels, replay.state, found.history, replay.queue)


def _from_checkpoints(journal: Journal, shape: tuple[int, ...], found: Survey) -> "Replay | None":
    """Return what checkpoints and the events after them make, or None if they cannot be relied on."""
    replay = Replay(shape)
    if not replay.begin(journal.checkpoints(), found.digests):
        return None
    try:
        for event in journal.events(after=found.covered):
            replay.take(event)
    except JournalDamagedError:
        return None
    return replay


class Replay:
    """State and voxels, brought forward event by event.

    Parameters
    ----------
    shape : tuple of int
        Spatial shape of the image.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.state = SessionState()
        self.voxels = VoxelStore(shape)
        self.queue = CheckpointQueue()
        self._upto: dict[str, int] = {}

    def begin(self, kept: Iterable[Checkpoint], digests: Mapping[str, str]) -> bool:
        """Start from checkpoints; False if they are not exactly those that the events name."""
        parts = {part.part: part for part in kept}
        if {name: part.digest for name, part in parts.items()} != dict(digests):
            return False
        try:
            self.state = checkpoints.restore(parts.values(), self.state, self.voxels)
        except _UNREADABLE:
            return False
        self._upto = {name: part.seq for name, part in parts.items()}
        return True

    def take(self, event: Event) -> None:
        """Make an event's changes, but for those that a checkpoint contains already.

        Raises
        ------
        JournalDamagedError
            The event does not fit what was before it.
        """
        try:
            changes, patch = state_changes.decode(event.changes), read_patch(event)
            fresh = [change for change in changes if self._upto.get(checkpoints.part_of(change), 0) < event.seq]
            self.state = state_changes.apply(self.state, fresh)
            self.voxels.make_room(self.state.next_id)
            for piece in patch.pieces:
                self._replay(piece, event.seq)
        except _UNREADABLE as error:
            reason = f"event {event.seq} cannot be replayed ({type(error).__name__})"
            raise JournalDamagedError("journal", reason, "Verify the journal, and recover what is intact.") from error
        parts = checkpoints.parts_touched(changes, patch)
        self.queue.touch((part for part in parts if self._upto.get(part, 0) < event.seq), event.seq)

    def _replay(self, piece: Piece, seq: int) -> None:
        blocks = list(checkpoints.blocks_in(piece.region))
        stale = [block for block in blocks if self._upto.get(block, 0) < seq]
        if not stale:
            return
        keep = None if len(stale) == len(blocks) else self._mask(piece.region, stale)
        edit = self.voxels.replay(piece, keep)
        if edit is not None:
            self.voxels.write(edit)

    def _mask(self, region: Region, blocks: Iterable[str]) -> NDArray[np.bool_]:
        mask = np.zeros([part.stop - part.start for part in region], bool)
        for block in blocks:
            shared = overlap(region, checkpoints.block_of(block, self.voxels.shape) or region)
            if shared is not None:
                inner = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(shared, region, strict=True)]
                mask[tuple(inner)] = True
        return mask
