"""What the README says is so: its code runs, its tables are those of the code, its links lead somewhere."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_medfm import cli, settings
from napari_medfm.models import available_models
from napari_medfm.simulation import dice
from napari_medfm.volume import open_labels, open_volume

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language, containing):
    found = [code for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in code]
    assert len(found) == 1
    return found[0]


def test_the_code_runs_in_ten_lines_or_little_more_and_segments_the_spleen(tmp_path):
    code = block("python", "open_volume")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    (tmp_path / "sample_volumes").symlink_to(ROOT / "sample_volumes")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=100)
    image = open_volume(ROOT / "sample_volumes" / "abdomen_ct.nii.gz")
    expert = open_labels(ROOT / "sample_volumes" / "abdomen_ct_labels.nii.gz", image)
    labels = open_labels(tmp_path / "spleen.nii.gz", image)
    assert dice(labels[14] == 1, expert[14] == 2) > 0.8


def test_the_exit_codes_are_those_of_the_command_line():
    codes = inspect.cleandoc(cli.__doc__.split("::", 1)[1].split("With ``--json``")[0])
    assert block("text", "unexpected error").strip() == codes.strip()


@pytest.mark.parametrize("command", re.findall(r"^    napari-medfm (.+?)(?:  .*)?$", README, re.MULTILINE))
def test_every_command_it_shows_exists(command):
    words = command.split()
    names = words[:1] if words[0] not in ("session", "cache") else None
    commands = [names] if names else [[words[0], name] for name in words[1].split("|")]
    for path in commands:
        assert CliRunner().invoke(cli.app, [*path, "--help"]).exit_code == 0


def test_every_environment_variable_is_told():
    assert set(re.findall(r"^\| `(MEDFM_\w+)`", README, re.MULTILINE)) == set(
        re.findall(r"MEDFM_\w+", settings.__doc__)
    )


def test_every_model_is_told():
    section = README.split("## Models", 1)[1].split("##", 1)[0]
    told = "".join(re.findall(r"^\|( `[^|]+)\|", section, re.MULTILINE))
    assert re.findall(r"`([\w-]+)`", told) == [entry.name for entry in available_models()]


def test_its_links_and_pictures_are_files_of_the_repository():
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert "LICENSE" in targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_it_says_that_it_is_for_research_only():
    assert "For research use only" in README
