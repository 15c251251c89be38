"""The command ``pretrain``: a folder of masks goes in, weights come out, and a stopped training goes on."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.models.backends import compact
from napari_medfm.pretraining import Bank, read_provenance, read_records
from napari_medfm.simulation import dice

SMALL = ("--images", 1, "--objects", 1, "--side", 32, "--threads", 1, "--precision", "float32")


@pytest.fixture
def manifest(tmp_path):
    """A picture to train on, and one of a data set that is measured on."""
    rows, columns = np.ogrid[:64, :64]
    mask = (rows - 30) ** 2 + (columns - 28) ** 2 <= 15**2
    Image.fromarray(np.where(mask, 180, 60).astype(np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "mask.png")
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("dataset", "image", "mask", "modality", "targets"))
        table.writerows((name, "image.png", "mask.png", "", "labels") for name in ("mine", "liver_us"))
    return tmp_path / "manifest.csv"


@pytest.fixture
def pretrain(tmp_path):
    """Run the command in a folder and return its result; an unexpected exit code is a failure."""

    def invoke(*arguments, code=0):
        given = ["pretrain", "--out", tmp_path / "out", *arguments]
        result = CliRunner().invoke(cli.app, [str(argument) for argument in given])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    threads = torch.get_num_threads()
    yield invoke
    torch.set_num_threads(threads)


def test_masks_go_in_and_weights_come_out_that_say_where_they_come_from(pretrain, manifest, tmp_path):
    result = json.loads(pretrain("--data", manifest, "--no-phantoms", "--samples", 3, *SMALL, "--json").stdout)
    out = tmp_path / "out"
    assert (result["samples"], result["weights"], len(result["sha256"])) == (3, "weights.safetensors", 64)
    assert {"pack.npz", "checkpoint.pt", "log.jsonl", "training.png"} < {path.name for path in out.iterdir()}
    provenance = read_provenance(out / "weights.safetensors")
    assert [(source.name, source.images) for source in provenance.sources] == [("mine", 1)]
    assert provenance.command.startswith("napari-medfm")
    assert "/" not in provenance.command
    assert compact.load(out / "weights.safetensors").spec.name == "compact"


def test_a_training_that_was_stopped_goes_on(pretrain, manifest, tmp_path):
    pretrain("--data", manifest, "--no-phantoms", "--samples", 2, *SMALL)
    told = pretrain("--samples", 4, *SMALL).stderr
    assert [record.samples for record in read_records(tmp_path / "out" / "log.jsonl")] == [2, 4]
    assert "4 samples" in told
    assert "/s" in told
    assert read_provenance(tmp_path / "out" / "weights.safetensors").samples == 4


def test_it_can_only_pack_and_train_on_the_pack_elsewhere(pretrain, manifest, tmp_path):
    packed = json.loads(pretrain("--data", manifest, "--only-pack", "--json").stdout)
    path = (tmp_path / "out" / "pack.npz").rename(tmp_path / "travelled.npz")
    assert packed == {"pack": "pack.npz", "images": len(Bank.open(path).sizes), "bytes": path.stat().st_size}
    assert {source.name for source in Bank.open(path).sources} == {"mine", "phantom_tomography", "phantom_ultrasound"}
    pretrain("--pack", path, "--samples", 1, *SMALL)
    assert not (tmp_path / "out" / "pack.npz").exists()


def test_a_student_learns_from_what_a_teacher_marks_on_images_without_masks(pretrain, manifest, tmp_path):
    wild = tmp_path / "wild"
    wild.mkdir()
    (tmp_path / "image.png").rename(wild / "image.png")
    pretrain("--unlabelled", wild, "--teacher", "compact", "--no-phantoms", "--samples", 3, *SMALL)
    taught = Bank.open(tmp_path / "out" / "pack.npz")
    marked = taught.layers[0, 0, :64, :64].numpy()
    disc = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    assert max(dice(marked == number, disc) for number in np.unique(marked)[1:]) > 0.8
    provenance = read_provenance(tmp_path / "out" / "weights.safetensors")
    assert [source.name for source in provenance.sources] == ["taught by compact"]
    assert compact.load(tmp_path / "out" / "weights.safetensors").spec.name == "compact"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--minutes and --samples"),
        (("--minutes", 1, "--samples", 1), "--minutes and --samples"),
        (("--samples", 1, "--pack", "missing.npz"), "missing.npz is not there"),
        (("--samples", 1, "--pack", "a.npz", "--data", "b"), "instead of --data"),
        (("--samples", 1, "--side", 100), "multiple of 32"),
        (("--samples", 1, "--teacher", "compact"), "belong together"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_done(arguments, told, pretrain, tmp_path):
    result = pretrain(*arguments, code=2)
    assert told in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_only_data_sets_that_are_measured_on_leave_nothing_to_train_on(pretrain, manifest):
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], lines[2]]) + "\n")
    result = pretrain("--data", manifest, "--no-phantoms", "--samples", 1, *SMALL, code=3)
    assert "would hold no image" in result.output
