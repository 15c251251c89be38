"""The commands ``project``."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner
from volume.dicom_files import CANARY, write_series

from napari_medfm import cli
from napari_medfm.volume import Volume, array_geometry, write_volume


@pytest.fixture
def run():
    """Run a command and return what a machine reads, or what a person is told if it fails."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, ["--json", "project", *map(str, arguments)])
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if result.stdout.strip().startswith(("{", "[")) else result.output

    return invoke


@pytest.fixture
def project(tmp_path, run):
    """Return the folder of a project of three cases, and that of their images, in which one cannot be read."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 9, (3, 4, 5)).astype(np.int16)
        write_volume(data / f"sub-{number}_ct.nii.gz", Volume(values, array_geometry(values.shape)))
    write_series(data / CANARY)
    (data / "broken.nii.gz").write_bytes(b"no")
    (tmp_path / "classes.txt").write_text("liver\nspleen\n")
    assert run("new", tmp_path / "p", "--classes", tmp_path / "classes.txt")["classes"] == "liver, spleen"
    assert len(run("add", tmp_path / "p", data, code=3)) == 3, "one bad image stops no other"
    return tmp_path / "p", data


def test_images_are_listed_under_pseudonyms(project, run):
    rows = run("list", project[0])
    assert sorted(row["size"] for row in rows) == ["5 x 4 x 3", "5 x 4 x 3", "5 x 6 x 4"]
    assert {row["status"] for row in rows} == {"to do"}
    assert len({row["patient"] for row in rows}) == 3
    assert CANARY not in json.dumps(rows)


def test_what_is_there_already_is_not_added_again(project, run):
    assert run("add", *project, code=3) == []
    assert len(run("list", project[0])) == 3


def test_cases_are_taken_finished_reviewed_and_counted(project, run):
    folder, data = project
    taken = run("next", folder, "--annotator", "ann")
    assert taken["status"] == "in progress"
    assert taken["image"].startswith(str(data))
    run("status", folder, taken["case"], "done", "--annotator", "ann", "--note", "hard")
    assert run("status", folder, taken["case"], "reviewed", "--annotator", "bob")["reviewer"] == "bob"
    assert run("status", folder) == {"to do": 2, "in progress": 0, "done": 0, "reviewed": 1, "share_done": 1 / 3}
    assert [step["person"] for step in run("status", folder, taken["case"])] == ["ann", "ann", "bob"]
    assert [row["note"] for row in run("list", folder, "--status", "reviewed")] == ["hard"]


def test_wrong_steps_names_and_folders_are_told(project, run, tmp_path):
    folder, data = project
    assert "cannot become reviewed" in run("status", folder, 1, "reviewed", "--annotator", "ann", code=3)
    assert "is none of" in run("status", folder, 1, "finished", code=2)
    assert "holds no project" in run("list", tmp_path, code=3)
    assert "is not there" in run("add", folder, tmp_path / "nowhere", code=3)
    assert "no regular expression" in run("add", folder, data, "--patients", "(", code=3)
    for _ in range(3):
        case = run("next", folder, "--annotator", "ann")["case"]
        run("status", folder, case, "done", "--annotator", "ann")
    assert "nothing left to do" in run("next", folder, "--annotator", "ann", code=3)
