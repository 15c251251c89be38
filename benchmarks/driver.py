"""The real viewer with the real panel, for benchmarks that operate it with mouse and key events.

Needs a display; without one the script starts itself again under ``xvfb-run``.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCREEN = "-screen 0 1400x1000x24"


def ensure_display() -> None:
    """Start this script again on a virtual screen, if there is no other."""
    if os.environ.get("DISPLAY") or not sys.platform.startswith("linux"):
        return
    program = shutil.which("xvfb-run")
    if program is None:
        sys.exit("no display, and no xvfb-run: install xvfb")
    os.execv(program, [program, "-a", "-s", SCREEN, sys.executable, *sys.argv])


@contextmanager
def folders_of_its_own() -> Iterator[Path]:
    """Keep the person's journals, cache and napari settings out of reach."""
    with tempfile.TemporaryDirectory(prefix="medfm-benchmark-") as name:
        folder = Path(name)
        os.environ["MEDFM_DATA_DIR"] = str(folder / "data")
        os.environ["MEDFM_CACHE_DIR"] = str(folder / "cache")
        os.environ["NAPARI_CONFIG"] = str(folder / "napari.yaml")
        yield folder


class Desk:
    """A viewer with the panel docked, and a mouse over its canvas.

    Parameters
    ----------
    model : str
        Registry name of the model to choose; the default one if empty.
    title : str
        Of the window; no other window may have it.
    """

    def __init__(self, model: str = "", title: str = "benchmark") -> None:
        import napari

        self.viewer = napari.Viewer(title=title, show=True)
        self.viewer.window.resize(1300, 900)
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-medfm", "Annotate")
        if model:
            self.widget.panel.model_selected.emit(model)

    @property
    def case(self):
        """The image that is open for annotation, or None."""
        return self.widget.annotator.case if self.widget.annotator is not None else None

    @property
    def model(self):
        """The model that is loaded, or None."""
        predictor = self.widget.annotator.predictor if self.widget.annotator is not None else None
        return None if predictor is None else predictor.model

    def open(self, path: Path, timeout: float = 60.0):
        """Open an image file, choose it in the panel, wait until it can be annotated, and return its case."""
        before = self.case
        plugin = "napari-medfm" if path.is_dir() or ".nii" in path.suffixes else "napari"
        (layer,) = self.viewer.open(str(path), plugin=plugin)
        if before is not None:
            self.widget.panel.image_selected.emit(layer.name)
        wait(lambda: self.case is not None and self.case is not before, timeout)
        settle()
        return self.case

    def canvas(self):
        """Return the canvas of the case's own labels layer, as a hand would use it."""
        sys.path.insert(0, str(ROOT / "tests" / "_napari"))
        from canvas import Canvas

        return Canvas(self.viewer, self.case.workspace.layers.objects)

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        settle()


def wait(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Let the interface run until a condition holds, asked every 2 ms.

    The event loop sleeps between events, as a viewer's does: one that spins would hold the interpreter's lock against
    the thread that computes.
    """
    deadline = time.monotonic() + timeout
    if not _run_until(lambda: condition() or time.monotonic() > deadline, condition):
        msg = f"nothing came of it within {timeout:g} s"
        raise TimeoutError(msg)


def settle(milliseconds: int = 50) -> None:
    """Let the interface run for a while."""
    end = time.monotonic() + milliseconds / 1000
    _run_until(lambda: time.monotonic() >= end, lambda: True)


def _run_until(over: Callable[[], bool], result: Callable[[], bool]) -> bool:
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if over() else None)
    timer.start(2)
    loop.exec()
    timer.stop()
    return result()
