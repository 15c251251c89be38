"""A landmark that is clicked in any plane of any file lies in the right voxel, and labels go back into it exactly.

All 48 ways in which the axes of a file may lie in the patient, with cubic, thick and oblique voxels.
"""

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import Dims
from napari.layers import Image

from napari_medfm._napari.images import placement
from napari_medfm._napari.pointing import locate, visible_plane
from napari_medfm.prompts import Point
from napari_medfm.volume import Plane, Volume, open_labels, open_volume, write_labels
from napari_medfm.volume.orientation import canonical_geometry, source_grid, to_canonical, to_source

SHAPE = (5, 7, 9)
SPACINGS = {"isotropic": (1.0, 1.0, 1.0), "anisotropic": (0.8, 1.1, 4.0), "oblique": (0.9, 0.9, 3.0)}
ORIENTATIONS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]
assert len(ORIENTATIONS) == 48


def affine_of(axes, signs, kind):
    """Return voxel indices of a file to RAS mm."""
    matrix = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[world, axis] = sign * SPACINGS[kind][axis]
    if kind == "oblique":
        (a, b), (c, d) = (np.cos([0.3, 0.2]), np.sin([0.3, 0.2]))
        matrix = np.array([[a, -c, 0], [c, a, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, b, -d], [0, d, b]]) @ matrix
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, (12.5, -40.0, 7.25)
    return affine


def marked(landmark):
    """Return an image with one bright voxel."""
    array = np.random.default_rng(3).integers(0, 100, SHAPE).astype(np.int16)
    array[landmark] = 1000
    return array


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("geometry")


def clicked(layer, axis, bright):
    """Return the prompt that a click on the bright voxel makes, in the plane across an axis that is in view."""
    dims = Dims(ndim=3, order=(axis, *(other for other in range(3) if other != axis)))
    dims.range = [(0, (size - 1) * step, step) for size, step in zip(layer.data.shape, layer.scale, strict=True)]
    world = layer.data_to_world(bright)
    dims.set_point(range(3), list(world))
    plane = visible_plane(layer, dims)
    return Point(plane, locate(layer, plane, world))


def check_clicks(volume, landmark, affine):
    """Click on the bright voxel in every plane; return labels of what was hit."""
    bright = tuple(int(place) for place in np.argwhere(volume.array == 1000)[0])
    layer, labels = Image(volume.array, **placement(volume.geometry)), np.zeros(volume.shape, np.uint16)
    for axis in range(3):
        prompt = clicked(layer, axis, bright)
        assert prompt.plane == Plane(axis, bright[axis])
        voxel = prompt.plane.to_voxel(prompt.position)
        assert np.allclose(volume.geometry.to_world(voxel), affine[:3, :3] @ landmark + affine[:3, 3], atol=1e-3)
        labels[tuple(int(np.round(place)) for place in voxel)] += 1 << axis
    assert labels[bright] == labels.sum() == 7
    return labels


@pytest.mark.parametrize("kind", SPACINGS)
def test_a_landmark_clicked_in_each_plane_lies_in_its_voxel_in_every_orientation(kind):
    for number, orientation in enumerate(ORIENTATIONS):
        landmark = tuple(int(place) for place in np.random.default_rng(number).integers(0, SHAPE))
        affine = affine_of(*orientation, kind)
        source = source_grid(SHAPE, affine)
        volume = Volume(to_canonical(marked(landmark), source), canonical_geometry(source))
        labels = check_clicks(volume, landmark, affine)
        assert to_source(labels, source)[landmark] == 7
        assert np.array_equal(to_canonical(to_source(labels, source), source), labels)


@settings(max_examples=10, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    kind=st.sampled_from(list(SPACINGS)),
    landmark=st.tuples(*(st.integers(0, size - 1) for size in SHAPE)),
)
def test_labels_go_through_a_file_and_back_exactly(folder, orientation, kind, landmark):
    path, saved = folder / "image.nii", folder / "labels.nii"
    nib.save(nib.Nifti1Image(marked(landmark), affine_of(*orientation, kind)), path)
    volume = open_volume(path)
    labels = check_clicks(volume, landmark, nib.load(path).affine)
    write_labels(saved, labels, volume.geometry)
    written = nib.load(saved)
    assert np.array_equal(written.affine, nib.load(path).affine)
    assert np.asarray(written.dataobj)[landmark] == 7
    assert np.array_equal(open_labels(saved, volume), labels)
