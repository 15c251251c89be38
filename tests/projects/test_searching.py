import pickle

import numpy as np
import pytest
from PIL import Image

from napari_medfm.errors import MedfmError, ProjectError
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models import load_model
from napari_medfm.projects import Project, find_cases
from napari_medfm.projects.contact_sheet import draw_sheet
from napari_medfm.projects.lookalikes import overlap
from napari_medfm.projects.searching import (
    Seen,
    Target,
    box_of,
    find_targets,
    lesions_of,
    make_query,
    ranked,
    search,
    search_case,
)
from napari_medfm.pseudonyms import load_pseudonyms
from napari_medfm.volume import automatic_window, fingerprint

from .scenes import LESIONS, RADIUS, SLICES, scene, write_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_model("compact"), MemoryStore(10**9))


@pytest.fixture(scope="module")
def lesions():
    volume, mask = scene("a")
    return lesions_of(Seen(volume, fingerprint(volume), automatic_window(volume)), mask)


@pytest.fixture(scope="module")
def query(lesions, predictor):
    return make_query(lesions, predictor)


@pytest.fixture(scope="module")
def searched(folder, query, predictor):
    return [each for each in search(find_targets(folder), query, predictor) if each is not None]


def truth(name):
    row, column = LESIONS[name]
    return row - RADIUS, column - RADIUS, row + RADIUS + 1, column + RADIUS + 1


def test_a_lesion_is_shown_by_the_slices_on_which_it_is_large(lesions):
    assert {each.plane.index for each in lesions} <= set(SLICES)
    assert all(overlap(each.box, truth("a")) == 1 for each in lesions)


def test_the_largest_piece_counts():
    mask = np.zeros((20, 20), bool)
    mask[2:9, 3:8] = True
    mask[15:17, 15:17] = True
    assert box_of(mask) == (2, 3, 9, 8)


def test_an_empty_object_cannot_be_looked_for(lesions):
    image = lesions[0].image
    with pytest.raises(ProjectError, match="holds nothing"):
        lesions_of(image, np.zeros(image.volume.shape, bool))


@pytest.mark.parametrize("name", ["b", "c"])
def test_the_lesion_of_another_image_is_its_best_candidate(searched, name):
    (found,) = [each for each in searched if each.target.title == f"{name}.nii.gz"]
    best = found.candidates[0]
    assert best.plane.index in SLICES
    assert overlap(best.box, truth(name)) > 0.4
    assert best.score > 1.5 * found.candidates[1].score


def test_a_lesion_through_several_slices_is_one_candidate(searched):
    for each in searched:
        boxes = [one.box for one in each.candidates if one.plane.axis == 0]
        assert sum(overlap(one, truth(each.target.title[0])) > 0.4 for one in boxes) <= 1


def test_one_bad_image_stops_no_other_and_is_told(searched):
    assert [each.done for each in searched] == [1, 2, 3, 4]
    assert [each.target.title for each in searched if each.problem] == ["bad.nii.gz"]
    assert "bad.nii.gz" in next(each.problem for each in searched if each.problem)


def test_what_was_embedded_is_not_embedded_again(folder, query, predictor, searched, monkeypatch):
    monkeypatch.setattr(predictor.model, "encode", lambda *_: pytest.fail("encoded again"))
    again = search_case(Target(folder / "b.nii.gz", "b"), query, predictor)
    assert [one.box for one in again] == [one.box for one in searched[1].candidates]


def test_a_case_can_be_searched_elsewhere(folder, query, predictor, searched):
    target, carried = pickle.loads(pickle.dumps((Target(folder / "c.nii.gz", "c"), query)))
    (one,) = [each for each in searched if each.target.title == "c.nii.gz"]
    found = pickle.loads(pickle.dumps(search_case(target, carried, predictor)))
    assert [each.score for each in found] == [each.score for each in one.candidates]


def test_a_search_can_be_stopped_between_two_slices(folder, query, predictor):
    steps = search(find_targets(folder)[:1], query, predictor)
    assert next(steps) is None
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_a_refused_candidate_drags_down_what_looks_like_it(searched, query):
    candidates = ranked([one for each in searched for one in each.candidates], query)
    refused = candidates[-1]
    after = ranked(candidates, query.without([refused.description]))
    before_of, after_of = ({(one.target.title, one.box): one.score for one in some} for some in (candidates, after))
    key = refused.target.title, refused.box
    assert after_of[key] <= before_of[key] - 0.4
    assert [one.score for one in after] == sorted((one.score for one in after), reverse=True)


def test_the_cases_of_a_project_are_searched_by_their_pseudonyms(folder, tmp_path):
    project = Project.create(tmp_path / "project")
    project.add(find_cases(folder, load_pseudonyms()))
    assert [(each.title, each.case) for each in find_targets(project.folder)] == [(f"case {n}", n) for n in (1, 2, 3)]


def test_where_there_is_nothing_to_search_it_is_said(tmp_path):
    with pytest.raises(MedfmError, match="holds no image"):
        find_targets(tmp_path)
    with pytest.raises(ProjectError, match="has no case"):
        find_targets(Project.create(tmp_path / "empty").folder)


def test_the_contact_sheet_shows_every_candidate_with_its_box(searched, tmp_path):
    candidates = [one for each in searched for one in each.candidates][:9]
    sheet = draw_sheet(candidates)
    sheet.save(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as written:
        assert written.size == sheet.size
    pixels = np.asarray(sheet)
    boxes = np.all(np.abs(pixels.astype(int) - (255, 205, 0)) < 30, axis=2)
    height, width = sheet.height // 2, sheet.width // 8
    assert boxes[:height].any()
    assert boxes[height:, : width + 6].any(), "the ninth stands in a row of its own"
    assert not boxes[height:, width + 12 :].any()
