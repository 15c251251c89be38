"""An organ in 3-D in the viewer, by mouse and keys, with the model of the package."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage

from napari_medfm.simulation import dice
from napari_medfm.volume import Plane

from .conftest import OTHER

pytestmark = pytest.mark.qt


def settle(room):
    room.wait(lambda: not (room.case.live.busy or room.case.propagating.busy))


def test_one_click_and_a_key_make_an_object_in_3d_that_can_be_corrected(used_room, small_labels, tmp_path):
    room = used_room
    organ = small_labels == small_labels[OTHER]
    room.click(OTHER)
    number = room.session.state.active
    assert not room.session.labels[OTHER[0] + 2].any()
    room.canvas.key(Qt.Key.Key_G)
    room.wait(lambda: room.case.propagating.busy or room.case.propagating.slices)
    settle(room)
    proposed = room.case.proposals.shown(tuple(slice(0, size) for size in organ.shape)) > 0
    assert dice(proposed | (room.session.labels == number), organ) > 0.8
    layer = next(layer for layer in room.viewer.layers if "proposals" in layer.name)
    assert (layer.data[OTHER[0] + 1] > 0).any()

    last = int(np.flatnonzero(proposed.any(axis=(1, 2)))[-1])
    room.viewer.dims.set_current_step(0, last)
    heart = np.argwhere(proposed[last]).mean(axis=0).round().astype(int)
    room.canvas.click((last, *heart), modifiers=Qt.KeyboardModifier.ShiftModifier)
    here = Plane(0, last)
    room.wait(lambda: here not in room.case.proposals.slices(number))
    settle(room)
    assert not room.session.object_mask(number, here).any()

    picture = tmp_path / "propagated.png"
    room.viewer.screenshot(str(picture), canvas_only=False, flash=False)
    assert QImage(str(picture)).width() > 600
    room.panel.propagate.accept.click()
    assert dice(room.session.labels == number, organ) > 0.75
    assert room.session.undo_name == "accept proposals"
