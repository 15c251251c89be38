"""The gestures of teaching that cut across proposals, marks and classes."""

import numpy as np
import pytest

from napari_medfm.adaptation import AdapterLibrary
from napari_medfm.errors import AdapterError, SessionError
from napari_medfm.inference import MemoryStore, Predictor, Proposal
from napari_medfm.models.backends.random_walker import load
from napari_medfm.session import Extent, LiveSegmentation, Origin, Proposals, Teaching, Workshop
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

HERE = Plane(0, 2)


@pytest.fixture
def teaching(session, tmp_path):
    with Lane() as lane:
        live = LiveSegmentation(session, Predictor(load(), MemoryStore(10**6)), lane)
        proposals = Proposals(session)
        workshop = Workshop(lane, lane, AdapterLibrary(tmp_path / "adapters"), lambda _callback: None)
        teaching = Teaching.begin(session, live, proposals, workshop)
        yield teaching
        teaching.close()
        proposals.close()
        live.close()


def propose(teaching, box_mask, sure=0.9):
    found = Proposal.of(HERE, box_mask((3, 8), (4, 9)), sure)
    teaching.proposals.put(teaching.class_name, {HERE: [found]}, Origin("plain"))


def test_the_class_at_hand_is_that_of_the_active_object(teaching, session):
    assert teaching.class_name == "organ"
    session.add_object("vessel")
    assert teaching.class_name == "vessel"
    session.set_active(None)
    assert teaching.class_name == "vessel"


def test_a_new_name_makes_a_class_that_the_active_object_joins(teaching, session):
    number = session.add_object()
    teaching.name("  nodule ")
    assert teaching.class_name == session.state.object(number).class_name == "nodule"
    with pytest.raises(SessionError):
        teaching.name(" ")


def test_completing_a_slice_takes_what_is_proposed_there(teaching, session, box_mask):
    propose(teaching, box_mask)
    teaching.complete(HERE)
    assert np.count_nonzero(session.labels) == 25
    assert session.state.extent_of("organ", HERE) is Extent.ANNOTATED
    teaching.complete(Plane(0, 4))
    assert session.state.extent_of("organ", Plane(0, 4)) is Extent.NEGATIVE


def test_a_slice_that_is_rejected_is_without_the_class(teaching, session, box_mask):
    propose(teaching, box_mask)
    teaching.reject(HERE)
    assert session.state.extent_of("organ", HERE) is Extent.NEGATIVE
    assert teaching.pending(HERE) is None
    assert not session.labels.any()


def test_rejecting_where_some_is_labelled_only_clears_the_proposals(teaching, session, box_mask):
    session.write_voxels(session.add_object("organ"), np.s_[2:3, 0:20, 0:24], box_mask((12, 14), (4, 9))[None])
    propose(teaching, box_mask)
    teaching.reject(HERE)
    assert session.state.extent_of("organ", HERE) is Extent.UNSEEN
    assert teaching.pending(HERE) is None


def test_the_surest_object_of_a_slice_is_accepted_if_none_is_pointed_at(teaching, session, box_mask):
    propose(teaching, box_mask)
    teaching.accept_object(HERE)
    assert np.count_nonzero(session.labels) == 25
    with pytest.raises(SessionError, match="no proposal"):
        teaching.accept_object(HERE)


def test_nothing_is_filled_without_an_adapter(teaching):
    assert teaching.next_plane() is None
    with pytest.raises(AdapterError, match="Adapt the model"):
        teaching.fill(HERE)
