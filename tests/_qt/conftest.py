"""A real session on the small phantom, and the panel bound to it."""

import pytest

from napari_medfm._qt.section import Wiring
from napari_medfm.session import AnnotationSession, ObjectClass
from napari_medfm.volume import fingerprint


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
