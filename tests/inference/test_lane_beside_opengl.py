"""The device's lane in a process that draws with OpenGL in software."""

import subprocess
import sys

import pytest

SCRIPT = """
import napari, numpy as np
from napari_medfm.inference import open_lane
viewer = napari.Viewer(show=True)
viewer.add_image(np.zeros((8, 8)))
from qtpy.QtTest import QTest
QTest.qWait(200)
lane = open_lane()
def load():
    import torchvision
    return torchvision.__version__
answer = lane.submit(load)
while not answer.done():
    QTest.qWait(20)
print("loaded", answer.result())
lane.close()
viewer.close()
"""


@pytest.mark.qt
def test_models_load_after_the_canvas_was_drawn_in_software():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "loaded" in done.stdout
