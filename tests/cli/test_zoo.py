"""The commands ``models``: what is known, and weights that come, stay whole, or do not."""

import json
import shutil

import pytest
from suites.web import serve
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.errors import WeightsError
from napari_medfm.models import ModelEntry, ModelFacts, available_models, load_model
from napari_medfm.models.backends import compact
from napari_medfm.models.catalogue import DEFAULT_REGISTRY
from napari_medfm.models.own import own_entries
from napari_medfm.models.zoo import COMPACT
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
    file = server.file
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


@pytest.fixture
def own(run, tmp_path, monkeypatch):
    """Forget afterwards what was added."""
    monkeypatch.setenv("MEDFM_DATA_DIR", str(tmp_path / "data"))
    before = dict(DEFAULT_REGISTRY._entries)
    yield tmp_path / "mine.safetensors"
    DEFAULT_REGISTRY._entries.clear()
    DEFAULT_REGISTRY._entries.update(before)


def test_a_checkpoint_of_ones_own_is_added_for_good_and_checked(run, own):
    shutil.copy(compact.WEIGHTS, own)
    told = json.loads(
        run("add", "livers", "--like", "compact", "--weights", str(own), "--title", "Livers", "--json").stdout
    )
    assert (told["name"], told["title"], told["weights"]) == ("livers", "Livers", "none")
    model = load_model("livers")
    assert (model.spec.name, model.spec.title) == ("livers", "Livers")
    again = own_entries(load_settings().data_dir / "models.json", {"compact": COMPACT})
    assert [entry.name for entry in again] == ["livers"]
    assert again[0].load().spec == model.spec
    run("add", "livers", "--like", "compact", "--weights", str(own), code=6)  # the name is taken
    own.write_bytes(own.read_bytes()[:-4] + b"oops")
    with pytest.raises(WeightsError, match="has SHA-256"):
        load_model("livers")


def test_what_does_not_fit_is_not_added(run, own):
    own.write_bytes(b"nothing")
    run("add", "livers", "--like", "compact", "--weights", str(own), code=6)
    run("add", "livers", "--like", "random_walker", "--weights", str(own), code=6)
    run("add", "livers", "--like", "compact", "--weights", str(own.with_name("missing.pt")), code=6)
    assert not (load_settings().data_dir / "models.json").exists()
    assert "livers" not in {entry.name for entry in available_models()}


def test_a_damaged_list_takes_no_other_model_away(own, caplog):
    path = own.with_name("models.json")
    path.write_text("{")
    assert own_entries(path, {"compact": COMPACT}) == []
    path.write_text(json.dumps([{"name": "x", "title": "", "like": "nobody", "file": "f", "sha256": ""}]))
    assert own_entries(path, {"compact": COMPACT}) == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_damaged_list_is_not_written_over(run, own):
    shutil.copy(compact.WEIGHTS, own)
    path = load_settings().data_dir / "models.json"
    path.parent.mkdir(parents=True)
    path.write_text('[{"name": "hearts", ')
    assert "Repair or remove it" in run("add", "livers", "--like", "compact", "--weights", str(own), code=6).stderr
    assert path.read_text() == '[{"name": "hearts", '
    assert "livers" not in {entry.name for entry in available_models()}
