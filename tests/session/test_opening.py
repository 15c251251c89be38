import os
import subprocess
import sys

import numpy as np
import pytest

from napari_medfm.errors import GeometryError, JournalBusyError, JournalError
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, journal_path, set_aside
from napari_medfm.volume import Plane, Volume, array_geometry

from .conftest import FINGERPRINT


def test_a_journal_lies_in_the_persons_own_folder_which_nobody_else_can_read(volume):
    with AnnotationSession.create(volume, FINGERPRINT) as session:
        assert session.path.parent.parts[-2:] == ("data", "sessions")
        assert session.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("fingerprint", ["", "../../etc", "a b", "a" * 129])
def test_a_fingerprint_that_could_not_name_a_file_is_refused(fingerprint):
    with pytest.raises(JournalError, match="fingerprint"):
        journal_path(fingerprint)


def test_a_session_exists_once_it_was_begun(volume, folder):
    assert not AnnotationSession.exists(FINGERPRINT, folder)
    AnnotationSession.create(volume, FINGERPRINT, folder=folder).close()
    assert AnnotationSession.exists(FINGERPRINT, folder)


def test_beginning_never_writes_over_a_session(session, volume, folder):
    session.add_object()
    session.close()
    with pytest.raises(JournalError, match="exists already"):
        AnnotationSession.create(volume, FINGERPRINT, folder=folder)
    assert list(AnnotationSession.resume(volume, FINGERPRINT, folder).state.objects) == [1]


def test_there_is_nothing_to_resume_before_the_first_session(volume, folder):
    with pytest.raises(JournalError, match="does not exist"):
        AnnotationSession.resume(volume, FINGERPRINT, folder)
    assert not folder.exists()


def test_a_second_session_of_an_image_is_read_only_and_says_why(session, volume, folder):
    session.add_object(name="liver")
    second = AnnotationSession.resume(volume, FINGERPRINT, folder)
    assert second.read_only
    assert "another window" in second.message
    assert second.state == session.state
    assert (second.can_undo, second.undo_name) == (False, "new object")
    for act in (
        second.add_object,
        second.undo,
        lambda: second.rename(1, "spleen"),
        lambda: second.add_prompt(Point(Plane(0, 0), (1.0, 1.0))),
    ):
        with pytest.raises(JournalBusyError, match="read-only"):
            act()
    second.close()
    session.rename(1, "spleen")
    session.close()
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as third:
        assert not third.read_only
        assert third.message == ""
        third.undo()


def test_a_stroke_in_a_read_only_session_is_refused_and_its_box_shown_again(session, volume, folder):
    session.add_object()
    second = AnnotationSession.resume(volume, FINGERPRINT, folder)
    indices = (np.array([0, 0]), np.array([1, 1]), np.array([2, 3]))
    shown = []
    second.events.voxels_changed.connect(shown.append)
    with pytest.raises(JournalBusyError):
        second.record_stroke(indices, 1)
    assert not second.labels.any()
    assert shown == [(slice(0, 1), slice(1, 2), slice(2, 4))]
    second.close()


def test_another_process_that_writes_makes_this_one_read_only(session, volume, folder):
    code = """
import sys
import numpy as np
from pathlib import Path
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Volume, array_geometry

volume = Volume(np.zeros((6, 20, 24), np.int16), array_geometry((6, 20, 24), (3.0, 1.0, 1.0)))
print(AnnotationSession.resume(volume, sys.argv[1], Path(sys.argv[2])).read_only)
"""
    arguments = [sys.executable, "-c", code, FINGERPRINT, str(folder)]
    found = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ))
    assert found.stdout.split() == ["True"]


def test_the_same_voxels_elsewhere_in_space_are_refused(session, folder):
    session.close()
    moved = Volume(np.zeros((6, 20, 24), np.int16), array_geometry((6, 20, 24), (2.0, 1.0, 1.0)))
    with pytest.raises(GeometryError, match="does not lie"):
        AnnotationSession.resume(moved, FINGERPRINT, folder)
    AnnotationSession.resume(session.volume, FINGERPRINT, folder).close()


def test_a_journal_under_the_wrong_name_is_refused(session, folder):
    session.close()
    session.path.rename(journal_path("other", folder))
    with pytest.raises(JournalError, match="another image"):
        AnnotationSession.resume(session.volume, "other", folder)


def test_a_session_set_aside_makes_room_and_stays_readable(session, volume, folder):
    session.add_object(name="kept")
    with pytest.raises(JournalBusyError):
        set_aside(session.path)
    session.close()
    aside = set_aside(session.path)
    assert not AnnotationSession.exists(FINGERPRINT, folder)
    AnnotationSession.create(volume, FINGERPRINT, folder=folder).close()
    aside.rename(session.path)
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as again:
        assert again.state.object(1).name == "kept"


def test_a_folder_that_cannot_be_written_is_told(volume, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(JournalError, match="cannot be written"):
        AnnotationSession.create(volume, FINGERPRINT, folder=blocked / "sessions")
