import sqlite3

import numpy as np
import pytest

from napari_medfm.errors import JournalBusyError, JournalDamagedError, JournalError
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, checkpoints, recover, verify
from napari_medfm.session.journal import Checkpoint, Journal

from .conftest import FINGERPRINT


@pytest.fixture
def worked(session, plane, box_mask, answer, monkeypatch):
    """Return a closed session of 12 events and the closing one."""
    monkeypatch.setattr(checkpoints, "LAG", 4)
    session.add_object("organ")
    for turn in range(4):
        session.add_prompt(Point(plane, (4.0 + turn, 5.0)))
        answer(session, plane, box_mask((2, 6 + turn), (3, 9)))
    session.undo()
    session.close()
    return session


def edit(path, statement, *values):
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def test_an_intact_journal_is_proved_from_end_to_end(worked):
    report = verify(worked.path)
    assert (report.intact, report.events, report.broken_event, report.reason) == (True, 13, None, "")
    assert report.checkpoints >= 3
    assert len(report.head) == 64


def test_a_journal_can_be_verified_while_it_is_written(session):
    session.add_object()
    before = verify(session.path)
    session.add_object()
    after = verify(session.path)
    assert (before.events, after.events) == (2, 3)
    assert before.head != after.head


@pytest.mark.parametrize("column", ["title", "changes", "facts", "time", "annotator", "checkpoints", "patch", "digest"])
@pytest.mark.parametrize("seq", [1, 4, 13])
def test_the_first_altered_event_is_named(worked, column, seq):
    kind = "BLOB" if column in ("patch", "digest") else "TEXT"
    edit(worked.path, f"UPDATE events SET {column} = CAST({column} || 'x' AS {kind}) WHERE seq = ?", seq)
    report = verify(worked.path)
    assert (report.intact, report.broken_event, report.events) == (False, seq, seq - 1)
    assert f"event {seq}" in report.reason


def test_an_event_that_was_forged_with_all_digests_behind_it_does_not_fit_the_voxels(worked):
    journal = Journal.open(worked.path, writable=False)
    events = list(journal.events())
    journal.close()
    hidden = [event for event in events if event.kind == "mask"][-1]
    with Journal.draft(worked.path) as draft:
        draft.append([event for event in events if event is not hidden])
    worked.path.unlink()
    Journal.publish(worked.path)
    report = verify(worked.path)
    assert not report.intact
    assert "does not fit" in report.reason


@pytest.mark.parametrize("part", ["object/1", "choices", "voxels/2/0/0"])
@pytest.mark.parametrize("statement", ["SET content = x'00'", "SET seq = seq - 1", "SET part = 'object/44'"])
def test_an_altered_checkpoint_is_named(worked, part, statement):
    edit(worked.path, f"UPDATE checkpoints {statement} WHERE part = ?", part)
    report = verify(worked.path)
    assert not report.intact
    assert report.broken_event is None
    assert "checkpoint" in report.reason


def test_a_checkpoint_that_lies_with_a_good_digest_is_found_by_replaying(session):
    session.add_object()
    ledger = session._ledger
    wrong = Checkpoint(
        "object/1", ledger.journal.head[0], checkpoints.take("object/9", 0, ledger.state, ledger.voxels).content
    )
    name = f'{{"object/1":"{wrong.digest}"}}'
    template = ledger.journal.event(ledger.journal.head[0])
    event = type(template)(**{**{f: getattr(template, f) for f in template.__dataclass_fields__}, "changes": "[]"})
    ledger.journal.append([type(event)(*event.row[:9], name, *event.row[10:])], [wrong])
    report = verify(session.path)
    assert report.reason == "checkpoint object/1 is not what was written"


def test_what_is_no_journal_is_reported_and_what_is_missing_is_an_error(tmp_path):
    path = tmp_path / "x.medfm"
    with pytest.raises(JournalError, match="does not exist"):
        verify(path)
    path.write_bytes(b"no database " * 100)
    assert not verify(path).intact


def test_everything_before_the_damage_is_recovered_and_the_damaged_file_kept(worked, volume, folder):
    edit(worked.path, "UPDATE events SET title = 'x' WHERE seq = 8")
    damaged = worked.path.read_bytes()
    saved = recover(FINGERPRINT, folder)
    assert (saved.events, saved.aside.read_bytes()) == (7, damaged)
    assert "event 8" in saved.reason
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as again:
        assert again.undo_name == "click"
        assert (again.labels == 1).sum() == 6 * 5  # the third mask was event 8
        while again.undo():
            pass
        assert not again.labels.any()
    assert verify(worked.path).intact


def test_a_recovered_journal_goes_on_from_checkpoints_of_its_own(worked, folder, caplog, volume):
    edit(worked.path, "DELETE FROM events WHERE seq = 10")
    recover(FINGERPRINT, folder)
    caplog.clear()
    AnnotationSession.resume(volume, FINGERPRINT, folder).close()
    assert caplog.text == ""


def test_an_intact_journal_recovers_whole(worked, folder, volume):
    before = worked.labels.copy()
    saved = recover(FINGERPRINT, folder)
    assert (saved.events, saved.reason) == (13, "")
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as again:
        np.testing.assert_array_equal(again.labels, before)


def test_nothing_is_touched_where_nothing_can_be_recovered(worked, folder):
    edit(worked.path, "UPDATE events SET title = 'x' WHERE seq = 1")
    damaged = worked.path.read_bytes()
    with pytest.raises(JournalDamagedError):
        recover(FINGERPRINT, folder)
    assert worked.path.read_bytes() == damaged
    assert not [path for path in folder.iterdir() if path.suffix in (".aside", ".new")]


def test_nothing_is_recovered_under_a_session_that_is_open(session, folder):
    with pytest.raises(JournalBusyError):
        recover(FINGERPRINT, folder)


def test_there_must_be_something_to_recover(folder):
    with pytest.raises(JournalError, match="does not exist"):
        recover(FINGERPRINT, folder)
