"""The page of the models is what the registry says, and the registry says what has to be known."""

import configparser
import re
from pathlib import Path

import pytest

from napari_medfm.models import available_models
from napari_medfm.models.others import OTHERS
from napari_medfm.models.recipes import RECIPES, REGION_RECIPES
from napari_medfm.models.zoo import FAMILIES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def models_table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import models_table

    return models_table


def test_the_page_is_up_to_date(models_table):
    assert models_table.TABLE.read_text() == models_table.page(), "run python scripts/models_table.py"


@pytest.mark.parametrize("entry", available_models(), ids=lambda entry: entry.name)
def test_every_model_says_whose_it_is_and_how_it_was_verified(entry):
    facts = entry.facts
    assert facts.verified
    assert facts.licence
    if facts.weights == "download":
        kind, _, digest = facts.file.digest.partition(":")
        assert len(digest) == {"sha256": 64, "md5": 32, "xxh128": 32}[kind]
        assert facts.file.url.startswith("https://")
    if facts.weights in {"download", "file"}:
        assert facts.recipe in {*RECIPES, *REGION_RECIPES}
        assert facts.embedding_bytes > 0


def test_no_package_of_a_like_name_is_installed_for_a_model():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    names = {re.split(r"[^\w-]", line.strip())[0].lower() for block in required for line in block.splitlines()}
    # `sam2` on PyPI is not by the authors of SAM 2; the others are not there, so that anyone may take the name.
    assert not names & {"sam2", "sam-2", "medsam", "mobile-sam", "universeg", "scribbleprompt", "nninteractive"}
    assert "transformers" in names


def test_files_of_different_models_have_different_names():
    names = [entry.facts.file.name for entry in FAMILIES.values() if entry.facts.file is not None]
    assert len(set(names)) == len(names)


def test_a_model_that_is_not_offered_says_why_and_what_to_do():
    assert len({one.title for one in OTHERS}) == len(OTHERS)
    assert all(one.reason and one.way for one in OTHERS)
    commands = [one.way.split("--like ")[1].split()[0] for one in OTHERS if "--like" in one.way]
    assert commands
    assert set(commands) <= set(FAMILIES)
