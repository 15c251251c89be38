"""Pictures show slices as the viewer does: upright, in millimetres, every object in its colour."""

from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.evaluation import draw_comparison, draw_planes
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import Geometry, Volume, Window, array_geometry, fingerprint

COLOURS = {1: (255, 0, 0), 2: (0, 255, 0)}
SIDE, GAP, TITLE = 400, 4, 16
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
    marked = reddish(draw(volume, np.ones(volume.shape, np.uint8)))
    assert np.count_nonzero(marked.any(axis=0)) == 2 * SIDE  # axial; coronal above sagittal
    assert np.count_nonzero(marked.any(axis=1)) == 2 * SIDE


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
    coronal = reddish(draw(volume, labels))[TITLE : TITLE + SIDE, SIDE + GAP :]
    rows = np.flatnonzero(coronal.any(axis=1))
    assert rows.max() < SIDE // 2


def test_the_face_is_up_and_left_is_right_in_an_axial_slice(volume):
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, :4, -4:] = 1  # anterior, at the patient's left
    axial = reddish(draw(volume, labels))[TITLE : TITLE + SIDE, :SIDE]
    rows, columns = np.nonzero(axial)
    assert rows.max() < SIDE // 2
    assert columns.min() > SIDE // 2


def test_letters_stand_at_the_edges_only_if_the_position_is_known(volume):
    nothing = np.zeros(volume.shape, np.uint8)
    known = draw(volume, nothing)
    guessed = draw(replace(volume, geometry=replace(volume.geometry, known=False)), nothing)
    assert known[TITLE:].max() > 0
    assert guessed[TITLE:].max() == 0


def test_a_2d_image_is_one_panel():
    plain = array_geometry((30, 60))
    labels = np.zeros(plain.shape, np.uint8)
    labels[:10] = 2
    picture = draw_planes(Volume(np.zeros(plain.shape), plain), WINDOW, {"result": labels}, COLOURS, (0, 0))
    assert picture.width == SIDE


def test_a_comparison_goes_through_the_heart_of_the_smallest_object(volume):
    small, large = np.zeros((2, *volume.shape), bool)
    large[:, :5] = True
    small[8, 12:15, 30:35] = True
    small[2, 18, 2] = True  # the mean of both parts lies in neither
    with AnnotationSession.create(volume, fingerprint(volume)) as session:
        for mask in (large, small):
            session.write_voxels(session.add_object(), tuple(slice(0, n) for n in mask.shape), mask)
        picture = draw_comparison(session, {1: large, 2: small}, WINDOW)
        labels, colours = session.labels, {number: thing.colour for number, thing in session.state.objects.items()}
    rows = {"session": labels, "expert": labels}
    assert picture == draw_planes(volume, WINDOW, rows, colours, (8, 13, 32))
