import logging
import threading

import pytest

from napari_medfm.inference import open_lane
from napari_medfm.settings import load_settings


def test_the_number_of_threads_is_set_on_the_lane_and_logged(monkeypatch, caplog):
    torch = pytest.importorskip("torch")
    here = torch.get_num_threads()
    monkeypatch.setenv("MEDFM_THREADS", "2")
    with caplog.at_level(logging.INFO), open_lane(load_settings()) as lane:
        assert lane.submit(torch.get_num_threads).result(30) == 2
        assert lane.submit(threading.current_thread).result(30).name == "medfm-device"
    assert "2 threads" in caplog.text
    torch.set_num_threads(here)
