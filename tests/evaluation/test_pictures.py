"""Pictures show slices as the viewer does: upright, in millimetres, every object in its colour."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.evaluation import draw_planes
from napari_medfm.volume import Geometry, Volume, Window, array_geometry

COLOURS = {1: (255, 0, 0), 2: (0, 255, 0)}
WINDOW = Window("test", 0, 100)


@pytest.fixture
def volume():
    """A black volume of 10 x 20 x 40 voxels of 4 x 2 x 1 mm: a cube of 40 mm."""
    plain = array_geometry((10, 20, 40), (4.0, 2.0, 1.0))
    return Volume(np.zeros(plain.shape, np.int16), Geometry(plain.shape, plain.affine))


def draw(volume, labels, at=(5, 10, 20)):
    return np.asarray(draw_planes(volume, WINDOW, {"result": labels}, COLOURS, at)).astype(int)


def reddish(picture):
    return (picture[..., 0] > picture[..., 1] + 50) & (picture[..., 0] > picture[..., 2] + 50)


def test_a_cube_in_millimetres_is_drawn_as_three_squares(volume):
    picture = draw_planes(volume, WINDOW, {"result": np.ones(volume.shape, np.uint8)}, COLOURS, (5, 10, 20))
    assert picture.width == 3 * 320 + 2 * 4
    columns = reddish(np.asarray(picture).astype(int)).any(axis=0)
    assert np.count_nonzero(columns) == 3 * 320


def test_every_label_volume_has_a_row(volume):
    labels = np.ones(volume.shape, np.uint8)
    one = draw_planes(volume, WINDOW, {"result": labels}, COLOURS, (5, 10, 20))
    two = draw_planes(volume, WINDOW, {"result": labels, "expert": labels}, COLOURS, (5, 10, 20))
    assert (two.width, two.height) == (one.width, 2 * one.height)


def test_an_outline_is_in_full_colour_and_the_inside_shows_the_image(volume):
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, 5:15, 10:30] = 1
    shown = draw(replace(volume, array=np.full(volume.shape, 50, np.int16)), labels)
    drawn = {tuple(colour) for colour in shown[reddish(shown)]}
    assert (255, 0, 0) in drawn
    assert (166, 89, 89) in drawn  # grey 128, with three tenths of red


def test_the_head_is_up_in_a_coronal_slice(volume):
    labels = np.zeros(volume.shape, np.uint8)
    labels[-2:] = 1  # the last axial slices lie towards the head
    coronal = reddish(draw(volume, labels))[16:336, 324:644]
    rows = np.flatnonzero(coronal.any(axis=1))
    assert rows.max() < 320 // 2


def test_the_face_is_up_and_left_is_right_in_an_axial_slice(volume):
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, :4, -4:] = 1  # anterior, at the patient's left
    axial = reddish(draw(volume, labels))[16:336, :320]
    rows, columns = np.nonzero(axial)
    assert rows.max() < 320 // 2
    assert columns.min() > 320 // 2


def test_letters_stand_at_the_edges_only_if_the_position_is_known(volume):
    nothing = np.zeros(volume.shape, np.uint8)
    known = draw(volume, nothing)
    guessed = draw(replace(volume, geometry=replace(volume.geometry, known=False)), nothing)
    assert known[16:336].max() > 0
    assert guessed[16:336].max() == 0


def test_a_2d_image_is_one_panel():
    plain = array_geometry((30, 60))
    labels = np.zeros(plain.shape, np.uint8)
    labels[:10] = 2
    picture = draw_planes(Volume(np.zeros(plain.shape), plain), WINDOW, {"result": labels}, COLOURS, (0, 0))
    assert picture.width == 320
