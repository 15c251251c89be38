import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import Point
from napari_medfm.propagation import as_large_as, without_denied
from napari_medfm.volume import Plane

MASK = np.zeros((20, 30), bool)
MASK[4:13, 3:12] = True
MASK[5:8, 20:25] = True


def click(row, column, *, positive=False):
    return Point(Plane(0, 0), (float(row), float(column)), positive=positive)


@pytest.mark.parametrize(("place", "gone"), [((8, 7), np.s_[:, :15]), ((6, 22), np.s_[:, 15:])])
def test_a_click_against_the_heart_of_a_part_takes_the_part_away(place, gone):
    rest = without_denied(MASK, click(*place))
    assert rest is not None
    assert not rest[gone].any()
    assert rest.sum() == MASK.sum() - MASK[gone].sum()


def test_crumbs_beside_what_is_denied_go_with_it():
    crumbs = MASK.copy()
    crumbs[5:8, 20:25] = False
    crumbs[[2, 16], [20, 25]] = True
    rest = without_denied(crumbs, click(8, 7))
    assert rest is not None
    assert not rest.any()
    kept = without_denied(MASK, click(6, 22))
    assert (kept[:, :15] == MASK[:, :15]).all()


@pytest.mark.parametrize("against", [click(5, 4), click(0, 0), click(8, 7, positive=True)])
def test_a_click_near_the_outline_or_beside_or_for_it_denies_no_part(against):
    assert without_denied(MASK, against) is None


class Asked:
    """Answers a lone click with one mask and a box with all of itself; notes what it was asked."""

    def __init__(self, lone):
        self.lone, self.prompts = lone, []

    def __call__(self, prompts):
        self.prompts.append(prompts)
        mask, box = self.lone, prompts.box
        if box is not None:
            (top, left), (bottom, right) = ((int(at) for at in corner) for corner in (box.start, box.stop))
            mask = np.zeros_like(MASK)
            mask[top:bottom, left:right] = True
        both = np.stack([mask, ~mask])
        return MaskPrediction(both, both.astype(np.float32), np.array([0.5, 0.1], np.float32))


def test_an_answer_about_as_large_as_the_object_nearby_is_believed():
    asked = Asked(np.roll(MASK, 6, axis=1))
    assert (as_large_as([MASK], click(8, 13, positive=True), asked).mask == asked.lone).all()
    assert len(asked.prompts) == 1


@pytest.mark.parametrize("lone", [np.ones_like(MASK), np.zeros_like(MASK)])
def test_another_answer_is_asked_for_again_as_large_as_the_object_nearby(lone):
    near = np.zeros_like(MASK)
    near[2:6, 4:10] = True
    asked = Asked(lone)
    found = as_large_as([near], click(12, 20, positive=True), asked).mask
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (10, 14, 17, 23)
    assert asked.prompts[-1].points == (click(12, 20, positive=True),)


def test_an_answer_of_a_size_between_what_is_known_nearby_is_believed_and_the_nearest_says_how_large_else():
    tip = np.zeros_like(MASK)
    tip[2:4, 2:4] = True
    lone = np.zeros_like(MASK)
    lone[10:15, 5:10] = True
    assert (as_large_as([tip, MASK], click(12, 7, positive=True), Asked(lone)).mask == lone).all()
    beyond = as_large_as([tip, MASK], click(12, 7, positive=True), Asked(np.ones_like(MASK))).mask
    assert beyond.sum() < 16


@given(st.integers(0, 19), st.integers(0, 29))
def test_wherever_the_click_is_the_box_lies_in_the_image_and_holds_it(row, column):
    asked = Asked(np.zeros_like(MASK))
    found = as_large_as([MASK], click(row, column, positive=True), asked).mask
    box = asked.prompts[-1].box
    assert found[row, column]
    assert min(box.start) >= 0
    assert box.stop[0] <= 20
    assert box.stop[1] <= 30
