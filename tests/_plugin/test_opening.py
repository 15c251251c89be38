"""From an image to its session: the first time, again, and anew."""

import dask.array as da
import numpy as np
import pytest

from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Volume, array_geometry, fingerprint

from .conftest import ORGAN

pytestmark = pytest.mark.qt


def test_starting_anew_keeps_the_earlier_session(open_room):
    room = open_room
    room.click(ORGAN)
    path = room.session.path
    room.viewer.window.remove_dock_widget(room.docked)
    room.dock()
    room.wait(lambda: room.panel.resume.offer.text)
    assert room.case is None
    room.panel.resume.anew.click()
    room.opened()
    assert not room.session.state.objects
    assert len(list(path.parent.glob("*.aside"))) == 1


def test_an_offer_that_is_not_answered_is_kept(open_room, small_volume):
    room = open_room
    room.click(ORGAN)
    expected = room.session.labels.copy()
    room.viewer.window.remove_dock_widget(room.docked)
    room.dock()
    room.wait(lambda: room.panel.resume.offer.text)
    room.viewer.window.remove_dock_widget(room.docked)
    with AnnotationSession.resume(small_volume, fingerprint(small_volume)) as session:
        assert not session.read_only
        assert np.array_equal(session.labels, expected)


def test_an_image_that_comes_later_is_opened(room, small_volume):
    room.dock()
    assert room.case is None
    room.viewer.add_points()
    room.add(small_volume)
    room.opened()
    assert room.session.volume.name == "small"
    assert room.viewer.layers.selection.active is room.case.workspace.layers.objects


def test_another_image_is_chosen_in_the_panel(open_room, small_volume):
    room = open_room
    room.click(ORGAN)
    first = room.case
    other = room.add(Volume(small_volume.array[:, ::-1].copy(), array_geometry((12, 48, 64)), name="other"))
    room.panel.image_selected.emit(other.name)
    room.wait(lambda: room.case not in (None, first))
    assert room.session.volume.name == "other"
    assert first.workspace.layers.objects not in room.viewer.layers
    room.panel.image_selected.emit("small")
    room.wait(lambda: room.case is not None and room.session.volume.name == "small")
    assert room.session.labels[ORGAN] == 1  # made in this sitting: nobody has to ask


def test_what_cannot_be_annotated_is_not_offered(room):
    room.viewer.add_image(np.zeros((2, 3, 4, 5)))
    room.viewer.add_labels(np.zeros((4, 5), int))
    room.dock()
    assert room.panel.image.images.count() == 0
    assert room.case is None


def test_an_image_of_another_reader_is_annotated_too(room, small_volume):
    room.viewer.add_image(small_volume.array, scale=(3, 1, 1), name="plain")
    room.dock()
    room.opened()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1
    assert not room.session.volume.geometry.known


def test_an_image_that_is_not_in_memory_stays_where_it_is(room, small_volume):
    stored = da.from_array(small_volume.array, chunks=(1, -1, -1))
    room.viewer.add_image(stored, scale=(3, 1, 1), name="stored", contrast_limits=(0, 255))
    room.dock()
    room.opened()
    room.click(ORGAN)
    assert room.session.labels[ORGAN] == 1
    assert isinstance(room.session.volume.array, da.Array)
    assert room.session.fingerprint == fingerprint(small_volume)
