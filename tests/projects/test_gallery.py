import multiprocessing

import numpy as np
import pytest

from napari_medfm.errors import ProjectError
from napari_medfm.projects import Found, Project
from napari_medfm.projects.gallery import Gallery, Verdict, matched
from napari_medfm.projects.searching import Candidate, Target
from napari_medfm.volume import Plane

from .workers import judge_all


def candidate(number, score=0.5, box=None):
    place = box or (10.0 * number, 0.0, 10.0 * number + 8, 8.0)
    description = np.full(4, number, np.float32)
    picture = np.zeros((4, 4), np.uint8)
    return Candidate(Target(None, "x"), "f", Plane(0, 3), place, score, description, picture, (0, 0, 1, 1))


@pytest.fixture
def project(tmp_path):
    made = Project.create(tmp_path / "project")
    made.add(Found(tmp_path / f"{n}.nii.gz", None, "P", f"f{n}", "CT", (3, 4, 5), (1, 1, 1)) for n in range(2))
    return made


@pytest.fixture
def gallery(project):
    return Gallery(project)


def test_what_was_found_is_there_when_it_is_opened_again(gallery, project):
    gallery.keep("cyst", "encoder", 1, [candidate(1, 0.3), candidate(2, 0.9)])
    found = Gallery(project).candidates("cyst")
    assert [(each.score, each.plane, each.verdict) for each in found] == [
        (0.9, Plane(0, 3), Verdict.NEW),
        (0.3, Plane(0, 3), Verdict.NEW),
    ]
    assert found[0].box == (20.0, 0.0, 28.0, 8.0)
    assert np.array_equal(found[0].description, np.full(4, 2, np.float32))
    assert Gallery(project).candidates("stone") == ()


def test_a_project_that_was_never_searched_has_no_candidates(gallery):
    assert gallery.candidates("cyst") == ()
    assert gallery.refused("cyst", "encoder") == []


def test_a_new_search_replaces_what_nobody_judged_and_nothing_else(gallery):
    first = gallery.keep("cyst", "encoder", 1, [candidate(1), candidate(2), candidate(3)])
    gallery.keep("cyst", "encoder", 2, [candidate(7)])
    gallery.judge(first[0], Verdict.REJECTED, "ann")
    gallery.judge(first[1], Verdict.ACCEPTED, "ann")
    again = [candidate(1, box=(11.0, 0.0, 19.0, 8.0)), candidate(2), candidate(5)]
    known = gallery.keep("cyst", "encoder", 1, again)
    assert sorted((each.verdict, each.description[0]) for each in known) == [
        ("accepted", 2),
        ("new", 5),
        ("rejected", 1),
    ]
    assert [pair[1].verdict for pair in matched(again, known)] == ["rejected", "accepted", "new"]
    assert len(gallery.candidates("cyst")) == 4


def test_what_was_rejected_feeds_the_next_search_of_that_structure_by_that_encoder(gallery):
    (one, _) = gallery.keep("cyst", "encoder", 1, [candidate(1), candidate(2)])
    gallery.judge(one, Verdict.REJECTED, "ann")
    assert [each[0] for each in gallery.refused("cyst", "encoder")] == [1]
    assert gallery.refused("cyst", "another") == gallery.refused("stone", "encoder") == []


def test_of_two_who_judge_what_they_read_one_is_told(gallery):
    (one,) = gallery.keep("cyst", "encoder", 1, [candidate(1)])
    now = gallery.judge(one, Verdict.ACCEPTED, "ann")
    assert (now.verdict, now.person, now.version) == (Verdict.ACCEPTED, "ann", 2)
    with pytest.raises(ProjectError, match=r"is accepted now \(ann\)"):
        gallery.judge(one, Verdict.REJECTED, "bob")
    gallery.keep("cyst", "encoder", 1, [])
    assert [each.verdict for each in gallery.candidates("cyst")] == ["accepted"]
    with pytest.raises(ProjectError, match="judged by nobody"):
        gallery.judge(now, Verdict.REJECTED, " ")


def test_what_was_replaced_meanwhile_cannot_be_judged(gallery):
    (one,) = gallery.keep("cyst", "encoder", 1, [candidate(1)])
    gallery.keep("cyst", "encoder", 1, [candidate(1)])
    gallery.keep("cyst", "encoder", 1, [])
    with pytest.raises(ProjectError, match="replaced by a later search"):
        gallery.judge(one, Verdict.ACCEPTED, "ann")


def test_no_verdict_of_several_processes_is_lost(gallery, project):
    gallery.keep("cyst", "encoder", 1, [candidate(number) for number in range(24)])
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        counts = pool.starmap(judge_all, [(project.folder, "accepted"), (project.folder, "rejected")])
    kept = gallery.candidates("cyst")
    assert sum(counts) == 24
    assert sum(each.verdict is Verdict.ACCEPTED for each in kept) == counts[0]
    assert sum(each.verdict is Verdict.REJECTED for each in kept) == counts[1]
    assert all(each.version == 2 for each in kept)
