"""Image, geometry, window and plane."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import Qt

from napari_medfm._qt.image_section import ImageSection, decimals_for, describe_plane, describe_volume, geometry_doubts
from napari_medfm.volume import PRESETS, Plane, Volume, Window, array_geometry, automatic_window

pytestmark = pytest.mark.qt


@pytest.fixture
def section(qtbot, small_volume):
    section = ImageSection()
    qtbot.addWidget(section)
    section.set_volume(small_volume)
    return section


def test_size_and_spacing_are_told_columns_first(small_volume):
    assert describe_volume(small_volume) == "64 \N{MULTIPLICATION SIGN} 48 \N{MULTIPLICATION SIGN} 12 · 1 " + (
        "\N{MULTIPLICATION SIGN} 1 \N{MULTIPLICATION SIGN} 3 mm · CT"
    )


def test_an_image_of_unknown_position_shows_no_millimetres_and_says_so(qtbot, section):
    section.set_volume(Volume(np.zeros((3, 4, 5), np.uint8), array_geometry((3, 4, 5))))
    section.show()
    assert "mm" not in section.facts.text()
    assert "Orientation unknown" in section.doubts.text


def test_notes_of_the_reader_are_shown_until_an_image_without_doubts_comes(section, small_volume):
    section.show()
    noted = replace(small_volume.geometry, notes=("The two positions in the header differ by 3 mm.",))
    section.set_volume(replace(small_volume, geometry=noted))
    assert section.doubts.text == "The two positions in the header differ by 3 mm."
    section.set_volume(small_volume)
    assert section.doubts.text == ""
    assert geometry_doubts(None) == ()


def test_choosing_an_image_tells_its_name_and_showing_one_does_not(qtbot, section):
    names = []
    section.image_selected.connect(names.append)
    section.set_images(["t1", "t2"], "t2")
    assert (section.images.currentText(), names) == ("t2", [])
    qtbot.keyClick(section.images, Qt.Key.Key_Up)
    assert names == ["t1"]


def test_without_an_image_only_opening_one_is_offered(qtbot, section):
    section.set_volume(None)
    controls = (section.presets, section.window_level, section.window_width, section.link, section.cycle)
    assert not any(control.isEnabled() for control in controls)
    with qtbot.waitSignal(section.open_requested):
        section.open.click()


def test_a_colour_image_has_no_window(section):
    section.set_volume(Volume(np.zeros((4, 5, 3), np.uint8), array_geometry((4, 5))))
    assert not section.presets.isEnabled()
    assert not section.cycle.isEnabled()


def test_choosing_a_preset_asks_for_exactly_that_window(section):
    asked = []
    section.window_selected.connect(asked.append)
    for preset in PRESETS.values():
        place = section.presets.findData(preset)
        section.presets.setCurrentIndex(place)
        section.presets.activated.emit(place)
        assert (section.window_level.value(), section.window_width.value()) == (preset.level, preset.width)
    assert asked == list(PRESETS.values())


def test_choosing_automatic_asks_for_the_window_of_this_image(section, small_volume):
    asked = []
    section.window_selected.connect(asked.append)
    section.presets.activated.emit(section.presets.findText("Automatic"))
    assert asked == [automatic_window(small_volume)]


def test_changing_level_or_width_asks_for_a_custom_window(section):
    asked = []
    section.set_window(PRESETS["abdomen"])
    section.window_selected.connect(asked.append)
    section.window_level.setValue(50)
    section.window_width.setValue(100)
    assert asked == [Window("custom", -150, 250), Window("custom", 0, 100)]
    assert section.presets.currentText() == "Custom"


@given(level=st.floats(-5000, 5000), width=st.floats(1e-6, 1e6))
def test_any_window_is_shown_to_a_hundredth_of_its_width(level, width):
    decimals = decimals_for(width)
    assert 10.0**-decimals <= max(width / 100, 1)
    assert abs(round(level, decimals) - level) <= max(width / 100, 1)


def test_showing_a_window_asks_for_nothing(section):
    asked = []
    section.window_selected.connect(asked.append)
    section.contrast_linked.connect(asked.append)
    section.set_window(Window("automatic", 0.001, 0.004))
    section.set_contrast_linked(True)
    assert asked == []
    assert section.presets.currentText() == "Automatic"
    assert section.window_width.value() == pytest.approx(0.003)
    assert section.link.isChecked()


def test_a_width_can_never_be_set_to_nothing(section):
    section.set_window(Window("custom", 0.0, 0.5))
    section.window_width.setValue(0)
    assert section.window_width.value() > 0


def test_the_plane_is_told_by_name_and_counted_from_one(section, small_volume):
    section.set_plane(Plane(2, 10))
    assert section.plane.text() == "Sagittal 11 of 64"
    assert describe_plane(Plane(), Volume(np.zeros((4, 5)), array_geometry((4, 5)))) == "2-D image"


def test_cycling_the_planes_is_an_intent(qtbot, section):
    with qtbot.waitSignal(section.plane_cycle_requested):
        section.cycle.click()


def test_of_an_image_that_is_being_opened_only_its_size_is_known(section, small_volume):
    section.set_volume(small_volume, ready=False)
    assert "64" in section.facts.text()
    assert not section.window_level.isEnabled()
    assert not section.cycle.isEnabled()
    assert section.plane.text() == section.window_level.cleanText() == section.window_width.cleanText() == ""
    section.set_volume(small_volume)
    section.set_window(PRESETS["abdomen"])
    section.set_plane(Plane(0, 2))
    assert section.window_level.isEnabled()
    assert (section.window_level.cleanText(), section.plane.text()) == ("40", "Axial 3 of 12")
