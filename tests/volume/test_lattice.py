"""A lattice lies on a volume as MONAI's transforms lay it, and every voxel finds its point again."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.apps.vista3d.inferer import _get_window_idx_c
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing
from nibabel.orientations import apply_orientation, inv_ornt_aff

from napari_medfm.volume import Lattice, LatticeRegion, array_geometry
from napari_medfm.volume.orientation import canonical_geometry, source_grid, to_canonical

SHAPE = (13, 11, 9)
ORIENTATIONS = [
    np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)])
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def file_of(orientation, spacing, turned=0.0):
    """Return a volume as some file may hold it, with its affine."""
    cosine, sine = np.cos(turned), np.sin(turned)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag(spacing)
    affine[:3, 3] = (-20, 5, 33)
    array = np.random.default_rng(0).normal(0, 300, SHAPE).astype(np.float32)
    turned_array = apply_orientation(array, orientation)
    return turned_array, affine @ inv_ornt_aff(orientation, SHAPE)


@pytest.mark.parametrize(
    ("orientation", "spacing", "turned"),
    [(ORIENTATIONS[5], (1.5, 1.5, 1.5), 0.0), *((one, (0.8, 2.0, 3.1), 0.2) for one in ORIENTATIONS)],
)
def test_reads_what_the_transforms_of_monai_make_of_the_file(orientation, spacing, turned):
    array, affine = file_of(orientation, spacing, turned)
    seen = Spacing((1.5, 1.5, 1.5), mode="bilinear")(MetaTensor(torch.as_tensor(array.copy())[None], affine=affine))
    expected = Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))(seen)[0].numpy()
    source = source_grid(array.shape, affine)
    lattice = Lattice.over(canonical_geometry(source), 1.5)
    assert lattice.shape == expected.shape
    whole = LatticeRegion(lattice, (0, 0, 0), lattice.shape).read(to_canonical(array, source))
    np.testing.assert_allclose(whole, expected, atol=2e-3)


@given(
    st.tuples(*[st.integers(1, 24)] * 3),
    st.tuples(*[st.floats(0.3, 4)] * 3),
    st.one_of(st.none(), st.floats(0.5, 3)),
    st.tuples(*[st.floats(0, 1)] * 3),
    st.integers(1, 12),
)
def test_every_voxel_of_a_regions_box_takes_the_point_it_lies_nearest_to(shape, own, spacing, place, side):
    lattice = Lattice.over(array_geometry(shape, own), spacing)
    voxel = [min(int(part * size), size - 1) for part, size in zip(place, shape, strict=True)]
    region = lattice.around(lattice.positions(voxel), (side, side, side))
    numbers = np.arange(side**3).reshape(region.size)
    found = region.nearest(numbers)
    assert found.shape == tuple(part.stop - part.start for part in region.box)
    corner = np.array([part.start for part in region.box])
    for offset in {(0, 0, 0), tuple(np.subtract(found.shape, 1).tolist())} if found.size else ():
        position = lattice.positions(corner + offset)
        point = np.clip(np.rint(position), 0, np.subtract(lattice.shape, 1)) - region.origin
        assert found[offset] == numbers[tuple(point.astype(int))]
        assert np.abs(np.clip(position, 0, np.subtract(lattice.shape, 1)) - region.origin - point).max() <= 0.5 + 1e-9


@given(st.tuples(*[st.integers(1, 20)] * 3), st.integers(1, 12), st.randoms(use_true_random=False))
def test_on_the_volumes_own_voxels_nothing_is_lost_on_the_way_there_and_back(shape, side, random):
    lattice = Lattice.over(array_geometry(shape))
    array = np.random.default_rng(random.randrange(2**32)).normal(size=shape).astype(np.float32)
    region = lattice.around([random.uniform(0, size - 1) for size in lattice.shape], (side, side, side))
    assert np.array_equal(region.nearest(region.read(array)), array[region.box])


@given(st.integers(1, 60), st.integers(1, 20).map(lambda half: 2 * half), st.floats(0, 1))
def test_a_region_lies_around_a_click_as_the_authors_window_does(count, side, share):
    position = share * (count - 1)
    region = Lattice.over(array_geometry((count, 1, 1))).around((0, 0, position), (side, side, side))
    padding = max(side - count, 0)
    left, right = _get_window_idx_c(position + padding // 2, side, count + padding)
    assert (region.origin[2], region.origin[2] + side) == (left - padding // 2, right - padding // 2)


def test_what_lies_beyond_the_image_has_the_value_that_is_asked_for_and_nan_too():
    array = np.full((2, 2, 2), 7, np.float32)
    array[0, 0, 0] = np.nan
    region = Lattice.over(array_geometry((2, 2, 2))).around((0, 0, 0), (4, 4, 4))
    values = region.read(array, fill=-3.0)
    assert np.count_nonzero(values == 7) == 7
    assert np.count_nonzero(values == -3) == 57


def test_a_face_beyond_which_there_is_no_image_needs_no_distance():
    lattice = Lattice.over(array_geometry((20, 20, 20)))
    region = LatticeRegion(lattice, (0, 4, 12), (8, 8, 8))
    assert region.inside([(0, 4, 7)], margin=3).all()
    assert not region.inside([(0, 1, 4), (7, 4, 4), (4, 4, 1)], margin=3).any()
    assert region.inside([(7, 0, 0)]).all()
    assert not region.inside([(8, 0, 0), (-1, 0, 0)]).any()


def test_the_key_tells_regions_of_a_volume_apart():
    geometry = array_geometry((20, 20, 20), (1.0, 1.0, 1.1))
    keys = {
        Lattice.over(geometry, wanted).around(position, size).key
        for wanted in (None, 1.5, 2.0)
        for position in ((6, 6, 6), (7, 6, 6))
        for size in ((8, 8, 8), (8, 8, 6))
    }
    assert len(keys) == 12
