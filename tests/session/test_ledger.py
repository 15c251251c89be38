import itertools

import numpy as np
import pytest

from napari_medfm.errors import JournalError, SessionError
from napari_medfm.session import AnnotationSession, verify
from napari_medfm.session.voxels import VoxelStore

from .conftest import FINGERPRINT

BOX = (slice(1, 3), slice(2, 6), slice(2, 8))
ALL = np.ones((2, 4, 6), bool)


@pytest.fixture
def drawn(session):
    """Return a session with a box of voxels painted for object 1."""
    session.add_object()
    session.write_voxels(1, BOX, ALL)
    return session


def rename_for_ever(session):
    for letter in itertools.cycle("ab"):
        session.rename(1, letter)


def facts(session):
    return session.state, session.labels.tolist(), session.hand.tolist(), session.history.done, session.history.undone


def resumed(session):
    with AnnotationSession.resume(session.volume, FINGERPRINT, session.path.parent) as again:
        return facts(again)


@pytest.fixture
def full(drawn):
    """Return a session on whose disk not even the shortest event has room, and a function that makes room again."""
    database = drawn._ledger.journal._connection
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match="full"):
        rename_for_ever(drawn)
    return drawn, lambda: database.execute(f"PRAGMA max_page_count = {pages + 1000}")


@pytest.mark.parametrize("act", ["paint", "undo", "reset", "import"])
def test_a_full_disk_changes_nothing_and_the_session_goes_on_once_there_is_room(full, act):
    session, make_room = full
    random = np.random.default_rng(0)
    acts = {
        "paint": lambda: session.write_voxels(1, BOX, random.random((2, 4, 6)) < 0.5, add=False),
        "undo": session.undo,
        "reset": session.reset,
        "import": lambda: session.import_labels(random.integers(5, 900, session.volume.shape)),
    }
    before = facts(session)
    with pytest.raises(JournalError, match="nothing was changed"):
        acts[act]()
    assert facts(session) == before
    make_room()
    acts[act]()
    expected = facts(session)
    assert expected != before
    session.close()
    assert resumed(session) == expected


def test_a_change_that_was_interrupted_after_it_was_journaled_is_the_last_until_reopening(drawn, monkeypatch):
    monkeypatch.setattr(VoxelStore, "write", exhausted)
    with pytest.raises(MemoryError):
        drawn.write_voxels(1, BOX, ALL, add=False)
    monkeypatch.undo()
    for act in (drawn.undo, drawn.add_object, lambda: drawn.write_voxels(1, BOX, ALL, add=False)):
        with pytest.raises(SessionError, match="Open the image again"):
            act()
    drawn.close()
    with AnnotationSession.resume(drawn.volume, FINGERPRINT, drawn.path.parent) as again:
        assert not again.labels.any()
        assert again.undo_name == "eraser"
        again.undo()
        assert again.voxel_count(1) == 48
    assert verify(drawn.path).intact


def exhausted(*_):
    raise MemoryError


def test_there_is_always_room_for_the_next_id(session):
    labels = np.zeros(session.volume.shape, np.uint16)
    labels[0, 0, 0] = 65_535
    session.import_labels(labels)
    assert session.labels.dtype == np.uint32
    session.write_voxels(session.add_object(), BOX, ALL)
    assert session.labels.max() == 65_536
