"""Glyphs."""

import pytest
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter

from napari_medfm._qt.glyphs import GLYPHS, paint_glyph

pytestmark = pytest.mark.qt


def painted(name, colour, size=(24, 24)):
    """Return the pixels of a glyph painted on nothing, {(x, y): colour} where there is any."""
    image = QImage(*size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    paint_glyph(painter, name, QRectF(image.rect()), colour)
    painter.end()
    places = [(x, y) for x in range(size[0]) for y in range(size[1])]
    return {place: image.pixelColor(*place) for place in places if image.pixelColor(*place).alpha()}


def test_every_glyph_is_drawn_in_the_colour_asked_for(qapp):
    for name in GLYPHS:
        strongest = max(painted(name, QColor("#3fa2c8")).values(), key=QColor.alpha)
        assert (strongest.red(), strongest.green(), strongest.blue()) == pytest.approx((0x3F, 0xA2, 0xC8), abs=6), name


def test_no_two_glyphs_look_alike(qapp):
    looks = {frozenset(painted(name, QColor("black"))) for name in GLYPHS}
    assert len(looks) == len(GLYPHS)


def test_a_glyph_stays_square_in_the_middle_of_a_wide_cell(qapp):
    columns = [x for x, _ in painted("box", QColor("black"), (60, 20))]
    assert min(columns) >= 20
    assert max(columns) < 40
