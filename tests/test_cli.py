"""The command line: results for people and machines, and exit codes that mean something."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.cli.prompts_file import read_objects
from napari_medfm.errors import CancelledError, MedfmError
from napari_medfm.inference import DiskStore, Predictor
from napari_medfm.models import load_model, register_model
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.prompts import Box, Point, PromptSet, to_json
from napari_medfm.session import AnnotationSession, journal_path
from napari_medfm.settings import load_settings
from napari_medfm.simulation import dice
from napari_medfm.volume import (
    Plane,
    automatic_window,
    fingerprint,
    open_labels,
    open_volume,
    write_labels,
    write_volume,
)

COMMANDS = (
    *("open", "segment", "propagate", "demo", "evaluate", "pretrain", "embed"),
    *("export", "deidentify", "project", "train-check", "models", "session", "cache"),
)
LEFT_ORGAN = Plane(0, 5)


@pytest.fixture
def run():
    """Run a command and return its result; an unexpected exit code is a failure, a traceback above all."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def run_json(run):
    """Run a command and return what a machine reads from its standard output."""
    return lambda *arguments, code=0: json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def image(small_volume, tmp_path):
    return write_volume(tmp_path / "ct.nii.gz", small_volume)


@pytest.fixture
def expert(small_volume, small_labels, tmp_path):
    return write_labels(tmp_path / "expert.nii.gz", small_labels, small_volume.geometry)


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(["organ", {"name": "lesion", "parent": "organ"}, "other"]))
    return path


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.json"
    box = Box(LEFT_ORGAN, (16.0, 39.0), (37.0, 58.0))
    point = Point(LEFT_ORGAN, (26.0, 48.0))
    path.write_text(
        json.dumps(
            [
                {"name": "left one", "class": "organ", "prompts": to_json(PromptSet((box, point)))},
                {"prompts": []},
            ]
        )
    )
    return path


@pytest.fixture
def session(image):
    """A closed session of the image, with one painted object."""
    volume = open_volume(image)
    with AnnotationSession.create(volume, fingerprint(volume)) as session:
        session.add_object(name="painted")
        session.write_voxels(1, (slice(3, 5), slice(10, 20), slice(10, 20)), np.ones((2, 10, 10), bool))
    return journal_path(fingerprint(volume))


def load_small_sam():
    """The real architecture, small and with seeded random weights."""
    return SamModel(build_small_sam(image_size=64, width=32, depth=1))


@pytest.fixture
def small_sam():
    dispose = register_model("small_sam", f"{__name__}:load_small_sam")
    yield "small_sam"
    dispose()


def test_the_help_names_every_command(run):
    output = run("--help").stdout
    assert all(command in output for command in COMMANDS)


def test_it_knows_its_version(run):
    assert run("--version").stdout.split() == ["0.1.0"]


def test_the_models_are_listed_for_people_and_for_machines(run, run_json):
    assert "random_walker" in run("models").stdout
    assert [entry["name"] for entry in run_json("models")][:3] == ["compact", "random_walker", "sam"]


def test_json_may_stand_before_or_behind_the_command(run):
    assert run("--json", "models").stdout == run("models", "--json").stdout


def test_segmenting_from_prompts_writes_labels_that_lie_on_the_image(run_json, image, prompts, small_labels, tmp_path):
    output = tmp_path / "labels.nii.gz"
    rows = run_json("segment", image, "--prompts", prompts, "-o", output)
    labels = open_labels(output, open_volume(image))
    assert dice(labels[5] == 1, small_labels[5] == 3) > 0.9
    assert np.array_equal(nibabel.load(output).affine, nibabel.load(image).affine)
    voxels = int(np.count_nonzero(labels))
    assert rows[0] == {
        "id": 1,
        "name": "left one",
        "class": "organ",
        "prompts": 2,
        "voxels": voxels,
        "ml": pytest.approx(voxels * 3e-3),
    }
    assert (rows[1]["prompts"], rows[1]["voxels"]) == (0, 0)


def test_propagating_carries_objects_from_prompted_slices_through_the_volume(
    run_json, image, prompts, small_labels, tmp_path
):
    output = tmp_path / "labels.nii.gz"
    rows = run_json("propagate", image, "--prompts", prompts, "-o", output)
    labels = open_labels(output, open_volume(image))
    assert dice(labels == 1, small_labels == 3) > 0.8
    assert [row["voxels"] for row in rows] == [np.count_nonzero(labels == 1), 0]
    run_json("propagate", image, "--prompts", prompts, "-o", output, "--most", "1")
    assert np.flatnonzero(open_labels(output, open_volume(image)).any(axis=(1, 2))).tolist() == [4, 5, 6]


def test_the_example_in_the_help_is_a_prompts_file_that_can_be_read(run, image, tmp_path):
    shown = run("segment", "--help").stdout
    example = shown[shown.index("[{") : shown.index("}]}]") + 4]
    (tmp_path / "example.json").write_text(example)
    (wanted,) = read_objects(tmp_path / "example.json")
    assert (wanted.name, wanted.class_name) == ("liver", "organ")
    assert wanted.prompts == PromptSet(
        (Point(Plane(0, 12), (80.0, 61.5)), Box(Plane(0, 13), (40.0, 22.0), (110.0, 98.0)))
    )


def test_segmenting_twice_gives_the_same_labels_and_leaves_no_session(run, image, prompts, tmp_path):
    for name in ("first.nii", "second.nii"):
        run("segment", image, "--prompts", prompts, "-o", tmp_path / name)
    assert (tmp_path / "first.nii").read_bytes() == (tmp_path / "second.nii").read_bytes()
    assert not list(load_settings().data_dir.glob("**/*"))


def test_another_model_can_be_asked(run_json, image, prompts, small_sam, tmp_path):
    rows = run_json("segment", image, "--prompts", prompts, "-o", tmp_path / "labels.nii", "--model", small_sam)
    assert rows[0]["prompts"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"prompts.json: cannot be read (JSONDecodeError). Give a JSON file"),
        ("{}", "prompts.json: is not a list of objects"),
        ("[1]", "prompts.json, object 1: is not an object with name, class and prompts"),
        ('[{"label": 3, "prompts": []}]', "prompts.json, object 1: is not an object with name, class and prompts"),
        ('[{"name": 3, "prompts": []}]', "prompts.json, object 1: has a name or class that is no text"),
        ('[{"prompts": [{"kind": "wish"}]}]', "prompts.json, object 1, prompt 1: has the unknown kind 'wish'"),
    ],
)
def test_a_prompts_file_that_cannot_be_used_is_refused_by_place(run, image, prompts, tmp_path, content, message):
    prompts.write_text(content)
    assert message in run("segment", image, "--prompts", prompts, "-o", tmp_path / "labels.nii", code=3).stderr
    assert not (tmp_path / "labels.nii").exists()


def test_the_demonstration_leaves_labels_and_a_picture_and_tells_dice(run_json, image, expert, classes, tmp_path):
    out = tmp_path / "new" / "out"
    rows = run_json("demo", image, expert, "--classes", classes, "-o", out, "--only", "lesion", "--only", "other")
    assert [row["name"] for row in rows] == ["lesion", "other"]
    assert rows[1]["dice"] > 0.8
    labels = open_labels(out / "labels.nii.gz", open_volume(image))
    assert set(np.unique(labels)) == {0, 1, 2}
    with Image.open(out / "picture.png") as picture:
        assert picture.width > 500


def test_a_demonstration_that_is_kept_can_be_resumed(run, run_json, image, expert, classes, tmp_path):
    arguments = ("demo", image, expert, "--classes", classes, "-o", tmp_path, "--only", "lesion", "--keep")
    run(*arguments)
    (row,) = run_json("session", "export", image, "-o", tmp_path / "again.nii.gz")
    assert row["name"] == "lesion"
    assert (tmp_path / "again.nii.gz").read_bytes() == (tmp_path / "labels.nii.gz").read_bytes()
    assert "already" in run(*arguments, code=4).stderr
    assert run_json("session", "replay", image, "--threshold", "0.02") == []  # by the model that answered
    (row,) = run_json("session", "replay", image, "--model", "random_walker", "--threshold", "0.02")
    assert row["name"] == "lesion"
    assert 0.02 < row["change"] < 1


def test_a_class_the_expert_did_not_mark_is_a_usage_error(run, image, expert, classes, tmp_path):
    arguments = ("demo", image, expert, "--classes", classes, "-o", tmp_path, "--only", "spleen")
    assert "spleen" in run(*arguments, code=2).stderr


def test_embedding_fills_the_cache_once(run_json, image, small_sam):
    arguments = ("embed", image, "--model", small_sam, "--axis", "coronal")
    first = run_json(*arguments)
    assert (first["planes"], first["embedded"]) == (48, 48)
    held = run_json("cache", "info")
    assert held["entries"] == 48
    again = run_json(*arguments)
    assert (again["planes"], again["embedded"]) == (48, 0)
    assert run_json("cache", "info") == held


def test_a_folder_is_embedded_image_by_image_and_a_bad_one_stops_no_other(
    run, run_json, small_volume, small_sam, tmp_path
):
    folder = tmp_path / "cases"
    for name, shift in (("first", 0), ("second", 1)):
        (folder / name).mkdir(parents=True)
        volume = replace(small_volume, array=small_volume.array + shift)
        write_volume(folder / name / "ct.nii.gz", volume)
    (folder / "first" / "damaged.nii").write_bytes(b"no image" * 100)
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(30, 30)).save(folder / "photo.png")
    rows = run_json("embed", folder, "--model", small_sam, code=3)
    assert [(row["image"], row["planes"], row["embedded"]) for row in rows] == [
        ("ct", 12, 12),
        ("damaged.nii", 0, 0),
        ("photo", 1, 1),
        ("ct", 12, 12),
    ]
    assert [bool(row["problem"]) for row in rows] == [False, True, False, False]
    (folder / "first" / "damaged.nii").unlink()
    rows = run_json("embed", folder, "--model", small_sam)
    assert sum(row["embedded"] for row in rows) == 0
    (tmp_path / "empty").mkdir()
    assert "holds no image" in run("embed", tmp_path / "empty", "--model", small_sam, code=3).stderr


def test_every_page_of_a_file_in_a_folder_is_embedded(run_json, small_sam, tmp_path):
    (tmp_path / "cases").mkdir()
    pages = [Image.fromarray(np.full((30, 30), value, np.uint8)) for value in (10, 200)]
    pages[0].save(tmp_path / "cases" / "pages.tif", save_all=True, append_images=pages[1:])
    rows = run_json("embed", tmp_path / "cases", "--model", small_sam)
    assert [(row["planes"], row["embedded"], row["problem"]) for row in rows] == [(1, 1, "")] * 2


def test_the_cache_tells_how_well_it_served_all_programs(run, run_json, image, small_sam):
    run("embed", image, "--model", small_sam)
    before = run_json("cache", "info")
    assert (before["hits"], before["misses"]) == (0, 12)
    store = DiskStore(load_settings().embeddings_dir, 10**9)
    volume = open_volume(image)
    predictor = Predictor(load_model(small_sam), store)
    for plane in volume.geometry.planes()[:4]:
        assert predictor.lookup(predictor.key(fingerprint(volume), plane, automatic_window(volume))) is not None
    store.close()
    after = run_json("cache", "info")
    assert (after["hits"], after["misses"]) == (4, 12)
    assert after["hit_rate"] == pytest.approx(0.25)


def test_embeddings_not_worth_keeping_are_refused(run, image):
    assert "makes no embeddings worth keeping" in run("embed", image, "--model", "random_walker", code=6).stderr


def test_a_sound_cache_is_verified_and_pruned(run, run_json, image, small_sam):
    run("embed", image, "--model", small_sam)
    assert run_json("cache", "verify") == {"sound": 12, "removed": 0, "strays": 0}
    assert run_json("cache", "prune") == {"freed_bytes": 0}
    held = run_json("cache", "info")["bytes"]
    assert run_json("cache", "prune", "--to-gb", held / 2e9)["freed_bytes"] >= held / 2
    assert run_json("cache", "prune", "--all")["freed_bytes"] > 0
    assert run_json("cache", "info")["entries"] == 0


def test_a_damaged_cache_entry_is_told_and_removed(run, run_json, image, small_sam):
    run("embed", image, "--model", small_sam)
    entry = next(load_settings().embeddings_dir.glob("**/*.safetensors"))
    content = bytearray(entry.read_bytes())
    content[-1] ^= 1
    entry.write_bytes(content)
    assert run_json("cache", "verify", code=5) == {"sound": 11, "removed": 1, "strays": 0}
    assert run_json("cache", "verify")["sound"] == 11


def test_an_intact_session_is_verified_by_image_and_with_all_others(run_json, image, session):
    (row,) = run_json("session", "verify", image)
    assert row["journal"] == session.name
    assert row["intact"]
    assert row["events"] > 1
    assert run_json("session", "verify") == [row]


def test_a_damaged_session_is_told_and_what_is_intact_is_recovered(run, run_json, image, session):
    with contextlib.closing(sqlite3.connect(session)) as journal, journal:
        altered = journal.execute("UPDATE events SET title = 'altered' WHERE seq = 3")
        assert altered.rowcount == 1
    (row,) = run_json("session", "verify", image, code=5)
    assert not row["intact"]
    assert row["reason"]
    assert run_json("session", "recover", image)["events"] == row["events"]
    assert run_json("session", "verify", image)[0]["intact"]


def test_the_labels_of_a_session_are_exported(run_json, image, session, tmp_path):
    (row,) = run_json("session", "export", image, "-o", tmp_path / "labels.nii.gz")
    assert (row["name"], row["voxels"]) == ("painted", 200)
    assert np.count_nonzero(open_labels(tmp_path / "labels.nii.gz", open_volume(image))) == 200


def test_an_image_without_a_session_is_refused(run, image, tmp_path):
    run("session", "export", image, "-o", tmp_path / "labels.nii", code=4)
    run("session", "verify", image, code=4)


@pytest.mark.parametrize("command", [("embed",), ("session", "verify"), ("open",)])
def test_an_image_that_is_not_there_is_an_unusable_input_named_without_its_folder(run, command, tmp_path):
    message = run(*command, tmp_path / "DOE^JANE" / "ct.nii.gz", code=3).stderr
    assert "ct.nii.gz" in message
    assert "DOE" not in message


def test_where_there_are_several_volumes_they_are_listed_with_the_option_that_chooses(run, small_volume, tmp_path):
    several = np.stack([np.asarray(small_volume.array)] * 2, axis=-1)
    nibabel.save(nibabel.Nifti1Image(several, np.eye(4)), tmp_path / "fmri.nii")
    message = run("session", "verify", tmp_path / "fmri.nii", code=3).stderr
    assert "--choice 0" in message
    assert "--choice 1" in message
    run("session", "verify", tmp_path / "fmri.nii", "--choice", 1, code=4)


def test_an_output_that_cannot_be_written_has_a_code_of_its_own(run, image, expert, classes, prompts, tmp_path):
    run("segment", image, "--prompts", prompts, "-o", tmp_path / "nowhere" / "labels.nii", code=7)
    run("demo", image, expert, "--classes", classes, "--only", "lesion", "-o", image, code=7)


def test_a_model_that_cannot_be_used_has_a_code_of_its_own(run, image, tmp_path):
    (tmp_path / "weights.pth").write_text("<html>not found</html>")
    run("embed", image, "--model", "sam", code=6)
    run("embed", image, "--model", "sam", "--weights", tmp_path / "weights.pth", code=6)
    assert "random_walker" in run("embed", image, "--model", "random-walker", code=6).stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--window", "belly"), ("--weights", "any.pth"), ("--axis", "oblique"), ("--choice", "-1")]
)
def test_an_option_that_makes_no_sense_is_a_usage_error(run, image, option, value):
    assert option in run("embed", image, "--model", "random_walker", option, value, code=2).stderr


def test_a_setting_that_cannot_be_used_is_an_unusable_input(run, monkeypatch):
    monkeypatch.setenv("MEDFM_CACHE_GB", "plenty")
    assert "MEDFM_CACHE_GB: 'plenty' is not a number" in run("cache", "info", code=3).stderr


def test_every_expected_failure_has_an_exit_code_of_the_documented_table():
    codes = {code for _, code in cli._EXIT_CODES} | {cli.DAMAGED}
    assert all(f"\n    {code}  " in cli.__doc__ for code in codes | {0, 1, 2})
    assert issubclass(CancelledError, MedfmError)
    assert cli._EXIT_CODES[-1] == (MedfmError, cli.UNUSABLE_INPUT)


@pytest.mark.parametrize(
    ("name", "reader"),
    [("ct.nii.gz", ["--plugin", "napari-medfm"]), ("series", ["--plugin", "napari-medfm"]), ("us.png", [])],
)
def test_opening_starts_napari_with_the_panel_in_a_process_of_its_own(run, image, monkeypatch, name, reader):
    (image.parent / "series").mkdir()
    (image.parent / "us.png").touch()
    started = []

    def start(command, check):
        started.append(command)
        return subprocess.CompletedProcess(command, 9)

    monkeypatch.setattr(subprocess, "run", start)
    run("open", image.parent / name, code=9)
    panel = ["--with", "napari-medfm", "Annotate"]
    assert started == [[sys.executable, "-m", "napari", str(image.parent / name), *panel, *reader]]


def test_the_installed_command_answers_without_loading_what_it_does_not_need(tmp_path):
    command = Path(sys.executable).with_name("napari-medfm")
    done = subprocess.run([command, "cache", "info", "--json"], capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(done.stdout)["entries"] == 0
    code = "import sys, napari_medfm.cli; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == "[]"
