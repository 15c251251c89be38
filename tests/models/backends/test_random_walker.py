"""The random walker: the suite, what it promises beyond it, and its floor on real images."""

import csv
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from suites.backend import PLANE, BackendSuite, assert_same, click, disc_image

from napari_medfm.models import available_models, load_model
from napari_medfm.prompts import Box, Lasso, MaskPrompt, PromptSet, Scribble
from napari_medfm.simulation import dice, middle_box, run_robot

MODEL = load_model("random_walker")


def answer(image, *prompts):
    """Return the model's answer to prompts."""
    return MODEL.decode(MODEL.encode(image), PromptSet(prompts))


class TestConformance(BackendSuite):
    """The whole suite."""

    @pytest.fixture
    def model(self):
        return MODEL


def test_its_spec_says_what_the_registry_says():
    entry = next(entry for entry in available_models() if entry.name == MODEL.spec.name)
    for fact in ("title", "tier", "origin", "licence", "commercial_use"):
        assert getattr(MODEL.spec, fact) == getattr(entry.facts, fact)
    assert not MODEL.spec.cacheable


@pytest.mark.parametrize("size", [3, 6, 12, 40, 120])
def test_a_click_finds_discs_of_every_size_in_a_slice(size):
    image, truth = disc_image((512, 512), (200, 300), size)
    found = answer(image, click(200, 300))
    assert dice(found.masks[0], truth) > 0.9


def test_a_click_on_a_single_pixel_contains_it():
    image = np.full((64, 64), 40, np.uint8)
    image[20, 30] = 250
    found = answer(image, click(20, 30)).mask
    assert found[20, 30]
    assert found.sum() < 40


@pytest.mark.parametrize("corner", [(0, 0), (0, 63), (63, 0), (63, 63), (0, 30), (30, 63)])
def test_a_click_at_the_border_of_the_image_works(corner):
    image, truth = disc_image((64, 64), corner, 14)
    assert dice(answer(image, click(*corner)).mask, truth) > 0.85


def test_an_object_that_reaches_the_border_of_the_image_is_not_cut_off_there():
    image = np.full((100, 100), 40, np.uint8)
    image[:40, 30:70] = 200
    truth = image == 200
    found = answer(image, click(18, 50), click(70, 50, positive=False)).mask
    assert found[0, 35:65].all()
    assert dice(found, truth) > 0.95


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (2, 2), (1, 300), (300, 1), (3, 500), (64, 64), (200, 300, 3)])
def test_a_constant_image_gives_a_blob_around_the_click(shape):
    row, column = shape[0] // 2, shape[1] // 2
    found = answer(np.full(shape, 128, np.uint8), click(row, column)).mask
    assert found[row, column]


def test_up_to_three_candidates_of_different_size_for_an_ambiguous_click():
    image, _ = disc_image((200, 200), (100, 100), 60)
    _, core = disc_image((200, 200), (100, 100), 15)
    image[core] = 250
    found = answer(image, click(100, 100))
    areas = sorted(found.masks.sum(axis=(1, 2)))
    assert 2 <= len(areas) <= 3
    assert all(small < 0.8 * large for small, large in itertools.pairwise(areas))


def test_of_two_contradicting_clicks_the_later_counts():
    image, _ = disc_image()
    yes, no = click(30, 36), click(30, 36, positive=False)
    assert answer(image, no, yes).mask[30, 36]
    assert not answer(image, click(34, 40), yes, no).mask[30, 36]
    assert not answer(image, yes, no).mask.any()


def test_clicks_on_neighbouring_pixels_of_a_large_image_are_all_heeded():
    image, _ = disc_image((400, 400), (200, 200), 150)
    found = answer(image, click(200, 200), click(201, 200, positive=False), click(202, 200)).mask
    assert [bool(found[row, 200]) for row in (200, 201, 202)] == [True, False, True]


def test_a_box_keeps_everything_outside_out():
    image, truth = disc_image((120, 120), (60, 60), 40)
    half = answer(image, Box(PLANE, (18.0, 18.0), (60.0, 102.0))).mask
    assert not half[62:].any()
    assert dice(half, truth & (np.arange(120) < 60)[:, None]) > 0.8


def test_a_box_smaller_than_a_pixel_is_a_click_on_it():
    found = answer(disc_image()[0], Box(PLANE, (30.0, 36.0), (30.5, 36.5))).mask
    assert found.sum() <= 4


def test_a_hole_in_a_box_can_be_clicked_away():
    image, outer = disc_image((120, 120), (60, 60), 40)
    _, hole = disc_image((120, 120), (60, 60), 14)
    image[hole] = 60
    box = Box(PLANE, (18.0, 18.0), (103.0, 103.0))
    found = answer(image, box, click(60, 60, positive=False), click(60, 85)).mask
    assert not found[60, 60]
    assert dice(found, outer & ~hole) > 0.85


def test_scribbles_and_lassos_add_and_remove():
    image, truth = disc_image((120, 120), (60, 40), 25)
    _, second = disc_image((120, 120), (60, 90), 12)
    image[second] = 165
    line = Scribble(PLANE, ((50.0, 30.0), (70.0, 50.0)))
    bridge = Scribble(PLANE, ((60.0, 85.0), (60.0, 95.0)))
    fence = Lasso(PLANE, ((45.0, 75.0), (45.0, 105.0), (75.0, 105.0), (75.0, 75.0)), positive=False)
    assert dice(answer(image, line, bridge).mask, truth | second) > 0.85
    alone = answer(image, line, fence).mask
    assert dice(alone, truth) > 0.9
    assert not alone[60, 90]


def test_a_mask_by_itself_comes_back_as_it_was_drawn():
    rng = np.random.default_rng(3)
    drawn = np.zeros((300, 300), bool)
    drawn[90:200, 80:230] = True
    drawn[90:200, 80:230] ^= rng.random((110, 150)) < 0.02  # a ragged hand
    found = answer(rng.integers(0, 255, (300, 300), dtype=np.uint8), MaskPrompt.from_mask(PLANE, drawn)).mask
    assert np.array_equal(found, drawn)


def test_a_click_corrects_a_mask_nearby_and_leaves_the_rest_of_it():
    image, truth = disc_image((200, 200), (100, 100), 60)
    drawn = truth.copy()
    drawn[30:60, 95:105] = True  # a spike that does not belong
    mask = MaskPrompt.from_mask(PLANE, drawn)
    found = answer(image, mask, click(36, 100, positive=False)).mask
    assert not found[36, 100]
    assert dice(found[70:], truth[70:]) > 0.99


def test_empty_masks_say_nothing():
    image, _ = disc_image()
    empty = MaskPrompt.from_mask(PLANE, np.zeros((64, 64), bool))
    assert not answer(image, empty).mask.any()
    assert_same(
        answer(image, click(30, 36), click(2, 2, False)), answer(image, empty, click(30, 36), click(2, 2, False))
    )


def test_thirty_clicks_are_no_trouble():
    image, truth = disc_image((200, 200), (100, 100), 50)
    rng = np.random.default_rng(1)
    clicks = [click(row, column, bool(truth[row, column])) for row, column in rng.integers(0, 200, (30, 2))]
    found = answer(image, *clicks).mask
    assert all(found[int(p.position[0]), int(p.position[1])] == p.positive for p in clicks)
    assert dice(found, truth) > 0.95


positions = st.tuples(st.floats(-0.5, 29.4), st.floats(-0.5, 39.4))
signs = st.booleans()
prompts = st.one_of(
    st.builds(lambda p, s: click(*p, s), positions, signs),
    st.builds(lambda path, s: Scribble(PLANE, tuple(path), s), st.lists(positions, min_size=1, max_size=4), signs),
    st.builds(lambda path, s: Lasso(PLANE, tuple(path), s), st.lists(positions, min_size=3, max_size=5), signs),
    st.builds(
        lambda r, c, h, w: Box(PLANE, (r, c), (r + h, c + w)),
        st.integers(0, 28),
        st.integers(0, 38),
        st.integers(1, 30),
        st.integers(1, 40),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(prompts, min_size=1, max_size=6), st.integers(0, 3))
def test_any_prompts_on_any_image_get_an_answer_that_heeds_the_clicks(made, seed):
    image = np.random.default_rng(seed).integers(0, 1 + 85 * seed, (30, 40), dtype=np.uint8)
    found = answer(image, *made)
    assert found.mask.shape == (30, 40)
    assert 0 <= found.quality <= 1
    last = made[-1]
    if last.kind == "point" and any(prompt.positive for prompt in made) and found.mask.any():
        row, column = (int(np.floor(value + 0.5)) for value in last.position)
        assert found.mask[row, column] == last.positive


@pytest.mark.shared_data
def test_it_is_a_floor_worth_standing_on(shared_data):
    """Real images of six kinds: Dice after 1 and 3 clicks of the RITM robot, and for a box."""
    first, third, boxed = [], [], []
    for image, truth in _real_objects(shared_data):
        embedding = MODEL.encode(image)
        trace = run_robot(lambda made, _: MODEL.decode(embedding, made).mask, truth, max_clicks=3)  # noqa: B023
        first.append(trace.after_clicks(3)[0])
        third.append(trace.after_clicks(3)[2])
        box = middle_box(truth, np.random.default_rng(0), PLANE)
        boxed.append(dice(MODEL.decode(embedding, PromptSet((box,))).mask, truth))
    assert len(first) == 12
    assert np.mean(first) > 0.5
    assert np.mean(third) > 0.7
    assert np.mean(boxed) > 0.75


def _real_objects(
    folder, sets=("msd_spleen_ct", "npc_t2_mr", "liver_us", "idrid_optic_disc_fundus", "faz_octa", "krd_wbc_microscopy")
):
    with (folder / "manifest.csv").open() as table:
        rows = list(csv.DictReader(table))
    for name in sets:
        for row in [row for row in rows if row["dataset"] == name][:2]:
            labels = np.asarray(Image.open(folder / row["mask"]))
            yield np.asarray(Image.open(folder / row["image"])), labels == np.unique(labels)[1]
