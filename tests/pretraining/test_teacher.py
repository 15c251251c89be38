"""A teacher marks images that nobody marked, as far as it is sure, and never those that models are measured on."""

import numpy as np
import pytest
from PIL import Image

from napari_medfm.errors import PretrainingError
from napari_medfm.inference import Predictor
from napari_medfm.models import load_model
from napari_medfm.pretraining import Bank
from napari_medfm.pretraining.pack import write_pack
from napari_medfm.pretraining.teacher import propose_objects, taught_pictures
from napari_medfm.simulation import dice
from napari_medfm.volume import write_volume

from .drawings import SIDE, draw_all


@pytest.fixture(scope="module")
def teacher():
    return Predictor(load_model("compact"))


def write_picture(path, image):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)


def test_things_are_found_without_a_click_of_a_person(teacher):
    picture = draw_all()[0]
    levels = propose_objects(teacher, picture.image, clicks=8)
    found = [level == number for level in levels for number in np.unique(level)[1:]]
    for disc in (1, 2):
        assert max(dice(mask, picture.objects == disc) for mask in found) > 0.8


class Rings:
    """Answers every click with three discs, one in the other; the surest is the middle one, the last a guess."""

    def embed(self, image):
        rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
        return np.stack([(rows - 20) ** 2 + (columns - 20) ** 2 <= radius**2 for radius in (8, 13, 4)])

    def decode(self, discs, prompts):
        return Answer(discs, np.array([0.9, 0.7, 0.3]))


class Answer:
    def __init__(self, masks, qualities):
        self.masks, self.qualities = masks, qualities


def test_things_in_things_lie_on_levels_of_their_own_and_guesses_nowhere():
    levels = propose_objects(Rings(), np.zeros((40, 40), np.uint8), clicks=3)
    assert levels.shape == (2, 40, 40)
    assert [np.unique(level).tolist() for level in levels] == [[0, 1], [0, 2]]
    assert np.count_nonzero(levels[1]) > np.count_nonzero(levels[0])


def test_slices_of_volumes_and_pictures_are_taken_and_what_cannot_be_read_is_not(teacher, small_volume, tmp_path):
    write_picture(tmp_path / "photographs" / "one.png", draw_all()[0].image)
    write_picture(tmp_path / "faz_octa" / "measured.png", draw_all()[0].image)
    write_volume(tmp_path / "volume.nii.gz", small_volume)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pictures = list(taught_pictures(teacher, tmp_path, clicks=3))
    assert len(pictures) >= 1 + 3 * 4
    assert {picture.dataset for picture in pictures} == {"taught by compact"}
    assert pictures[0].objects.shape == (SIDE, SIDE)
    assert write_pack(tmp_path / "pack.npz", pictures) > 0
    assert [source.name for source in Bank.open(tmp_path / "pack.npz").sources] == ["taught by compact"]


def test_a_folder_without_images_to_train_on_is_refused(teacher, tmp_path):
    write_picture(tmp_path / "liver_us" / "measured.png", draw_all()[0].image)
    with pytest.raises(PretrainingError, match="no image that can be trained on"):
        list(taught_pictures(teacher, tmp_path))
