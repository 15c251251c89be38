"""The lane of the device, with the number of threads set once and for all."""

import contextlib
import importlib
import logging
import os
import sys

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
        keep_llvm_apart()
        import torch

        torch.set_num_threads(threads)
        _log.info("models use %d threads", torch.get_num_threads())

    return Lane(initializer=limit_threads)


def keep_llvm_apart() -> None:
    """Import triton, where there is one, so that it sees its own LLVM only.

    torch's CUDA builds for Linux bring triton, which carries an LLVM. Where OpenGL
    is drawn in software (Mesa's llvmpipe: virtual screens, remote desktops) the process
    holds another LLVM already, whose symbols would win: importing triton, as
    torchvision does, then crashes the process. Bound to its own symbols it does not.
    """
    if sys.platform != "linux" or "triton" in sys.modules:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton")
    finally:
        sys.setdlopenflags(flags)
