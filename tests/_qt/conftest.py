"""A real session on the small phantom, and wiring to show it."""

import gc

import pytest

from napari_medfm._qt.section import Wiring
from napari_medfm.session import AnnotationSession, ObjectClass
from napari_medfm.volume import fingerprint


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Leave out of every collection what the imports made: the search for leaks is about what tests make."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def session(small_volume, tmp_path):
    """Return a session on the small phantom with two classes, one inside the other."""
    classes = (ObjectClass("liver", (200, 60, 60)), ObjectClass("lesion", (240, 220, 60), "liver"))
    session = AnnotationSession.create(
        small_volume, fingerprint(small_volume), folder=tmp_path / "journals", classes=classes
    )
    yield session
    session.close()


@pytest.fixture
def wiring():
    """Return wiring that is released when the test is over."""
    wiring = Wiring()
    yield wiring
    wiring.release()
