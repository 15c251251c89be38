"""The section that carries an object through the slices says how far it shall go, how far it went, and why."""

import numpy as np
import pytest

from napari_medfm._qt.main_thread import MainThreadDispatcher
from napari_medfm._qt.propagate_section import PropagateSection
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models import load_model
from napari_medfm.session import LiveSegmentation, Propagating, Proposals
from napari_medfm.volume import Plane, Window
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt
HERE = Plane(0, 6)


@pytest.fixture
def propagating(qtbot, session):
    dispatch, proposals = MainThreadDispatcher(), Proposals(session)
    with Lane() as lane:
        predictor = Predictor(load_model("random_walker"), MemoryStore(1 << 26))
        window = Window("abdomen", -160, 240)
        live = LiveSegmentation(session, predictor, lane, window=window, dispatch=dispatch, proposals=proposals)
        propagating = Propagating(session, live, proposals, lane, dispatch)
        propagating.store = proposals
        yield propagating
        propagating.close()
        live.close()
        proposals.close()
        dispatch.close()


@pytest.fixture
def section(qtbot, session, propagating, wiring):
    section = PropagateSection()
    qtbot.addWidget(section)
    section.bind(session, propagating, propagating.store, wiring)
    section.set_plane(HERE)
    return section


@pytest.fixture
def drawn(session, small_labels):
    """Draw an organ on one slice."""
    number = session.add_object("liver")
    session.write_voxels(number, HERE.region(small_labels.shape), (small_labels[6] == 3)[None])
    return number


def test_without_an_object_there_is_nothing_to_do(section):
    assert not any(each.isEnabled() for each in (section.start, section.interpolate, section.accept, section.discard))
    assert section.state.text() == "Nothing of the active object is proposed"


def test_directions_are_named_as_they_lie_in_the_patient(section):
    names = [section.ways.itemText(index) for index in range(3)]
    assert names == ["Both ways", "To superior", "To inferior"]
    section.ways.setCurrentIndex(1)
    section.set_plane(Plane(2, 20))
    assert section.ways.currentText() == "To left"


def test_an_object_is_carried_on_accepted_and_undone(qtbot, section, session, propagating, drawn):
    section.ways.setCurrentIndex(1)
    section.most.setValue(2)
    with qtbot.waitSignal(propagating.events.finished):
        section.start.click()
        assert section.start.text() == "Stop"
        assert section.state.text().endswith("so far…")
    assert section.start.text() == "Propagate"
    assert section.state.text() == "Proposed on 2 slices"
    section.accept.click()
    assert np.flatnonzero(session.labels.any(axis=(1, 2))).tolist() == [6, 7, 8]
    assert not section.accept.isEnabled()
    session.undo()
    assert section.accept.isEnabled()
    section.discard.click()
    assert not section.discard.isEnabled()


def test_it_can_be_stopped_and_says_why_it_ended(qtbot, section, propagating, drawn):
    section.go()
    assert propagating.busy
    section.go()
    assert not propagating.busy
    assert section.start.text() == "Propagate"
    with qtbot.waitSignal(propagating.events.finished):
        section.go()
    assert "slices · " in section.state.text()


def test_what_cannot_be_done_is_said(qtbot, section, session, drawn):
    with qtbot.waitSignal(section.failed) as failed:
        section.interpolate.click()
    assert "gap between them" in str(failed.args[0])
    session.set_locked(drawn, True)
    assert not section.start.isEnabled()


def test_nothing_is_held_of_a_session_that_is_gone(section, drawn):
    assert section.start.isEnabled()
    section.unbind()
    assert not section.start.isEnabled()
