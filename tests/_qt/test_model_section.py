"""Models, weights, device and failure."""

from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_medfm._qt.model_section import ModelSection, describe_model
from napari_medfm.errors import WeightsError
from napari_medfm.models import ModelEntry, ModelFacts, available_models

pytestmark = pytest.mark.qt


@pytest.fixture
def section(qtbot):
    section = ModelSection()
    qtbot.addWidget(section)
    section.set_models(available_models(), "random_walker")
    section.show()
    return section


def choose(section, name):
    """Choose a model as a person does."""
    place = [section.models.itemData(row).name for row in range(section.models.count())].index(name)
    section.models.setCurrentIndex(place)
    section.models.activated.emit(place)


def test_every_registered_model_is_offered_by_its_title(section):
    shown = [section.models.itemText(row) for row in range(section.models.count())]
    assert shown == [entry.facts.title for entry in available_models()]


def test_choosing_a_model_tells_its_registry_name(section):
    names = []
    section.model_selected.connect(names.append)
    choose(section, "sam")
    assert names == ["sam"]


def test_listing_models_chooses_none(section):
    names = []
    section.model_selected.connect(names.append)
    section.set_models(available_models(), "sam")
    assert names == []
    assert section.models.currentData().name == "sam"


def test_tier_origin_and_licence_are_told_and_a_ban_on_commercial_use():
    facts = ModelFacts("X", tier="modality", origin="adapted", licence="CC-BY-NC-4.0", commercial_use=False)
    assert describe_model(facts) == "Modality · adapted · CC-BY-NC-4.0 · no commercial use"
    assert "licence unknown" in describe_model(ModelFacts("Y"))
    assert describe_model(ModelFacts("Z", licence="MIT", note="Draw a box first.")).endswith("MIT\nDraw a box first.")


def test_weights_are_asked_for_only_where_the_person_brings_them(section):
    assert not section.choose.isVisible()
    choose(section, "sam")
    assert section.choose.isVisible()


def test_a_download_is_offered_where_the_publisher_has_a_file_with_size_and_licence(section):
    asked = []
    section.download_requested.connect(asked.append)
    choose(section, "scribbleprompt-sam")
    assert section.choose.isVisible()
    assert not section.download.isVisible()
    choose(section, "sam")
    assert section.download.isVisible()
    assert section.download.toolTip() == "Download sam_vit_b_01ec64.pth (375 MB), under its licence: Apache-2.0"
    section.download.click()
    assert asked == ["sam"]
    choose(section, "compact")
    assert not section.download.isVisible()
    assert not section.choose.isVisible()


def test_a_chosen_weights_file_is_told_with_its_model_and_shown_without_its_folder(qtbot, section, tmp_path):
    file = tmp_path / "sam_vit_b.pth"
    file.touch()
    chosen = []
    section.weights_chosen.connect(lambda name, path: chosen.append((name, path)))
    choose(section, "sam")
    qtbot.mouseClick(section.choose, Qt.MouseButton.LeftButton)
    dialog = section.findChild(QFileDialog)
    dialog.fileSelected.emit(str(file))
    dialog.reject()
    assert chosen == [("sam", Path(file))]
    assert section.weights.text() == "sam_vit_b.pth"
    assert str(tmp_path) not in section.weights.toolTip()


def test_weights_are_told_for_the_model_they_were_asked_for(qtbot, section):
    section.set_models([ModelEntry(name, "a.b:c", ModelFacts(name, weights="file")) for name in ("one", "two")], "one")
    chosen = []
    section.weights_chosen.connect(lambda name, path: chosen.append(name))
    section.choose.click()
    dialog = section.findChild(QFileDialog)
    choose(section, "two")
    dialog.fileSelected.emit("w.pth")
    dialog.reject()
    assert chosen == ["one"]


def test_a_licence_is_shown_until_somebody_agrees(section):
    agreed = []
    section.licence_agreed.connect(lambda: agreed.append(True))
    assert not section.licence.isVisible()
    section.ask_licence("Under MIT.")
    assert section.licence.text == "Under MIT."
    assert section.agree.isVisible()
    section.agree.click()
    assert agreed == [True]
    assert not section.licence.isVisible()
    section.ask_licence("Under MIT.")
    section.ask_licence("")
    assert not section.licence.isVisible()


def test_busy_is_visible_while_it_lasts(section):
    section.set_status("Loading Segment Anything", busy=True)
    assert section.busy.isVisible()
    section.set_status("Ready")
    assert not section.busy.isVisible()
    assert section.status.text() == "Ready"


def test_a_failure_shows_reason_and_next_step_until_the_next_status(section):
    section.set_status("Loading", busy=True)
    section.show_failure(WeightsError("sam.pth", "is a web page", "Download it again."))
    assert section.failure.text == "sam.pth: is a web page. Download it again."
    assert not section.busy.isVisible()
    section.set_status("Ready")
    assert section.failure.text == ""


def test_a_fallback_to_another_device_is_announced(section):
    section.set_device("CPU")
    assert section.device.text() == "Runs on CPU"
    section.set_device("CPU: no CUDA device was found", fell_back=True)
    assert section.fallback.text == "Runs on CPU: no CUDA device was found"
    assert not section.device.isVisible()
    section.set_device("CUDA")
    assert section.fallback.text == ""
