"""Models, slices, and one adaptation that all tests look at."""

import pytest

from napari_medfm.adaptation import Adaptation
from napari_medfm.models.backends.compact import load
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.models.backends.sam2 import Sam2, build_small_sam2

from .discs import QUICK, support_on


@pytest.fixture(scope="session")
def compact():
    return load(device="cpu")


@pytest.fixture(scope="session")
def sam():
    return SamModel(build_small_sam(), device="cpu", reduced=False)


@pytest.fixture(scope="session")
def sam2():
    return Sam2(build_small_sam2(), device="cpu", reduced=False)


@pytest.fixture(scope="session")
def support(compact):
    return support_on(compact)


@pytest.fixture(scope="session")
def adaptation(compact, support):
    """One that ran to its end, and what it told on the way."""
    adapting = Adaptation(compact, support, QUICK)
    return adapting, list(adapting.steps())


@pytest.fixture(scope="session")
def adapter(adaptation):
    return adaptation[0].adapter
