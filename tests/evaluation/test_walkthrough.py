"""The robot user works through the same session and conversation as a person."""

import numpy as np
import pytest

from napari_medfm.errors import LockedObjectError, ModelError, PromptError
from napari_medfm.evaluation import ask, expert_masks, segment_like_expert
from napari_medfm.inference import MemoryStore, Predictor, open_lane
from napari_medfm.models import load_model
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, LiveSegmentation, ObjectClass
from napari_medfm.volume import Plane, fingerprint

CLASSES = (ObjectClass("organ"), ObjectClass("lesion", parent="organ"), ObjectClass("other"), ObjectClass("absent"))


@pytest.fixture
def session(small_volume):
    with AnnotationSession.create(small_volume, fingerprint(small_volume), classes=CLASSES) as session:
        yield session


@pytest.fixture
def lane():
    with open_lane() as lane:
        yield lane


@pytest.fixture
def live(session, lane):
    live = LiveSegmentation(session, Predictor(load_model("random_walker"), MemoryStore(10**8)), lane)
    yield live
    live.close()


class Broken:
    """A model that fails."""

    def __init__(self):
        self.spec = load_model("random_walker").spec

    def encode(self, image):
        raise ModelError("broken", "cannot encode", "Choose another.")


def test_an_expert_mask_holds_what_lies_inside_too(small_labels):
    masks = expert_masks(small_labels, CLASSES)
    assert list(masks) == ["organ", "lesion", "other"]
    assert np.array_equal(masks["organ"], (small_labels == 1) | (small_labels == 2))
    assert np.array_equal(masks["lesion"], small_labels == 2)


def test_an_object_is_segmented_on_every_slice_that_the_expert_marked(session, live, small_labels):
    masks = expert_masks(small_labels, CLASSES)
    (score,) = segment_like_expert(session, live, {"other": masks["other"]}, clicks=3)
    assert score.dice > 0.8
    assert score.slices == np.count_nonzero(masks["other"].any(axis=(1, 2)))
    prompts = session.state.object(score.object_id).prompts
    assert len(prompts) == score.prompts
    assert [prompt.kind for prompt in prompts].count("box") == score.slices
    assert score.slices <= score.prompts <= (1 + 3) * score.slices
    assert session.state.object(score.object_id).accepted
    assert session.state.object(score.object_id).class_name == "other"


def test_the_robot_clicks_no_more_where_the_mask_is_good_enough(session, live, small_labels):
    truth = expert_masks(small_labels, CLASSES)["other"]
    (hasty,) = segment_like_expert(session, live, {"other": truth}, enough=0.0)
    assert hasty.prompts == hasty.slices
    session.delete_object(hasty.object_id)
    (careful,) = segment_like_expert(session, live, {"other": truth}, enough=1.0)
    assert careful.prompts > careful.slices
    assert careful.dice > hasty.dice


def test_equal_seeds_give_equal_prompts(session, live, small_labels):
    truth = expert_masks(small_labels, CLASSES)["other"]
    made = []
    for seed in (1, 1, 2):
        (score,) = segment_like_expert(session, live, {"other": truth}, enough=0.0, seed=seed)
        made.append(session.state.object(score.object_id).prompts)
        session.delete_object(score.object_id)
    assert made[0] == made[1] != made[2]


def test_a_lesion_inside_an_organ_stays_part_of_it(session, live, small_labels):
    middle = {
        name: mask & (np.arange(12) == 6)[:, None, None] for name, mask in expert_masks(small_labels, CLASSES).items()
    }
    organ, lesion = segment_like_expert(session, live, {name: middle[name] for name in ("organ", "lesion")}, clicks=4)
    mask = session.object_mask(organ.object_id, Plane(0, 6))
    assert session.object_mask(lesion.object_id, Plane(0, 6)).any()
    assert not (session.object_mask(lesion.object_id, Plane(0, 6)) & ~mask).any()


def test_the_answer_is_in_the_session_when_ask_returns(session, live):
    session.add_object()
    ask(live, Point(Plane(0, 6), (24.0, 20.0)))
    assert session.voxel_count(1) > 0


def test_a_prompt_outside_the_image_is_refused(session, live):
    session.add_object()
    with pytest.raises(PromptError):
        ask(live, Point(Plane(0, 6), (24.0, 2000.0)))


def test_a_locked_object_is_refused(session, live):
    session.set_locked(session.add_object(), True)
    with pytest.raises(LockedObjectError):
        ask(live, Point(Plane(0, 6), (24.0, 20.0)))


def test_a_model_that_fails_is_heard(session, lane):
    live = LiveSegmentation(session, Predictor(Broken()), lane)
    session.add_object()
    with pytest.raises(ModelError, match="broken: cannot encode"):
        ask(live, Point(Plane(0, 6), (24.0, 20.0)))


def test_several_pieces_on_a_slice_are_clicked_not_boxed_together(session, live, small_labels):
    truth = np.zeros(small_labels.shape, bool)
    truth[5, 4:14, 4:14] = truth[5, 26:36, 26:36] = truth[6, 4:14, 4:14] = True
    (score,) = segment_like_expert(session, live, {"other": truth}, clicks=2)
    prompts = session.state.object(score.object_id).prompts
    assert [prompt.kind for prompt in prompts.in_plane(Plane(0, 5))] == ["point", "point"]
    assert prompts.in_plane(Plane(0, 6))[0].kind == "box"
