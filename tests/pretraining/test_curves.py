"""The picture of a training shows every record."""

import numpy as np
from PIL import Image

from napari_medfm.pretraining import Record
from napari_medfm.pretraining.curves import draw_records


def records(count, loss):
    return [
        Record(50 * k, 600 * k, k / 2.0, 192 if k < 5 else 256, loss / k, 0.4, 0.5, 1e-3, 7.0) for k in range(1, count)
    ]


def picture(found, path):
    with Image.open(draw_records(found, path)) as image:
        return np.asarray(image)


def test_it_is_a_picture_that_depends_on_the_records(tmp_path):
    first, again, other = (picture(records(12, loss), tmp_path / "p.png") for loss in (2.0, 2.0, 1.0))
    assert first.shape == other.shape
    assert np.array_equal(first, again)
    assert (first != other).any()


def test_a_training_without_records_has_an_empty_picture(tmp_path):
    empty, full = picture([], tmp_path / "p.png"), picture(records(12, 2.0), tmp_path / "p.png")
    assert empty.shape == full.shape
    assert np.count_nonzero(empty < 255) < np.count_nonzero(full < 255)
