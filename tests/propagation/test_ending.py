import numpy as np
import pytest

from napari_medfm.inference import Proposal
from napari_medfm.propagation import follow, gathered, taper
from napari_medfm.simulation import dice
from napari_medfm.volume import Plane, array_geometry

from .conftest import ball, key, scene_of

SHAPE = (24, 40, 40)
EGG = ball(SHAPE, (12, 20, 20), 8, (0.8, 1.0, 1.0))
WIDE = np.broadcast_to(EGG[12], SHAPE)
NOTHING = np.zeros(SHAPE, bool)
GEOMETRY = array_geometry(SHAPE, (0.8, 1.0, 1.0))


def proposals(masks, indices):
    return [Proposal.of(Plane(0, index), masks[index], 0.7) for index in indices]


def masks_of(found):
    return {each.plane.index: each.to_mask(SHAPE[1:]) for each in found}


@pytest.mark.parametrize("end", [2, 22])
def test_what_runs_on_up_to_where_it_is_denied_becomes_an_ellipsoid(end):
    keys = (key(EGG, 12), key(NOTHING, end))
    inner = range(min(12, end) + 1, max(12, end))
    wide = proposals(WIDE, inner)
    found = masks_of(wide) | masks_of(taper(wide, keys, GEOMETRY))
    assert min(dice(found[index], EGG[index]) for index in inner if abs(index - 12) < 9) > 0.9


def test_across_another_axis_it_is_the_same():
    turned = np.swapaxes(WIDE, 0, 1)
    keys = (key(turned, 12, 1), key(np.swapaxes(NOTHING, 0, 1), 22, 1))
    geometry = array_geometry((40, 24, 40), (1.0, 0.8, 1.0))
    changed = taper([Proposal.of(Plane(1, 18), Plane(1, 18).take(turned), 0.7)], keys, geometry)
    assert dice(changed[0].to_mask((40, 40)), EGG[18]) > 0.9
    assert changed[0].confidence == 0.7


def test_what_is_as_small_already_and_what_lies_beyond_the_keys_is_left_as_it_is():
    keys = (key(EGG, 12), key(NOTHING, 23))
    assert not taper(proposals(ball(SHAPE, (12, 20, 20), 5), range(14, 17)), keys, GEOMETRY)
    assert not taper(proposals(WIDE, range(2, 12)), keys, GEOMETRY)


def test_between_two_slices_that_hold_it_an_object_stays_as_it_is():
    assert not taper(proposals(WIDE, range(7, 18)), (key(WIDE, 6), key(WIDE, 18)), GEOMETRY)


def test_an_oblique_vessel_stays_as_wide_as_it_is():
    oblique = np.zeros(SHAPE, bool)
    for at in range(24):
        oblique[at, 10:14, 3 * at // 2 : 3 * at // 2 + 4] = True
    keys = (key(oblique, 2), key(NOTHING, 22))
    assert not taper(proposals(oblique, range(3, 22)), keys, GEOMETRY)


def test_towards_a_slice_where_it_is_denied_an_object_is_followed_so(predictor):
    tube = np.zeros(SHAPE, bool)
    tube[:, 12:28, 12:28] = True
    found = gathered(follow(predictor, scene_of(tube), (key(tube, 8), key(NOTHING, 16)), range(24)))
    areas = {each.plane.index: int(each.to_mask(SHAPE[1:]).sum()) for each in found}
    assert areas[15] < 0.4 * areas[9]
    assert areas[4] > 0.9 * tube[4].sum()
    assert max(areas) < 16
