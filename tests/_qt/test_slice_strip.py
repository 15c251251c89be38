import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor, QImage
from qtpy.QtTest import QTest

from napari_medfm._qt.slice_strip import SliceStrip

pytestmark = pytest.mark.qt


@pytest.fixture
def strip(qtbot):
    strip = SliceStrip()
    qtbot.addWidget(strip)
    strip.resize(200, strip.height())
    strip.show_slices(20, {2: 0.1, 5: 0.8}, frozenset({9}))
    return strip


def colour(strip, index):
    image = QImage(strip.size(), QImage.Format.Format_RGB32)
    strip.render(image)
    return QColor(image.pixel(10 * index + 5, strip.height() // 2))


def test_the_most_rewarding_slice_is_the_brightest_and_labelled_ones_are_green(strip):
    strip.show_current(19)
    assert colour(strip, 5).red() > colour(strip, 2).red() > colour(strip, 3).red()
    assert colour(strip, 9).green() > max(colour(strip, 9).red(), colour(strip, 9).blue())


def test_a_click_names_the_slice_under_it(strip, qtbot):
    for place, index in ((0, 0), (95, 9), (199, 19)):
        with qtbot.waitSignal(strip.clicked) as told:
            QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(place, 8))
        assert told.args == [index]


def test_each_slice_tells_what_is_known_of_it(strip):
    assert strip.describe(5) == "Slice 6: expected gain 80%"
    assert strip.describe(9) == "Slice 10: labelled"
    assert strip.describe(0) == "Slice 1"
