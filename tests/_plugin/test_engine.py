"""Lanes and store are shared by the panels of a process, and end with the last of them; models are loaded on them."""

import pytest
from safetensors.torch import save_file
from suites.store import KEY, embedding
from suites.web import serve

from napari_medfm._plugin import Engine
from napari_medfm._plugin.engine import ModelChoice
from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm.inference import DiskStore
from napari_medfm.models import ModelEntry, ModelFacts
from napari_medfm.models.backends.vista3d import build_small_vista3d
from napari_medfm.models.catalogue import DEFAULT_REGISTRY
from napari_medfm.settings import load_settings

CONTENT = bytes(range(256)) * 20_000


def test_the_engine_ends_with_its_last_holder():
    first, second = Engine.hold(), Engine.hold()
    assert first is second
    first.release()
    second.store.put(KEY, embedding(1))
    second.release()
    assert DiskStore(load_settings().embeddings_dir, 10**6).contains(KEY)
    another = Engine.hold()
    assert another is not first
    another.release()


@pytest.fixture
def server():
    with serve(CONTENT) as server:
        yield server


@pytest.fixture
def published(server, monkeypatch, tmp_path):
    """Register a model whose publisher is a server on this machine."""
    monkeypatch.setenv("MEDFM_CACHE_DIR", str(tmp_path / "cache"))
    file = server.file
    facts = ModelFacts("Published", licence="MIT", weights="download", file=file)
    # What it loads needs no weights: here it is about their way to the disk.
    take_out = DEFAULT_REGISTRY.register(
        ModelEntry("published", "napari_medfm.models.backends.random_walker:load", facts)
    )
    yield file
    take_out()


@pytest.fixture
def choice(published, qtbot):
    """Return the choice of a model with its panel, and what became ready."""
    engine, panel, ready = Engine.hold(), MedfmPanel(), []
    qtbot.addWidget(panel)
    dispatch = MainThreadDispatcher(panel)
    choice = ModelChoice(engine, panel, dispatch, ready.append)
    qtbot.waitUntil(lambda: bool(ready), timeout=60_000)
    yield choice, panel, ready
    choice.stop()
    dispatch.close()
    engine.release()


@pytest.mark.qt
def test_weights_are_downloaded_shown_and_loaded(choice, published, qtbot):
    choice, panel, ready = choice
    choice.choose("published")
    assert panel.model.status.text() == "Download its weights, or choose their file"
    assert len(ready) == 1
    shown = []
    panel.set_model_status = lambda text, busy=False: shown.append(text)
    choice.download("published")
    assert shown == ["Waits for your agreement to its licence"]
    assert panel.model.licence.text.endswith("under: MIT. For research, not for diagnosis.")
    panel.licence_agreed.connect(choice.agree)
    panel.model.agree.click()
    qtbot.waitUntil(lambda: len(ready) == 2, timeout=20_000)
    assert panel.model.licence.text == ""
    assert shown[1] == "Downloading weights.pth"
    assert "100 % of weights.pth" in shown
    assert shown[-1] == "Ready"
    assert panel.model.weights.text() == "weights.pth"
    assert published.find(load_settings().weights_dir).read_bytes() == CONTENT
    choice.choose("published")  # and from now on at once
    qtbot.waitUntil(lambda: len(ready) == 3, timeout=20_000)


@pytest.mark.qt
def test_a_download_that_fails_says_why_and_the_model_before_stays(choice, server, qtbot, monkeypatch):
    choice, panel, ready = choice
    server.content = bytes(len(CONTENT))
    told = []
    monkeypatch.setattr("napari_medfm._plugin.engine.tell", told.append)
    choice.download("published")
    choice.agree()
    qtbot.waitUntil(lambda: bool(told), timeout=20_000)
    assert "its digest differs" in panel.model.failure.text
    assert len(ready) == 1


@pytest.mark.qt
def test_choosing_another_model_stops_a_download(choice, server, qtbot):
    choice, panel, ready = choice
    choice.download("published")
    choice.agree()
    choice.choose("random_walker")
    qtbot.waitUntil(lambda: len(ready) == 2, timeout=20_000)
    assert choice._engine.downloads.wait_idle(20)
    assert panel.model.status.text() == "Ready"
    assert ready[-1].spec.name == "random_walker"


@pytest.mark.qt
def test_a_licence_is_asked_for_once_and_not_for_what_was_chosen_meanwhile(choice, published, qtbot, tmp_path):
    choice, panel, ready = choice
    choice.choose_weights("published", tmp_path / "own.pth")
    assert panel.model.licence.text
    choice.choose("random_walker")
    assert panel.model.licence.text == ""
    choice.agree()  # to nothing: the question is gone
    qtbot.waitUntil(lambda: len(ready) == 2, timeout=20_000)
    choice.download("published")
    choice.agree()
    qtbot.waitUntil(lambda: len(ready) == 3, timeout=20_000)
    choice.download("published")
    assert panel.model.licence.text == ""
    qtbot.waitUntil(lambda: len(ready) == 4, timeout=20_000)


@pytest.mark.qt
def test_a_model_of_volumes_is_chosen_like_any_other(choice, qtbot, tmp_path):
    choice, panel, ready = choice
    file = tmp_path / "mine.safetensors"
    save_file(build_small_vista3d().state_dict(), file)
    choice.choose("vista3d")
    assert panel.model.status.text() == "Download its weights, or choose their file"
    panel.weights_chosen.connect(choice.choose_weights)
    panel.weights_chosen.emit("vista3d", file)
    assert "NCLS v1" in panel.model.licence.text
    assert "No commercial use" in panel.model.licence.text
    panel.licence_agreed.connect(choice.agree)
    panel.model.agree.click()
    qtbot.waitUntil(lambda: len(ready) == 2, timeout=60_000)
    assert ready[-1].answers_volumes
    assert panel.model.status.text() == "Ready"
