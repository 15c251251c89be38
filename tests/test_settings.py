"""Settings come from the environment; what cannot be used is refused by name."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from napari_medfm.errors import SettingsError
from napari_medfm.settings import load_settings


def test_without_variables_the_folders_are_the_users_own_and_nothing_is_created(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = load_settings({})
    assert settings.data_dir.name == settings.cache_dir.name == "napari-medfm"
    assert settings.data_dir != settings.cache_dir
    assert list(tmp_path.iterdir()) == []


def test_the_folders_hold_journals_embeddings_and_weights():
    settings = load_settings({"MEDFM_DATA_DIR": "/d", "MEDFM_CACHE_DIR": "/c"})
    assert settings.sessions_dir == Path("/d/sessions")
    assert settings.embeddings_dir == Path("/c/embeddings")
    assert settings.weights_dir == Path("/c/weights")


def test_budgets_threads_and_device_are_read():
    settings = load_settings(
        {"MEDFM_CACHE_GB": "0.5", "MEDFM_MEMORY_GB": "1", "MEDFM_THREADS": "3", "MEDFM_DEVICE": "cuda"}
    )
    assert (settings.cache_bytes, settings.memory_bytes) == (500_000_000, 1_000_000_000)
    assert (settings.threads, settings.device) == (3, "cuda")


@pytest.mark.parametrize(
    "name", ["MEDFM_DATA_DIR", "MEDFM_CACHE_GB", "MEDFM_MEMORY_GB", "MEDFM_THREADS", "MEDFM_DEVICE"]
)
def test_an_empty_variable_counts_as_not_set(name):
    assert load_settings({name: ""}) == load_settings({})


def test_a_model_always_has_a_thread():
    assert load_settings({"MEDFM_THREADS": "0"}).threads == 1


@pytest.mark.parametrize("name", ["MEDFM_CACHE_GB", "MEDFM_MEMORY_GB", "MEDFM_THREADS"])
@pytest.mark.parametrize("text", ["plenty", "-1", "nan", "inf"])
def test_a_number_that_is_none_is_refused_by_name(name, text):
    with pytest.raises(SettingsError, match=f"{name}: '{text}' is not a number"):
        load_settings({name: text})


def test_an_unknown_device_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(SettingsError, match=r"'gpu' is not a device\. Set it to one of auto, cpu, cuda, mps"):
        load_settings({"MEDFM_DEVICE": "gpu"})


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("MEDFM_DEVICE", "mps")
    assert load_settings().device == "mps"


def test_settings_do_not_change_under_a_running_process():
    with pytest.raises(FrozenInstanceError):
        load_settings({}).threads = 8
