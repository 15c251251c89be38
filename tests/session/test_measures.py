"""Objects are measured when somebody asks, off the owner's thread, and again only after they changed."""

import csv
import io
import queue

import numpy as np
import pytest

from napari_medfm.session import Measures
from napari_medfm.volume import Volume, array_geometry
from napari_medfm.workers import Lane

BOX = (slice(1, 5), slice(4, 14), slice(5, 15))


class Desk:
    def __init__(self, session):
        self.session, self.inbox, self.lane = session, queue.SimpleQueue(), Lane("editing")
        self.measures = Measures(session, self.lane, self.inbox.put)
        self.told = []
        self.measures.measured.connect(self.told.append)

    def get(self, number):
        self.measures.get(number)
        self.run()
        return self.measures.get(number)

    def run(self):
        assert self.lane.wait_idle(30)
        while not self.inbox.empty():
            self.inbox.get()()


@pytest.fixture
def desk(session):
    desk = Desk(session)
    yield desk
    desk.measures.close()
    desk.lane.close()


def paint(session, number, region, add=True):
    session.write_voxels(number, region, np.ones([part.stop - part.start for part in region], bool), add=add)


@pytest.fixture
def block(session):
    number = session.add_object(name="=1+1")
    paint(session, number, BOX)
    return number


def test_an_object_is_measured_once_and_kept(desk, session, block):
    assert desk.measures.get(block) is None
    desk.run()
    found = desk.measures.get(block)
    assert found.voxels == 400
    assert found.mean == pytest.approx(session.volume.array[BOX].mean())
    assert found.diameters.long == pytest.approx(np.hypot(10, 9), abs=0.01)
    assert desk.told == [block]
    session.rename(block, "other")
    session.set_active(None)
    assert desk.measures.get(block) is found


def test_a_changed_object_is_measured_again_and_others_are_not(desk, session, block):
    other = session.add_object()
    paint(session, other, (slice(0, 1), slice(18, 20), slice(20, 24)))
    first, second = desk.get(block), desk.get(other)
    paint(session, block, (slice(4, 5), slice(4, 14), slice(5, 15)), add=False)
    assert desk.measures.get(other) is second
    assert desk.measures.get(block) is None
    desk.run()
    assert desk.measures.get(block).voxels == 300
    session.undo()
    assert desk.get(block) == first


def test_what_was_measured_while_the_object_changed_is_dropped(desk, session, block):
    desk.measures.get(block)
    assert desk.lane.wait_idle(30)
    paint(session, block, (slice(0, 1), slice(4, 14), slice(5, 15)))
    desk.run()
    assert desk.get(block).voxels == 500


def test_a_deleted_object_is_forgotten(desk, session, block):
    desk.get(block)
    session.delete_object(block)
    assert desk.told[-1] == block


def test_an_object_includes_those_of_classes_below(desk, session, block):
    session.set_class(block, "organ")
    lesion = session.add_object("lesion")
    paint(session, lesion, (slice(2, 3), slice(6, 8), slice(6, 8)))
    assert desk.get(block).voxels == 400
    assert desk.get(lesion).voxels == 4


def test_means_are_of_the_image_that_the_model_sees(desk, session, block):
    desk.get(block)
    bright = Volume(np.full(session.volume.shape, 7.0), array_geometry(session.volume.shape, (3, 1, 1)), name="bright")
    session.add_image("bright", bright, "12" * 32)
    session.set_image("bright")
    assert desk.get(block).mean == 7


def test_a_table_is_copied_as_csv_that_no_spreadsheet_runs(desk, session, block):
    empty = session.add_object("vessel")
    assert desk.measures.to_csv([block, empty]) is None
    desk.run()
    rows = list(csv.DictReader(io.StringIO(desk.measures.to_csv([block, empty]))))
    assert rows[0]["name"] == "'=1+1"
    assert float(rows[0]["ml"]) == pytest.approx(400 * 3 / 1000)
    assert float(rows[0]["short_mm"]) == pytest.approx(desk.measures.get(block).diameters.short, abs=0.01)
    assert rows[0]["slice"] == "2"
    assert (rows[1]["class"], rows[1]["voxels"], rows[1]["mean"], rows[1]["long_mm"]) == ("vessel", "0", "", "")
