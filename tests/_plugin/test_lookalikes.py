"""From an object in the viewer to its look-alikes in other images, and into one of them with a box."""

import numpy as np
import pytest
from napari.layers import Image
from projects.scenes import LESIONS, scene, write_scenes
from qtpy.QtCore import Qt

from napari_medfm._plugin.reader import known_reader
from napari_medfm.projects import Project, find_cases
from napari_medfm.projects.gallery import Gallery, Verdict
from napari_medfm.projects.lookalikes import overlap
from napari_medfm.prompts import Box
from napari_medfm.pseudonyms import load_pseudonyms
from napari_medfm.settings import load_settings
from napari_medfm.simulation import dice
from napari_medfm.volume import fingerprint

pytestmark = pytest.mark.qt
CASES = "case 2", "case 3"


@pytest.fixture
def lesion(room):
    """Return a viewer in which the lesion of one image was drawn."""
    volume, mask = scene("a")
    room.add(volume)
    room.dock()
    room.wait(lambda: room.case is not None)
    number = room.session.add_object(name="lesion")
    room.session.write_voxels(number, tuple(slice(0, size) for size in mask.shape), mask)
    return room


def titles(gallery):
    return [gallery.tiles.item(place).text() for place in range(gallery.tiles.count())]


def begin(room, where, names):
    """Search, and wait until something of all these images is shown."""
    room.panel.objects.alike.click()
    room.annotator.lookalikes.search(where)
    gallery = room.annotator.lookalikes.gallery
    room.wait(lambda: gallery.status.text().startswith(("3 of 3", "4 of 4")))
    room.wait(lambda: all(any(name in text for text in titles(gallery)) for name in names))
    return gallery


def keys(gallery):
    return [gallery.tiles.item(place).data(Qt.ItemDataRole.UserRole) for place in range(gallery.tiles.count())]


def test_the_gallery_leads_to_the_lesions_of_other_images(lesion, tmp_path):
    room = lesion
    gallery = begin(room, write_scenes(tmp_path / "images"), ("b.nii.gz", "c.nii.gz"))
    assert "bad.nii.gz" in gallery.problems.text()
    assert {text.split("\n")[1][:8] for text in titles(gallery)[:2]} == {"b.nii.gz", "c.nii.gz"}, "the best of each"
    name = titles(gallery)[0].split("\n")[1][0]
    gallery.tiles.setCurrentRow(0)
    gallery.open.click()
    room.wait(
        lambda: room.case is not None and room.session.volume.name.startswith(name) and room.session.state.objects
    )
    room.wait(lambda: not room.case.live.busy)
    (prompt,) = room.session.state.object().prompts
    row, column = LESIONS[name]
    assert isinstance(prompt, Box)
    assert overlap((*prompt.start, *prompt.stop), (row - 11, column - 11, row + 12, column + 12)) > 0.4
    assert room.case.workspace.bridge.plane == prompt.plane
    answered = room.session.object_mask(room.session.state.active, prompt.plane)
    assert dice(answered, np.asarray(scene(name)[1][prompt.plane.index])) > 0.7, "the model answered the box"


def test_the_image_of_one_candidate_takes_the_place_of_that_of_the_one_before(lesion, tmp_path):
    room, folder = lesion, write_scenes(tmp_path / "images")
    own, added = room.case.workspace.layers.image, room.add(scene("c")[0], name="added by the person")
    gallery = begin(room, folder, ("b.nii.gz", "c.nii.gz"))
    first = open_in(room, gallery, "c")
    assert images(room) == {own, added, first}
    second = open_in(room, gallery, "b")
    assert images(room) == {own, added, second}
    assert open_in(room, begin(room, folder, ("a.nii.gz",)), "a") is own, "it is there already"
    assert images(room) == {own, added, second}, "who searched from it wants to come back"


def images(room):
    """Return the images in the viewer."""
    return {layer for layer in room.viewer.layers if isinstance(layer, Image)}


def open_in(room, gallery, name):
    """Open the best candidate of an image, and return the layer that is open then."""
    place = next(place for place, text in enumerate(titles(gallery)) if f"{name}.nii.gz" in text)
    gallery.tiles.setCurrentRow(place)
    gallery.open.click()
    digest = fingerprint(scene(name)[0])
    room.wait(lambda: room.case is not None and room.session.fingerprint == digest and room.session.state.objects)
    room.wait(lambda: not room.case.live.busy)
    return room.case.workspace.layers.image


def test_what_people_say_of_candidates_of_a_project_is_kept(lesion, tmp_path):
    room = lesion
    project = Project.create(tmp_path / "project")
    project.add(find_cases(write_scenes(tmp_path / "images"), load_pseudonyms()))
    gallery = begin(room, project.folder, CASES)
    (first, *_, last) = keys(gallery)
    gallery.tiles.setCurrentRow(0)
    gallery.accept_one.click()
    assert "does not know who you are" in room.told[-1]
    assert gallery.name.isVisible()
    gallery.name.setText("reader 2")
    gallery.name.editingFinished.emit()
    gallery.accept_one.click()
    room.wait(lambda: "✓" in titles(gallery)[keys(gallery).index(first)])
    gallery.tiles.setCurrentRow(gallery.tiles.count() - 1)
    gallery.refuse.click()
    room.wait(lambda: last not in keys(gallery))
    structure = room.session.state.object().class_name or "lesion"
    kept = Gallery(project)
    room.wait(lambda: kept.candidates(structure, Verdict.REJECTED) and kept.candidates(structure, Verdict.ACCEPTED))
    assert {each.person for each in kept.candidates(structure) if each.verdict is not Verdict.NEW} == {"reader 2"}
    room.wait(lambda: known_reader(load_settings().data_dir) == "reader 2")
    again = begin(room, project.folder, CASES)
    assert any("✓" in text for text in titles(again)), "what was accepted is known"
    assert not any("case 1" in text for text in titles(again)), "its own image is left out"


def test_without_an_object_nothing_is_asked(room, small_volume):
    room.add(small_volume)
    room.dock()
    room.opened()
    assert not room.panel.objects.alike.isEnabled()
    room.panel.lookalikes_requested.emit()
    assert any("no object with a mask" in notice for notice in room.told)
    assert room.annotator.lookalikes.gallery is None
