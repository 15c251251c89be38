import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_medfm._qt.gallery import LookAlikeGallery, Tile

from .test_look import look, settle, themes  # noqa: F401 - a fixture

pytestmark = pytest.mark.qt


def tile(key, score=0.5, accepted=False):
    rows, columns = np.mgrid[:96, :80]
    shade = 60 + 120 * (np.hypot(rows - 48, columns - 40) < 18) + 4 * key
    picture = np.stack([shade, shade, shade // 2], axis=2).astype(np.uint8) if key % 2 else shade.astype(np.uint8)
    return Tile(key, picture, (30, 22, 66, 58), score, f"case {key}, slice {7 * key}", accepted)


@pytest.fixture
def gallery(qtbot):
    gallery = LookAlikeGallery()
    qtbot.addWidget(gallery)
    gallery.set_subject("What looks like lesion 3, in other images of a project or folder")
    return gallery


def shown(gallery):
    return [gallery.tiles.item(place).data(Qt.ItemDataRole.UserRole) for place in range(gallery.tiles.count())]


def test_tiles_stand_in_the_order_given_and_the_chosen_one_stays_chosen(gallery):
    gallery.show_tiles([tile(1), tile(2), tile(3)])
    assert shown(gallery) == [1, 2, 3]
    gallery.tiles.setCurrentRow(1)
    gallery.show_tiles([tile(4), tile(3), tile(2)])
    assert shown(gallery) == [4, 3, 2]
    assert gallery.chosen == 2
    gallery.show_tiles([tile(4)])
    assert gallery.chosen is None


def test_only_a_chosen_tile_can_be_opened_accepted_or_refused(qtbot, gallery):
    gallery.show_tiles([tile(5), tile(6)])
    buttons = {gallery.open: "open", gallery.accept_one: "accept", gallery.refuse: "refuse"}
    assert not any(button.isEnabled() for button in buttons)
    gallery.tiles.setCurrentRow(1)
    for button, name in buttons.items():
        with qtbot.waitSignal(getattr(gallery, f"{name}_requested")) as sent:
            button.click()
        assert sent.args == [6]


def test_a_double_click_opens(qtbot, gallery):
    gallery.show_tiles([tile(5)])
    with qtbot.waitSignal(gallery.open_requested) as sent:
        gallery.tiles.setCurrentRow(0)
        gallery.tiles.itemActivated.emit(gallery.tiles.item(0))
    assert sent.args == [5]


def test_while_it_searches_it_can_be_stopped(gallery):
    gallery.show_progress(3, 40)
    assert gallery.stop.isEnabled()
    assert not gallery.bar.isHidden()
    assert gallery.status.text() == "3 of 40 images searched"
    gallery.show_progress(40, 40)
    assert not gallery.stop.isEnabled()
    assert gallery.bar.isHidden()


def test_what_could_not_be_used_is_told(gallery):
    gallery.show_problems(["bad.nii.gz: is damaged. Fetch it again."])
    assert not gallery.problems.isHidden()
    assert gallery.problems.text() == "1 could not be used: bad.nii.gz: is damaged. Fetch it again."
    gallery.show_problems([])
    assert gallery.problems.isHidden()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_it_looks_like(qtbot, gallery, themes, theme, tmp_path):  # noqa: F811
    gallery.setStyleSheet(themes[theme])
    gallery.show_progress(12, 40)
    gallery.show_problems(["bad.nii.gz: is damaged. Fetch it again."])
    gallery.show_tiles([tile(key, 0.9 - key / 20, accepted=key == 2) for key in range(1, 10)])
    gallery.tiles.setCurrentRow(3)
    gallery.show()
    qtbot.waitExposed(gallery)
    settle(gallery)
    picture = look(gallery)
    assert picture.save(str(tmp_path / f"gallery_{theme}.png"))
    for button in gallery.findChildren(QPushButton):
        assert button.width() >= button.minimumSizeHint().width(), button.text()
    assert gallery.subject.height() >= gallery.subject.heightForWidth(gallery.subject.width())
    with Image.open(tmp_path / f"gallery_{theme}.png") as written:
        seen = np.asarray(written.convert("RGB")).astype(int)
    for colour in ((255, 205, 0), (90, 200, 110)):  # the boxes of candidates, and of one that was accepted
        assert (np.abs(seen - colour).max(axis=2) < 12).sum() > 100
