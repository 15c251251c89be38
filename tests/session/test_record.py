import numpy as np
import pytest

from napari_medfm.errors import GeometryError, JournalError
from napari_medfm.prompts import Point
from napari_medfm.session import read_record
from napari_medfm.volume import Volume, array_geometry

from .conftest import FINGERPRINT


@pytest.fixture
def worked(session, plane, box_mask, answer):
    session.add_object("organ")
    session.add_prompt(Point(plane, (5.0, 5.0)))
    answer(session, plane, box_mask((2, 9), (3, 9)))
    session.add_object("lesion")
    session.write_voxels(2, plane.region((6, 20, 24)), box_mask((4, 6), (4, 6))[None])
    return session


def test_it_holds_what_the_session_holds_on_every_level(worked, volume, folder):
    record = read_record(volume, FINGERPRINT, folder)
    assert record.state == worked.state
    np.testing.assert_array_equal(record.levels[0], worked.labels)
    np.testing.assert_array_equal(record.levels[1], worked.beneath)
    with pytest.raises(ValueError, match="read-only"):
        record.levels[0][0, 0, 0] = 1


def test_what_was_undone_is_no_deed_until_it_is_done_again(worked, volume, folder):
    def kinds():
        return [deed.kind for deed in read_record(volume, FINGERPRINT, folder).deeds]

    before = kinds()
    assert before[-2:] == ["add_object", "paint"]
    worked.undo()
    assert kinds() == before[:-1]
    worked.redo()
    assert kinds() == before
    assert read_record(volume, FINGERPRINT, folder).deeds[-1].annotator == "A. Nobody"


def test_it_can_be_read_after_the_session_and_writes_nothing(worked, volume, folder):
    worked.close()
    before = worked.path.read_bytes()
    assert read_record(volume, FINGERPRINT, folder).state == worked.state
    assert worked.path.read_bytes() == before


def test_another_image_is_refused(worked, volume, folder):
    elsewhere = Volume(volume.array, array_geometry(volume.shape, (1.0, 1.0, 1.0)))
    with pytest.raises(GeometryError):
        read_record(elsewhere, FINGERPRINT, folder)
    larger = Volume(np.zeros((7, 20, 24)), array_geometry((7, 20, 24), (3.0, 1.0, 1.0)))
    with pytest.raises(JournalError, match="another image"):
        read_record(larger, FINGERPRINT, folder)
