from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.volume import Geometry, array_geometry
from napari_medfm.volume.grids import grid_difference

AFFINE = np.array([[0, 0, -0.8, 10], [0, -0.9, 0, 20], [2.5, 0, 0, 30], [0, 0, 0, 1.0]])
GRID = Geometry((6, 5, 4), AFFINE)


def moved(**entries):
    affine = AFFINE.copy()
    for place, by in entries.items():
        affine[int(place[1]), int(place[2])] += by
    return replace(GRID, affine=affine)


def test_the_same_grid_has_no_difference():
    assert grid_difference(GRID, moved(_03=0.0005)) is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (moved(_03=8), "up to 8 mm (10 voxels)"),
        (moved(_20=0.001), "up to 0.005 mm (0.002 voxels)"),
        (replace(GRID, affine=AFFINE @ np.diag([1, 1, -1, 1])), "voxels) from the image's"),
        (replace(GRID, shape=(6, 5, 5)), "its grid is 5 x 5 x 6 voxels, the image's 4 x 5 x 6"),
        (replace(GRID, known=False), "only one of the two"),
    ],
)
def test_differences_are_told_in_mm_and_voxels(other, words):
    assert words in grid_difference(GRID, other)


def test_grids_without_position_compare_shape_and_spacing():
    plain = array_geometry((6, 5, 4), (1, 2, 3))
    affine = plain.affine.copy()
    affine[:3, 3] = 77
    assert grid_difference(plain, replace(plain, affine=affine)) is None
    other = array_geometry((6, 5, 4), (1, 2, 4))
    assert grid_difference(plain, other) == "its voxels measure 4 x 2 x 1 mm, the image's 3 x 2 x 1 mm"


@pytest.mark.parametrize(("along", "same"), [((0, 0, 0), True), ((0, 0, 5), False), ((0.8, 0, 0), False)])
def test_a_2d_image_beside_the_other_is_another_grid(along, same):
    affine = AFFINE.copy()
    affine[:3, 3] += along
    flat, other = (Geometry((5, 4), values) for values in (AFFINE, affine))
    assert (grid_difference(flat, other) is None) == same
