"""The commands ``models``: what is known, and weights that come, stay whole, or do not."""

import hashlib
import json

import pytest
from suites.web import serve
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.models import ModelEntry, ModelFacts, WeightsFile, available_models
from napari_medfm.models.catalogue import DEFAULT_REGISTRY
from napari_medfm.settings import load_settings

CONTENT = bytes(range(256)) * 5_000


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command and return what it printed; an unexpected exit code is a failure."""
    monkeypatch.setenv("MEDFM_CACHE_DIR", str(tmp_path / "cache"))

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, ["models", *arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture
def server():
    with serve(CONTENT) as server:
        yield server


@pytest.fixture
def published(server):
    """Register a model whose publisher is a server on this machine and whose licence is strict."""
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    file = WeightsFile("weights.pth", f"{server.address}/weights.pth", digest, len(CONTENT))
    facts = ModelFacts("Published", licence="CC-BY-NC-4.0", commercial_use=False, weights="download", file=file)
    take_out = DEFAULT_REGISTRY.register(ModelEntry("published", "a.b:c", facts))
    yield file
    take_out()


def weights_of(rows, name):
    return next(row["weights"] for row in rows if row["name"] == name)


def test_models_are_listed_with_or_without_the_word(run):
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == [entry.name for entry in available_models()]
    assert weights_of(rows, "sam") == "download"
    assert json.loads(run("--json").stdout) == rows


def test_everything_known_of_a_model_is_told(run):
    told = json.loads(run("info", "medsam", "--json").stdout)
    assert (told["recipe"], told["file_name"]) == ("medsam", "medsam_vit_b.pth")
    assert "boxes" in told["note"]
    run("info", "medsan", code=6)


def test_weights_come_stay_and_are_verified(run, published):
    told = run("download", "published", "--yes", "--json")
    assert json.loads(told.stdout) == {
        "model": "published",
        "file": "weights.pth",
        "bytes": len(CONTENT),
        "digest": published.digest,
    }
    assert "CC-BY-NC-4.0" in told.stderr
    assert weights_of(json.loads(run("list", "--json").stdout), "published") == "downloaded"
    assert json.loads(run("verify", "--json").stdout) == [
        {"model": "published", "file": "weights.pth", "intact": True, "reason": ""}
    ]
    path = published.find(load_settings().weights_dir)
    path.write_bytes(bytes(len(CONTENT)))
    (row,) = json.loads(run("verify", "published", "--json", code=5).stdout)
    assert not row["intact"]
    assert "damaged" in row["reason"]


def test_a_strict_licence_is_asked_about(run, published, server):
    run("download", "published", code=1)  # nobody answers yes
    assert server.asked == []


def test_what_cannot_be_downloaded_is_said(run, published, monkeypatch):
    assert "Bring its file" in run("download", "scribbleprompt-sam", code=6).stderr
    assert "needs none" in run("download", "random_walker", code=6).stderr
    monkeypatch.setenv("MEDFM_OFFLINE", "1")
    assert "offline" in run("download", "published", "--yes", code=6).stderr
