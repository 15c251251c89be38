import logging
import shutil
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import JournalDamagedError
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, CommitPolicy, checkpoints
from napari_medfm.session.journal import Journal
from napari_medfm.session.patches import Patch
from napari_medfm.session.restore import load

from .conftest import FINGERPRINT


@pytest.fixture
def worked(session, plane, box_mask, answer, monkeypatch):
    """Return a session with twelve steps, whose parts were written as checkpoints at different times."""
    monkeypatch.setattr(checkpoints, "LAG", 3)
    for turn in range(6):
        session.add_prompt(Point(plane, (4.0 + turn, 5.0)))
        answer(session, plane, box_mask((2, 6 + turn), (3, 9)))
    session.write_voxels(1, (slice(1, 4), slice(2, 3), slice(2, 8)), np.ones((3, 1, 6), bool), add=False)
    session.undo()
    return session


def contents(session):
    labels, hand = session.labels.copy(), session.hand.copy()
    return session.state, labels.tolist(), hand.tolist(), session.history.done, session.history.undone


def edit(session, statement):
    with sqlite3.connect(session.path) as connection:
        connection.execute(statement)
    connection.close()


def replayed(session, caplog):
    """Return whether resuming had to do without checkpoints, and what came out."""
    caplog.clear()
    again = AnnotationSession.resume(session.volume, FINGERPRINT, session.path.parent)
    try:
        return "checkpoint" in caplog.text, contents(again)
    finally:
        again.close()


def test_checkpoints_spare_the_replay_of_most_events(worked):
    before = contents(worked)
    worked.close()
    journal = Journal.open(worked.path)
    last = list(journal.events())[-1]
    assert last.kind == "close"
    assert last.covered == last.seq - 1  # nothing at all is left to replay
    ledger = load(journal, worked.volume.shape)
    assert (ledger.state, ledger.voxels.labels.tolist()) == before[:2]
    journal.close()


def test_a_session_that_was_not_closed_is_the_same(worked, caplog):
    before = contents(worked)
    worked._ledger.journal.close()
    worked._hold.lock.release()
    assert replayed(worked, caplog) == (False, before)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoints SET content = x'00' WHERE part LIKE 'voxels/%'",
        "UPDATE checkpoints SET seq = seq - 1 WHERE part = 'object/1'",
        "UPDATE checkpoints SET part = 'object/9' WHERE part = 'object/1'",
        "DELETE FROM checkpoints WHERE part = 'choices'",
        "INSERT INTO checkpoints VALUES ('object/8', 3, x'00')",
        "DELETE FROM checkpoints",
    ],
)
def test_a_checkpoint_that_is_not_what_was_written_is_never_used(worked, statement, caplog):
    before = contents(worked)
    worked.close()
    edit(worked, statement)
    with caplog.at_level(logging.WARNING):
        assert replayed(worked, caplog) == (True, before)


def test_a_broken_event_stops_the_session_from_opening_and_nothing_is_written_over(worked):
    worked.close()
    edit(worked, "UPDATE events SET annotator = 'somebody else' WHERE seq = 4")
    content = worked.path.read_bytes()
    with pytest.raises(JournalDamagedError, match="event 4"):
        AnnotationSession.resume(worked.volume, FINGERPRINT, worked.path.parent)
    assert worked.path.read_bytes() == content
    with pytest.raises(JournalDamagedError):  # the lock was let go of
        AnnotationSession.resume(worked.volume, FINGERPRINT, worked.path.parent)


def test_a_wide_id_that_was_taken_back_comes_back_whichever_checkpoints_were_written(session, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LAG", 1)
    wide = np.zeros(session.volume.shape, np.uint32)
    wide[2, 3, 3:9] = 70_000
    session.import_labels(wide)
    session.set_policy(CommitPolicy.REPLACE)
    session.undo()
    for turn in range(4):  # each event writes two of the parts that wait
        crashed = shutil.copytree(session.path.parent, tmp_path / str(turn))
        with AnnotationSession.resume(session.volume, FINGERPRINT, crashed) as again:
            assert not again.labels.any()
            again.redo()
            assert np.array_equal(again.labels, wide)
        session.set_policy(CommitPolicy.KEEP if turn % 2 else CommitPolicy.REPLACE)
        session.set_active(None)


def test_checkpoints_that_later_events_do_not_fit_are_done_without(worked, monkeypatch, caplog):
    before = contents(worked)
    taken = checkpoints.take

    def wrongly(part, seq, state, voxels):
        kept = taken(part, seq, state, voxels)
        return replace(kept, content=Patch().encode()) if part.startswith("voxels/") else kept

    monkeypatch.setattr(checkpoints, "take", wrongly)
    for _ in range(4):
        worked.redo()
        worked.undo()
    worked._ledger.journal.close()
    worked._hold.lock.release()
    monkeypatch.undo()
    assert replayed(worked, caplog) == (True, before)
