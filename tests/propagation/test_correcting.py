import numpy as np
import pytest

from napari_medfm.models import MaskPrediction
from napari_medfm.prompts import Point
from napari_medfm.propagation import like_its_neighbour, without_denied
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


@pytest.mark.parametrize("against", [click(5, 4), click(0, 0), click(8, 7, positive=True)])
def test_a_click_near_the_outline_or_beside_or_for_it_denies_no_part(against):
    assert without_denied(MASK, against) is None


def test_of_several_answers_the_one_like_the_next_slice_is_meant():
    masks = np.stack([np.ones_like(MASK), MASK, np.zeros_like(MASK)])
    prediction = MaskPrediction(masks, masks.astype(np.float32), np.array([0.9, 0.5, 0.1], np.float32))
    chosen = like_its_neighbour(prediction, np.roll(MASK, 1, axis=0))
    assert (chosen.mask == MASK).all()
    assert chosen.quality == np.float32(0.5)
    elsewhere = MaskPrediction(masks[1:], prediction.low_res[1:], prediction.qualities[1:])
    assert (like_its_neighbour(elsewhere, ~MASK).mask == MASK).all()
