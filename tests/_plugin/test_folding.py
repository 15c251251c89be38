"""Sections that were folded stay so."""

import pytest

from napari_medfm._plugin.folding import Folding, read_folds
from napari_medfm._qt import MedfmPanel
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt


def test_sections_are_folded_as_they_were_left_in_the_last_sitting(qtbot, tmp_path):
    path = tmp_path / "data" / "panel.json"
    left, begun = MedfmPanel(), MedfmPanel()
    for panel in (left, begun):
        qtbot.addWidget(panel)
    with Lane() as lane:
        folding = Folding(left, path, lane)
        left.model.toggleButton().click()
        left.edit.toggleButton().click()
        lane.submit(lambda: None).result(20)
        folding.close()
        left.model.toggleButton().click()  # nobody keeps this
        lane.submit(lambda: None).result(20)
        other = Folding(begun, path, lane)
        assert not begun.model.isExpanded()
        assert begun.edit.isExpanded()
        assert begun.image.isExpanded()
        other.close()
    assert read_folds(path) == begun.folds()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"folded": 3}', '{"folded": {"Another": true}}'])
def test_a_file_that_says_nothing_of_use_changes_nothing(qtbot, tmp_path, content):
    path = tmp_path / "panel.json"
    path.write_text(content)
    panel = MedfmPanel()
    qtbot.addWidget(panel)
    before = panel.folds()
    with Lane() as lane:
        Folding(panel, path, lane).close()
    assert panel.folds() == before
