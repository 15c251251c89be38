"""A click answered in three dimensions: one step of the journal, whatever plane it was made on."""

import threading

import numpy as np
import pytest
from suites.interaction_channels import InteractionChannels
from suites.region_backend import ball_volume, click

from napari_medfm.errors import MedfmError
from napari_medfm.inference import MemoryStore, Predictor, answer_steps
from napari_medfm.models import load_model
from napari_medfm.models.backends.vista3d import Vista3d, build_small_vista3d
from napari_medfm.models.steps import finish
from napari_medfm.prompts import MaskPrompt, PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation, resolve
from napari_medfm.session.journal import Journal
from napari_medfm.session.plans import Answering, authorship
from napari_medfm.volume import WHOLE, Plane, Volume, Window, array_geometry
from napari_medfm.workers import Lane

FINGERPRINT = "ab" * 32
VOLUME = ball_volume()
ALL = Window("all", -200, 200)


@pytest.fixture(scope="module", params=["vista3d", "interaction channels"])
def model(request):
    if request.param == "vista3d":
        return Vista3d(build_small_vista3d(14), side=32, device="cpu")
    return InteractionChannels(seed=3)


@pytest.fixture
def predictor(model):
    return Predictor(model, MemoryStore(10**9))


@pytest.fixture
def session(tmp_path):
    session = AnnotationSession.create(VOLUME, FINGERPRINT, folder=tmp_path)
    yield session
    session.close()


@pytest.fixture
def live(session, predictor):
    with Lane() as lane:
        live = LiveSegmentation(session, predictor, lane, window=ALL)
        yield live
        live.close()


def prompt(live, *prompts):
    for one in prompts:
        live.add_prompt(one)
        assert live.wait(60)


def expected(predictor, *prompts):
    """Return the mask that a model answers to prompts given one after the other, on the whole volume."""
    answer = None
    for count in range(1, len(prompts) + 1):
        answer = finish(answer_steps(predictor, VOLUME, FINGERPRINT, PromptSet(prompts[:count]), answer))
    mask = np.zeros(VOLUME.shape, bool)
    if answer.box is not None:
        mask[answer.box] = answer.mask
    return mask


def steps(session):
    """Return how many undo steps were made."""
    return len(session.history.done)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_click_in_any_plane_makes_the_object_in_3_d_in_one_step_and_undo_and_redo_move_all_of_it(
    session, live, predictor, axis
):
    applied = []
    live.events.applied.connect(lambda *facts: applied.append(facts))
    number = session.add_object()
    before = steps(session)
    prompt(live, click(axis=axis))
    labels = session.labels.copy()
    assert np.array_equal(labels == number, expected(predictor, click(axis=axis)))
    assert np.ptp(np.argwhere(labels == number), axis=0).min() > 2
    assert steps(session) == before + 1
    assert applied[0][:2] == (number, WHOLE)
    assert session.undo() == "click"
    assert not session.labels.any()
    assert len(session.state.object(number).prompts) == 0
    session.redo()
    assert np.array_equal(session.labels, labels)
    assert live.wait(20)
    assert np.array_equal(session.labels, labels)


def test_clicks_of_all_planes_are_given_together_and_none_is_turned_into_a_mask(session, live, predictor):
    clicks = (click(), click((10, 18, 20), axis=1), click((14, 26, 10), axis=2, positive=False))
    number = session.add_object()
    prompt(live, *clicks)
    assert session.state.object(number).prompts.prompts == clicks
    assert np.array_equal(session.labels == number, expected(predictor, *clicks))
    for count in (2, 1):
        session.undo()
        assert np.array_equal(session.labels == number, expected(predictor, *clicks[:count]))


def test_reopening_restores_the_object_and_asks_nothing_again(session, live, predictor, tmp_path):
    number = session.add_object()
    prompt(live, click(), click((10, 18, 20), axis=1))
    labels, state = session.labels.copy(), session.state
    live.close()
    session.close()
    with AnnotationSession.resume(VOLUME, FINGERPRINT, tmp_path) as again, Lane() as lane:
        assert np.array_equal(again.labels, labels)
        assert again.state == state
        for asked in (predictor, Predictor(load_model("random_walker"))):
            talk = LiveSegmentation(again, asked, lane, window=ALL)
            talk.catch_up()
            assert not talk.busy
            talk.close()
        again.undo()
        assert np.array_equal(again.labels == number, expected(predictor, click()))


def test_an_unanswered_click_is_asked_after_a_crash(session, live, predictor):
    session.add_prompt(click(), alone=True)
    assert not session.labels.any()
    live.catch_up()
    assert live.wait(60)
    assert np.array_equal(session.labels > 0, expected(predictor, click()))


def test_what_a_hand_erased_or_painted_and_locked_objects_stay(session, live, predictor):
    prompt(live, click())
    free = expected(predictor, click()) & expected(predictor, click(), click((10, 18, 20)))
    (z, y, x) = np.argwhere(free)[len(np.argwhere(free)) // 2].tolist()
    erased = (slice(z, z + 1), slice(y, y + 1), slice(x, x + 1))
    painted = (slice(0, 1), slice(0, 2), slice(0, 2))
    number = session.state.active
    session.write_voxels(number, erased, np.ones((1, 1, 1), bool), add=False)
    session.write_voxels(number, painted, np.ones((1, 2, 2), bool))
    other = session.add_object()
    wall = (slice(z - 1, z), slice(y, y + 1), slice(x, x + 1))
    session.write_voxels(number, wall, np.ones((1, 1, 1), bool), add=False)
    session.write_voxels(other, wall, np.ones((1, 1, 1), bool))
    session.set_locked(other, True)
    session.set_active(number)
    prompt(live, click((10, 18, 20)))
    mask = expected(predictor, click(), click((10, 18, 20)))
    mask[erased] = mask[wall] = False
    mask[painted] = True
    assert np.array_equal(session.labels == number, mask)
    assert session.labels[wall] == other


def test_deleting_a_click_takes_back_what_it_brought_and_the_last_one_everything(session, live, predictor):
    number = session.add_object()
    far = click((12, 4, 4), axis=1)
    prompt(live, click(), far)
    session.write_voxels(number, (slice(0, 1),) * 3, np.ones((1, 1, 1), bool))
    live.remove_prompt(1)
    assert live.wait(60)
    mask = expected(predictor, click())
    mask[0, 0, 0] = True
    assert np.array_equal(session.labels == number, mask)
    live.remove_prompt(0)
    assert live.wait(60)
    assert np.argwhere(session.labels == number).tolist() == [[0, 0, 0]]
    assert session.state.answered_box(number) is None
    session.undo()
    assert np.array_equal(session.labels == number, mask)


def test_an_answer_is_worked_out_again_if_something_else_happened_meanwhile(session, live, predictor, monkeypatch):
    number, other = session.add_object(), session.add_object()
    session.set_active(number)
    carry_out, done, corner = session.carry_out, [], (slice(0, 1), slice(0, 2), slice(0, 2))

    def interrupted(plan):
        if not done:
            session.write_voxels(other, corner, np.ones((1, 2, 2), bool))
        done.append(carry_out(plan))
        return done[-1]

    monkeypatch.setattr(session, "carry_out", interrupted)
    prompt(live, click())
    mask = expected(predictor, click())
    mask[corner] = False
    assert done == [False, True]
    assert np.array_equal(session.labels == number, mask)
    assert (session.labels[corner] == other).all()


def test_what_was_read_while_a_change_was_being_written_is_not_carried_out(session, predictor, monkeypatch):
    number = session.add_object()
    session.add_prompt(click(), alone=True)
    request = resolve(session.state, WHOLE, object_id=number)
    box = (slice(2, 5),) * 3
    work = Answering(request, np.ones((3, 3, 3), bool), box, authorship("model", "", 0.5, ()))
    plans = []
    append = Journal.append

    def written(journal, *events):
        sealed = append(journal, *events)
        plans.append(session.work_out(work))  # the journal has it, the voxels do not yet
        return sealed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", written)
        session.write_voxels(number, box, np.ones((3, 3, 3), bool), add=False)
    assert not session.carry_out(plans[0])
    assert session.carry_out(session.work_out(work))
    assert not session.labels.any()  # the hand erased what the model answers


def test_moving_a_click_asks_again(session, live, predictor):
    prompt(live, click())
    live.move_prompt(0, click((10, 18, 20), axis=2))
    assert live.wait(60)
    assert np.array_equal(session.labels > 0, expected(predictor, click((10, 18, 20), axis=2)))


def test_a_second_click_while_the_region_is_embedded_is_answered_with_the_first(session, predictor):
    if predictor.recipe.steps == 0:
        pytest.skip("embeds nothing")
    clicks = click(), click((10, 18, 20), axis=1)
    held = threading.Event()
    shares = []
    with Lane() as lane:
        live = LiveSegmentation(session, predictor, lane, window=ALL)
        live.events.preparing.connect(shares.append)
        lane.submit(lambda: held.wait(20))
        live.add_prompt(clicks[0])
        live.add_prompt(clicks[1])
        held.set()
        assert live.wait(60)
        live.close()
    assert shares
    assert all(0 < share <= 1 for share in shares)
    fresh = Predictor(predictor.model, MemoryStore(10**9))
    both = finish(answer_steps(fresh, VOLUME, FINGERPRINT, PromptSet(clicks)))
    mask = np.zeros(VOLUME.shape, bool)
    mask[both.box] = both.mask
    assert np.array_equal(session.labels > 0, mask)


def test_a_click_elsewhere_does_not_wait_for_a_region_to_be_embedded(session, predictor):
    if predictor.recipe.steps == 0:
        pytest.skip("embeds nothing")
    order, held = [], threading.Event()
    with Lane() as lane:
        live = LiveSegmentation(session, predictor, lane, window=ALL)
        lane.submit(lambda: held.wait(20))
        live.add_prompt(click())
        live.events.applied.connect(lambda *_: order.append("volume"))
        lane.submit(lambda: order.append("other"))
        held.set()
        assert live.wait(60)
        live.close()
    assert order == ["other", "volume"]


def test_another_model_answers_what_is_outstanding_and_slices_go_on_from_the_volume(session, predictor):
    walker = Predictor(load_model("random_walker"), MemoryStore(10**9))
    with Lane() as lane:
        live = LiveSegmentation(session, predictor, lane, window=ALL)
        held = threading.Event()
        lane.submit(lambda: held.wait(20))
        live.add_prompt(click())
        live.set_predictor(walker)
        held.set()
        assert live.wait(60)
        assert sorted({int(z) for z, _, _ in np.argwhere(session.labels)}) == [12]
        live.set_predictor(predictor)
        prompt(live, click((10, 18, 20)))
        whole = session.labels.copy()
        live.set_predictor(walker)
        prompt(live, click((9, 20, 18)))
        live.close()
    asked = session.state.object().prompts.in_plane(Plane(0, 9))
    assert isinstance(asked[0], MaskPrompt) == bool(whole[9].any())
    other = np.arange(VOLUME.shape[0]) != 9
    assert np.array_equal(session.labels[other], whole[other])


def test_the_visible_slice_is_not_embedded_and_nothing_is_previewed(session, live, predictor):
    previews = []
    live.events.preview_changed.connect(lambda *facts: previews.append(facts))
    live.show(Plane(0, 3))
    live.hover(Plane(0, 12), (20.0, 18.0))
    prompt(live, click())
    live.hover(Plane(0, 12), (20.0, 18.0))
    assert live.wait(20)
    assert previews == []


def test_a_picture_is_refused_with_a_reason(tmp_path, predictor):
    picture = Volume(np.zeros((40, 36), np.int16), array_geometry((40, 36)), name="picture")
    failures = []
    with AnnotationSession.create(picture, FINGERPRINT, folder=tmp_path) as session, Lane() as lane:
        live = LiveSegmentation(session, predictor, lane, window=ALL)
        live.events.failed.connect(failures.append)
        live.add_prompt(click((0, 20, 18)))
        assert live.wait(20)
        live.close()
        assert not session.labels.any()
    assert [error.subject for error in failures] == ["picture"]
    assert all(isinstance(error, MedfmError) for error in failures)
