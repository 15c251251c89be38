"""What the panel looks like: both of napari's themes, narrow and wide, nothing cut off, everything legible."""

from collections import Counter
from datetime import datetime

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QLabel, QScrollArea, QWidget

from napari_medfm._qt import MedfmPanel
from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.main_thread import MainThreadDispatcher
from napari_medfm._qt.section import Line, Paragraph
from napari_medfm.errors import WeightsError
from napari_medfm.inference import EmbeddingProgress, Predictor
from napari_medfm.models import available_models, load_model
from napari_medfm.prompts import Box, Point, Scribble
from napari_medfm.propagation import Stop
from napari_medfm.session import Extent, Hand, LiveSegmentation, Measures, Propagated, Propagating, Proposals
from napari_medfm.volume import PRESETS, Plane
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt
HERE = Plane(0, 6)
LONG = "abdomen_ct_portal_venous_case_0001"


@pytest.fixture(scope="module")
def themes():
    """Return napari's style sheets by theme, with the pictures they refer to."""
    from napari.qt import get_qapp, get_stylesheet

    get_qapp()
    return {name: get_stylesheet(name) for name in ("dark", "light")}


@pytest.fixture
def panel(qtbot, session, small_volume):
    """Return the panel in the middle of work, every notice shown."""
    panel = MedfmPanel()
    qtbot.addWidget(panel)
    fill(session)
    panel.bind(session)
    lane, dispatch = Lane("editing"), MainThreadDispatcher()
    hand, measures = Hand(session, lane, dispatch), Measures(session, lane, dispatch)
    panel.bind_editing(session, hand, measures, lambda: PRESETS["abdomen"])
    live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane, dispatch=dispatch)
    proposals = Proposals(session)
    propagating = Propagating(session, live, proposals, lane, dispatch)
    panel.bind_propagating(session, propagating, proposals)
    propagating.events.finished.emit(Propagated(4, 23, (Stop(HERE, "empty"), Stop(HERE, "brightness"))))
    panel.edit.expand(animate=False)
    panel.set_images([LONG], LONG)
    panel.set_volume(small_volume)
    panel.set_window(PRESETS["abdomen"])
    panel.set_plane(HERE)
    panel.set_models(available_models(), "sam")
    panel.set_model_status("Loading Segment Anything", busy=True)
    panel.set_device("CPU: no CUDA device was found", fell_back=True)
    panel.progress.show_progress(EmbeddingProgress(123, 300, HERE, 48))
    panel.offer_resume(3, datetime(2026, 11, 5, 14, 7))
    yield panel
    panel.unbind()
    propagating.close()
    live.close()
    proposals.close()
    hand.close()
    measures.close()
    lane.close()
    dispatch.close()


def fill(session):
    """Do what a person may have done."""
    for number, kind in enumerate(("liver", "lesion", "lesion", None), start=1):
        session.add_object(kind, name=None if kind else "Something odd beside the kidney")
        region = (slice(4, 8), slice(8 * number, 8 * number + 6), slice(10, 30 + number))
        session.write_voxels(number, region, np.ones((4, 6, 20 + number), bool))
    session.set_locked(1, True)
    session.set_visible(2, False)
    session.accept(3)
    session.set_active(4)
    session.add_prompt(Point(HERE, (12, 20)))
    session.add_prompt(Scribble(HERE, ((3, 4), (5, 6)), positive=False))
    session.add_prompt(Box(HERE, (3, 4), (20, 30)))
    session.set_extent("liver", [HERE], Extent.ANNOTATED)


def show(qtbot, panel, style, width, height=2600):
    """Show the panel in a theme at a size and return what is seen."""
    panel.setStyleSheet(style)
    panel.resize(width, height)
    panel.show()
    qtbot.waitExposed(panel)
    settle(panel)
    return look(panel)


def settle(panel):
    """Let layouts that depend on each other come to rest."""
    before = None
    while before != (now := [child.geometry().getRect() for child in panel.findChildren(QWidget)]):
        before = now
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        QApplication.processEvents()


def look(panel):
    """Return what is seen, in full colour whatever the display has."""
    image = QImage(panel.size(), QImage.Format.Format_RGB32)
    panel.render(image)
    return image


def contrast(first, second):
    """Return the contrast ratio of two colours by WCAG 2."""
    lights = sorted(luminance(colour) for colour in (first, second))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour):
    parts = np.array([colour.redF(), colour.greenF(), colour.blueF()])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_without_any_theme_it_fits_too(qtbot, panel):
    show(qtbot, panel, "", 300)
    assert [child for child in panel.findChildren(QWidget) if child.isVisible() and sticks_out(child, panel)] == []


@pytest.mark.parametrize("width", [300, 420])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_panel_is_painted_in_the_theme_and_nothing_is_cut_off(qtbot, panel, themes, theme, width, tmp_path):
    image = show(qtbot, panel, themes[theme], width)
    assert image.save(str(tmp_path / f"panel_{theme}_{width}.png"))
    assert QImage(str(tmp_path / f"panel_{theme}_{width}.png")).width() == image.width()
    is_dark = luminance(image.pixelColor(image.width() // 2, image.height() - 4)) < 0.2
    assert is_dark == (theme == "dark")
    for label in panel.findChildren(QLabel):
        if label.isVisible() and not isinstance(label, Line | Paragraph):
            assert label.width() >= label.sizeHint().width(), label.text()
        if label.isVisible() and isinstance(label, Paragraph):
            assert label.height() >= label.heightForWidth(label.width()), label.text()
    for button in panel.findChildren(CompactButton):
        if button.isVisible() and not button.text().startswith(("Undo", "Redo")):
            assert button.width() >= button.sizeHint().width(), button.text()
    outside = [child for child in panel.findChildren(QWidget) if child.isVisible() and sticks_out(child, panel)]
    assert outside == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_measurements_take_the_place_of_class_and_switches(qtbot, panel, themes, theme, tmp_path):
    narrow = show(qtbot, panel, themes[theme], 300)
    panel.objects.measure.click()
    qtbot.waitUntil(lambda: panel.objects.model.to_csv() is not None)
    settle(panel)
    image = look(panel)
    assert image.save(str(tmp_path / f"measured_{theme}.png"))
    assert image != narrow
    table = panel.objects.table
    shown = [column for column in range(table.model().columnCount()) if not table.isColumnHidden(column)]
    assert sum(table.columnWidth(column) for column in shown) <= table.viewport().width()
    for column in shown[2:]:
        for row in range(table.model().rowCount()):
            text = table.model().index(row, column).data()
            assert table.fontMetrics().horizontalAdvance(text) < table.columnWidth(column), text


def test_a_text_that_wraps_when_the_panel_becomes_narrower_is_not_cut_off(qtbot, panel, themes):
    show(qtbot, panel, themes["dark"], 420, height=700)
    facts = panel.image.facts
    facts.setText("a size and a spacing and a modality of an image")
    for width in (300, 420, 280):
        panel.resize(width, 700)
        settle(panel)
        assert facts.height() >= facts.heightForWidth(facts.width()) > 0


def sticks_out(child, panel):
    """Whether a widget reaches beyond the panel's sides."""
    left = child.mapTo(panel, child.rect().topLeft()).x()
    return left < 0 or left + child.width() > panel.width()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_stands_out_from_its_ground(qtbot, panel, themes, theme):
    image = show(qtbot, panel, themes[theme], 300)
    for kind in (QLabel, QAbstractButton, QComboBox):
        for widget in panel.findChildren(kind):
            if widget.isVisible() and widget.isEnabled() and (kind is not QLabel or widget.text()):
                text = widget.palette().color(widget.foregroundRole())
                assert contrast(text, ground(widget, panel, image)) >= 4.5, widget


def ground(widget, panel, image):
    """Return the colour behind a widget's text: the commonest one it is painted with."""
    corner = widget.mapTo(panel, widget.rect().topLeft())
    left, top = corner.x(), corner.y()
    places = [(left + x, top + y) for x in range(0, widget.width(), 2) for y in range(0, widget.height(), 2)]
    return QColor(Counter(image.pixel(*place) for place in places).most_common(1)[0][0])


def test_a_short_window_scrolls_down_and_never_sideways(qtbot, panel, themes):
    show(qtbot, panel, themes["dark"], 300, 500)
    scroll = panel.findChild(QScrollArea)
    assert scroll.verticalScrollBar().maximum() > 0
    assert scroll.widget().width() <= scroll.viewport().width()
    assert scroll.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff


def test_a_change_of_theme_is_followed_at_once(qtbot, panel, themes):
    panel.set_model_status("Ready")  # nothing moves
    dark = show(qtbot, panel, themes["dark"], 300)
    show(qtbot, panel, themes["light"], 300)
    again = show(qtbot, panel, themes["dark"], 300)
    assert again == dark


def test_a_failed_model_says_why_and_what_to_do(qtbot, panel, themes):
    show(qtbot, panel, themes["light"], 300)
    panel.show_model_failure(WeightsError("sam_vit_b.pth", "holds a web page, no weights", "Download the file again."))
    qtbot.waitUntil(lambda: panel.model.failure.isVisible())
    text = panel.model.failure.findChild(Paragraph)
    qtbot.waitUntil(lambda: text.height() >= text.heightForWidth(text.width()))
    assert "Download the file again." in text.text()
