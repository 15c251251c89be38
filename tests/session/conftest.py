"""A small image, and sessions of it in a folder of the test's own."""

import numpy as np
import pytest

from napari_medfm.session import AnnotationSession, ObjectClass, resolve
from napari_medfm.volume import Plane, Volume, array_geometry

FINGERPRINT = "ab" * 32


@pytest.fixture
def volume():
    """Return an image of 6 slices of 20x24 voxels."""
    array = np.random.default_rng(0).normal(0, 100, (6, 20, 24)).astype(np.int16)
    return Volume(array, array_geometry(array.shape, (3.0, 1.0, 1.0)), name="CT")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sessions"


@pytest.fixture
def session(volume, folder):
    """Return a new session whose classes are nested three deep."""
    classes = [
        ObjectClass("organ", (200, 0, 0)),
        ObjectClass("lesion", (0, 200, 0), parent="organ"),
        ObjectClass("core", (0, 0, 200), parent="lesion"),
        ObjectClass("vessel", (200, 200, 0)),
    ]
    session = AnnotationSession.create(volume, FINGERPRINT, folder=folder, classes=classes, annotator="A. Nobody")
    yield session
    session.close()


@pytest.fixture
def reopen(volume, folder):
    """Return a function that closes a session and resumes it from its journal."""
    opened = []

    def reopen(session):
        session.close()
        opened.append(AnnotationSession.resume(volume, FINGERPRINT, folder))
        return opened[-1]

    yield reopen
    for session in opened:
        session.close()


@pytest.fixture
def plane():
    return Plane(0, 2)


@pytest.fixture
def box_mask():
    """Return a function that makes a mask of an axial slice which is true in a rectangle."""

    def box_mask(rows, columns, shape=(20, 24)):
        mask = np.zeros(shape, bool)
        mask[slice(*rows), slice(*columns)] = True
        return mask

    return box_mask


@pytest.fixture
def answer():
    """Return a function that answers what a session asks on a plane with a given mask."""

    def answer(session, plane, mask, object_id=None):
        request = resolve(session.state, plane, object_id=object_id)
        return session.apply_mask(request, mask, model="plain", model_digest="d1", quality=0.75)

    return answer
