"""What every test stands on: folders of its own, one thread, a small phantom, and no widget left behind.

Neither torch nor Qt is imported here, so that tests of the lower rooms stay fast.
"""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_medfm.volume import Geometry, Volume, array_geometry

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

# Read when torch and Qt are imported, hence set before any test module is.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: more threads only wait for each other
os.environ.setdefault("MEDFM_THREADS", "1")
os.environ.setdefault("MEDFM_DEVICE", "cpu")
os.environ.setdefault("QT_API", "pyside6")
os.environ.setdefault("PYTEST_QT_API", os.environ["QT_API"])


def pytest_collection_modifyitems(items):
    """Skip what this machine cannot run, and say why."""
    no_display = sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    for item in items:
        if "shared_data" in item.keywords and not SHARED_DATA.is_dir():
            item.add_marker(pytest.mark.skip(reason="the real images are not beside this repository"))
        if "qt" in item.keywords and no_display:
            item.add_marker(pytest.mark.skip(reason="no display: run under xvfb-run, as scripts/test does"))


@pytest.fixture(scope="session", autouse=True)
def folders_of_this_run(tmp_path_factory):
    """Keep the person's own journals, cache and napari settings out of reach, also of fixtures of wider scope."""
    folder = tmp_path_factory.mktemp("medfm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDFM_DATA_DIR", str(folder / "data"))
        patch.setenv("MEDFM_CACHE_DIR", str(folder / "cache"))
        patch.setenv("NAPARI_CONFIG", str(folder / "napari.yaml"))
        yield


@pytest.fixture(autouse=True)
def folders_of_this_test(folders_of_this_run, tmp_path_factory, monkeypatch):
    """Give each test journals and a cache of its own; children that it starts inherit them."""
    folder = tmp_path_factory.mktemp("folders")
    monkeypatch.setenv("MEDFM_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("MEDFM_CACHE_DIR", str(folder / "cache"))


@pytest.fixture(autouse=True)
def no_widget_outlives_its_test(request):
    """Fail a test marked ``qt`` that leaves a top-level widget behind."""
    if "qt" not in request.keywords:
        yield
        return
    # Set up first and torn down last: qtbot and napari's viewer fixture have closed theirs by then.
    before = _top_level_widgets()
    yield
    left = _top_level_widgets() - before
    assert not left, f"top-level widgets left behind: {sorted(map(repr, left))}"


def _top_level_widgets():
    from qtpy.QtCore import QCoreApplication, QEvent
    from qtpy.QtWidgets import QApplication

    if QApplication.instance() is None:
        return set()
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    return set(QApplication.topLevelWidgets())


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of real images with expert masks; skip the test where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real images are not beside this repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def small_labels():
    """Return expert labels of `small_volume`: 1 an organ, 2 a lesion inside it, 3 an organ beside; (z, y, x)."""
    labels = np.zeros((12, 48, 64), np.uint16)
    labels[_ball(labels.shape, (6, 24, 20), (5, 16, 14))] = 1
    labels[_ball(labels.shape, (6, 20, 22), (2, 5, 5))] = 2
    labels[_ball(labels.shape, (5, 26, 48), (4, 10, 9))] = 3
    labels.setflags(write=False)
    return labels


@pytest.fixture(scope="session")
def small_volume(small_labels):
    """Return a CT-like volume in HU, 12 slices of 48x64, 3 x 1 x 1 mm, noisy, seeded."""
    intensity = np.array([-80, 110, 60, 40], np.float32)[small_labels]
    array = np.round(intensity + np.random.default_rng(7).normal(0, 8, intensity.shape)).astype(np.int16)
    array.setflags(write=False)
    plain = array_geometry(array.shape, (3.0, 1.0, 1.0))
    return Volume(array, Geometry(plain.shape, plain.affine), name="small", modality="CT")


def _ball(shape, centre, radii):
    grid = np.ogrid[tuple(slice(size) for size in shape)]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
