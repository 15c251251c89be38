import numpy as np

from napari_medfm.session.strokes import take_back


def test_a_stroke_is_taken_back_and_told_as_a_mask_of_its_box():
    labels = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    before = labels.copy()
    indices = (np.array([1, 1, 2]), np.array([2, 3, 3]), np.array([4, 4, 1]))
    values = labels[indices].copy()
    labels[indices] = 99
    region, mask = take_back(labels, indices, values)
    np.testing.assert_array_equal(labels, before)
    assert region == (slice(1, 3), slice(2, 4), slice(1, 5))
    whole = np.zeros(labels.shape, bool)
    whole[region] = mask
    assert sorted(zip(*(axis.tolist() for axis in np.nonzero(whole)), strict=True)) == [(1, 2, 4), (1, 3, 4), (2, 3, 1)]


def test_where_a_stroke_crosses_itself_the_first_value_counts():
    labels = np.zeros((4, 4), np.uint16)
    labels[1, 1] = 9
    take_back(labels, (np.array([1, 1, 1]), np.array([1, 2, 1])), np.array([5, 0, 9]))
    assert labels.tolist() == [[0, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_indices_may_be_open_grids_and_plain_numbers():
    labels = np.zeros((2, 4, 4), np.uint16)
    indices = (1, *np.ix_(range(1, 3), range(2, 4)))
    before = labels[indices].copy()
    labels[indices] = 3
    region, mask = take_back(labels, indices, before)
    assert not labels.any()
    assert (region, mask.all(), mask.shape) == ((slice(1, 2), slice(1, 3), slice(2, 4)), True, (1, 2, 2))


def test_an_empty_stroke_has_no_box():
    nothing = np.zeros(0, int)
    assert take_back(np.zeros((2, 2), np.uint16), (nothing, nothing), nothing)[0] is None
