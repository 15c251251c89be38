"""The command ``search``."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from projects.scenes import LESIONS, scene, write_scenes
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.projects import Project, find_cases
from napari_medfm.projects.gallery import Gallery, Verdict
from napari_medfm.projects.lookalikes import overlap
from napari_medfm.pseudonyms import load_pseudonyms
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import fingerprint, open_volume, write_labels


@pytest.fixture
def images(tmp_path):
    """Return a folder of images, one of which is damaged, and a label file for the first."""
    folder = write_scenes(tmp_path / "images")
    volume, mask = scene("a")
    write_labels(folder / "a_labels.nii.gz", mask.astype(np.uint8) * 2, volume.geometry)
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(cli.app, ["--json", "search", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout) if result.stdout.strip().startswith("[") else result.output


def box(row):
    return tuple(float(row[name]) for name in ("top", "left", "bottom", "right"))


def test_look_alikes_of_a_label_are_listed_best_first_and_kept_in_files(images, tmp_path):
    table, sheet = tmp_path / "found.csv", tmp_path / "found.png"
    labels = images / "a_labels.nii.gz"
    options = ("--labels", labels, "--object", 2, "-n", 5, "--csv", table, "--sheet", sheet)
    rows = run(images / "a.nii.gz", images, *options, code=3)
    assert len(rows) == 5
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["image"] for row in rows[:2]} == {"b.nii.gz", "c.nii.gz"}, "neither itself nor labels"
    for row in rows[:2]:
        middle = LESIONS[row["image"][0]]
        assert overlap(box(row), (middle[0] - 11, middle[1] - 11, middle[0] + 12, middle[1] + 12)) > 0.4
    with table.open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert len(written) > 5
    assert [float(row["score"]) for row in written[:5]] == [row["score"] for row in rows]
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


def test_an_object_of_the_session_is_looked_for_in_a_project(images, tmp_path):
    path = images / "a.nii.gz"
    (images / "bad.nii.gz").unlink()
    (images / "a_labels.nii.gz").unlink()
    project = Project.create(tmp_path / "project")
    project.add(find_cases(images, load_pseudonyms()))
    assert "has no session" in run(path, project.folder, code=3)
    volume = open_volume(path)
    with AnnotationSession.create(volume, fingerprint(volume)) as session:
        number = session.add_object()
        session.write_voxels(number, tuple(slice(0, size) for size in volume.shape), scene("a")[1])
    rows = run(path, project.folder, "--structure", "cyst")
    assert {row["image"] for row in rows[:2]} == {"case 2", "case 3"}
    gallery = Gallery(project)
    first = gallery.candidates("cyst")[0]
    gallery.judge(gallery.candidates("cyst")[-1], Verdict.REJECTED, "ann")
    again = run(path, project.folder, "--structure", "cyst")
    assert {box(row) for row in again[:2]} == {box(row) for row in rows[:2]}
    assert any(each.box == first.box for each in gallery.candidates("cyst"))
    assert len(gallery.candidates("cyst", Verdict.REJECTED)) == 1


def test_an_object_that_is_not_there_is_said(images):
    labels = images / "a_labels.nii.gz"
    assert "holds no object 7" in run(images / "a.nii.gz", images, "--labels", labels, "--object", 7, code=3)
