import numpy as np
import pytest

from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models.backends import random_walker
from napari_medfm.propagation import Held, KeySlice, Scene
from napari_medfm.volume import Plane, Volume, Window, array_geometry


def ball(shape, centre, radius, spacing=(1.0, 1.0, 1.0)):
    """Voxels within `radius` mm of a centre in voxels."""
    places = np.indices(shape).astype(float)
    away = sum(((grid - at) * step) ** 2 for grid, at, step in zip(places, centre, spacing, strict=True))
    return away <= radius**2


def scene_of(truth, spacing=(1.0, 1.0, 1.0), locked=None):
    """A bright object in noise."""
    noise = np.random.default_rng(0).normal(0, 8, truth.shape)
    array = np.where(truth, 180.0, 60.0) + noise
    volume = Volume(array, array_geometry(truth.shape, spacing))
    held = () if locked is None else (Held(tuple(slice(0, size) for size in truth.shape), locked),)
    return Scene(volume, "f" * 64, Window("custom", 0.0, 255.0), held)


def key(truth, index, axis=0):
    plane = Plane(axis, index)
    return KeySlice(plane, plane.take(truth).copy())


@pytest.fixture
def predictor():
    """The real random walker: it needs no weights."""
    return Predictor(random_walker.load(), MemoryStore(1 << 28))
