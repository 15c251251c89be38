"""Files come and go in the background, and none that was asked for is lost."""

import nibabel
import numpy as np
import pytest

from napari_medfm.volume import open_labels

from .conftest import ORGAN

pytestmark = pytest.mark.qt


def test_a_file_that_is_being_written_is_finished_before_the_panel_closes(open_room, small_volume, tmp_path):
    room = open_room
    room.click(ORGAN)
    expected = room.session.labels.copy()
    path = tmp_path / "labels.nii.gz"
    room.annotator.save(path)
    room.viewer.window.remove_dock_widget(room.docked)
    assert np.array_equal(open_labels(path, like=small_volume), expected)
    assert any("saved" in notice for notice in room.told)


def test_an_image_is_read_in_the_background_and_opened(open_room, tmp_path):
    room, before = open_room, open_room.case
    path = tmp_path / "time.nii.gz"
    data = np.random.default_rng(2).integers(0, 99, (5, 6, 7, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    asked = []
    room.annotator.read(path, ask=lambda several: asked.append(several.choices) or 1)
    room.wait(lambda: room.case not in (None, before))
    assert len(asked[0]) == 2
    assert sorted(np.unique(room.session.volume.array)) == sorted(np.unique(data[..., 1]))
