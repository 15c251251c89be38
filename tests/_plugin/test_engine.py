"""Lanes and store are shared by the panels of a process, and end with the last of them."""

from napari_medfm._plugin import Engine
from napari_medfm.settings import load_settings


def test_the_engine_ends_with_its_last_holder():
    first, second = Engine.hold(), Engine.hold()
    assert first is second
    assert first.store.tiers[1].folder == load_settings().embeddings_dir
    first.release()
    second.release()
    another = Engine.hold()
    assert another is not first
    another.release()
