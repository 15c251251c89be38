import numpy as np

from napari_medfm.session.strokes import enclose


def test_a_stroke_is_a_mask_of_its_box_however_often_it_crosses_itself():
    indices = (np.array([1, 1, 2, 1]), np.array([2, 3, 3, 2]), np.array([4, 4, 1, 4]))
    region, mask = enclose(indices)
    assert region == (slice(1, 3), slice(2, 4), slice(1, 5))
    whole = np.zeros((3, 4, 5), bool)
    whole[region] = mask
    assert sorted(zip(*(axis.tolist() for axis in np.nonzero(whole)), strict=True)) == [(1, 2, 4), (1, 3, 4), (2, 3, 1)]


def test_indices_may_be_open_grids_and_plain_numbers():
    region, mask = enclose((1, *np.ix_(range(1, 3), range(2, 4))))
    assert (region, mask.all(), mask.shape) == ((slice(1, 2), slice(1, 3), slice(2, 4)), True, (1, 2, 2))


def test_an_empty_stroke_has_no_box():
    nothing = np.zeros(0, int)
    assert enclose((nothing, nothing))[0] is None
