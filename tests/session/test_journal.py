import re
import sqlite3

import pytest

from napari_medfm.errors import JournalBusyError, JournalDamagedError, JournalError
from napari_medfm.session.journal import Checkpoint, Event, Journal, chain


def event(title="click", **values):
    fields = {
        "seq": 0,
        "step": 1,
        "kind": "add_prompt",
        "title": title,
        "changes": "[]",
        "region": "",
        "patch": b"\x00\x01",
        "facts": "{}",
        "covered": 0,
        "checkpoints": "{}",
        "time": "2026-11-22T05:00:00.000+00:00",
        "annotator": "",
    }
    return Event(**{**fields, **values})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "one.medfm"


@pytest.fixture
def journal(path):
    """Return an open journal of three events."""
    with Journal.draft(path) as draft:
        draft.append([event("first")])
    Journal.publish(path)
    journal = Journal.open(path)
    journal.append([event("second")])
    journal.append([event("third")], [Checkpoint("object/1", 2, b"content")])
    yield journal
    journal.close()


def edit(path, statement, *values):
    """Do to the file what somebody with another program could do."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def titles(journal, after=0):
    return [found.title for found in journal.events(after)]


def test_events_are_numbered_without_gaps_and_come_back_in_order(journal, path):
    assert [(found.seq, found.title) for found in journal.events()] == [(1, "first"), (2, "second"), (3, "third")]
    journal.close()
    again = Journal.open(path)
    assert titles(again, after=1) == ["second", "third"]
    assert again.event(2).title == "second"
    assert again.head == journal.head
    again.close()


def test_each_digest_depends_on_everything_before_it(journal):
    first, second, third = journal.events()
    assert second.expected(first.digest) == second.digest
    assert third.expected(first.digest) != third.digest
    assert chain(b"", "ab", "c") != chain(b"", "a", "bc")
    assert chain(b"", "1") != chain(b"", 1)


def test_every_commit_waits_for_the_disk(journal):
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seq", 9),
        ("step", 2),
        ("kind", "mask"),
        ("title", "box"),
        ("changes", "[[]]"),
        ("region", "[[0,1]]"),
        ("patch", b"\x00\x02"),
        ("facts", '{"a":1}'),
        ("covered", 1),
        ("checkpoints", '{"a":"b"}'),
        ("time", "2026-11-22T05:00:00.001+00:00"),
        ("annotator", "somebody"),
        ("digest", bytes(32)),
    ],
)
def test_any_altered_cell_is_found(journal, path, column, value):
    edit(path, f"UPDATE events SET {column} = ? WHERE seq = 2", value)
    with pytest.raises(JournalDamagedError, match="event 2 was altered"):
        titles(journal)


def test_a_missing_event_is_found(journal, path):
    edit(path, "DELETE FROM events WHERE seq = 2")
    with pytest.raises(JournalDamagedError, match="event 2"):
        titles(journal)
    with pytest.raises(JournalDamagedError, match="event 2 is missing"):
        journal.event(3)


def test_two_events_that_changed_places_are_found(journal, path):
    edit(path, "UPDATE events SET seq = 4 WHERE seq = 2")
    edit(path, "UPDATE events SET seq = 2 WHERE seq = 3")
    edit(path, "UPDATE events SET seq = 3 WHERE seq = 4")
    with pytest.raises(JournalDamagedError, match="event 2"):
        titles(journal)


def test_text_that_is_no_text_any_more_is_damage(journal, path):
    edit(path, "UPDATE events SET title = CAST(x'ff' AS TEXT) WHERE seq = 2")
    with pytest.raises(JournalDamagedError):
        titles(journal)


def test_events_that_are_appended_together_are_written_together_or_not_at_all(journal):
    with pytest.raises(JournalError):
        journal.append([event("fourth"), event("fifth", step=None)])
    assert titles(journal) == ["first", "second", "third"]
    journal.append([event("fourth"), event("fifth")])
    assert titles(journal) == ["first", "second", "third", "fourth", "fifth"]


def test_a_full_disk_changes_nothing_and_the_next_try_succeeds(journal):
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=r"full.*free space"):
        journal.append([event("large", patch=bytes(range(256)) * 4000)])
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    journal.append([event("large", patch=bytes(range(256)) * 4000)])
    assert titles(journal) == ["first", "second", "third", "large"]


def test_a_file_that_somebody_else_holds_is_busy(journal, path, monkeypatch):
    journal._connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusyError, match="another program"):
        journal.append([event("fourth")])
    other.rollback()
    other.close()
    journal.append([event("fourth")])


def test_a_reader_sees_what_is_committed_and_cannot_write(journal, path):
    reader = Journal.open(path, writable=False)
    assert titles(reader) == ["first", "second", "third"]
    with pytest.raises(JournalError):
        reader.append([event("fourth")])
    reader.close()


def test_only_the_newest_checkpoint_of_a_part_is_kept(journal):
    journal.append([event()], [Checkpoint("object/1", 3, b"newer"), Checkpoint("choices", 3, b"")])
    assert {kept.part: (kept.seq, kept.content) for kept in journal.checkpoints()} == {
        "object/1": (3, b"newer"),
        "choices": (3, b""),
    }


def test_a_journal_is_never_written_over(journal, path):
    with Journal.draft(path):
        pass
    with pytest.raises(JournalError, match="exists already"):
        Journal.publish(path)
    assert titles(journal) == ["first", "second", "third"]


def test_a_draft_that_was_cut_short_leaves_no_journal(path):
    def interrupted():
        with Journal.draft(path) as draft:
            draft.append([event()])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()
    with Journal.draft(path) as draft:
        draft.append([event("only")])
    Journal.publish(path)
    journal = Journal.open(path)
    assert titles(journal) == ["only"]
    journal.close()


def test_what_a_deleted_journal_left_behind_is_not_taken_for_the_new_ones(journal, path):
    left = path.with_name(path.name + "-wal")
    assert left.stat().st_size
    path.unlink()
    with Journal.draft(path) as draft:
        draft.append([event("only")])
    Journal.publish(path)
    again = Journal.open(path)
    assert titles(again) == ["only"]
    again.close()
    assert list(path.parent.glob("*.aside-wal"))


def test_a_missing_journal_is_named(path):
    with pytest.raises(JournalError, match=r"one\.medfm: does not exist"):
        Journal.open(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(JournalDamagedError):
        Journal.open(path)
    assert path.read_bytes() == content


def test_a_journal_of_another_version_is_not_touched(journal, path):
    journal.close()
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="another version") as caught:
        Journal.open(path)
    assert not isinstance(caught.value, JournalDamagedError)


def test_a_file_with_a_broken_page_is_damaged(journal, path):
    journal.append([event(patch=bytes(20_000))])
    journal.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(JournalDamagedError):  # noqa: PT012 - which of the two finds it is SQLite's affair
        journal = Journal.open(path, writable=False)
        titles(journal)


def test_messages_hold_no_folder(tmp_path):
    with pytest.raises(JournalError) as caught:
        Journal.open(tmp_path / "patients" / "jane_doe" / "x.medfm")
    assert not re.search("jane|patients", str(caught.value))
