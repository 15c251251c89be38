"""The lane of the device, with the number of threads set once and for all."""

import logging

from napari_medfm.settings import Settings, load_settings
from napari_medfm.workers import Lane

_log = logging.getLogger(__name__)


def open_lane(settings: Settings | None = None) -> Lane:
    """Start the thread that every model runs on, and return its lane.

    The number of threads that one operation may use is a property of the calling
    thread (OpenMP), so it is set there and nowhere else.

    Parameters
    ----------
    settings : Settings, optional
        By default those of the environment.
    """
    threads = (settings or load_settings()).threads

    def limit_threads() -> None:
        import torch

        torch.set_num_threads(threads)
        _log.info("models use %d threads", torch.get_num_threads())

    return Lane(initializer=limit_threads)
