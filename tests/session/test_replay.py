import numpy as np
import pytest

from napari_medfm.errors import SessionError
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.prompts import MaskPrompt, Point
from napari_medfm.session import AnnotationSession, LiveSegmentation, Replayed, replay
from napari_medfm.volume import Plane
from napari_medfm.workers import Lane

from .conftest import FINGERPRINT
from .test_live import WINDOW, Discs, bright

SHAPE = (8, 24, 28)
FIRST, SECOND = Plane(0, 2), Plane(0, 5)


def of(model):
    return Predictor(model, MemoryStore(1 << 20))


@pytest.fixture
def session(tmp_path):
    """A session in which a model answered clicks on two slices, one of them two clicks."""
    with AnnotationSession.create(bright(SHAPE), FINGERPRINT, folder=tmp_path) as session, Lane() as lane:
        live = LiveSegmentation(session, of(Discs(grow=2)), lane, window=WINDOW)
        for prompt in (Point(FIRST, (8, 8)), Point(FIRST, (8, 14)), Point(SECOND, (4, 20))):
            live.add_prompt(prompt)
            assert live.wait()
        live.close()
        yield session


def by_plane(session, model):
    return {each.plane: each for each in replay(session, of(model), WINDOW)}


def test_the_same_model_makes_the_same_masks(session):
    for each in by_plane(session, Discs(grow=2)).values():
        assert 0 < each.before == each.after == each.common


def test_another_model_is_told_voxel_by_voxel(session):
    found = by_plane(session, Discs(grow=0))
    smaller = Discs(grow=0).decode(Discs().encode(np.full(SHAPE[1:], 2, np.uint8)), session.state.object(1).prompts)
    before = session.object_mask(1, FIRST)
    expected = [np.count_nonzero(mask) for mask in (before, smaller.mask, before & smaller.mask)]
    assert found[FIRST].before == expected[0] > expected[1]
    assert found[SECOND].after < found[SECOND].before


def test_prompts_are_asked_one_by_one_as_they_were_made(session):
    model = Discs()
    by_plane(session, model)
    asked = [(len(prompts), previous is not None) for prompts, previous in model.decoded]
    assert asked == [(1, False), (2, True), (1, False)]


def test_what_the_hand_did_stays_in_both(session):
    painted = np.ones((1, 4, 4), bool)
    session.write_voxels(1, (slice(2, 3), slice(18, 22), slice(20, 24)), painted)
    session.write_voxels(1, (slice(2, 3), slice(6, 10), slice(6, 10)), painted, add=False)
    found = by_plane(session, Discs(grow=2))[FIRST]
    assert found.before == found.after == found.common == np.count_nonzero(session.object_mask(1, FIRST))


def test_what_others_hold_is_not_taken(session):
    other = session.add_object()
    session.write_voxels(other, (slice(2, 3), slice(0, 24), slice(18, 28)), np.ones((1, 24, 10), bool))
    after = by_plane(session, Discs(grow=30))[FIRST].after
    taken = session.labels[2] == other
    assert after == taken.size - np.count_nonzero(taken)


def test_slices_that_no_model_made_are_left_out(session):
    session.add_object()
    session.add_prompt(MaskPrompt.from_mask(Plane(0, 6), np.ones(SHAPE[1:], bool)))
    assert set(by_plane(session, Discs())) == {FIRST, SECOND}


def test_nothing_is_changed(session):
    seq, labels = session.history.last_done, session.labels.copy()
    by_plane(session, Discs(grow=9))
    assert session.history.last_done is seq
    np.testing.assert_array_equal(session.labels, labels)


def test_an_image_that_is_not_open_is_told(session, tmp_path):
    session.add_image("MR", bright(SHAPE, 9), "cd" * 32)
    session.set_image("MR")
    session.close()
    with (
        AnnotationSession.resume(session.volume, FINGERPRINT, tmp_path) as again,
        pytest.raises(SessionError, match=r"image: .* is not open"),
    ):
        list(replay(again, of(Discs()), WINDOW))


def test_what_is_told_is_a_value():
    assert Replayed(1, FIRST, 3, 2, 1) == Replayed(1, FIRST, 3, 2, 1)
