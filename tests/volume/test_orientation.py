import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.volume import Geometry, array_geometry, edge_letters, open_labels, open_volume, write_labels
from napari_medfm.volume.orientation import (
    canonical_geometry,
    default_source,
    rows_grow_upwards,
    source_grid,
    to_canonical,
    to_source,
)

from .nifti_files import numbered, write_nifti_file

SHAPE = (4, 5, 6)
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]
TURN = np.linalg.qr(np.array([[0.9, 0.2, 0.1], [-0.2, 0.95, 0.15], [-0.1, -0.2, 0.97]]))[0]
TURN *= np.sign(np.diag(TURN))
SHAPES_OF_SPACE = {
    "isotropic": np.eye(3),
    "anisotropic": np.diag([0.7, 0.9, 4.0]),
    "oblique": TURN @ np.diag([0.7, 0.9, 4.0]),
    "sheared": np.array([[0.7, 0.1, 0.3], [0, 0.9, -0.5], [0, 0, 4.0]]),
}


def affine_of(linear, order, signs):
    """Return a file affine whose axes are those of `linear`, reordered and reversed."""
    affine = np.eye(4)
    affine[:3, :3] = (linear * signs)[:, order]
    affine[:3, 3] = (-31.5, 17.25, 104)
    return affine.astype(np.float32)


def landmarks(geometry, canonical, affine, stored):
    """Return where eight landmarks lie by the file and by the canonical grid, (8, 3) mm each."""
    corners = np.array(list(itertools.product(*[(0, size - 1) for size in stored.shape])))
    inside = (corners * 0.5).astype(int)
    points = np.concatenate([corners, inside])
    by_file = points @ affine[:3, :3].T + affine[:3, 3]
    found = [np.argwhere(canonical == stored[tuple(point)])[0] for point in points]
    return by_file, geometry.to_world(np.array(found))


def codes(image):
    return int(image.header["qform_code"]), int(image.header["sform_code"])


@pytest.mark.parametrize("space", SHAPES_OF_SPACE)
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_every_orientation_keeps_landmarks_and_axes(space, order, signs):
    stored = numbered(SHAPE)
    affine = affine_of(SHAPES_OF_SPACE[space], order, signs).astype(np.float64)
    source = source_grid(SHAPE, affine)
    geometry = canonical_geometry(source)
    canonical = to_canonical(stored, source)
    by_file, by_grid = landmarks(geometry, canonical, affine, stored)
    assert np.abs(by_file - by_grid).max() < 1e-3
    assert nib.aff2axcodes(geometry.affine) == ("S", "P", "L")
    assert geometry.shape == canonical.shape
    assert np.array_equal(to_source(canonical, source), stored)


@settings(max_examples=60, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    space=st.sampled_from(sorted(SHAPES_OF_SPACE)),
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_labels_written_for_any_file_lie_exactly_on_it(tmp_path_factory, orientation, space, seed, shape, suffix):
    folder = tmp_path_factory.mktemp("grid")
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine = affine_of(turn @ SHAPES_OF_SPACE[space], *orientation)
    stored = numbered(shape)
    image = write_nifti_file(folder / f"image{suffix}", stored, affine)
    volume = open_volume(image)
    by_file, by_grid = landmarks(volume.geometry, volume.array, affine.astype(np.float64), stored)
    assert np.abs(by_file - by_grid).max() < 1e-3

    labels = rng.integers(0, 300, volume.shape).astype(np.uint16)
    out = write_labels(folder / f"labels{suffix}", labels, volume.geometry)
    assert np.array_equal(open_labels(out, volume), labels)
    source, written = nib.load(image), nib.load(out)
    assert np.array_equal(source.affine, written.affine)
    assert codes(source) == codes(written)
    assert np.array_equal(np.asarray(written.dataobj), to_source(labels, volume.geometry.source))


def test_canonical_axes_of_an_lps_file_need_no_copy(tmp_path):
    stored = numbered(SHAPE)
    source = source_grid(SHAPE, np.diag([-1.0, -1, 1, 1]))
    canonical = to_canonical(np.asfortranarray(stored), source)
    assert canonical.flags.c_contiguous


@pytest.mark.parametrize(
    ("axis", "letters"),
    [(0, ("R", "L", "A", "P")), (1, ("R", "L", "S", "I")), (2, ("A", "P", "S", "I"))],
)
@pytest.mark.parametrize("space", SHAPES_OF_SPACE)
def test_planes_stand_in_radiological_convention(space, axis, letters):
    geometry = canonical_geometry(source_grid(SHAPE, affine_of(SHAPES_OF_SPACE[space], (0, 1, 2), (1, 1, 1))))
    assert edge_letters(geometry, axis) == letters
    assert rows_grow_upwards(geometry, axis) == (axis > 0)


@pytest.mark.parametrize(
    ("thin", "letters"), [(2, ("R", "L", "A", "P")), (1, ("R", "L", "S", "I")), (0, ("A", "P", "S", "I"))]
)
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, -1), (1, -1, 1)])
def test_a_single_slice_stands_upright_whatever_its_plane(thin, letters, signs):
    shape = tuple(1 if axis == thin else size for axis, size in enumerate(SHAPE))
    affine = affine_of(SHAPES_OF_SPACE["anisotropic"], (0, 1, 2), signs).astype(np.float64)
    geometry = canonical_geometry(source_grid(shape, affine))
    assert geometry.ndim == 2
    assert not rows_grow_upwards(geometry, 0)
    assert edge_letters(geometry) == letters


def test_letters_follow_the_affine_not_the_convention():
    mirrored = Geometry(SHAPE, array_geometry(SHAPE).affine @ np.diag([1, 1, -1, 1]))
    assert edge_letters(mirrored, 0) == ("L", "R", "A", "P")


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("known", [True, False])
def test_an_array_that_was_no_file_converts_to_a_file_grid_and_back(ndim, known):
    plain = array_geometry(SHAPE[:ndim], (2.0, 0.5, 0.7)[:ndim])
    geometry = Geometry(plain.shape, plain.affine, known=known)
    array = numbered(SHAPE[:ndim])
    source = default_source(geometry)
    stored = to_source(array, source)
    assert stored.shape == source.shape
    assert np.array_equal(to_canonical(stored, source), array)
    back = canonical_geometry(source_grid(source.shape, source.affine))
    assert np.allclose(back.affine[:, 3 - ndim :], geometry.affine[:, 3 - ndim :])
