"""The commands ``adapt`` and ``segment --adapter``, on a small phantom."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.adaptation import Recipe, read_adapter
from napari_medfm.simulation import dice
from napari_medfm.volume import open_labels, open_volume, write_labels, write_volume


def call(*arguments, code=0):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory, small_volume, small_labels):
    folder = tmp_path_factory.mktemp("adapting")
    write_volume(folder / "ct.nii.gz", small_volume)
    write_labels(folder / "expert.nii.gz", small_labels, small_volume.geometry)
    return folder


@pytest.fixture
def brief(monkeypatch):
    """Adapt for a moment only."""
    defaults = {"copies": 0, "head_steps": 60, "decoder_steps": 2}
    init = Recipe.__init__
    monkeypatch.setattr(Recipe, "__init__", lambda self, **given: init(self, **{**given, **defaults}))


def adapt(files, *more, code=0):
    given = ["adapt", files / "ct.nii.gz", files / "expert.nii.gz", "-o", files / "organ.safetensors"]
    return call(*given, "--structure", "organ", "--value", 3, *more, code=code)


def test_an_adapter_is_made_and_used(files, brief):
    row = json.loads(adapt(files, "--slices", "2,4,6", "--json").stdout)
    assert row["slices"] == 3
    assert row["judged_on"] == "slice 4"
    assert 0 <= row["dice_after"] <= 1
    assert isinstance(row["better"], bool)
    assert read_adapter(files / "organ.safetensors").facts.structure == "organ"

    given = ["segment", files / "ct.nii.gz", "--adapter", files / "organ.safetensors", "-o", files / "out.nii.gz"]
    rows = json.loads(call(*given, "--json").stdout)
    image = open_volume(files / "ct.nii.gz")
    found = open_labels(files / "out.nii.gz", image)
    assert rows[0]["structure"] == "organ"
    assert rows[0]["voxels"] == np.count_nonzero(found)
    assert dice(found == 1, open_labels(files / "expert.nii.gz", image) == 3) > 0.5


@pytest.mark.parametrize("slices", ["2,x", "2,40"])
def test_slices_that_are_none_are_refused(files, slices):
    assert "--slices" in adapt(files, "--slices", slices, code=2).output


def test_a_structure_that_is_not_there_is_refused(files):
    assert "is on none of the labelled slices" in adapt(files, "--slices", "0", code=3).output


def test_prompts_or_an_adapter_are_needed(files):
    result = call("segment", files / "ct.nii.gz", "-o", files / "out.nii.gz", code=2)
    assert "--prompts or --adapter" in result.output


def test_a_model_that_cannot_be_adapted_is_refused(files):
    result = adapt(files, "--model", "random_walker", code=3)
    assert "has no decoder that could be trained" in result.output
