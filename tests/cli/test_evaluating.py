"""The command ``evaluate``: a report, a table, and an exit code that tells whether all of it was evaluated."""

import csv
import json
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.cli.evaluating import Protocol
from napari_medfm.simulation import ProtocolName


@pytest.fixture
def manifest(tmp_path):
    """Two data sets of one picture each."""
    rows = [("dataset", "image", "mask", "modality", "targets")]
    rng = np.random.default_rng(0)
    for name, radius in (("small", 6), ("large", 11)):
        rows_, columns = np.ogrid[:40, :40]
        mask = (rows_ - 20) ** 2 + (columns - 18) ** 2 <= radius**2
        image = np.clip(np.where(mask, 180, 60) + rng.normal(0, 5, mask.shape), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"{name}_mask.png")
        rows.append((name, f"{name}.png", f"{name}_mask.png", "photograph", "labels"))
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture
def evaluate(manifest, tmp_path):
    """Evaluate in a folder, with one click, and return the result; an unexpected exit code is a failure."""

    def invoke(*arguments, code=0):
        given = ["evaluate", manifest, "-o", tmp_path / "out", "--clicks", 1, *arguments]
        result = CliRunner().invoke(cli.app, [str(argument) for argument in given])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def test_it_writes_a_report_and_prints_means_per_data_set_and_over_them(evaluate, tmp_path):
    result = evaluate()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "results.json", "trials.jsonl"}
    assert "report.html" in result.stderr
    for name in ("random_walker", "disc_or_otsu", "small", "large", "mean of"):
        assert name in result.stdout


def test_machines_get_means_and_intervals(evaluate):
    rows = json.loads(evaluate("--json").stdout)
    assert len(rows) == 2 * 2 * 3  # floors, protocols, data sets and their mean
    first = rows[0]
    assert (first["model"], first["protocol"], first["data_set"], first["objects"]) == (
        "random_walker",
        "ritm",
        "small",
        1,
    )
    assert first["dice_1_click"]["low"] <= first["dice_1_click"]["mean"] <= first["dice_1_click"]["high"]
    assert first["dice_box"] is None


def test_data_sets_protocols_and_models_can_be_chosen(evaluate):
    rows = json.loads(
        evaluate("--dataset", "large", "--protocol", "jittered", "--model", "random_walker", "--json").stdout
    )
    assert {(row["data_set"], row["protocol"]) for row in rows} == {("large", "jittered")}
    assert [row["model"] for row in rows] == ["random_walker", "disc_or_otsu"]


def test_a_second_run_with_the_same_settings_goes_on_and_with_others_is_refused(evaluate, tmp_path):
    evaluate()
    before = (tmp_path / "out" / "trials.jsonl").read_bytes()
    evaluate()
    assert (tmp_path / "out" / "trials.jsonl").read_bytes() == before
    refused = evaluate("--seed", 1, code=cli.UNUSABLE_INPUT)
    assert "is of an evaluation with other settings (seed)" in refused.stderr


def test_an_image_that_cannot_be_read_is_told_by_message_report_and_exit_code(evaluate, tmp_path):
    (tmp_path / "small.png").write_bytes(b"no picture")
    result = evaluate(code=cli.UNUSABLE_INPUT)
    assert "small, small.png: not evaluated:" in result.stderr
    assert "large" in result.stdout
    assert "small.png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_bad_row_is_one_clear_message(evaluate, manifest):
    manifest.write_text(manifest.read_text().replace("photograph,labels", "photograph,label", 1))
    result = evaluate(code=cli.UNUSABLE_INPUT)
    assert "manifest.csv, row 2: has the targets 'label'" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_model_is_a_matter_of_the_model(evaluate):
    assert "is not a registered model" in evaluate("--model", "nobody", code=cli.UNUSABLE_MODEL).stderr


def test_weights_without_a_model_that_takes_them_are_a_wrong_command(evaluate, tmp_path):
    result = evaluate("--model", "random_walker", "--weights", tmp_path / "weights.pth", code=2)
    assert "--weights" in result.stderr


def test_weights_go_to_the_model_that_needs_a_file(evaluate, tmp_path):
    arguments = "--model", "random_walker", "--model", "sam", "--weights", tmp_path / "nothing.pth"
    assert "nothing.pth" in evaluate(*arguments, code=cli.UNUSABLE_MODEL).stderr


def test_the_protocols_are_those_of_the_robot():
    assert tuple(Protocol) == get_args(ProtocolName)
