"""A structure is taught to the model in the viewer, by the mouse and the keys of a person."""

import os
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_medfm._qt.adapt_words import NO_NEGATIVE
from napari_medfm._qt.buttons import CompactButton
from napari_medfm.adaptation import Recipe
from napari_medfm.models import register_model
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.session import Extent
from napari_medfm.volume import Plane, Volume, array_geometry

from .conftest import ORGAN

pytestmark = pytest.mark.qt

QUICK = Recipe(copies=0, head_steps=25, decoder_steps=2, seconds=600)  # enough, however busy the machine is
ENDLESS = Recipe(copies=0, head_steps=5000, decoder_steps=0, seconds=600)
LEFT = Qt.MouseButton.LeftButton


def press(button):
    assert button.isEnabled(), button.text()
    QTest.mouseClick(button, LEFT)


def picture(room, name):
    """Keep what is on the screen, where somebody wants to see it."""
    folder = os.environ.get("MEDFM_PICTURES")
    if folder:
        QTest.qWait(50)
        room.viewer.window.screenshot(str(Path(folder) / f"{name}.png"), canvas_only=False, flash=False)


def load_small_sam():
    return SamModel(build_small_sam())


@pytest.fixture(scope="module")
def small_sam():
    """A model of another family among those that the panel offers."""
    dispose = register_model("small_sam", f"{__name__}:load_small_sam")
    yield
    dispose()


@pytest.fixture(scope="module")
def taught(small_sam, shared_room, small_labels):
    """A room in which an organ was labelled on three slices and learned."""
    room = shared_room
    room.clear()
    panel, section = room.panel, room.panel.adapt
    section.recipe = QUICK
    section.structure.setFocus()
    section.structure.setEditText("organ")
    QTest.keyClick(section.structure.lineEdit(), Qt.Key.Key_Return)
    number = room.session.add_object("organ")
    for index in (3, 6, 9):
        room.viewer.dims.set_current_step(0, index)
        room.session.write_voxels(number, np.s_[index : index + 1, 0:48, 0:64], (small_labels[index] == 1)[None])
        assert section.complete.text() == "All organ here is labelled"
        room.canvas.key(Qt.Key.Key_D)
    picture(room, "labelled")
    assert section.pictures.count() == 3
    assert "adapt the model" in section.training.text()
    press(section.adapt)
    assert section.bar.isVisible()
    room.wait(lambda: not section.curve.pixmap().isNull())
    picture(room, "training")
    room.wait(lambda: room.case.teaching.adapting.in_use is not None)
    room.wait(lambda: section.versions.count() == 1)
    assert panel.error.text == ""
    return room


def test_what_was_learned_is_told_in_plain_words(taught):
    text = taught.panel.adapt.training.text()
    assert "which it had not seen" in text
    assert text.endswith(NO_NEGATIVE) == (not taught.case.teaching.examples.negatives)
    assert "active" in text or "answers now" in text
    assert "compact" in taught.panel.adapt.licence.text()
    assert not taught.panel.adapt.bar.isVisible()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_sections_are_painted_and_nothing_sticks_out(taught, theme, tmp_path):
    panel = taught.panel
    taught.viewer.theme = theme
    for width in (300, 420):
        taught.docked.setFixedWidth(width)
        QTest.qWait(20)
        scroll = panel.findChild(QScrollArea)
        assert scroll.widget().width() <= scroll.viewport().width()
        body = QImage(scroll.widget().size(), QImage.Format.Format_RGB32)
        scroll.widget().render(body)
        folder = Path(os.environ.get("MEDFM_PICTURES") or tmp_path)
        assert body.save(str(folder / f"sections_{theme}_{width}.png"))
        for button in panel.findChildren(CompactButton):
            if button.isVisible() and not button.text().startswith(("Undo", "Redo", "Adapt from")):
                assert button.width() >= button.sizeHint().width(), button.text()
    taught.docked.setMinimumWidth(0)
    taught.docked.setMaximumWidth(16_777_215)
    taught.viewer.theme = "dark"


def test_marks_are_told_for_the_slice_in_view(taught):
    section = taught.panel.adapt
    taught.viewer.dims.set_current_step(0, 6)
    assert section.slice_state.text() == "This slice: complete"
    taught.viewer.dims.set_current_step(0, 0)
    assert section.slice_state.text() == "This slice: not marked"
    assert section.complete.text() == "No organ on this slice"
    press(section.complete)
    assert taught.session.state.extent_of("organ", Plane(0, 0)) is Extent.NEGATIVE
    assert not section.complete.isEnabled()
    taught.session.undo()


def test_a_picture_is_unticked_to_leave_its_slice_out(taught):
    section = taught.panel.adapt
    section.pictures.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert [each.plane.index for each in taught.case.teaching.examples.chosen] == [3, 9]
    assert section.adapt.text() == "Adapt from 2 slices"
    section.pictures.item(1).setCheckState(Qt.CheckState.Checked)
    assert section.adapt.text() == "Adapt from 3 slices"


def test_one_switch_chooses_who_answers(taught):
    section, adapting = taught.panel.adapt, taught.case.teaching.adapting
    press(section.adapted)
    assert taught.case.live.predictor.adapters == (adapting.in_use.listed.digest,)
    press(section.base)
    assert taught.case.live.predictor.adapters == ()


def test_slices_are_filled_looked_at_corrected_and_accepted(taught, small_labels):
    section, session = taught.panel.proposals, taught.session
    taught.viewer.dims.set_current_step(0, 6)
    press(section.fill)
    taught.wait(lambda: section.next.isEnabled())
    picture(taught, "filled")
    assert "proposals" in section.state.text()
    shown = taught.case.workspace.proposed.layer
    assert shown.data[5][small_labels[5] == 1].mean() > 0
    assert section.strip.gains
    taught.canvas.key(Qt.Key.Key_J)
    worst = taught.case.teaching.filling.suggestions[0].plane
    assert taught.case.workspace.bridge.plane == worst
    taught.canvas.key(Qt.Key.Key_J)
    assert taught.case.workspace.bridge.plane == taught.case.teaching.filling.suggestions[1].plane
    taught.viewer.dims.set_current_step(0, 5)
    before = session.voxel_count(1)
    taught.canvas.key(Qt.Key.Key_D)
    assert session.voxel_count(1) > before
    assert session.state.extent_of("organ", Plane(0, 5)) is Extent.ANNOTATED
    taught.viewer.dims.set_current_step(0, 7)
    taught.canvas.click((7, *ORGAN[1:]))
    taught.wait(lambda: not taught.case.live.busy)
    assert [each.kind for each in session.state.object(1).prompts] == ["mask", "point"]
    assert not shown.data[7].any()
    section.sure.setValue(0.0)
    press(section.accept_above)
    assert not shown.data.any()
    assert list(session.state.objects) == [1]


def test_doubt_is_shown_for_the_slice_in_view(taught):
    section, display = taught.panel.proposals, taught.case.workspace.map
    taught.viewer.dims.set_current_step(0, 2)
    press(section.doubt)
    taught.wait(lambda: display.layer is not None and display.layer.data[2].any())
    picture(taught, "doubt")
    taught.viewer.dims.set_current_step(0, 4)
    taught.wait(lambda: display.layer.data[4].any())
    assert not display.layer.data[2].any()
    press(section.doubt)
    assert not display.layer.data.any()


def test_training_can_be_stopped_and_cancelled(taught):
    section, adapting = taught.panel.adapt, taught.case.teaching.adapting
    section.recipe = ENDLESS
    section.adapt.click()
    taught.wait(lambda: section.bar.value() > 2)
    press(section.cancel)
    assert not adapting.busy
    assert section.adapt.isEnabled()
    section.adapt.click()
    taught.wait(lambda: section.bar.value() > 2)
    press(section.stop)
    taught.wait(lambda: section.versions.count() == 2)
    first = adapting.versions[-1]
    section.versions.setCurrentIndex(1)
    press(section.use)
    taught.wait(lambda: adapting.in_use.listed.digest == first.digest and adapting.in_use.on)
    section.recipe = QUICK


def version_of(section, digest):
    """The place of a version in the list; -1 if it is not there."""
    held = [section.versions.itemData(place).digest for place in range(section.versions.count())]
    return held.index(digest) if digest in held else -1


def test_what_was_learned_serves_the_next_case_and_what_was_interrupted_goes_on(taught, small_volume, monkeypatch):
    monkeypatch.setenv("MEDFM_DATA_DIR", str(taught.session.path.parents[1]))  # where this room began
    room, section, name = taught, taught.panel.adapt, taught.case.workspace.layers.image.name
    first = taught.case.teaching.adapting.in_use.listed
    section.recipe = ENDLESS
    press(section.adapt)
    other = Volume(np.ascontiguousarray(small_volume.array[:, :44]), array_geometry((12, 44, 64), (3, 1, 1)), "next")
    case = room.case
    room.panel.image_selected.emit(room.add(other).name)
    room.wait(lambda: room.case not in (None, case))
    section.structure.setEditText("organ")
    QTest.keyClick(section.structure.lineEdit(), Qt.Key.Key_Return)
    room.wait(lambda: version_of(section, first.digest) >= 0)
    assert room.case.teaching.adapting.in_use is None
    section.versions.setCurrentIndex(version_of(section, first.digest))
    press(section.use)
    room.wait(lambda: room.case.live.predictor.adapters == (first.digest,))
    press(room.panel.proposals.fill)
    room.wait(lambda: room.panel.proposals.next.isEnabled())
    case = room.case
    room.panel.image_selected.emit(name)
    room.wait(lambda: room.case not in (None, case))
    room.wait(lambda: room.panel.unfinished.text)
    picture(room, "unfinished")
    assert room.panel.unfinished.text.startswith("Adapting to organ was interrupted")
    press(room.panel.unfinished.go_on)
    assert room.case.teaching.adapting.busy
    assert room.panel.unfinished.text == ""
    press(section.cancel)
    section.recipe = QUICK


def test_a_model_of_another_family_learns_and_refuses_what_is_not_its_own(taught):
    section, adapting = taught.panel.adapt, taught.case.teaching.adapting
    compact = adapting.base_digest
    taught.panel.model_selected.emit("small_sam")
    taught.wait(lambda: adapting.base_digest != compact)
    assert "for compact" in section.versions.itemText(0)
    press(section.use)
    taught.wait(lambda: taught.panel.error.text)
    assert "was made on compact and does not fit" in taught.panel.error.text
    picture(taught, "refused")
    taught.panel.error.hide()
    press(section.adapt)
    taught.wait(lambda: adapting.in_use is not None)
    taught.wait(lambda: "for compact" not in section.versions.itemText(0))
    assert adapting.in_use.listed.facts.base_digest == adapting.base_digest
    assert "for compact" in section.versions.itemText(section.versions.count() - 1)
    taught.panel.model_selected.emit("compact")
    taught.wait(lambda: adapting.base_digest == compact)
