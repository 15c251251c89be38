"""The command line: results for people and machines, and exit codes that mean something."""

import json

import pytest
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.models import register_model
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.volume import write_volume

COMMANDS = ["open", "embed", "models", "cache"]


@pytest.fixture
def run():
    """Run a command and return its result; any traceback is a failure."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture
def image(small_volume, tmp_path):
    return write_volume(tmp_path / "ct.nii.gz", small_volume)


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


def test_the_models_are_listed_for_people_and_for_machines(run):
    assert "random_walker" in run("models").stdout
    names = [entry["name"] for entry in json.loads(run("models", "--json").stdout)]
    assert names[:2] == ["random_walker", "sam"]


def test_embedding_fills_the_cache_once(run, image, small_sam):
    arguments = ("embed", image, "--model", small_sam, "--axis", "coronal", "--json")
    assert json.loads(run(*arguments).stdout)["planes"] == 48
    held = json.loads(run("cache", "info", "--json").stdout)
    assert held["entries"] == 48
    run(*arguments)
    assert json.loads(run("cache", "info", "--json").stdout) == held


def test_a_sound_cache_is_verified_and_pruned(run, image, small_sam):
    run("embed", image, "--model", small_sam)
    assert json.loads(run("cache", "verify", "--json").stdout) == {"sound": 12, "removed": 0, "strays": 0}
    assert json.loads(run("cache", "prune", "--json").stdout) == {"freed_bytes": 0}
    assert json.loads(run("cache", "prune", "--all", "--json").stdout)["freed_bytes"] > 0
    assert json.loads(run("cache", "info", "--json").stdout)["entries"] == 0
