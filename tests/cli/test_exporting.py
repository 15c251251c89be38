"""The commands ``export`` and ``train-check``: from annotated images to a set that is trained on."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.export import open_dataset
from napari_medfm.session import AnnotationSession, ObjectClass
from napari_medfm.volume import fingerprint, open_volume, write_labels, write_volume

CLASSES = '["organ", {"name": "lesion", "parent": "organ"}, "other"]'


@pytest.fixture
def run(tmp_path):
    """Run a command and return its result; an unexpected exit code is a failure."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture
def images(small_volume, small_labels, tmp_path):
    """Four images of two patients with labels, and a class list; sessions of the first two."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.json").write_text(CLASSES)
    rng = np.random.default_rng(0)
    for patient in ("anna", "bert"):
        for visit in (1, 2):
            noisy = small_volume.array + rng.integers(0, 5, small_volume.shape).astype(np.int16)
            path = tmp_path / "images" / f"{patient}_{visit}.nii.gz"
            write_volume(path, type(small_volume)(noisy, small_volume.geometry))
            write_labels(tmp_path / "labels" / f"{patient}_{visit}_labels.nii.gz", small_labels, small_volume.geometry)
    return tmp_path / "images"


@pytest.fixture
def exported(run, images, tmp_path):
    """A data set of the label files, and what was printed."""
    arguments = ["--labels", tmp_path / "labels", "--classes", tmp_path / "classes.json", "--patients", "^([a-z]+)_"]
    result = run("export", images, "-o", tmp_path / "Dataset001", *arguments, "--key", tmp_path / "key.csv", "--json")
    return tmp_path / "Dataset001", result


def test_label_files_become_a_data_set_divided_by_patient(exported, small_labels, tmp_path):
    folder, result = exported
    rows = {row["class"]: row for row in json.loads(result.stdout)}
    assert (rows["organ"]["value"], rows["organ"]["cases"], rows["organ"]["objects"]) == (1, 4, 4)
    dataset = open_dataset(folder, verify=True)
    np.testing.assert_array_equal(dataset.cases[0]().labels, small_labels)
    assert {frozenset(fold.validation) for fold in dataset.manifest.plan.folds} == {
        frozenset({"case_0001", "case_0002"}),
        frozenset({"case_0003", "case_0004"}),
    }
    with (tmp_path / "key.csv").open(newline="") as stream:
        key = list(csv.DictReader(stream))
    assert [(row["case"], row["patient"], row["file"]) for row in key][2] == (
        "case_0003",
        "patient_0002",
        "bert_1.nii.gz",
    )


def test_sessions_become_a_data_set_and_what_is_doubtful_is_told(run, images, small_labels, tmp_path):
    for path in sorted(images.iterdir())[:2]:
        volume = open_volume(path)
        with AnnotationSession.create(volume, fingerprint(volume), classes=[ObjectClass("organ")]) as session:
            number = session.add_object("organ")
            session.write_voxels(number, tuple(slice(0, size) for size in volume.shape), small_labels == 1)
    result = run("export", images, "-o", tmp_path / "set", "--format", "nifti")
    assert "patient of its own" in result.stderr
    assert "looked at by nobody" in result.stderr
    assert len(open_dataset(tmp_path / "set").cases) == 2
    run("export", images, "-o", tmp_path / "set", "--format", "nifti", code=7)
    result = run("export", images, "-o", tmp_path / "set", "--format", "nifti", "--replace", "--complete")
    assert "looked at by nobody" not in result.stderr
    np.testing.assert_array_equal(open_dataset(tmp_path / "set").cases[0]().labels == 1, small_labels == 1)


def test_a_data_set_is_turned_into_another_form(run, exported, small_labels, tmp_path):
    folder, _ = exported
    run("export", folder, "-o", tmp_path / "msd", "--format", "decathlon", "--test", 0.5)
    dataset = open_dataset(tmp_path / "msd")
    assert dataset.form == "decathlon"
    assert sum(entry.test for entry in dataset.manifest.plan.entries) == 2
    np.testing.assert_array_equal(dataset.cases[0]().labels, small_labels)


def test_it_can_be_trained_on(run, exported):
    folder, _ = exported
    result = run("train-check", folder, "--steps", 2, "--json")
    assert {row["class"] for row in json.loads(result.stdout)} == {"organ", "lesion", "other"}
    assert "Trained on 2 of 2 cases, judged on 2." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "images", "-o", "out", "--format", "betamax"], 3, "no form of training set"),
        (["export", "images", "-o", "out"], 3, "no image with a session"),
        (["export", "nowhere", "-o", "out"], 3, "is no folder"),
        (["export", "images", "-o", "out", "--labels", "labels"], 2, "--classes"),
        (["export", "images", "-o", "out", "--patients", "("], 2, "no regular expression"),
        (["train-check", "images"], 3, "no training set"),
    ],
)
def test_what_cannot_be_done_is_told(run, images, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    assert message in run(*arguments, code=code).stderr
    assert not (tmp_path / "out").exists()
